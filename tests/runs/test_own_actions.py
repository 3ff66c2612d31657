"""Environments of a user's own whose actions are several choices or switches."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from own_spaces import ACTIONS, FEW_STEPS, TINY, Buttons

import metarl
from metarl.rl import load_policy


@pytest.mark.parametrize(
    ("learner", "actions"),
    [*((learner, "choices") for learner in FEW_STEPS), ("maml-trpo", "switches")],
)
def test_several_discrete_actions_train(learner: str, actions: str, tmp_path: Path) -> None:
    env = partial(Buttons, actions)
    run = metarl.train(learner, env=env, output=tmp_path, **TINY, **FEW_STEPS[learner])
    again = metarl.load_run(run.folder, env=env)
    curve = again.evaluate(tasks=2, trajectories=2, steps=1)
    assert curve.values.shape == (2, 2)
    if learner == "rl2":
        return
    adapted = again.adapt(task={"place": 0.0}, steps=1, trajectories=2)
    adapted.save(tmp_path / "policy.pt")
    observation = np.array([0.0, 1.0], np.float32)
    action = load_policy(tmp_path / "policy.pt").predict(observation, deterministic=True)[0]
    assert ACTIONS[actions].contains(action)
    np.testing.assert_array_equal(action, adapted.act(observation))


@pytest.mark.slow  # another 4 s
@pytest.mark.parametrize("learner", ["promp", "rl2", "proto-embedding"])
def test_switches_train_with_the_others(learner: str, tmp_path: Path) -> None:
    env = partial(Buttons, "switches")
    run = metarl.train(learner, env=env, output=tmp_path, **TINY, **FEW_STEPS[learner])
    assert np.isfinite(run.evaluate(tasks=2, trajectories=2, steps=1).values).all()
