"""The callback measures adaptation and leaves training alone."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from own_families import walks
from stable_baselines3 import PPO
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.vec_env import VecNormalize

import metarl_envs  # noqa: F401  # registers the ids
from metarl.embedding import LastTransition
from metarl.sb3 import AdaptationCallback, TaskVecEnv, TrialVecEnv

GOALS = [{"goal": np.array(goal)} for goal in ([0.1, 0.0], [0.5, 0.5], [-0.5, 0.0])]


class Kept(KVWriter):
    """Everything that was logged."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def write(self, key_values: dict[str, Any], key_excluded: Any, step: int = 0) -> None:
        self.rows.append(dict(key_values))

    def close(self) -> None:
        pass


def trials(draw_every: int) -> TrialVecEnv:
    env: Any = gym.make_vec(
        "metarl/PointGoal-v0",
        num_envs=3,
        max_episode_steps=4,
        autoreset_mode=AutoresetMode.DISABLED,
    )
    return TrialVecEnv(TaskVecEnv(env, draw_every=draw_every, seed=1), LastTransition(3, 2))


def trained(*callbacks: AdaptationCallback) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    env = VecNormalize(trials(2))
    model = PPO("MlpPolicy", env, n_steps=8, batch_size=24, n_epochs=1, seed=0, device="cpu")
    kept = Kept()
    model.set_logger(Logger(None, [kept]))
    model.learn(72, callback=list(callbacks))
    return model.policy.state_dict(), kept.rows


def test_it_logs_returns_and_does_not_disturb_training() -> None:
    evaluation = trials(0)
    evaluation.venv.set_tasks(GOALS)
    callback = AdaptationCallback(evaluation, every=30, num_trajectories=3)
    watched, rows = trained(callback)
    alone, _ = trained()
    assert all(torch.equal(watched[name], alone[name]) for name in alone)
    measured = [row for row in rows if "eval/return_first" in row]
    assert len(measured) == 2  # after 30 and 60 of 72 steps
    for row in measured:
        before, after = row["eval/return_first"], row["eval/return_last"]
        assert -4 * 0.8 < before < 0
        assert row["eval/trial_gain"] == pytest.approx(after - before)


def test_tasks_of_an_evaluation_stay() -> None:
    with pytest.raises(ValueError, match="make its TaskVecEnv draw_every=0"):
        AdaptationCallback(trials(2), every=10)
    with pytest.raises(ValueError, match="must be at least 1, got 0, 2"):
        AdaptationCallback(trials(0), every=0)


def test_a_model_over_a_task_vec_env_is_measured_over_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its actions are those of the environment: 0.1 to the right reaches the first goal at once."""

    def made(draw_every: int) -> TaskVecEnv:
        return TaskVecEnv(trials(0).venv.env, draw_every=draw_every, seed=1)

    evaluation = made(0)
    evaluation.set_tasks(GOALS)
    model = PPO("MlpPolicy", made(1), n_steps=8, batch_size=24, n_epochs=1, seed=0, device="cpu")
    kept = Kept()
    model.set_logger(Logger(None, [kept]))
    right = np.array([[0.1, 0.0]] * 3, np.float32)
    monkeypatch.setattr(model, "predict", lambda *given, **options: (right, None))
    model.learn(48, callback=AdaptationCallback(evaluation, every=24, num_trajectories=2))
    rows = [row for row in kept.rows if "eval/return_first" in row]
    assert rows
    x = 0.1 * np.arange(1, 5)
    each = [0.0, -np.hypot(x - 0.5, 0.5).sum(), -np.abs(x + 0.5).sum()]
    for row in rows:
        assert row["eval/return_first"] == pytest.approx(np.mean(each), abs=1e-5)
        assert row["eval/return_last"] == pytest.approx(np.mean(each), abs=1e-5)
    with pytest.raises(ValueError, match="make its TaskVecEnv draw_every=0"):
        AdaptationCallback(made(2), every=10)


def test_it_logs_what_environments_tell_of_their_trajectories() -> None:
    """Walks succeed where they end."""
    evaluation = TaskVecEnv(walks([None, None]), draw_every=0, horizon=6)
    evaluation.set_tasks([{"length": np.array(4.0)}] * 2)
    env = TaskVecEnv(walks([None]))
    model = PPO("MlpPolicy", env, n_steps=4, batch_size=4, n_epochs=1, device="cpu")
    kept = Kept()
    model.set_logger(Logger(None, [kept]))
    model.learn(4, callback=AdaptationCallback(evaluation, every=2, num_trajectories=1))
    (measured,) = [row for row in kept.rows if "eval/success_last" in row]
    assert measured["eval/success_first"] == measured["eval/success_last"] == 1.0
