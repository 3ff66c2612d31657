"""Policies that have adapted, one step at a time and exported: as the actor acts."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from gymnasium import spaces

from metarl.embedding import online_actor
from metarl.rl import Actor
from metarl.rl.actions import action_map
from metarl.rl.policy_spec import PolicySpec
from metarl.runs import InputError
from metarl.runs.deployed import export_policy, write_numpy, write_onnx

SPECS: dict[str, tuple[PolicySpec, spaces.Space[Any]]] = {
    "mlp": (PolicySpec(3, 2, (8,), "tanh", -1.5), spaces.Box(-0.1, 0.3, (2,))),
    "normalised": (
        PolicySpec(3, 2, (8,), "tanh", -1.5, context_size=2, normalised=True),
        spaces.Box(-1, 1, (2,)),
    ),
    "unbounded": (PolicySpec(3, 2, (8, 8), "relu", -1.5), spaces.Box(-np.inf, np.inf, (2,))),
    "context": (PolicySpec(3, 2, (8,), "tanh", -1.5, context_size=4), spaces.Box(-1, 1, (2,))),
    "discrete": (
        PolicySpec(3, 4, (8,), "relu", 0.0, categorical=True), spaces.Discrete(4, start=2)
    ),
    "choices": (
        PolicySpec(3, 5, (8,), "relu", 0.0, choices=(2, 3)), spaces.MultiDiscrete([2, 3])
    ),
    "switches": (PolicySpec(3, 3, (8,), "relu", 0.0, switches=True), spaces.MultiBinary(3)),
    "images": (
        PolicySpec((5, 6, 1), 2, (8,), "relu", -1.5, context_size=2), spaces.Box(-1, 1, (2,))
    ),
}  # fmt: skip
NOT_FOR_NUMPY = {
    "choices": "several discrete actions", "switches": "several discrete actions",
    "images": "is for --onnx",
}  # fmt: skip


def make_actor(name: str) -> Actor:
    spec, space = SPECS[name]
    policy = spec.build(generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in policy.parameters():
            value += 0.3 * torch.randn(value.shape, generator=generator)
    if policy.normaliser is not None:
        policy.normaliser.update(3.0 + torch.randn(50, 3, generator=generator))
    return Actor(policy, spec, action_map(space, 2.0))


def observations(name: str) -> Any:
    size = SPECS[name][0].observation_size
    shape = (20, size) if isinstance(size, int) else (20, *size)
    rng = np.random.default_rng(2)
    given = rng.standard_normal(shape) if isinstance(size, int) else rng.integers(0, 255, shape)
    return given.astype(np.float32)


@pytest.mark.parametrize("name", SPECS)
def test_it_acts_as_the_actor(name: str) -> None:
    actor = make_actor(name)
    policy, rng = online_actor(actor).in_numpy(), np.random.default_rng(3)
    for seen in observations(name):
        noise = policy.head.noise(rng)
        expected = actor.act(seen, noise)
        drawn, _ = policy.act(policy.starts, seen.ravel(), noise)
        for ours, theirs in zip(drawn, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
            assert np.shape(ours) == np.shape(theirs)


@pytest.mark.parametrize("name", SPECS)
def test_numpy_acts_as_the_actor_or_is_refused(name: str, tmp_path: Path) -> None:
    actor = make_actor(name)
    policy, rng = online_actor(actor), np.random.default_rng(3)
    if name in NOT_FOR_NUMPY:
        with pytest.raises(ValueError, match=NOT_FOR_NUMPY[name]):
            write_numpy(policy, tmp_path / "robot.npz")
        return
    reader, names = write_numpy(policy, tmp_path / "robot.npz"), dict[str, Any]()
    exec(reader.read_text(), names)
    robot = names["NumpyAgent"](tmp_path / "robot.npz")
    for seen in observations(name):
        noise = policy.head.noise(rng)
        for ours, theirs in zip(robot.act(seen, noise), actor.act(seen, noise), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
            assert np.shape(ours) == np.shape(theirs)


@pytest.mark.slow  # an export takes 3 s
@pytest.mark.parametrize("name", SPECS)
def test_onnx_acts_as_the_actor(name: str, tmp_path: Path) -> None:
    """A batch of any length at once."""
    actor = make_actor(name)
    policy, rng = online_actor(actor), np.random.default_rng(3)
    write_onnx(policy, tmp_path / "robot.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "robot.onnx")
    seen = observations(name)
    noise = np.stack([policy.head.noise(rng) for _ in seen])
    found = session.run(None, {"observation": seen, "noise": noise})
    for ours, theirs in zip(found, actor.act(seen, noise), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-6)


def test_weights_that_are_no_numbers_are_not_exported(tmp_path: Path) -> None:
    actor = make_actor("mlp")
    with torch.no_grad():
        actor.policy.get_parameter("mean.layers.0.bias")[0] = torch.nan
    with pytest.raises(InputError, match="a weight of the policy is not finite"):
        export_policy(actor, tmp_path / "robot.npz", "numpy")
    assert not list(tmp_path.iterdir())
