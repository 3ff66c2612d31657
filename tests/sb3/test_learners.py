"""Learners over stable-baselines3: exact state, no global randomness, policies that come out."""

import copy
import random
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from small_trial_learners import (
    CONFIGS,
    HORIZON,
    make_learner,
)
from stable_baselines3.common.evaluation import evaluate_policy

from metarl.configs import complaint
from metarl.core import Stopwatch
from metarl.embedding import EncoderTrainer, OnlinePrototypes, SupportSample, Transitions, Trials
from metarl.rl import Actor
from metarl.sb3 import (
    ProtoEmbedding,
    ProtoEmbeddingConfig,
    RL2Config,
    SB3Config,
    SB3Learner,
    TaskVecEnv,
    load_sb3,
    to_sb3,
)
from metarl.training.checkpoint import load_newest, save_checkpoint


def iterate(learner: SB3Learner) -> dict[str, float]:
    """What an iteration reports, without what the clock decides."""
    metrics = learner.iterate()
    return {key: value for key, value in metrics.items() if not key.startswith("time/")}


def train_policy(learner: SB3Learner) -> Trials:
    """The trials of an iteration that leaves the encoder alone."""
    learner.iteration += 1
    return learner._train_policy(Stopwatch())


def assert_same(one: Any, other: Any) -> None:
    """Nested states, bit for bit."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    else:
        assert one == other


@pytest.mark.parametrize("name", CONFIGS)
def test_training_goes_on_bit_for_bit_from_a_checkpoint(name: str, tmp_path: Path) -> None:
    """Two iterations at once, beside one, a file, and another in a fresh learner."""
    whole = make_learner(name)
    iterate(whole)
    save_checkpoint(tmp_path, 1, {"learner": whole.state_dict()})
    expected = iterate(whole)
    again = make_learner(name)
    untrained = copy.deepcopy(again.state_dict()["model"]["policy"])
    content, _ = load_newest(tmp_path)
    again.load_state_dict(content["learner"])
    assert iterate(again) == pytest.approx(expected, nan_ok=True)
    assert_same(again.state_dict(), whole.state_dict())
    trained = whole.state_dict()["model"]["policy"]
    assert any(not torch.equal(trained[key], untrained[key]) for key in trained)


@pytest.mark.parametrize("name", ["proto", "rl2"])
def test_evaluation_changes_nothing_and_is_always_the_same(name: str) -> None:
    learner, undisturbed = make_learner(name), make_learner(name)
    iterate(learner)
    iterate(undisturbed)
    first = learner.evaluate()
    assert learner.evaluate() == first
    assert ("eval/embedding_accuracy" in first) == (name == "proto")
    assert iterate(learner) == pytest.approx(iterate(undisturbed))


def test_global_generators_are_left_as_they_were() -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index,union-attr]  # noqa: NPY002
    learner = make_learner("proto")
    iterate(learner)
    learner.evaluate()
    assert torch.equal(torch.get_rng_state(), state[0])
    assert np.random.get_state()[1].tolist() == state[1]  # type: ignore[index,union-attr]  # noqa: NPY002
    assert random.getstate() == state[2]


def test_trials_are_kept_with_the_tasks_that_they_were_in() -> None:
    """Rewards of 2-D navigation are distances, so the first one tells how far the goal was."""
    learner = make_learner("proto")
    for _ in range(2):
        trials = train_policy(learner)
        first = trials.transitions[:, 0, 0]
        size = len(first[0]) - 1
        reached, reward = first[:, size - 2 : size], first[:, 4]
        np.testing.assert_allclose(
            reward, -np.linalg.norm(reached - trials.tasks, axis=1), atol=1e-6
        )


def test_the_seed_decides() -> None:
    one, same, other = (make_learner("proto", seed=seed) for seed in (0, 0, 1))
    metrics = iterate(one)
    assert iterate(same) == metrics
    assert iterate(other)["rollout/return_first"] != metrics["rollout/return_first"]


def test_metrics_name_what_happened() -> None:
    metrics = iterate(make_learner("proto"))
    assert metrics["rollout/steps"] == metrics["rollout/env_steps"] == 8 * 2 * HORIZON
    assert (
        metrics["rollout/trial_gain"]
        == metrics["rollout/return_last"] - metrics["rollout/return_first"]
    )
    assert {"sb3/train/approx_kl", "adapt/embedding_loss", "meta/skipped"} <= metrics.keys()


@pytest.mark.parametrize("name", ["ppo", "rl2", "proto", "proto-sac", "proto-td3"])
def test_seconds_of_updates_are_those_of_model_and_encoder(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock on which a step takes 1 s, the model's training 100 s, the encoder's 1000 s."""
    now = 0.0

    def taking(seconds: float, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal now
            now += seconds
            return function(*arguments, **options)

        return call

    learner = make_learner(name)
    timed = ((TaskVecEnv, "step_wait", 1.0), (type(learner.model), "train", 100.0))
    for kind, method, seconds in (*timed, (EncoderTrainer, "train", 1000.0)):
        monkeypatch.setattr(kind, method, taking(seconds, getattr(kind, method)))
    monkeypatch.setattr("metarl.core.timing.perf_counter", lambda: now)
    for _ in range(2):
        metrics = learner.iterate()
        assert metrics["time/update_seconds"] == (1100.0 if "proto" in name else 100.0)
        assert metrics["time/collect_seconds"] == learner.steps_per_iteration
    assert "train" not in vars(learner.model)  # a copy of the model would time another


@pytest.mark.parametrize("name", ["proto", "joint-proto", "ppo", "oracle"])
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_the_policy_comes_out_with_its_context_and_normalisation(name: str, scale: float) -> None:
    learner = make_learner(name, action_scale=scale)
    for _ in range(2):
        iterate(learner)
    run = learner.run_trials(2, 3, 2, seed=1)
    context = run.context[0, 0]
    actor = learner.actor(context)
    size = 4 if name == "oracle" else 2
    observations = np.random.default_rng(0).normal(size=(50, size)).astype(np.float32)
    observations *= 0.1 / scale  # within ten standard deviations
    seen = np.concatenate([observations, np.tile(context, (50, 1))], 1)
    if learner.config.normalise == "all":
        seen = learner.env.normalize_obs(seen)  # type: ignore[attr-defined]
    theirs, _ = learner.model.predict(seen, deterministic=True)
    ours, _ = actor.predict(observations, deterministic=True)
    np.testing.assert_allclose(ours, theirs * 0.1 / scale, atol=1e-6)
    assert np.ptp(ours) > 1e-5


@pytest.mark.parametrize("name", ["proto", "proto-sac", "rl2"])
def test_the_policy_comes_to_rest(name: str) -> None:
    """Its step size halves with its half-life, here of 10 iterations, from 1e-3."""
    rates = []
    learner = make_learner(name)
    learner.config = replace(learner.config, lr_half_life=10)
    for iteration in (0, 10):
        learner.iteration = iteration
        iterate(learner)
        policy = learner.model.policy
        optimiser = policy.optimizer if name != "proto-sac" else policy.actor.optimizer
        rates.append(optimiser.param_groups[0]["lr"])
    assert rates == pytest.approx([1e-3, 0.5e-3])


@pytest.mark.parametrize("name", ["proto", "rl2"])
def test_the_weight_of_the_entropy_halves(name: str) -> None:
    learner, weights = make_learner(name), []
    options = {"entropy_coefficient": 0.04, "entropy_half_life": 10}
    learner.config = replace(learner.config, **options)
    for iteration in (0, 10, 20):
        learner.iteration = iteration
        iterate(learner)
        weights.append(learner.model.ent_coef)
    assert weights == pytest.approx([0.04, 0.02, 0.01])


def test_prototypes_are_noisy_in_training_alone() -> None:
    learner = make_learner("proto")
    training = learner.env.venv.context  # type: ignore[attr-defined]
    training.begin(np.ones(8, bool))
    size = learner.config.embedding_size
    assert training.features()[:, :size].std() == pytest.approx(0.1, rel=0.5)
    assert (learner.unadapted_context()[:size] == 0).all()
    run = learner.run_trials(2, 3, 1, seed=0, keep_transitions=True)
    np.testing.assert_allclose(run.context[..., :size], learner.embeddings(run), atol=1e-5)


def test_only_a_joint_encoder_is_trained_by_the_policy() -> None:
    for name in ("proto", "joint-proto"):
        learner = make_learner(name)
        assert isinstance(learner, ProtoEmbedding)
        before = copy.deepcopy(learner.encoder.state_dict())
        train_policy(learner)
        after = learner.encoder.state_dict()
        moved = any(not torch.equal(before[key], after[key]) for key in before)
        assert moved == (name == "joint-proto")


def test_a_joint_policy_makes_the_prototype_that_is_grown_online() -> None:
    """As long as the whole support fits into the sample."""
    learner = make_learner("joint-proto")
    assert isinstance(learner, ProtoEmbedding)
    extractor = learner.model.policy.features_extractor
    step = Transitions(
        *(np.random.default_rng(0).normal(size=(4, size)).astype(np.float32) for size in (2, 2)),
        np.arange(4, dtype=np.float32),
        np.ones((4, 2), np.float32),
        np.zeros(4, bool),
        np.zeros(4, bool),
    )
    sample = SupportSample(4, 3, learner.encoder.num_features, seed=0)
    online = OnlinePrototypes(learner.encoder, 4, capacity=2 * HORIZON)
    for _ in range(2):
        sample.add(step)
        online.add(torch.from_numpy(step.features), torch.zeros(4, dtype=torch.bool))
    shown = extractor.context(torch.from_numpy(sample.features())).detach()
    torch.testing.assert_close(shown, online.features(), atol=1e-5, rtol=1e-4)


def test_a_policy_that_came_out_is_a_start(tmp_path: Path) -> None:
    """Through a file of stable-baselines3 into another learner: the same first actions."""
    learner = make_learner("ppo")
    iterate(learner)
    actor = learner.actor(np.empty(0, np.float32))
    to_sb3(actor, learner._task_env).save(tmp_path / "model.zip")
    start = load_sb3(tmp_path / "model.zip")
    again = make_learner("ppo", start=start)
    assert_close = torch.testing.assert_close
    ours, theirs = (one.model.policy.state_dict() for one in (again, learner))
    assert_close(ours["action_net.weight"], theirs["action_net.weight"])
    assert_close(ours["log_std"], theirs["log_std"])
    with pytest.raises(ValueError, match="the start has layers"):
        make_learner("proto", start=start)
    relu = Actor(actor.policy, actor.spec._replace(activation="relu"), actor.to_env)
    with pytest.raises(ValueError, match="the start has activations relu, the policy others"):
        make_learner("ppo", start=relu)
    with pytest.raises(ValueError, match="only PPO without recurrence starts from a policy"):
        make_learner("rl2", start=start)


def test_evaluate_policy_takes_our_policies() -> None:
    learner = make_learner("ppo")
    actor = learner.actor(np.empty(0, np.float32))
    mean, _ = evaluate_policy(actor, learner._make_task_env(4, 1), n_eval_episodes=8, warn=False)  # type: ignore[arg-type]
    assert -HORIZON * 1.5 < mean < 0


def test_recurrent_policies_stay_inside() -> None:
    with pytest.raises(ValueError, match="a recurrent policy cannot be taken out"):
        make_learner("rl2").actor(np.zeros(4, np.float32))


def test_given_tasks_are_the_only_ones() -> None:
    goal = {"goal": np.array([0.25, -0.25])}
    learner = make_learner("ppo", tasks=[goal])
    trials = train_policy(learner)
    np.testing.assert_array_equal(trials.tasks, np.tile(goal["goal"], (8, 1)))
    run = learner.run_trials(3, 2, 1, seed=0)
    assert [task["goal"].tolist() for task in run.tasks] == [[0.25, -0.25]] * 3


@pytest.mark.parametrize("env_id", ["metarl/BernoulliBandit-v0", "metarl/TabularMDP-v0"])
@pytest.mark.parametrize("name", ["proto", "rl2"])
def test_discrete_families_train(env_id: str, name: str) -> None:
    learner = make_learner(name, env_id=env_id)
    assert np.isfinite(iterate(learner)["rollout/return_last"])


def test_discrete_actions_are_not_for_sac() -> None:
    with pytest.raises(ValueError, match="optimiser sac needs continuous actions"):
        make_learner("proto-sac", env_id="metarl/BernoulliBandit-v0")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SB3Config(trial_length=0), "trial_length must be at least 1, got 0"),
        (lambda: SB3Config(optimiser="dqn"), "optimiser must be one of"),  # type: ignore[arg-type]
        (lambda: SB3Config(lr=0.0), "lr must be above 0.0, got 0.0"),
        (lambda: SB3Config(gae_lambda=1.5), "gae_lambda must be at most 1.0, got 1.5"),
        (lambda: RL2Config(optimiser="sac"), "optimiser must be 'ppo', got 'sac'"),  # type: ignore[arg-type]
        (lambda: ProtoEmbeddingConfig(trial_length=1), "trial_length must be at least 2"),
        (lambda: ProtoEmbeddingConfig(joint=True), "normalise must be .* where joint is set"),
        (lambda: ProtoEmbeddingConfig(num_ways=1), "num_ways must be at least 2, got 1"),
        (lambda: ProtoEmbeddingConfig(encoder="cnn"), "encoder must be one of"),  # type: ignore[arg-type]
    ],
)
def test_bad_numbers_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValidationError) as error:
        make()
    assert re.match(message, complaint(error.value))


@pytest.mark.parametrize("finite", [True, False])
def test_learners_train_with_the_horizon_of_their_config(finite: bool) -> None:
    learner = make_learner("rl2", changes={"finite_horizon": finite})
    trials: Any = learner.env.venv
    assert trials.finite_horizon is finite
