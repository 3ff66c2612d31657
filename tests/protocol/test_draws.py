"""What a run draws follows from its seed, whatever is worked on at once, resumed or cut in parts.

What is drawn is recorded where it is used: the tasks that environments get, their seeds or the
observations they start with, and the noise that the policy acts with.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import metarl_envs  # noqa: F401  # registers the ids
from metarl.core import Streams, parameters_of
from metarl.nn import CategoricalPolicy, GaussianPolicy, policy_network
from metarl.rl import PRESETS, MAMLLearner, Sampler, SimulatedTasks, make_maml

POINT = "metarl/PointGoal-v0"  # certain steps
MDP = "metarl/TabularMDP-v0"  # random steps
CHEETAH = "metarl/HalfCheetahVel-v0"  # random starts
FAMILIES = [POINT, MDP, CHEETAH]
NUM_TRAJECTORIES = 3


def make_env(env_id: str, num_envs: int) -> Any:
    return gym.make_vec(env_id, num_envs=num_envs)


def make_learner(env_id: str, *, num_tasks: int = 4, **numbers: Any) -> MAMLLearner:
    """3 trajectories of 8 steps a task, 8 hidden units."""
    env = make_env(env_id, num_tasks * NUM_TRAJECTORIES)
    sampler = Sampler(env, num_tasks=num_tasks, horizon=8, discount=0.9, action_scale=1.0)
    num_outputs = gym.spaces.flatdim(env.single_action_space)
    kind = (
        CategoricalPolicy
        if isinstance(env.single_action_space, gym.spaces.Discrete)
        else GaussianPolicy
    )
    network = policy_network(
        env.single_observation_space.shape[0],
        num_outputs,
        hidden_sizes=(8,),
        generator=torch.Generator().manual_seed(0),
    )
    config = PRESETS["maml-trpo"].config.__class__(**numbers)
    return make_maml(config, kind(network, num_outputs), sampler, seed=3)


class Recorder:
    """Keeps what the collections of a learner drew.

    Args:
        monkeypatch: undoes the recording.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tasks: list[dict[str, NDArray[Any]]] = []
        self.drawn: list[dict[str, NDArray[Any]]] = []
        self.calls: list[int] = []
        set_tasks, collect = Sampler.set_tasks, Sampler.collect

        def set_and_keep(sampler: Sampler, tasks: Sequence[dict[str, NDArray[Any]]]) -> None:
            self.tasks += tasks
            set_tasks(sampler, tasks)

        def collect_and_keep(sampler: Sampler, policy: Any, *arguments: Any) -> Any:
            noises: list[Tensor] = []
            seeds: list[Any] = []
            act, reset = policy.act, sampler.env.reset

            def acting(params: Any, observations: Tensor, noise: Tensor) -> Tensor:
                noises.append(noise.clone())
                return act(params, observations, noise)

            def resetting(*, seed: Any) -> Any:
                seeds.append(seed)
                return reset(seed=seed)

            policy.act, sampler.env.reset = acting, resetting  # type: ignore[method-assign]
            rollout = collect(sampler, policy, *arguments)
            del policy.act, sampler.env.reset
            self.calls.append(sampler.num_tasks)
            self.drawn.append(
                {
                    "noise": torch.stack(noises, 1).numpy(),  # [M, T, E, A]
                    "seeds": np.array(seeds).reshape(sampler.num_tasks, -1),
                    "starts": rollout.observations[:, 0].numpy(),
                }
            )
            return rollout

        monkeypatch.setattr(Sampler, "set_tasks", set_and_keep)
        monkeypatch.setattr(Sampler, "collect", collect_and_keep)

    def take(self, num_rollouts: int) -> list[dict[str, NDArray[Any]]]:
        """What was drawn since the last time, of all batches together, by rollout."""
        batches = [
            self.drawn[i : i + num_rollouts] for i in range(0, len(self.drawn), num_rollouts)
        ]
        joined = []
        for k in range(num_rollouts):
            parts = [batch[k] for batch in batches]
            length = max(part["noise"].shape[1] for part in parts)
            assert all(part["noise"].shape[1] == length for part in parts)
            joined.append({name: np.concatenate([p[name] for p in parts]) for name in parts[0]})
        self.drawn, self.calls = [], []
        joined[0] |= {
            f"task {name}": np.stack([task[name] for task in self.tasks]) for name in self.tasks[0]
        }
        self.tasks = []
        return joined


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    return Recorder(monkeypatch)


