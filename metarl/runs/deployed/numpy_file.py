"""A policy as arrays in one ``.npz``, beside it a reader of 60 lines that needs NumPy alone.

A zip archive has a checksum of each of its members, which is compared when NumPy reads them.
"""

import json
import math
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from metarl.embedding import (
    ChoicesHead,
    Dense,
    GaussianHead,
    HeldContext,
    Normaliser,
    OnlinePolicy,
    Prototype,
    Recurrent,
)
from metarl.embedding.encoders import LOG_PRECISION_BOUND
from metarl.files import replacing
from metarl.rl.actions import ActionNumbering

READER = "numpy_agent.py"
Arrays = dict[str, Any]
"""By name, as the reader has them."""


def write_numpy(policy: OnlinePolicy, path: Path) -> Path:
    """Write a policy, and beside it the reader.

    Args:
        policy: of vectors, whose networks are linear layers, a GRU or an LSTM.
        path: the .npz file.

    Returns:
        Where the reader is.

    Raises:
        ValueError: the policy has parts that the reader does not know.
    """
    arrays = arrays_of(policy)
    with replacing(path) as file:
        np.savez(file, **arrays)
    reader = path.with_name(READER)
    text = files("metarl.runs.deployed").joinpath("numpy_agent.txt").read_bytes()
    with replacing(reader) as file:
        file.write(text)
    return reader


def arrays_of(policy: OnlinePolicy) -> Arrays:
    """All that the reader needs; ``config`` is JSON."""
    policy = policy.in_numpy()
    network, memory, layers = policy.network, policy.memory, policy.network.layers
    if not isinstance(layers, Dense):
        raise ValueError(f"a {type(layers).__name__} is for --onnx: here are linear layers")
    arrays, config = _head(policy)
    arrays |= _dense("net", layers)
    config |= {"tanh": layers.activation == "tanh", "ends": []}
    config["layers"] = {"net": len(layers.weights)}
    start = {"context": memory.context(memory.starts), **network.starts}
    arrays |= _normaliser(policy.normaliser, math.prod(policy.observation_shape) + memory.size)
    if isinstance(network, Recurrent):
        arrays |= dict(zip(("lstm.w", "lstm.u", "lstm.b"), network.cell, strict=True))
        config["ends"] = list(network.starts) if policy.forgets else []
    if isinstance(memory, Prototype):
        arrays |= _encoder(memory)
        start |= memory.starts | {"count": np.float64(0.0)}
        config["full"] = math.log1p(memory.capacity)
        config["layers"]["enc"] = len(memory.layers.weights)
        config["ends"] += [] if memory.cell is None else ["encoder"]
    elif not isinstance(memory, HeldContext) and not isinstance(network, Recurrent):
        raise ValueError(f"{type(memory).__name__} without a recurrent network is for --onnx")
    arrays |= {f"start.{name}": value for name, value in start.items()}
    config["state"] = list(start)
    return arrays | {"config": np.frombuffer(json.dumps(config).encode(), np.uint8)}


def _normaliser(normaliser: Normaliser | None, width: int) -> Arrays:
    """Of observation and context; without one what changes nothing."""
    if normaliser is None:
        normaliser = Normaliser(np.zeros(1, "f"), np.ones(1, "f"), np.float32(np.inf))
    clip = np.full(width, normaliser.clip, normaliser.mean.dtype)
    return {"mean": normaliser.mean, "std": normaliser.std, "clip": clip, "floor": -clip}


def _dense(name: str, layers: Dense) -> Arrays:
    pairs = enumerate(zip(layers.weights, layers.biases, strict=True))
    return {f"{name}.{key}{i}": v for i, pair in pairs for key, v in zip("wb", pair, strict=True)}


def _encoder(memory: Prototype) -> Arrays:
    """The log precisions are cut by B tanh(x / B); the last layer gives x / B."""
    if not memory.within_trajectory:
        raise ValueError("prototypes of whole trajectories (within_trajectory) are for --onnx")
    last = len(memory.layers.weights) - 1
    bound = np.array([1.0, 1.0 / LOG_PRECISION_BOUND], np.float32).repeat(memory.embedding_size)
    arrays = {"enc.mean": memory.mean, "enc.std": memory.std, **_dense("enc", memory.layers)}
    for name in (f"enc.w{last}", f"enc.b{last}"):
        arrays[name] = arrays[name] * bound
    arrays["share"] = memory.share[:, 0]
    cell = () if memory.cell is None else memory.cell
    return arrays | dict(zip(("gru.w", "gru.u", "gru.b", "gru.c"), cell, strict=False))


def _head(policy: OnlinePolicy) -> tuple[Arrays, dict[str, Any]]:
    """From outputs to actions, and how many numbers the reader is given."""
    head = policy.head
    if isinstance(head, GaussianHead):
        arrays = {
            "sigma": head.std,
            "at_mean": np.float32(head.at_mean),
            "half": head.half_range,
            "middle": head.middle,
            "low": head.low,
            "high": head.high,
            "-": -head.most,
            "+": head.most,
        }
    elif isinstance(head, ChoicesHead) and isinstance(head.to_env, ActionNumbering):
        arrays = _discrete(head.num_outputs, head.to_env.start)
    else:
        raise ValueError("several discrete actions at once are for --onnx")
    size = math.prod(policy.observation_shape)
    step = 2 * size + head.num_outputs + 2
    sizes = {"observation": size, "noise": head.num_outputs, "step": step}
    return arrays, {"sizes": sizes}


def _discrete(number: int, start: int) -> Arrays:
    """The noise is added to the logits, and an action is its index and the first one's number."""
    return {
        "numbers": np.arange(number, dtype=np.float32),
        "sigma": np.ones(number, np.float32),
        "at_mean": np.float32(0.0),
        "half": np.float32(1.0),
        "middle": np.float32(start),
        "low": np.int64(start),
        "high": np.int64(start + number - 1),
    }
