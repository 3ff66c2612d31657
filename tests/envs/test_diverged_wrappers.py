"""MuJoCo simulations that diverge, under the wrappers: as in metarl's own families."""

from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from small_envs import Slide

from metarl.core import Streams, expand, parameters_of
from metarl.nn import GaussianPolicy, policy_network
from metarl.rl import Sampler
from metarl.sb3 import TaskVecEnv
from metarl_envs import Choice, RandomDynamics, RandomGoal, Uniform
from metarl_envs.wrappers import base

UNSTABLE = 10.0  # times the nominal timestep


def cheetah(factor: float = UNSTABLE, **options: Any) -> RandomDynamics:
    env = gym.make("HalfCheetah-v5", max_episode_steps=100)
    return RandomDynamics(env, {"timestep": Choice([1.0, factor])}, task={"timestep": factor})


def first_divergence(env: Any, seed: int = 0) -> tuple[int, Any]:
    rng = np.random.default_rng(seed)
    env.reset(seed=seed)
    for step in range(1, 101):
        action = rng.uniform(-1, 1, 6).astype(np.float32)
        outcome = env.step(action)
        if outcome[2]:
            return step, outcome
    return 0, None


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # MuJoCo writes MUJOCO_LOG.TXT


def test_the_warnings_are_those_of_mujoco() -> None:
    kinds = mujoco.mjtWarning
    expected = [kinds.mjWARN_BADQPOS, kinds.mjWARN_BADQVEL, kinds.mjWARN_BADQACC]
    assert list(range(*base._UNSTABLE.indices(99))) == [int(kind) for kind in expected]


def test_the_trajectory_ends_with_reward_0_and_says_so() -> None:
    step, (observation, reward, terminated, _, info) = first_divergence(cheetah())
    assert step > 0
    assert terminated
    assert info["diverged"] is True
    assert reward == 0.0
    assert np.isfinite(observation).all()


def test_a_reset_makes_it_good_again() -> None:
    env = cheetah()
    first_divergence(env)
    env.task = {"timestep": 1.0}
    step, _ = first_divergence(env)
    assert step == 0


def test_it_is_seen_through_several_wrappers_and_by_goals_alone() -> None:
    """A goal of its own reward, over dynamics; and over a robot whose timestep another changed."""
    reward = lambda *given: 5.0  # noqa: E731
    nested = RandomGoal(cheetah(), Uniform([0.0], 1.0), reward)
    step, outcome = first_divergence(nested)
    assert step > 0
    assert outcome[1] == 0.0
    assert outcome[4]["diverged"] is True
    robot: Any = gym.make("HalfCheetah-v5", max_episode_steps=100)
    robot.unwrapped.model.opt.timestep *= UNSTABLE
    step, outcome = first_divergence(RandomGoal(robot, Uniform([0.0], 1.0), reward))
    assert step > 0
    assert outcome[4]["diverged"] is True


def test_a_state_beyond_all_bounds_is_one_too() -> None:
    """Before MuJoCo looks at it in its next step."""
    env = cheetah(1.0)
    env.reset(seed=0)
    data: Any = env.unwrapped.data  # type: ignore[attr-defined]
    data.qvel[0] = -9e9
    assert not base.has_diverged(env.unwrapped)
    data.qvel[0] = 1e11
    assert base.has_diverged(env.unwrapped)
    data.qvel[0] = np.nan
    assert base.has_diverged(env.unwrapped)


def test_other_environments_never_diverge() -> None:
    env = RandomGoal(Slide(), Uniform([-1.0], 1.0), lambda *given: 0.0)
    env.reset(seed=0)
    assert "diverged" not in env.step(np.zeros(1))[4]


def test_samplers_and_task_vec_envs_count_them() -> None:
    makers = [lambda factor=factor: cheetah(factor) for factor in (1.0, UNSTABLE)]
    sampler = Sampler(
        SyncVectorEnv(makers), num_tasks=2, horizon=100, discount=0.99, action_scale=1.0
    )
    policy = GaussianPolicy(policy_network(17, 6, hidden_sizes=(8,)), 6)
    params = expand(parameters_of(policy), 2)
    rollout = sampler.collect(policy, params, Streams(0, "training"))
    assert rollout.diverged.tolist() == [[False], [True]]
    assert rollout.num_left_out() == 0
    assert rollout.mask.sum(1)[1] < 100
    last = int(rollout.mask[1].sum()) - 1
    assert rollout.rewards[1, last] == 0.0
    assert rollout.discounts[1, last] == 0.0

    env = TaskVecEnv(SyncVectorEnv(makers, autoreset_mode=AutoresetMode.DISABLED), draw_every=0)
    env.reset()
    rng = np.random.default_rng(0)
    for _ in range(99):
        *_, infos = env.step(rng.uniform(-1, 1, (2, 6)).astype(np.float32))
        assert not infos[0].get("diverged", False)
    assert env.metrics()["rollout/diverged"] >= 1
