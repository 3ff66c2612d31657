"""Environments of a user's own whose actions are several choices or switches."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces
from own_spaces import ACTIONS, FEW_STEPS, TINY, Buttons, some

import metarl
from metarl.rl import load_policy
from metarl.rl.actions import action_map
from metarl.runs.errors import InputError


@pytest.mark.parametrize("learner", some("maml-trpo"))
@pytest.mark.parametrize("actions", ["choices", pytest.param("switches", marks=pytest.mark.slow)])
def test_several_discrete_actions_train(learner: str, actions: str, tmp_path: Path) -> None:
    env = partial(Buttons, actions)
    run = metarl.train(learner, env=env, output=tmp_path, **TINY, **FEW_STEPS[learner])
    again = metarl.load_run(run.folder, env=env)
    curve = again.evaluate(tasks=2, trajectories=2, steps=1)
    assert curve.values.shape == (2, 2)
    if learner == "rl2":
        return
    adapted = again.adapt(task={"place": 0.0}, steps=1, num_trajectories=2)
    adapted.save(tmp_path / "policy.pt")
    observation = np.array([0.0, 1.0], np.float32)
    action = load_policy(tmp_path / "policy.pt").predict(observation, deterministic=True)[0]
    assert ACTIONS[actions].contains(action)
    np.testing.assert_array_equal(action, adapted.act(observation))


@pytest.mark.parametrize("learner", some("maml-trpo"))
def test_actions_without_bounds_are_as_the_policy_has_them(learner: str, tmp_path: Path) -> None:
    env, said = partial(Buttons, "free"), list[str]()
    options = {**TINY, **FEW_STEPS[learner], "initial_log_std": 3.0}  # far beyond any ±scale
    run = metarl.train(learner, env=env, output=tmp_path, say=said.append, **options)
    (line,) = said
    assert "actions have no bounds, so they are as the policy has them, unscaled" in line
    assert np.isfinite(run.evaluate(tasks=2, trajectories=2, steps=1).values).all()
    if learner == "rl2":
        return
    adapted = run.adapt(task={"place": 0.0}, steps=1, num_trajectories=2)
    adapted.save(tmp_path / "policy.pt")
    actor = load_policy(tmp_path / "policy.pt")
    acted = actor.act(np.array([0.0, 1.0], np.float32), np.full(2, 5.0, np.float32))
    np.testing.assert_array_equal(acted.action, acted.raw_action)
    assert abs(acted.action).max() > 50  # exp(3) · 5 is 100


def test_what_needs_bounds_says_which_wrapper_helps(tmp_path: Path) -> None:
    options = {**TINY, "optimiser": "sac", "say": [].append}
    with pytest.raises(
        InputError, match=r"own_spaces\.Buttons: optimiser sac needs bounds .*TransformAction"
    ):
        metarl.train("sb3-ppo", env=partial(Buttons, "free"), output=tmp_path, **options)
    half = spaces.Box(0.0, np.inf, (2,), np.float32)
    with pytest.raises(ValueError, match=r"all bounds or none .*TransformAction makes one"):
        action_map(half, 1.0)
