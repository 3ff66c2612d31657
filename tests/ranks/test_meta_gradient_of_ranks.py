"""Learners of RL in several processes: the meta-gradient of all tasks, and the same steps."""

import copy
from typing import Any

import pytest
import torch
from forked import on_ranks
from shared_problem import make_learner
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from metarl.core.collectives import Part
from metarl.rl import PRESETS, Experience, MAMLLearner, TrustRegion
from metarl.rl.meta_problem import MetaProblem
from metarl.rl.objectives import LossObjective
from metarl.rl.trust_region import candidate
from metarl.types import Metrics

QUICK = ("maml-trpo", "promp", "e-maml", "reptile", "cavia")
OTHERS = [name for name in PRESETS if name not in QUICK]
LEARNERS = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
TIMES = "time/"


def _in_double(learner: MAMLLearner) -> Experience:
    experience = learner.collect()
    learner.policy.double()
    for value in learner.learned.values():
        value.data = value.data.double()
    batches = [batch.map(Tensor.double) for batch in experience.batches]
    return Experience([], batches, experience.scores.double())


def _steps(learner: MAMLLearner, experience: Experience) -> dict[str, Tensor]:
    """What an outer step sees of a meta-batch, of which each process has its part of the tasks."""
    part = Part.own(len(experience.scores))
    own = experience.tasks(slice(part.start, part.stop)).chunks(learner.task_chunk)
    theta = learner.meta_parameters()
    problem = MetaProblem(learner.policy, learner.rule, learner.objective, theta, own, part)
    meta = problem.gradient()
    seen = {"gradient": meta.gradient, "loss": torch.tensor([meta.loss], dtype=torch.float64)}
    step = learner.outer_step
    if isinstance(step, TrustRegion):
        v = torch.linspace(-1, 1, len(meta.gradient), dtype=torch.float64)
        seen["fisher"] = step.fisher(problem)(v)
    if isinstance(learner.objective, LossObjective):
        moved = parameters_to_vector(theta.tensors()).detach() - 0.01 * meta.gradient
        seen["candidate"] = torch.tensor(candidate(moved, problem, meta), dtype=torch.float64)
    metrics, _ = step.step(problem, meta, step.init(theta))
    seen["metrics"] = torch.tensor([*metrics.values()], dtype=torch.float64)
    seen["stepped"] = parameters_to_vector(theta.tensors()).detach()
    return seen


@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", LEARNERS)
def test_an_outer_step_is_that_of_the_union_of_all_tasks(name: str, size: int) -> None:
    learner = make_learner(name, task_chunk=2)
    experience = _in_double(learner)
    before = copy.deepcopy(learner.state_dict())
    expected = _steps(learner, experience)  # first: forks need not import what it does
    learner.load_state_dict(before)
    found = on_ranks(size, _steps, learner, experience)
    for of_rank in found:
        for key, value in expected.items():
            assert torch.equal(of_rank[key], found[0][key]), key  # to the last bit
            torch.testing.assert_close(of_rank[key], value, rtol=1e-9, atol=1e-12)
    assert expected["gradient"].norm() > 0.01


def _trained(name: str, iterations: int) -> tuple[list[Any], Tensor, list[Metrics]]:
    learner = make_learner(name)
    drawn, metrics = [], []
    for _ in range(iterations):
        metrics.append(learner.iterate())
        drawn += [{k: v.tolist() for k, v in task.items()} for task in learner.sampler.tasks]
    metrics.append(learner.evaluate())
    return drawn, parameters_to_vector(learner.meta_parameters().tensors()).detach(), metrics


@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "name",
    ["e-maml", *(pytest.param(n, marks=pytest.mark.slow) for n in PRESETS if n != "e-maml")],
)
def test_iterations_with_their_own_sampling_are_those_of_one_process(name: str, size: int) -> None:
    iterations = 3
    tasks, parameters, metrics = _trained(name, iterations)
    found = on_ranks(size, _trained, name, iterations)
    each = [len(drawn) // iterations for drawn, _, _ in found]
    together = [
        task
        for i in range(iterations)
        for (drawn, _, _), n in zip(found, each, strict=True)
        for task in drawn[i * n : (i + 1) * n]
    ]
    assert together == tasks
    for _, of_rank, told in found:
        assert torch.equal(of_rank, found[0][1])
        torch.testing.assert_close(of_rank, parameters, rtol=0, atol=1e-5)
        for now, then in zip(told, metrics, strict=True):
            assert now.keys() == then.keys()
            kept = {k: v for k, v in now.items() if not k.startswith(TIMES)}
            assert kept == pytest.approx({k: then[k] for k in kept}, rel=1e-3, abs=1e-4)
    assert found[0][2][-1] == found[-1][2][-1]  # evaluations: to the last bit


def _statistics() -> tuple[Tensor, ...]:
    learner = make_learner("maml-vpg", normalised=True)
    for _ in range(2):
        learner.iterate()
    normaliser = learner.policy.normaliser
    assert normaliser is not None
    return normaliser.mean, normaliser.variance, normaliser.count


def test_observations_are_normalised_by_the_statistics_of_all_processes() -> None:
    expected = _statistics()
    for found in on_ranks(2, _statistics):
        for own, value in zip(found, expected, strict=True):
            torch.testing.assert_close(own, value, rtol=1e-6, atol=1e-9)
