"""A policy as an ONNX graph of one step, which any ONNX runtime runs.

Inputs are ``observation`` and ``noise``; where the policy adapts also what came of the step before
(:data:`LAST`) and ``state``: zeros at the start of a trial, when the others are not looked at.
Outputs are ``raw_action``, ``action``, ``log_prob`` and ``next_state``. All lead with a batch axis
of any length. The metadata say what the policy is, with a checksum.
"""

import hashlib
import importlib
import importlib.util
import json
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from metarl.embedding import OnlinePolicy, State
from metarl.files import FileError, one_error, replacing

LAST = (
    "last_observation",
    "last_raw_action",
    "last_reward",
    "last_next_observation",
    "last_terminated",
    "last_truncated",
)
"""Inputs of what came of the step before, ``[B, D]``, ``[B, A]``, and ``[B, 1]`` the others."""
OUTPUTS = ("raw_action", "action", "log_prob")
IGNORED = [
    (FutureWarning, ""),  # of torch, about itself
    (UserWarning, "# The axis name"),  # inputs share the batch axis
    (UserWarning, "The tensor attributes"),  # weights are no parameters of a module
]


class ActGraph(nn.Module):
    """An action of a policy that does not adapt."""

    def __init__(self, policy: OnlinePolicy) -> None:
        super().__init__()
        self.policy = policy
        self.layers = (
            policy.network.layers if isinstance(policy.network.layers, nn.Module) else None
        )

    def forward(self, observation: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        """Of ``[B, ...]``."""
        drawn, _ = self.policy.act(self.policy.starts, observation.flatten(1), noise)
        return tuple(drawn)


class StepGraph(nn.Module):
    """What came of the step before, and an action of a policy that adapts.

    The first number of the state says that the trial has begun.
    """

    def __init__(self, policy: OnlinePolicy) -> None:
        super().__init__()
        self.policy = policy
        self.starts = policy.starts
        self.sizes = {name: len(value) for name, value in self.starts.items()}

    def forward(
        self,
        observation: Tensor,
        noise: Tensor,
        last: dict[str, Tensor],
        state: Tensor,
    ) -> tuple[Tensor, ...]:
        """Of ``[B, ...]``, states ``[B, S]`` in double precision."""
        began, *parts = torch.split(state, [1, *self.sizes.values()], 1)
        named = zip(self.starts.items(), parts, strict=True)
        before = {name: part.to(start.dtype) for (name, start), part in named}
        seen = self._observe(before, *last.values())
        now = {n: torch.where(began > 0, seen[n], start) for n, start in self.starts.items()}
        drawn, after = self.policy.act(now, observation, noise)
        packed = [torch.ones_like(began), *(after[name].double() for name in self.starts)]
        return *drawn, torch.cat(packed, 1)

    def _observe(
        self,
        state: State,
        observation: Tensor,
        raw_action: Tensor,
        reward: Tensor,
        next_observation: Tensor,
        terminated: Tensor,
        truncated: Tensor,
    ) -> State:
        acted = self.policy.head.vectors(raw_action)
        told = [observation, acted, reward, next_observation, terminated.float()]
        return self.policy.observe(state, torch.cat(told, 1), (terminated | truncated).float())


def write_onnx(policy: OnlinePolicy, path: Path) -> None:
    """Write the graph of a policy.

    Raises:
        ValueError: the packages that it takes are missing.
    """
    if not all(map(importlib.util.find_spec, ("onnx", "onnxscript"))):
        raise ValueError("onnx and onnxscript are missing: pip install 'metarl-toolkit[deploy]'")
    adapts, size = bool(policy.starts), math.prod(policy.observation_shape)
    inputs: dict[str, Any] = {
        "observation": torch.zeros(2, *policy.observation_shape),
        "noise": torch.zeros(2, policy.head.num_outputs),
    }
    if adapts:
        num_raw = len(policy.head.choices) or policy.head.num_outputs
        sizes = (size, num_raw, 1, size, 1, 1)
        flag = {"last_terminated", "last_truncated"}
        inputs["last"] = {
            name: torch.zeros(2, n, dtype=torch.bool if name in flag else torch.float32)
            for name, n in zip(LAST, sizes, strict=True)
        }
        width = 1 + sum(map(len, policy.starts.values()))
        inputs["state"] = torch.zeros(2, width, dtype=torch.float64)
    graph = StepGraph(policy) if adapts else ActGraph(policy)
    model = _exported(graph, inputs, [*OUTPUTS, *(["next_state"] if adapts else [])])
    about = {"observation_shape": policy.observation_shape, "adapts": adapts}
    for key, value in (("metarl", json.dumps(about)), ("metarl_sha256", checksum(model))):
        model.metadata_props.add(key=key, value=value)
    with replacing(path) as file:
        file.write(model.SerializeToString())


def check_onnx(path: Path) -> dict[str, Any]:
    """What a file's metadata say of its policy; :class:`FileError` if it is damaged or no such."""
    with one_error(FileError, f"{path} is damaged or no policy of metarl"):
        model = importlib.import_module("onnx").load(path)
        known = {entry.key: entry.value for entry in model.metadata_props}
        if known["metarl_sha256"] != checksum(model):
            raise ValueError("its checksum is another")
        about: dict[str, Any] = json.loads(known["metarl"])
        return about


def checksum(model: Any) -> str:
    """Of a graph: its operations and weights, in their order."""
    known = hashlib.sha256()
    for part in (*model.graph.node, *model.graph.initializer):
        known.update(part.SerializeToString(deterministic=True))
    return known.hexdigest()


def _exported(graph: nn.Module, inputs: dict[str, Any], outputs: list[str]) -> Any:
    """The model of a graph; its inputs lead with a batch axis."""
    batch = torch.export.Dim("batch")
    flat: dict[str, Any] = {}
    for name, value in inputs.items():
        flat |= value if isinstance(value, dict) else {name: value}
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            graph.eval(),
            kwargs=inputs,
            input_names=list(flat),
            output_names=outputs,
            dynamic_shapes={
                name: {n: {0: batch} for n in value} if isinstance(value, dict) else {0: batch}
                for name, value in inputs.items()
            },
            dynamo=True,
            verbose=False,
            optimize=False,  # takes 1e-8 for 0, and leaves it out
        )
    assert program is not None
    return program.model_proto


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch says of itself."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for kind, start in IGNORED:
                warnings.filterwarnings("ignore", start, kind)
            yield
    finally:
        logger.setLevel(level)
