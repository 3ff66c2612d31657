"""Environments of a user's own whose observations are images, as they come."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from numpy.typing import NDArray
from own_spaces import FEW_STEPS, TINY, Buttons, some

import metarl
from metarl.rl import load_policy
from metarl.runs.errors import InputError

SHAPES = {"last": (6, 7, 3), "first": (3, 6, 7)}


def picture(layout: str, dtype: Any, step: int, place: float) -> NDArray[Any]:
    """A column that moves with time."""
    image = np.zeros(SHAPES["last"], np.uint8)
    image[:, step] = 255
    image = image if layout == "last" else image.transpose(2, 0, 1)
    return image if dtype == np.uint8 else (image / 255).astype(dtype)


def sees(layout: str, dtype: Any) -> tuple[spaces.Box, Any]:
    space = spaces.Box(0, 255 if dtype == np.uint8 else 1, SHAPES[layout], dtype)
    return space, partial(picture, layout, dtype)


@pytest.mark.parametrize("learner", some("proto-embedding"))
def test_every_kind_of_learner_trains_on_images(learner: str, tmp_path: Path) -> None:
    env, said = partial(Buttons, "choices", sees("first", np.uint8)), list[str]()
    few = FEW_STEPS[learner]
    run = metarl.train(learner, env=env, output=tmp_path, say=said.append, **TINY, **few)
    assert "as images (6, 7, 3)" in said[0]
    again = metarl.load_run(run.folder, env=env)
    assert np.isfinite(again.evaluate(tasks=2, trajectories=2, steps=1).values).all()
    if learner in ("rl2", "proto-embedding"):
        with pytest.raises(InputError, match=r"has no policy to keep: a .* cannot be taken out"):
            again.adapt(task={"place": 0.0}, steps=1, num_trajectories=2)


PLACES = [("last", np.uint8), ("first", np.uint8), ("first", np.float32)]


@pytest.mark.slow  # 3 s
def test_the_same_pictures_make_the_same_policy_however_they_come(tmp_path: Path) -> None:
    """Channels first or last to the last bit; floats in [0, 1] to single precision."""
    weights, actions = [], []
    for layout, dtype in PLACES:
        env = partial(Buttons, "vector", sees(layout, dtype))
        run = metarl.train("maml-trpo", env=env, output=tmp_path, say=[].append, **TINY)
        run.adapt(task={"place": 0.0}, steps=1, num_trajectories=2).save(tmp_path / "policy.pt")
        actor = load_policy(tmp_path / "policy.pt")
        weights.append(actor.policy.state_dict())
        pictures = np.stack([picture(layout, dtype, step, 0.0) for step in range(3)])
        actions.append(actor.predict(pictures, deterministic=True)[0])
        one = actor.predict(pictures[1], deterministic=True)[0]
        np.testing.assert_allclose(one, actions[-1][1], rtol=1e-5)
    last, first, floats = weights
    for name, value in last.items():
        np.testing.assert_array_equal(first[name], value)
        np.testing.assert_allclose(floats[name], value, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(actions[0], actions[1])
    np.testing.assert_allclose(actions[0], actions[2], rtol=1e-3, atol=1e-5)
