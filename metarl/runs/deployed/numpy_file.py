"""A policy as arrays in one ``.npz``, beside it a reader of 60 lines that needs NumPy alone.

A zip archive has a checksum of each of its members, which is compared when NumPy reads them.
"""

import json
import math
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarl.embedding import (
    ChoicesHead,
    Dense,
    GaussianHead,
    HeldContext,
    OnlinePolicy,
    Prototype,
    Recurrent,
)
from metarl.embedding.cells import GRU, LSTM
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
    config |= {"tanh": layers.activation == "tanh", "ends": []}
    start = {"context": memory.context(memory.starts), **network.starts}
    parts = {"net": layers}
    if isinstance(network, Recurrent):
        parts = {"lstm": _of_lstm(network.cell), **parts}
        config["ends"] = list(network.starts) if policy.forgets else []
    if policy.normaliser is not None:
        mean, std, clip = policy.normaliser
        parts = _of_deviations(parts, std)
        arrays |= {"mean": mean, "clip": clip * std, "floor": -clip * std}
    if isinstance(memory, Prototype):
        order = _order(math.prod(policy.observation_shape), policy.head.num_outputs)
        parts |= _of_deviations(_encoder(memory), memory.std, order)
        arrays |= {"enc.mean": memory.mean[order], "ones": np.ones(memory.embedding_size)}
        arrays["bound"] = np.array([LOG_PRECISION_BOUND])
        moments = memory.starts["sums"].reshape(3, -1)
        start |= memory.starts | {"sums": moments, "count": np.float64(0.0)}
        config["full"] = math.log1p(memory.capacity)
        config["ends"] += [] if memory.cell is None else ["encoder"]
    elif not isinstance(memory, HeldContext) and not isinstance(network, Recurrent):
        raise ValueError(f"{type(memory).__name__} without a recurrent network is for --onnx")
    for name, part in parts.items():
        arrays |= _with_biases(name, part)
    config["layers"] = {name: len(part.weights) for name, part in parts.items()}
    arrays |= {f"start.{name}": value for name, value in start.items()}
    config["state"] = list(start)
    return arrays | {"config": np.frombuffer(json.dumps(config).encode(), np.uint8)}


def _with_biases(name: str, layers: Dense) -> Arrays:
    """Of every layer the weights, its bias below them: the weights of an input that is 1."""
    pairs = enumerate(zip(layers.weights, layers.biases, strict=True))
    return {f"{name}.{i}": np.concatenate([weight, bias[None]]) for i, (weight, bias) in pairs}


def _order(size: int, actions: int) -> NDArray[np.intp]:
    """Of observation, action, reward, next observation and termination, the reward before the last.

    Numbers that are no arrays yet are then side by side, as one tuple.
    """
    order: NDArray[np.intp] = np.r_[: size + actions, -size - 1 : -1, -size - 2, -1]
    return order


def _of_deviations(parts: dict[str, Dense], std: Any, order: Any = np.s_[:]) -> dict[str, Dense]:
    """The same, the first one of inputs that are not divided by their standard deviation.

    And in another order.
    """
    name, first = next(iter(parts.items()))
    weight, num = first.weights[0].copy(), len(std)
    weight[:num] = (weight[:num] / std[:, None])[order]
    return {**parts, name: first._replace(weights=(weight, *first.weights[1:]))}


def _of_lstm(cell: LSTM) -> Dense:
    """One product of input and hidden state: forget, input and output gates, and candidate."""
    order = np.arange(4 * cell.size).reshape(4, -1)[[1, 0, 3, 2]].ravel()
    weight = np.concatenate([cell.weight_ih, cell.weight_hh])[:, order]
    return Dense((weight,), (cell.bias[order],), "tanh")


def _of_gru(cell: GRU) -> Dense:
    """One product of input and hidden state: both gates, and of both what is the candidate's."""
    gates, size = 2 * cell.size, cell.size
    of_input = np.pad(cell.weight_ih, ((0, 0), (0, size)))
    none = np.zeros((size, size), np.float32)
    of_hidden = np.concatenate([cell.weight_hh[:, :gates], none, cell.weight_hh[:, gates:]], 1)
    bias = np.pad(cell.bias_ih, (0, size))
    bias[:gates] += cell.bias_hh[:gates]
    bias[gates + size :] = cell.bias_hh[gates:]
    return Dense((np.concatenate([of_input, of_hidden]),), (bias,), "tanh")


def _encoder(memory: Prototype) -> dict[str, Dense]:
    """The layers of inputs without mean and deviation.

    The log precisions are cut by B tanh(x / B); the last layer gives x / B, and two embeddings,
    whose products with the precisions are sums of moments.
    """
    if not memory.within_trajectory:
        raise ValueError("prototypes of whole trajectories (within_trajectory) are for --onnx")
    (*weights, weight), (*biases, bias), activation = memory.layers
    size = memory.embedding_size
    weight, bias = (
        np.concatenate([a[..., size:] / LOG_PRECISION_BOUND, a[..., :size], a[..., :size]], -1)
        for a in (weight, bias)
    )
    last = Dense((*weights, weight), (*biases, bias), activation)
    return {"enc": last} if memory.cell is None else {"gru": _of_gru(memory.cell), "enc": last}


def _head(policy: OnlinePolicy) -> tuple[Arrays, dict[str, Any]]:
    """From outputs to actions, and how many numbers the reader is given."""
    head = policy.head
    if isinstance(head, GaussianHead):
        arrays = {
            "sigma": head.std,
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
    at_mean = head.at_mean if isinstance(head, GaussianHead) else 0.0
    return arrays, {"sizes": sizes, "at_mean": at_mean}


def _discrete(number: int, start: int) -> Arrays:
    """The noise is added to the logits, and an action is its index and the first one's number."""
    return {
        "numbers": np.arange(number, dtype=np.float32),
        "sigma": np.ones(number, np.float32),
        "half": np.float32(1.0),
        "middle": np.float32(start),
        "low": np.int64(start),
        "high": np.int64(start + number - 1),
    }
