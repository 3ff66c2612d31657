"""What gymnasium and stable-baselines3 ask of every environment, and what tasks add to it."""

import subprocess
import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils import env_checker as gymnasium_checker
from stable_baselines3.common import env_checker as sb3_checker

from metarl_envs import NUMPY_FAMILIES, FamilyEnv
from metarl_envs.tasks import unstack

IDS = pytest.mark.parametrize("env_id", list(NUMPY_FAMILIES))


def with_tasks(env_id: str, num: int) -> list[FamilyEnv]:
    """Environments with a task each, drawn from both parts."""
    distribution = gym.make(env_id).get_wrapper_attr("task_distribution")
    rng = np.random.default_rng(0)
    tasks = [
        t for part in ("train", "held_out") for t in unstack(distribution.sample(rng, num, part))
    ]
    envs = [gym.make(env_id, task=task).unwrapped for task in tasks]
    return [env for env in envs if isinstance(env, FamilyEnv)]


@IDS
# positions are unbounded and actions small, as in the papers; both checkers would rather not
@pytest.mark.filterwarnings("ignore:.*A Box observation space (min|max)imum value is:UserWarning")
@pytest.mark.filterwarnings("ignore:.*symmetric and normalized Box action space:UserWarning")
def test_checkers_accept_every_task(env_id: str) -> None:
    environments = with_tasks(env_id, 2)
    assert len(environments) == 4
    for env in environments:
        gymnasium_checker.check_env(env, skip_render_check=True)
        sb3_checker.check_env(env)


def rollout(env: gym.Env[Any, Any], seed: int) -> list[Any]:
    env.action_space.seed(0)
    observation, _ = env.reset(seed=seed)
    steps = [env.step(env.action_space.sample()) for _ in range(30)]
    return [*observation, *(number for step in steps for number in (*step[0], *step[1:4]))]


@IDS
def test_rollouts_are_determined_by_seed_and_task(env_id: str) -> None:
    first, second = with_tasks(env_id, 1)
    second.task = first.task
    assert rollout(first, 3) == rollout(second, 3)
    assert rollout(first, 3) == rollout(first, 3)


@pytest.mark.parametrize(
    "env_id", ["metarl/PointCorners-v0", "metarl/BernoulliBandit-v0", "metarl/TabularMDP-v0"]
)
def test_random_starts_and_steps_depend_on_the_seed(env_id: str) -> None:
    env, _ = with_tasks(env_id, 1)
    assert rollout(env, 3) != rollout(env, 4)


MOVE = np.full(2, 0.05, np.float32)


@pytest.mark.parametrize(
    ("env_id", "action", "tasks"),
    [
        ("metarl/PointGoal-v0", MOVE, [{"goal": [0.3, 0.3]}, {"goal": [-0.3, 0.3]}]),
        ("metarl/PointGoalSparse-v0", MOVE, [{"goal": [0.0, 0.1]}, {"goal": [0.0, -0.8]}]),
        ("metarl/PointCorners-v0", MOVE, [{"goal": [2.0, 2.0]}, {"goal": [-2.0, -2.0]}]),
        ("metarl/GridNavi-v0", 1, [{"goal": [0, 3]}, {"goal": [3, 0]}]),
        ("metarl/BernoulliBandit-v0", 1, [{"means": [0.0] * 5}, {"means": [1.0] * 5}]),
        (
            "metarl/TabularMDP-v0",
            1,
            [
                {"transitions": np.full((10, 5, 10), 0.1), "reward_means": np.full((10, 5), mean)}
                for mean in (0.0, 1.0)
            ],
        ),
    ],
)
def test_different_tasks_give_different_rewards(env_id: str, action: Any, tasks: list[Any]) -> None:
    rewards = []
    for task in tasks:
        env = gym.make(env_id, task=task, max_episode_steps=20)
        env.reset(seed=0)
        rewards.append(sum(float(env.step(action)[1]) for _ in range(20)))
    assert rewards[0] != rewards[1]


@IDS
def test_tasks_stay_through_resets(env_id: str) -> None:
    env, other = with_tasks(env_id, 1)
    env.task = other.task
    for seed in (None, 1, None):
        env.reset(seed=seed)
        for name, value in other.task.items():
            np.testing.assert_array_equal(env.task[name], value)


@IDS
def test_first_tasks_come_from_the_train_part(env_id: str) -> None:
    env = gym.make(env_id).unwrapped
    assert isinstance(env, FamilyEnv)
    assert env.task_space.contains(env.task)
    if env.task_distribution.disjoint:
        rng = np.random.default_rng(0)
        held_out = env.task_distribution.sample(rng, 200, "held_out")
        for name, values in held_out.items():
            assert not (values == env.task[name]).reshape(200, -1).all(-1).any()


def test_a_task_outside_the_space() -> None:
    with pytest.raises(ValueError, match=r"task entry 'goal' is \[0.5, 9.0\]; it must lie within"):
        gym.make("metarl/PointGoal-v0", task={"goal": [0.5, 9.0]})


@pytest.mark.parametrize("module", ["torch", "metarl"])
def test_importing_envs_does_not_import(module: str) -> None:
    code = f"import sys, metarl_envs; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0
