"""Environments of a user's own whose observations are no vectors."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from own_spaces import BOX, FEW_STEPS, GOAL, TINY, Buttons, goals, some

import metarl
from metarl.rl import load_policy
from metarl.runs.errors import InputError

SEES: dict[str, tuple[spaces.Space[Any], Any]] = {
    "goal": (GOAL, goals),
    "number": (spaces.Discrete(9), lambda step, place: step),
    "pair": (spaces.Tuple([spaces.Discrete(9), BOX]), lambda step, _: (step, np.ones(1))),
}


@pytest.mark.parametrize("learner", some("maml-trpo"))
@pytest.mark.parametrize(
    "sees", ["goal", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("number", "pair"))]
)
def test_it_trains_adapts_and_acts_on_what_the_environment_gives(
    learner: str, sees: str, tmp_path: Path
) -> None:
    env, said = partial(Buttons, "choices", SEES[sees]), list[str]()
    few = FEW_STEPS[learner]
    run = metarl.train(learner, env=env, output=tmp_path, say=said.append, **TINY, **few)
    assert len(said) == 1
    assert "policies see observations" in said[0]
    assert ("desired_goal is among them" in said[0]) == (sees == "goal")
    again = metarl.load_run(run.folder, env=env)
    assert np.isfinite(again.evaluate(tasks=2, trajectories=2, steps=1).values).all()
    if learner == "rl2":
        return
    again.adapt(task={"place": 0.0}, steps=1, num_trajectories=2).save(tmp_path / "policy.pt")
    actor = load_policy(tmp_path / "policy.pt")
    seen = SEES[sees][1](3, 1.0)
    one, _ = actor.predict(seen, deterministic=True)
    assert env().action_space.contains(one)
    assert actor.view is not None
    np.testing.assert_array_equal(actor.predict(actor.view(seen), deterministic=True)[0], one)


def test_an_oracle_sees_the_task_beside_numbers(tmp_path: Path) -> None:
    env = partial(Buttons, sees=SEES["number"])
    run = metarl.train("oracle", env=env, output=tmp_path, say=[].append, **TINY)
    assert run.learner.sampler.env.single_observation_space.shape == (10,)


def test_a_run_does_not_open_with_other_parts_of_as_many_numbers(tmp_path: Path) -> None:
    run = metarl.train(
        "random-init",
        env=partial(Buttons, sees=SEES["number"]),
        output=tmp_path,
        say=[].append,
        **TINY,
    )
    other = partial(Buttons, sees=(spaces.MultiBinary(9), lambda step, _: np.zeros(9, np.int8)))
    with pytest.raises(InputError, match=r"has observations MultiBinary\(9\), the run was"):
        metarl.load_run(run.folder, env=other).evaluate(tasks=2, trajectories=2)


def test_a_part_that_is_missing_is_named(tmp_path: Path) -> None:
    env = partial(Buttons, sees=(GOAL, lambda step, place: {"observation": np.zeros(1)}))
    with pytest.raises(ValueError, match=r"reset: KeyError: 'achieved_goal'"):
        metarl.train("random-init", env=env, output=tmp_path, say=[].append, **TINY)
