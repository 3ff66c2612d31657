"""Normalised observations through a run: frozen within an iteration, kept, resumed, exported."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from own_spaces import TINY, Buttons

import metarl
from metarl.rl import MAMLLearner, load_policy
from metarl.runs.errors import InputError
from metarl.runs.sessions import go_on
from metarl.runs.user_objects import UserObjects
from metarl.sb3 import to_sb3

FAR = spaces.Box(-np.inf, np.inf, (2,), np.float32)


def far(step: int, place: float) -> Any:
    """Numbers of which the networks could make nothing."""
    return np.array([1000 + step, -500 - 100 * step], np.float32)


ENV = partial(Buttons, "vector", (FAR, far))
OPTIONS: dict[str, Any] = {**TINY, "normalise_observations": True, "iterations": 2}


def learner_of(run: metarl.Run) -> MAMLLearner:
    assert isinstance(run.learner, MAMLLearner)
    return run.learner


@pytest.mark.parametrize("name", ["maml-trpo", pytest.param("promp", marks=pytest.mark.slow)])
def test_statistics_change_after_an_iteration_by_what_it_saw(name: str, tmp_path: Path) -> None:
    learner = learner_of(metarl.train(name, env=ENV, output=tmp_path, **OPTIONS))
    normaliser = learner.policy.normaliser
    assert normaliser is not None
    assert normaliser.count == 2 * 2 * 2 * 2 * 4  # iterations, rollouts, tasks, trajectories, steps
    before = {key: value.clone() for key, value in normaliser.state_dict().items()}
    torch.testing.assert_close(before["mean"], torch.tensor([1001.5, -650.0]).double())
    experience = learner.collect()
    assert all(torch.equal(before[key], value) for key, value in normaliser.state_dict().items())
    learner.evaluate()
    assert all(torch.equal(before[key], value) for key, value in normaliser.state_dict().items())
    learner.update(experience)
    assert normaliser.count == before["count"] + 32


def test_a_resumed_run_ends_where_one_that_was_never_stopped_does(tmp_path: Path) -> None:
    whole = metarl.train("maml-trpo", env=ENV, output=tmp_path, **OPTIONS)
    first = metarl.train("maml-trpo", env=ENV, output=tmp_path, **{**OPTIONS, "iterations": 1})
    session = go_on(first.folder, UserObjects(env=ENV), iterations=2)
    session.train()
    expected = learner_of(whole).state_dict()["policy"]
    found = learner_of(session.run).state_dict()["policy"]
    assert expected.keys() == found.keys()
    assert {"normaliser.mean", "normaliser.variance", "normaliser.count"} <= expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_policy_files_and_stable_baselines3_have_them(tmp_path: Path) -> None:
    run = metarl.train("maml-trpo", env=ENV, output=tmp_path, **OPTIONS)
    adapted = run.adapt(task={"place": 0.0}, steps=1, num_trajectories=2)
    adapted.save(tmp_path / "policy.pt")
    actor = load_policy(tmp_path / "policy.pt")
    assert actor.spec.normalised
    observations = np.stack([far(step, 0.0) for step in range(5)])
    expected = actor.predict(observations, deterministic=True)[0]
    np.testing.assert_array_equal(adapted.act(observations), expected)
    assert np.ptp(expected, 0).min() > 0  # else all would be cut at the same end
    model = to_sb3(actor, ENV())
    found = model.predict(observations, deterministic=True)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-4)


def test_who_has_another_option_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"those of stable-baselines3 have normalise$"):
        metarl.train("rl2", env=ENV, output=tmp_path, **OPTIONS)
    image = spaces.Box(0, 255, (6, 6, 1), np.uint8), lambda *_: np.zeros((6, 6, 1), np.uint8)
    with pytest.raises(InputError, match="is for vectors: pixels are divided by white"):
        metarl.train("promp", env=partial(Buttons, sees=image), output=tmp_path, **OPTIONS)


SLOWER = ("promp", "e-maml", "reptile")


class Scaled(Buttons):
    """Pays 4096 times as much, a power of two."""

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, reward, *rest = super().step(action)
        return observation, 4096 * reward, *rest


@pytest.mark.parametrize(
    "name", ["maml-trpo", *(pytest.param(n, marks=pytest.mark.slow) for n in SLOWER)]
)
def test_the_scale_of_rewards_does_not_matter(name: str, tmp_path: Path) -> None:
    """Why there is no option to normalise them: advantages are, within each task."""
    policies = [
        learner_of(metarl.train(name, env=env, output=tmp_path, **TINY)).state_dict()["policy"]
        for env in (Buttons, Scaled)
    ]
    for key, value in policies[0].items():
        torch.testing.assert_close(policies[1][key], value, rtol=1e-4, atol=1e-6)
