"""Which policy goes to which file."""

from pathlib import Path
from typing import Any, Literal

from metarl import sb3
from metarl.embedding import OnlinePolicy, online_actor
from metarl.rl import Actor, Agent
from metarl.runs.deployed.numpy_file import write_numpy
from metarl.runs.deployed.onnx_file import write_onnx
from metarl.runs.errors import InputError, input_errors, written

Format = Literal["onnx", "numpy"]
"""An ONNX graph, or arrays with a reader that needs NumPy alone."""
SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "numpy": ".npz"}


def export_policy(policy: Any, path: str | Path, kind: Format) -> list[Path]:
    """Write a policy for a robot.

    Args:
        policy: an actor; or a learner, whose policy adapts where it does so without gradients.
        path: the file.
        kind: ONNX, or arrays for NumPy with a reader beside them.

    Returns:
        The files that were written.

    Raises:
        InputError: the file cannot be written, or not hold the policy.
    """
    path = Path(path)
    if path.suffix != SUFFIXES[kind]:
        raise InputError(f"must be a file that ends in {SUFFIXES[kind]}, got {path}", kind)
    with input_errors(kind, "cannot hold this policy: "), written(path, kind):
        online = online_of(policy)
        online.check_finite()
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "numpy":
            return [path, write_numpy(online, path)]
        write_onnx(online, path)
        return [path]


def online_of(policy: Any) -> OnlinePolicy:
    """An actor's policy or a learner's; :class:`ValueError` if it has none that leaves the run."""
    if isinstance(policy, Agent):
        raise ValueError("it is an agent's, and begins with nothing: export its run")
    if isinstance(policy, Actor):
        return online_actor(policy)
    if isinstance(policy, sb3.SB3Learner):
        return sb3.online_policy(policy)
    return online_actor(policy.actor())
