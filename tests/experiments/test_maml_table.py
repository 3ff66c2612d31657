"""The table of the MAML paper: the authors' settings, and rows that say what differs."""

from functools import cache
from typing import Any, get_args

import maml_table
import pytest
from maml_families import FAMILIES, FamilyName, Learner

from metarl.cli import _parse

AUTHORS = [name for name in FAMILIES if name.startswith("maml-")]
MUJOCO = [name for name in AUTHORS if name != "maml-navigation"]


@cache
def parsed(name: FamilyName, learner: Learner) -> Any:
    return _parse([*FAMILIES[name].training(learner), "--iterations", "1"]).problem


@pytest.mark.parametrize("name", AUTHORS)
@pytest.mark.parametrize("learner", get_args(Learner))
def test_commands_are_understood(name: FamilyName, learner: Learner) -> None:
    assert parsed(name, learner).algorithm.learner == learner


@pytest.mark.parametrize("name", MUJOCO)
def test_the_authors_settings(name: FamilyName) -> None:
    """rl.md, section 7 and ``cluster_maml_trpo_*.py``."""
    problem = parsed(name, "maml-trpo")
    assert problem.env_kwargs == {"physics": "maml", "max_episode_steps": 200}
    assert problem.policy.hidden_sizes == (100, 100)
    assert problem.policy.activation == "relu"
    assert problem.policy.initial_log_std == 0.0
    assert problem.sampling.action_scale == 1.0
    assert problem.sampling.discount == 0.99
    assert problem.sampling.meta_batch_size == 40
    assert problem.algorithm.inner_lr == 0.1
    assert problem.algorithm.gae_lambda == 1.0
    assert problem.algorithm.cg_damping == 1e-5


@pytest.mark.parametrize(
    ("name", "trajectories", "max_kl", "iterations"),
    [
        ("maml-half-cheetah-vel", 10, 0.01, 475),  # maml1_fbs10_mbs40_flr_0.1_mlr0.01/itr_475
        ("maml-half-cheetah-dir", 20, 0.02, 100),  # maml1_fbs20_mbs40_flr_0.1_mlr0.02/itr_100
        ("maml-ant-vel", 20, 0.01, 375),  # maml1_fbs20_mbs40_flr_0.1_mlr0.01/itr_375
        ("maml-ant-dir", 20, 0.01, 575),  # maml1_fbs40_mbs40_flr_0.1_mlr0.01/itr_575
        ("maml-navigation", 20, 0.01, 100),  # trpomaml1_fbs20_mbs20_flr_0.5metalr_0.01_step11
    ],
)
def test_the_runs_of_the_figures(
    name: FamilyName, trajectories: int, max_kl: float, iterations: int
) -> None:
    problem = parsed(name, "maml-trpo")
    assert problem.sampling.num_trajectories == trajectories
    assert problem.algorithm.max_kl == max_kl
    assert FAMILIES[name].iterations == iterations


def test_step_sizes_of_the_test() -> None:
    """``step_sizes`` of ``test_maml_*.py``; half of them after the first step."""
    vel, ants = FAMILIES["maml-half-cheetah-vel"], FAMILIES["maml-ant-vel"]
    assert vel.test("maml-trpo")[-3:] == ["0.1", "0.05", "0.05"]
    assert vel.test("pretrained")[-3:] == ["0.02", "0.01", "0.01"]
    assert vel.test("random-init")[-3:] == ["0.1", "0.05", "0.05"]
    assert ants.test("pretrained")[-3:] == ["0.2", "0.1", "0.1"]
    assert ants.test("random-init")[-3:] == ["1.0", "0.5", "0.5"]
    assert ants.test("oracle")[-2:] == ["--steps", "0"]


@pytest.mark.parametrize("name", AUTHORS)
def test_rows_say_what_differs(name: FamilyName) -> None:
    plan = maml_table.plan_of(name, "maml-trpo")
    assert plan.iterations == FAMILIES[name].iterations
    assert plan.reference["mean"] == FAMILIES[name].reference["maml-trpo"]
    assert ("physics the authors'" in plan.reference["differs"]) is (name in MUJOCO)
    assert not plan.reference["same_protocol"]
    assert maml_table.plan_of(name, "random-init").iterations == 1
