"""Trajectories that stable-baselines3 is not to learn from, because of what an environment gave."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from own_families import walks
from stable_baselines3 import PPO

from metarl.rl.env_faults import EnvironmentFaultError, EnvironmentFaultWarning
from metarl.sb3 import (
    RL2,
    CollectionSpec,
    InitialPolicy,
    ProtoEmbedding,
    ProtoEmbeddingConfig,
    RL2Config,
    SB3Learner,
    SB3PPOConfig,
    TaskVecEnv,
)
from metarl.sb3.left_out import LeaveOut

NAN = float("nan")
PROTO: dict[str, Any] = {
    "encoder_warmup": 2, "encoder_steps": 2, "num_ways": 6, "encoder_hidden_size": 8,
    "embedding_size": 4, "normalise": "none", "num_epochs": 1, "num_minibatches": 2,
}  # fmt: skip
OFF: dict[str, Any] = {**PROTO, "gradient_steps": 2, "buffer_size": 4000}
CONFIGS: dict[str, tuple[type[SB3Learner], Any]] = {
    "ppo": (SB3Learner, SB3PPOConfig(normalise="none", num_epochs=1, num_minibatches=2)),
    "normalised": (SB3Learner, SB3PPOConfig(normalise="all", num_epochs=1, num_minibatches=2)),
    "rl2": (RL2, RL2Config(normalise="none", hidden_size=8, num_epochs=1, num_minibatches=2)),
    "proto": (ProtoEmbedding, ProtoEmbeddingConfig(**PROTO)),
    "proto-sac": (ProtoEmbedding, ProtoEmbeddingConfig(optimiser="sac", **OFF)),
}
HORIZON = 8


def make_learner(name: str, bad: dict[int, Any], num_envs: int = 40) -> SB3Learner:
    """With the bad steps of some of the environments of training; evaluation has the same."""
    kind, config = CONFIGS[name]

    def make_env(num: int) -> Any:
        return walks([bad.get(index) for index in range(num)])

    return kind(
        config,
        CollectionSpec(make_env, num_envs, HORIZON, 0.95, 1.0),
        InitialPolicy((16,), "tanh", 0.0),
        seed=0,
        device=torch.device("cpu"),
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_by_default_it_is_an_error_that_names_task_and_step(value: float) -> None:
    env = TaskVecEnv(walks([None, {(0, 2): value}]), draw_every=0)
    env.set_tasks([{"length": np.array(5.0)}, {"length": np.array(7.0)}])
    env.reset()
    env.step(np.zeros((2, 1)))
    message = rf'SyncVectorEnv, task {{"length": 7.0}}, step 2: the reward is {value}'
    with pytest.raises(EnvironmentFaultError) as caught:
        env.step(np.zeros((2, 1)))
    assert str(caught.value) == message


def test_a_trajectory_is_cut_before_the_bad_step() -> None:
    """As a time limit would: it starts anew, and the last observation is the one before."""
    env = TaskVecEnv(walks([None, {(0, 2): NAN}]), draw_every=0, on_fault="cut")
    env.set_tasks([{"length": np.array(5.0)}] * 2)
    env.reset()
    env.step(np.zeros((2, 1)))
    with pytest.warns(EnvironmentFaultWarning, match="step 2: the reward is nan"):
        observations, rewards, ended, infos = env.step(np.zeros((2, 1)))
    assert observations.tolist() == [[2, 5], [0, 5]]
    assert rewards.tolist() == [2, 0]
    assert ended.tolist() == [False, True]
    assert infos[1]["terminal_observation"].tolist() == [1, 5]
    assert infos[1]["TimeLimit.truncated"] is True
    assert infos[1]["left_out"] is True
    assert env.left_out == [(1, 1)]
    assert env.metrics()["rollout/left_out"] == 1.0
    with pytest.raises(EnvironmentFaultError, match="1 of 3 trajectories ended so"):
        env.check()


@pytest.mark.parametrize("name", list(CONFIGS))
def test_training_goes_on_over_one_bad_trajectory_in_forty(name: str) -> None:
    bad = {13: {(trajectory, 2): NAN for trajectory in range(100) if trajectory % 7 == 1}}
    learner = make_learner(name, bad)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EnvironmentFaultWarning)
        metrics = [learner.iterate() for _ in range(3)]
    assert sum(m["rollout/left_out"] for m in metrics) >= 1
    assert all(np.isfinite(value) for m in metrics for value in m.values())
    assert all(torch.isfinite(p).all() for p in learner.model.policy.parameters())


@pytest.mark.parametrize("name", list(CONFIGS))
def test_above_a_tenth_it_is_an_error_and_nothing_is_learned(name: str) -> None:
    every = {(trajectory, 2): NAN for trajectory in range(100)}
    learner = make_learner(name, dict.fromkeys(range(0, 40, 4), every))
    before = [p.clone() for p in learner.model.policy.parameters()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EnvironmentFaultWarning)
        with pytest.raises(EnvironmentFaultError, match="more than a tenth: observations and rew"):
            learner.iterate()
    assert all(map(torch.equal, before, learner.model.policy.parameters()))


def test_a_bad_first_observation_spoils_its_trajectory() -> None:
    env = walks([None, None])
    good = env.envs[1]._observe
    env.envs[1]._observe = lambda: good() * (np.inf if env.envs[1].time == 0 else 1.0)
    task_env = TaskVecEnv(env, draw_every=0, on_fault="cut")
    with pytest.warns(EnvironmentFaultWarning), np.errstate(invalid="ignore"):
        observations = task_env.reset()
    assert observations.tolist() == [[0, 4], [0, 0]]
    assert task_env.left_out == [(0, 1)]
    for _ in range(4):
        with np.errstate(invalid="ignore"):
            _, _, ended, infos = task_env.step(np.zeros((2, 1)))
    assert ended.all()
    assert [info["left_out"] for info in infos] == [False, True]


def kept(name: str, bad: dict[int, Any]) -> tuple[Any, SB3Learner]:
    """The buffer that the model learns from."""
    learner = make_learner(name, bad, num_envs=20)
    learner.model.train = lambda *given, **options: None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EnvironmentFaultWarning)
        learner.iterate()
    buffer = getattr(learner.model, "rollout_buffer", None) or learner.model.replay_buffer
    return buffer, learner


@pytest.mark.parametrize("name", ["ppo", "rl2", "proto", "proto-sac"])
def test_no_step_of_a_spoilt_episode_is_learned_from(name: str) -> None:
    """The reward before the bad one is 77, which no other step has."""
    buffer, learner = kept(name, {3: {(0, 1): 77.0, (0, 2): NAN}})
    assert learner._task_env.left_out == [(1, 3)]
    newest = buffer.rewards[: learner._task_env.num_steps]
    assert newest.shape[1] == 20
    assert not (newest == 77.0).any()
    assert (newest > 0).all()  # the fault's own would be 0
    clean, _ = kept(name, {})
    others = np.arange(20) != 3
    np.testing.assert_array_equal(newest[:, others], clean.rewards[: len(newest)][:, others])


def test_the_trial_of_the_encoder_is_another_one() -> None:
    learner = make_learner("proto", {3: {(0, 1): 77.0, (0, 2): NAN}}, num_envs=20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EnvironmentFaultWarning)
        learner.model.train = lambda *given, **options: None
        seen = []
        learner._train_context = lambda trials: seen.append(trials) or {}  # type: ignore[method-assign,assignment,func-returns-value]
        learner.iterate()
    (trials,) = seen
    assert np.isfinite(trials.returns).all()
    assert not (trials.transitions == 77.0).any()


def test_evaluations_leave_trials_out_or_name_the_task_without_any() -> None:
    learner = make_learner("ppo", {3: {(0, 2): NAN}})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EnvironmentFaultWarning)
        run = learner.run_trials(8, 5, 1, seed=0)
        assert np.isfinite(run.returns).all()
        with pytest.raises(EnvironmentFaultError, match="it leaves a task without any trial"):
            learner.run_trials(20, 1, 1, seed=0)


def test_own_models_leave_them_out_by_the_callback() -> None:
    """The README's way for models of one's own."""
    env = TaskVecEnv(walks([None] * 19 + [{(0, 1): 77.0, (0, 2): NAN}]), on_fault="cut", seed=0)
    model = PPO("MlpPolicy", env, n_steps=8, batch_size=32, n_epochs=1, seed=0, device="cpu")
    with pytest.warns(EnvironmentFaultWarning):
        model.learn(160, callback=LeaveOut(env))
    assert not (model.rollout_buffer.rewards == 77.0).any()
