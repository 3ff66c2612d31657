"""A process of :class:`~metarl_envs.workers.WorkerVectorEnv`: what it does, and what it shares."""

import contextlib
import pickle
import signal
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, Self

import cloudpickle
import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import create_shared_memory, read_from_shared_memory

from metarl_envs.copies import CopiesVectorEnv

ANYTHING = (Exception, SystemExit)
"""A user's environment may raise what it likes; it is for the process that asked."""


class Results(NamedTuple):
    """What steps give of all environments, as arrays in shared memory."""

    observations: Any
    """An array ``[num_envs, ...]``, or dicts and tuples of such."""
    rewards: Any
    terminations: Any
    truncations: Any


class SharedResults(NamedTuple):
    """The memory itself: without a name, so gone with the processes whatever ends them."""

    observations: Any
    rewards: Any
    terminations: Any
    truncations: Any

    @classmethod
    def made(cls, space: spaces.Space[Any], num: int, ctx: Any) -> Self:
        """For so many environments with such observations."""
        try:
            observations = create_shared_memory(space, num, ctx)
        except (TypeError, ValueError) as error:
            raise ValueError(f"observations of {space} cannot be shared by processes") from error
        return cls(observations, *(ctx.RawArray(kind, num) for kind in ("d", "b", "b")))

    def views(self, space: spaces.Space[Any], num: int) -> Results:
        """Arrays of it."""
        return Results(
            read_from_shared_memory(space, self.observations, num),
            np.frombuffer(self.rewards, np.float64),
            np.frombuffer(self.terminations, np.bool_),
            np.frombuffer(self.truncations, np.bool_),
        )


class Worker:
    """Environments of one process.

    Args:
        env: they.
        results: of all.
        part: which of all they are.
    """

    def __init__(self, env: CopiesVectorEnv, results: Results, part: slice) -> None:
        self.env = env
        self._results = results
        self.part = part

    def reset(self, seeds: list[int | None], options: dict[str, Any] | None) -> dict[str, Any]:
        """Start them; their infos."""
        observations, info = self.env.reset(seed=seeds, options=options)
        _write(self._results.observations, self.part, observations)
        return info

    def step(self, actions: Any) -> dict[str, Any]:
        """Advance them; their infos."""
        *given, info = self.env.step(actions)
        for result, values in zip(self._results, given, strict=True):
            _write(result, self.part, values)
        return info

    def call(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """What a method of each gives, or its attribute."""
        return self.env.call(name, *args, **kwargs)

    def set_some(self, name: str, rows: Sequence[int], values: Sequence[Any]) -> None:
        """Set the attribute of some."""
        for row, value in zip(rows, values, strict=True):
            self.env.envs[row].set_wrapper_attr(name, value)


class Place(NamedTuple):
    """Of the environments of one process among all."""

    spaces: tuple[spaces.Space[Any], spaces.Space[Any]]
    """Of observations and actions, of one environment."""
    num_envs: int
    """Of all."""
    part: slice
    """Those of the process."""


def work(
    make: Callable[[], CopiesVectorEnv],
    place: Place,
    connection: Connection,
    shared: SharedResults,
    others: Sequence[Connection],
) -> None:
    """Serve a connection until it says None or is closed.

    Args:
        make: makes the environments.
        place: of them.
        connection: of this process.
        shared: results of all.
        others: connections to close, which are not for this process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that asks
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for other in others:
        other.close()
    try:
        env = make()
        _check_spaces(env, place.spaces)
    except ANYTHING as error:
        connection.send_bytes(packed((False, _portable(error, place.part))))
        return
    worker = Worker(env, shared.views(place.spaces[0], place.num_envs), place.part)
    connection.send_bytes(packed((True, None)))
    with contextlib.suppress(EOFError, OSError):  # the one that asks is gone
        while (asked := unpacked(connection.recv_bytes())) is not None:
            connection.send_bytes(_answer(worker, *asked))
    env.close()


def _answer(worker: Worker, command: str, given: Sequence[Any]) -> bytes:
    try:
        return packed((True, getattr(worker, command)(*given)))
    except ANYTHING as error:
        return packed((False, _portable(error, worker.part)))


def _portable(error: BaseException, part: slice) -> BaseException:
    """An error that can go to another process, with its traceback as a note."""
    text = "".join(traceback.format_exception(error))
    try:
        unpacked(packed(error))
    except ANYTHING:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(f"in the process of environments {part.start} to {part.stop - 1}:\n{text}")
    return error


def _check_spaces(env: CopiesVectorEnv, expected: tuple[Any, Any]) -> None:
    given = env.single_observation_space, env.single_action_space
    for what, ours, first in zip(("observations", "actions"), given, expected, strict=True):
        if ours != first:
            raise ValueError(f"an environment has {what} {ours}, the first one {first}")


def _write(result: Any, part: slice, values: Any) -> None:
    if isinstance(result, dict):
        for name, own in result.items():
            _write(own, part, values[name])
    elif isinstance(result, tuple):
        for own, value in zip(result, values, strict=True):
            _write(own, part, value)
    else:
        result[part] = values


def packed(value: Any) -> bytes:
    """A value for a pipe; functions and classes of no module are taken by cloudpickle."""
    try:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except (AttributeError, TypeError, pickle.PicklingError):
        packed: bytes = cloudpickle.dumps(value)
        return packed


def unpacked(data: bytes) -> Any:
    """What was packed."""
    return pickle.loads(data)