def assert_same(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    for ours, theirs in zip(one, other, strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            np.testing.assert_array_equal(value, theirs[name], err_msg=name)


def source(env_id: str, num_tasks: int, **options: Any) -> SimulatedTasks:
    return SimulatedTasks(
        make_env=partial(make_env, env_id),
        num_tasks=num_tasks,
        num_trajectories=NUM_TRAJECTORIES,
        seed=11,
        **options,
    )


@pytest.mark.parametrize("env_id", FAMILIES)
def test_evaluations_by_5_and_by_40_tasks_are_the_same(env_id: str, recorder: Recorder) -> None:
    learner = make_learner(env_id)
    found, drawn = [], []
    for size in (5, 40):
        found.append(learner.adapt(source(env_id, 40, tasks_at_once=size), 2))
        assert set(recorder.calls) == {size}
        drawn.append(recorder.take(3))
    assert drawn[0][0]["noise"].shape[:3] == (40, 8, NUM_TRAJECTORIES)
    assert_same(*drawn)
    np.testing.assert_allclose(found[0].values, found[1].values, rtol=1e-4, atol=1e-4)
    assert len(found[0].paths) == len(found[1].paths) == 6
    for ours, theirs in zip(found[0].paths, found[1].paths, strict=True):
        for seen, other in zip(ours[1], theirs[1], strict=True):
            np.testing.assert_allclose(seen, other, rtol=1e-3, atol=1e-3)
    for task in (0, 7, 39):
        ours, theirs = (parameters_of(f.model(task, True).policy) for f in found)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("env_id", FAMILIES)
def test_a_batch_has_at_most_the_environments_of_training(env_id: str) -> None:
    """Where they are too few for a task, its trajectories come one part after another."""
    learner = make_learner(env_id, num_tasks=4)  # 12 environments
    sizes: list[int] = []

    def counted(num_envs: int) -> Any:
        sizes.append(num_envs)
        return make_env(env_id, num_envs)

    for trajectories, expected in ((3, [12, 6]), (5, [10]), (20, [10])):
        tasks = SimulatedTasks(
            make_env=counted, num_tasks=10, num_trajectories=trajectories, seed=0
        )
        found = learner.adapt(tasks, 1)
        assert sizes == expected
        whole = learner.adapt(replace(tasks, tasks_at_once=10), 1)
        np.testing.assert_allclose(found.values, whole.values, rtol=1e-4)
        sizes.clear()


@pytest.mark.parametrize("env_id", FAMILIES)
def test_the_halves_of_an_evaluation_make_the_whole(env_id: str, recorder: Recorder) -> None:
    """As two processes would share it: tasks 0 to 9, and 10 to 19, apart."""
    learner = make_learner(env_id)
    whole = learner.adapt(source(env_id, 20, tasks_at_once=20), 1)
    expected = recorder.take(2)
    streams, first = Streams(11, "test"), 0
    values = []
    for first in (0, 10):
        sampler = learner.sampler.over(make_env(env_id, 10 * NUM_TRAJECTORIES), 10)
        sampler.set_tasks(whole.tasks[first : first + 10])
        experience, _ = learner._adapt_on(sampler, 1, streams, first)
        values.append(experience.returns().numpy())
    assert_same(recorder.take(2), expected)
    np.testing.assert_allclose(np.concatenate(values, 1), whole.values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("env_id", [MDP, CHEETAH])
def test_fewer_tasks_and_trajectories_are_the_first_ones(env_id: str, recorder: Recorder) -> None:
    learner = make_learner(env_id)
    learner.adapt(source(env_id, 9), 1)
    (whole, _), few = recorder.take(2), source(env_id, 2)
    learner.adapt(
        SimulatedTasks(make_env=few.make_env, num_tasks=2, num_trajectories=2, seed=11), 1
    )
    (part, _) = recorder.take(2)
    for name, value in part.items():
        other = whole[name][:2]
        along = {"noise": 2, "seeds": 1, "starts": 1}.get(name)
        if along is not None:
            other = other.take([0, 1], along)
        np.testing.assert_array_equal(value, other, err_msg=name)


@pytest.mark.parametrize("env_id", FAMILIES)
def test_chunks_of_the_outer_step_change_no_draw(env_id: str, recorder: Recorder) -> None:
    drawn = []
    for task_chunk in (1, 0):
        learner = make_learner(env_id, task_chunk=task_chunk, num_inner_steps=1)
        learner.update(learner.collect())
        drawn.append(recorder.take(2))
    assert_same(*drawn)


@pytest.mark.parametrize("env_id", FAMILIES)
def test_a_resumed_run_draws_what_the_whole_one_does(env_id: str, recorder: Recorder) -> None:
    learner, resumed = make_learner(env_id), make_learner(env_id)
    learner.update(learner.collect())
    resumed.load_state_dict(learner.state_dict())
    before = recorder.take(2)
    learner.evaluate()
    validation = recorder.take(2)
    drawn = []
    for each in (learner, resumed):
        each.update(each.collect())
        drawn.append(recorder.take(2))
    assert_same(*drawn)
    for name, value in drawn[0][0].items():
        if name != "starts":
            assert not np.array_equal(value, before[0][name])
            assert not np.array_equal(value, validation[0][name])
    assert not np.array_equal(drawn[0][0]["noise"], drawn[0][1]["noise"])  # of another step
    resumed.evaluate()
    assert_same(recorder.take(2), validation)


def test_tasks_and_trajectories_differ(recorder: Recorder) -> None:
    learner = make_learner(POINT)
    learner.collect()
    drawn = recorder.take(2)[0]
    noise = drawn["noise"].transpose(0, 2, 1, 3).reshape(4 * NUM_TRAJECTORIES, -1)
    assert len(np.unique(noise[:, 0])) == 4 * NUM_TRAJECTORIES
    assert len(np.unique(drawn["seeds"])) == 4 * NUM_TRAJECTORIES
