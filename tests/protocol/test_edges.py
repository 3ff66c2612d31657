"""Ends that coincide, sums that must be forgotten, steps that must all count, figures cut off."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3 import PPO
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

import metarl_envs  # noqa: F401  # registers the ids
from metarl.cli import main
from metarl.core import Streams, expand, parameters_of
from metarl.embedding import OnlinePrototypes, RecurrentEncoder, TransitionEncoder
from metarl.nn import GaussianPolicy, policy_network
from metarl.rl import Sampler
from metarl.rl.actions import action_map
from metarl.sb3 import TaskVecEnv
from metarl.sb3.imported import folded

LIMIT = 4
GOALS = [{"goal": np.array([0.1 * LIMIT, 0.0])}, {"goal": np.array([-0.5, 0.0])}]
"""Steps of 0.1 to the right reach the first goal in the last step that the time limit allows."""


def batched(mode: AutoresetMode) -> Any:
    options = {"max_episode_steps": LIMIT, "autoreset_mode": mode}
    return gym.make_vec("metarl/PointGoal-v0", num_envs=2, **options)


def synchronous(mode: AutoresetMode) -> Any:
    def make() -> Any:
        return gym.make("metarl/PointGoal-v0", max_episode_steps=LIMIT)

    return SyncVectorEnv([make, make], autoreset_mode=mode)


@pytest.mark.parametrize("make", [batched, synchronous])
def test_a_goal_reached_in_the_last_step_is_no_time_limit(
    make: Callable[[AutoresetMode], Any],
) -> None:
    """For stable-baselines3, which would add the value of what comes after it."""
    env = TaskVecEnv(make(AutoresetMode.DISABLED), draw_every=0)
    env.set_tasks(GOALS)
    env.reset()
    for _ in range(LIMIT):
        _, _, ended, infos = env.step(np.array([[0.1, 0.0]] * 2, np.float32))
    assert ended.tolist() == [True, True]
    assert [info["TimeLimit.truncated"] for info in infos] == [False, True]
    env.close()


@pytest.mark.parametrize("horizon", [LIMIT, LIMIT + 3])
@pytest.mark.parametrize("make", [batched, synchronous])
def test_nothing_is_worth_anything_after_a_goal_reached_in_the_last_step(
    make: Callable[[AutoresetMode], Any], horizon: int
) -> None:
    """The discounts of the sampler: 0 at the goal, γ at the time limit."""
    env = make(AutoresetMode.NEXT_STEP)
    sampler = Sampler(env, num_tasks=2, horizon=horizon, discount=0.9, action_scale=1.0)
    sampler.set_tasks(GOALS)
    network = policy_network(2, 2, hidden_sizes=())
    policy = GaussianPolicy(network, 2, initial_log_std=-20, min_log_std=-20)
    with torch.no_grad():
        for name, value in policy.named_parameters():
            if name != "log_std":
                value.zero_()
            if name.endswith("bias"):
                value[0] = 1.0  # ±1 spans the actions of ±0.1
    params = expand(parameters_of(policy), 2)
    rollout = sampler.collect(policy, params, Streams(0, "training"))
    assert rollout.mask.all()
    expected = torch.tensor([[0.9, 0.9, 0.9, 0.0], [0.9] * 4])
    torch.testing.assert_close(rollout.discounts[..., 0], expected)
    env.close()


@pytest.mark.parametrize("kind", [TransitionEncoder, RecurrentEncoder])
def test_a_trajectory_that_did_not_end_is_forgotten_with_its_task(kind: Any) -> None:
    """Prototypes that grow when a trajectory ends: what waited for that belongs to the old task."""
    generator = torch.Generator().manual_seed(0)
    encoder = kind(5, 8, 3, generator)
    old, new = torch.randn(2, 3, 5, generator=generator), torch.randn(2, 3, 5, generator=generator)
    going, ends = torch.tensor([False, False]), torch.tensor([True, True])
    fresh, used = (OnlinePrototypes(encoder, 2, within_trajectory=False) for _ in range(2))
    for t in range(3):
        used.add(old[:, t], going)
    used.forget(torch.tensor([True, False]))
    for prototypes in (fresh, used):
        prototypes.add(new[:, 0], going)
        prototypes.add(new[:, 1], ends)
    torch.testing.assert_close(used.features()[0], fresh.features()[0])
    assert not torch.allclose(used.features()[1], fresh.features()[1])


def update(output: Path, stride: int, trajectories: int) -> dict[str, str]:
    """Metrics of a trust-region update whose Fisher matrix takes every ``stride``-th step."""
    options = f"--fisher-stride {stride} --num-trajectories {trajectories} --meta-batch-size 2"
    small = f"{options} --horizon 8 --hidden-sizes 4 --iterations 1"
    command = f"train maml-trpo --env metarl/PointGoal-v0 {small} --output {output}"
    assert main(command.split()) == 0
    (folder,) = output.iterdir()
    (row,) = csv.DictReader((folder / "metrics.csv").read_text().splitlines())
    return {key: value for key, value in row.items() if not key.startswith("time/")}


@pytest.mark.parametrize(
    ("stride", "coprime", "trajectories"),
    [
        (2, 3, 4),
        *(
            pytest.param(*numbers, marks=pytest.mark.slow)  # 4 s each
            for numbers in [(4, 5, 4), (3, 5, 6), (6, 7, 3), (9, 11, 6)]
        ),
    ],
)
def test_the_fisher_matrix_is_of_all_trajectories(
    stride: int, coprime: int, trajectories: int, tmp_path: Path
) -> None:
    """Step t of trajectory e is row t·E + e: a stride that shares a divisor with E skips some.

    It is taken for the next one that does not, and that one as it is.
    """
    raised = update(tmp_path / "raised", stride, trajectories)
    assert raised == update(tmp_path / "given", coprime, trajectories)
    assert raised != update(tmp_path / "every", 1, trajectories)


class Seen(gym.Env[Any, Any]):
    """Two numbers of an environment and two of a context."""

    observation_space = spaces.Box(-np.inf, np.inf, (4,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)


@pytest.mark.parametrize("context", [[5.0, -9.0], [1.0, 7.0], [1.002, -2.003]])
def test_a_policy_taken_out_has_its_context_clipped_as_in_training(context: list[float]) -> None:
    """Ten standard deviations from the mean, as VecNormalize does; near it nothing is."""
    env = VecNormalize(DummyVecEnv([Seen]), training=False)
    statistics = env.obs_rms = RunningMeanStd(shape=(4,))
    statistics.mean = np.array([0.1, -0.2, 1.0, -2.0])
    statistics.var = np.array([0.04, 0.09, 1e-6, 1e-6])
    model = PPO("MlpPolicy", env, policy_kwargs={"net_arch": [8]}, seed=0, device="cpu")
    with torch.no_grad():
        model.policy.action_net.weight.mul_(50)  # type: ignore[operator,union-attr]
    held = np.array(context, np.float32)
    actor = folded(model, statistics, held, action_map(Seen.action_space, 1.0))
    observations = np.random.default_rng(0).normal(0.0, 0.3, (50, 2)).astype(np.float32)
    seen = np.concatenate([observations, np.tile(held, (50, 1))], 1)
    expected, _ = model.predict(env.normalize_obs(seen), deterministic=True)
    actions, _ = actor.predict(observations, deterministic=True)
    np.testing.assert_allclose(actions, expected, atol=1e-4)
    assert np.ptp(expected, axis=0).min() > 0.05


def test_the_interquartile_mean_of_an_evaluation_leaves_out_a_quarter_at_either_end(
    tmp_path: Path,
) -> None:
    """Of 20 tasks, the mean of the middle ten returns; a fifth would leave twelve."""
    options = "--meta-batch-size 2 --num-trajectories 2 --horizon 5 --iterations 1"
    command = f"train maml-vpg --env metarl/PointGoal-v0 {options} --output {tmp_path}"
    assert main(command.split()) == 0
    assert main(["evaluate", str(*tmp_path.iterdir()), "--tasks", "20"]) == 0
    (folder,) = tmp_path.iterdir()
    figures = json.loads((folder / "evaluation.json").read_text())
    middle = np.sort(figures["returns"], axis=1)[:, 5:15].mean(1)
    np.testing.assert_allclose(figures["iqm"], middle, rtol=1e-12)
    wider = np.sort(figures["returns"], axis=1)[:, 4:16].mean(1)
    assert (np.abs(middle - wider) > 1e-6).all()
