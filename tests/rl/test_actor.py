"""A policy outside training: prediction, one file, stable-baselines3's evaluation."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

import metarl_envs  # noqa: F401  # registers the ids
from metarl.files import FileError, save_weights
from metarl.nn import GaussianPolicy, policy_network
from metarl.rl import Actor, load_policy
from metarl.rl.actions import action_map
from metarl.rl.policy_spec import PolicySpec

OBSERVATIONS = np.array([[0.1, -0.2], [0.3, 0.4], [-1.0, 2.0]], np.float32)


@pytest.fixture
def actor() -> Actor:
    spec = PolicySpec(2, 2, (8,), "relu", -1.5)
    policy = spec.build()
    with torch.no_grad():
        policy.log_std += torch.tensor([-0.5, 0.25])
    space = gym.make("metarl/PointGoal-v0").action_space
    return Actor(policy, spec, action_map(space, 10.0), seed=3)


def test_deterministic_prediction_is_the_scaled_mean(actor: Actor) -> None:
    """±10 spans ±0.1, so an action is a hundredth of the policy's."""
    with torch.no_grad():
        mean = actor.policy.mean(torch.from_numpy(OBSERVATIONS)).numpy()
    actions, state = actor.predict(OBSERVATIONS, deterministic=True)
    np.testing.assert_allclose(actions, np.clip(mean / 100, -0.1, 0.1), rtol=1e-5)
    assert state is None
    assert actions.dtype == np.float32


def test_samples_spread_as_the_policy_says(actor: Actor) -> None:
    """Standard deviations exp(-0.5) and exp(0.25), a hundredth of it in the environment."""
    observations = np.zeros((20_000, 2), np.float32)
    sampled, _ = actor.predict(observations)
    expected = np.exp([-0.5, 0.25]) / 100
    np.testing.assert_allclose(sampled.std(0), expected, rtol=0.03)


def test_one_observation_gives_one_action(actor: Actor) -> None:
    batched, _ = actor.predict(OBSERVATIONS, deterministic=True)
    single, _ = actor.predict(OBSERVATIONS[1], deterministic=True)
    assert single.shape == (2,)
    np.testing.assert_allclose(single, batched[1], rtol=1e-6)


def test_saved_and_loaded_it_predicts_the_same(actor: Actor, tmp_path: Path) -> None:
    actor.save(tmp_path / "policy.pt")
    loaded = load_policy(tmp_path / "policy.pt", seed=3)
    for deterministic in (True, False, False):
        ours, _ = actor.predict(OBSERVATIONS, deterministic=deterministic)
        theirs, _ = loaded.predict(OBSERVATIONS, deterministic=deterministic)
        np.testing.assert_array_equal(ours, theirs)


@pytest.fixture
def chooser() -> Actor:
    """Of images, with actions 1 to 3; the bias of the last one is highest."""
    spec = PolicySpec((4, 5, 1), 3, (8,), "relu", 0.0, categorical=True, context_size=2)
    policy = spec.build()
    with torch.no_grad():
        dict(policy.named_parameters())["logits.mlp.layers.1.bias"].copy_(torch.arange(3.0))
    return Actor(policy, spec, action_map(spaces.Discrete(3, start=1), 1.0), seed=3)


IMAGES = np.arange(120, dtype=np.uint8).reshape(6, 4, 5, 1)


def test_discrete_actions_are_numbers_of_the_space(chooser: Actor) -> None:
    likeliest, _ = chooser.predict(IMAGES, deterministic=True)
    assert likeliest.tolist() == [3] * 6
    assert likeliest.dtype == np.int64
    single, _ = chooser.predict(IMAGES[0], deterministic=True)
    assert spaces.Discrete(3, start=1).contains(single)
    drawn = np.concatenate([chooser.predict(IMAGES)[0] for _ in range(50)])
    assert set(drawn.tolist()) == {1, 2, 3}


def test_a_chooser_saved_and_loaded_predicts_the_same(chooser: Actor, tmp_path: Path) -> None:
    chooser.save(tmp_path / "policy.pt")
    loaded = load_policy(tmp_path / "policy.pt", seed=3)
    for _ in range(3):
        np.testing.assert_array_equal(loaded.predict(IMAGES)[0], chooser.predict(IMAGES)[0])


def write_tensor(path: Path) -> None:
    torch.save({"weights": torch.zeros(2)}, path)


@pytest.mark.parametrize(
    "write",
    [
        write_tensor,
        lambda path: torch.save([1, 2], path),
        lambda path: torch.save(GaussianPolicy(policy_network(2, 2), 2), path),
        lambda path: path.write_text("not a policy\n"),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100)),
        lambda path: path.write_text('{"json": 1}'),
    ],
    ids=["dict", "list", "module", "text", "empty", "png", "json"],
)
def test_other_files_are_named(write: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    write(path)
    with pytest.raises(FileError, match=r"other\.pt is damaged or not a policy of metarl"):
        load_policy(path)


def test_what_another_file_is_is_said(tmp_path: Path) -> None:
    save_weights(tmp_path / "classifier.pt", "classifier", {})
    (tmp_path / "read.me").write_text("Read me.")
    with pytest.raises(FileError, match=r"of metarl: it is a classifier$"):
        load_policy(tmp_path / "classifier.pt")
    with pytest.raises(FileError, match=r"of metarl: it is another kind of file, or not whole$"):
        load_policy(tmp_path / "read.me")


def test_a_truncated_file_is_named(actor: Actor, tmp_path: Path) -> None:
    path = tmp_path / "policy.pt"
    actor.save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(FileError, match=r"policy\.pt is damaged or not a policy of metarl"):
        load_policy(path)


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none\.pt: no such file"):
        load_policy(tmp_path / "none.pt")


# reason: stable-baselines3 says that an environment without its Monitor may be evaluated wrongly
@pytest.mark.filterwarnings("ignore:Evaluation environment is not wrapped:UserWarning")
def test_stable_baselines3_evaluates_it(actor: Actor) -> None:
    from stable_baselines3.common.evaluation import evaluate_policy

    env = gym.make("metarl/PointGoal-v0", task={"goal": [0.5, 0.5]})
    returns, lengths = evaluate_policy(
        actor, env, n_eval_episodes=3, return_episode_rewards=True, deterministic=False
    )
    assert len(returns) == 3
    assert all(-1000 < value < 0 for value in returns)
    assert max(lengths) <= 100
