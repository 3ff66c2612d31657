"""``WorkerVectorEnv``: single environments in N processes, several each, in shared memory.

gymnasium's ``AsyncVectorEnv`` has one process an environment, which is slow where environments are
many and cores few. Here every process runs its part of the environments as one
:class:`~metarl_envs.copies.CopiesVectorEnv` (:mod:`metarl_envs.worker`), so results are those of
one ``SyncVectorEnv`` of all, bit for bit. Observations, rewards and flags come back in
shared memory; actions, tasks and infos go through pipes, one message a process.
"""

import contextlib
import multiprocessing
import os
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import partial
from itertools import pairwise
from multiprocessing.connection import Connection
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import CloudpickleWrapper, batch_space
from numpy.typing import NDArray

from metarl_envs.copies import CopiesVectorEnv
from metarl_envs.worker import Place, SharedResults, packed, unpacked, work

Env = gym.Env[Any, Any]
SECONDS_TO_CLOSE = 5.0


class WorkerVectorEnv(VectorEnv[Any, Any, Any]):
    """Environments in processes, with the results of ``SyncVectorEnv``.

    What an environment raises is raised here, with the traceback of its process as a note, and all
    can go on. Where a process ends by itself, or an interrupt leaves answers open, all are ended.
    Attributes are copies. An info that is an int in some environments and a float in others may be
    cast otherwise than in one process.

    Args:
        env_fns: each makes an environment.
        num_workers: processes, if there are as many environments.
        autoreset_mode: as in gymnasium.
        info_keys: names of the infos to give, where not all are looked at: they cost more than the
            rest of what processes send.
        context: how processes start, see :mod:`multiprocessing`; its default by default.

    Raises:
        ValueError: there is no process or environment, or observations cannot be shared.
        ChildProcessError: a process has ended by itself; it names its environments.
    """

    def __init__(
        self,
        env_fns: Sequence[Callable[[], Env]],
        num_workers: int,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        info_keys: Sequence[str] | None = None,
        context: str | None = None,
    ) -> None:
        if num_workers < 1 or not env_fns:
            given = f"{num_workers} and {len(env_fns)}"
            raise ValueError(f"need at least 1 worker and 1 environment, got {given}")
        self.num_envs = len(env_fns)
        self.num_workers = min(num_workers, self.num_envs)
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self._describe(env_fns[0])
        ctx: Any = multiprocessing.get_context(context)
        shared = SharedResults.made(self.single_observation_space, self.num_envs, ctx)
        self._results = shared.views(self.single_observation_space, self.num_envs)
        ends = np.linspace(0, self.num_envs, self.num_workers + 1).astype(int).tolist()
        self._parts = [slice(*pair) for pair in pairwise(ends)]
        self._processes: list[Any] = []
        self._connections: list[Connection] = []
        open_ = self._processes, self._connections, os.getpid()
        self._finish = weakref.finalize(self, _end, *open_)
        with self._ended_by_errors():
            for part in self._parts:
                make = partial(
                    CopiesVectorEnv,
                    list(env_fns[part]),
                    copy=False,
                    autoreset_mode=self.autoreset_mode,
                    info_keys=info_keys,
                )
                self._start(ctx, make, part, shared)
            _values(self._replies(range(self.num_workers)))

    def _describe(self, make: Callable[[], Env]) -> None:
        """What is known of all from one."""
        with contextlib.closing(make()) as env:
            self.single_observation_space = env.observation_space
            self.single_action_space = env.action_space
            self.metadata = {**env.metadata, "autoreset_mode": self.autoreset_mode}
            self.render_mode = env.render_mode
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def _start(self, ctx: Any, make: Any, part: slice, shared: SharedResults) -> None:
        ours, theirs = ctx.Pipe()
        self._connections.append(ours)
        # a fork has our ends of all pipes: unless it closes them, no process sees that we are gone
        inherited = list(self._connections) if ctx.get_start_method() == "fork" else []
        spaces = self.single_observation_space, self.single_action_space
        place = Place(spaces, self.num_envs, part)
        arguments = CloudpickleWrapper(make), place, theirs, shared, inherited
        process = ctx.Process(target=work, args=arguments, daemon=True)
        process.start()
        self._processes.append(process)
        theirs.close()

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start all environments, or those of ``options["reset_mask"]``; see ``SyncVectorEnv``."""
        if isinstance(seed, int):
            seed = [seed + i for i in range(self.num_envs)]
        seeds: list[int | None] = [None] * self.num_envs if seed is None else list(seed)
        self._check_num("seed", seeds)
        mask = self._mask(options or {})
        given = []
        for part in self._parts:
            own = options if mask is None else {**(options or {}), "reset_mask": mask[part]}
            given.append((seeds[part], own) if mask is None or mask[part].any() else None)
        infos = self._ask("reset", given)
        return deepcopy(self._results.observations), self._joined(infos)

    def _mask(self, options: Mapping[str, Any]) -> NDArray[np.bool_] | None:
        if "reset_mask" not in options:
            return None
        mask = np.asarray(options["reset_mask"])
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            got = f"{mask.dtype} of shape {mask.shape} with {mask.sum()}"
            raise ValueError(f"reset_mask must be {self.num_envs} bools, not all False; got {got}")
        return mask

    def step(
        self, actions: Any
    ) -> tuple[Any, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Advance every environment by one step, as gymnasium's vector API defines it."""
        infos = self._ask("step", [(_rows(actions, part),) for part in self._parts])
        observations, rewards, terminations, truncations = self._results
        copies = rewards.copy(), terminations.copy(), truncations.copy()
        return deepcopy(observations), *copies, self._joined(infos)

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """What the method of each environment gives, or its attribute."""
        answers = self._ask("call", [(name, args, kwargs)] * self.num_workers)
        return tuple(value for answer in answers for value in answer)

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """The attribute of each environment."""
        return self.call(name)

    def set_attr(self, name: str, values: Any) -> None:
        """Set the attribute of each environment, to a value each or to the same."""
        each = list(values) if isinstance(values, list | tuple) else [values] * self.num_envs
        self._check_num("value", each)
        self._ask("set_some", [(name, range(p.stop - p.start), each[p]) for p in self._parts])

    def set_some(self, name: str, rows: Sequence[int], values: Sequence[Any]) -> None:
        """Set the attribute of some environments."""
        given: list[Any] = []
        for part in self._parts:
            own = [i for i, row in enumerate(rows) if part.start <= row < part.stop]
            here = [rows[i] - part.start for i in own], [values[i] for i in own]
            given.append((name, *here) if own else None)
        self._ask("set_some", given)

    def render(self) -> tuple[Any, ...] | None:
        """The picture of each environment."""
        return self.call("render")

    def close_extras(self, **kwargs: Any) -> None:
        """End the processes; those that do not answer are terminated."""
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.send_bytes(packed(None))
        for process in self._processes:
            process.join(SECONDS_TO_CLOSE)
        self._end()

    def _check_num(self, what: str, each: Sequence[Any]) -> None:
        if len(each) != self.num_envs:
            raise ValueError(f"need one {what} an environment ({self.num_envs}), got {len(each)}")

    def _ask(self, command: str, given: Sequence[Any]) -> list[Any]:
        """What processes answer, and None of those that are given None."""
        if self.closed:
            raise ValueError("the environments are closed")
        asked = [i for i, arguments in enumerate(given) if arguments is not None]
        with self._ended_by_errors():
            for i in asked:
                self._send(i, packed((command, given[i])))
            replies = self._replies(asked)
        answers = dict(zip(asked, _values(replies), strict=True))
        return [answers.get(i) for i in range(self.num_workers)]

    def _replies(self, workers: Sequence[int]) -> list[tuple[bool, Any]]:
        """Of each, whether it could do what it was asked, and its answer or error."""
        return [unpacked(self._received(i)) for i in workers]

    def _send(self, worker: int, data: bytes) -> None:
        try:
            self._connections[worker].send_bytes(data)
        except OSError as error:
            raise self._gone(worker) from error

    def _received(self, worker: int) -> bytes:
        try:
            return self._connections[worker].recv_bytes()
        except (EOFError, OSError) as error:
            raise self._gone(worker) from error

    def _gone(self, worker: int) -> ChildProcessError:
        """What a pipe that breaks says: its process has ended."""
        process, part = self._processes[worker], self._parts[worker]
        process.join(1)  # one that is gone is known to be so a little later
        return ChildProcessError(
            f"the process of environments {part.start} to {part.stop - 1} ended, exit code "
            f"{process.exitcode}"
        )

    @contextlib.contextmanager
    def _ended_by_errors(self) -> Iterator[None]:
        """Errors and interrupts in here end all: who answers what would not be known any more."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._end)
            yield
            stack.pop_all()

    def _end(self) -> None:
        self.closed = True
        self._finish()

    def _joined(self, infos: Sequence[dict[str, Any] | None]) -> dict[str, Any]:
        pairs = zip(self._parts, infos, strict=True)
        return joined([(part, info) for part, info in pairs if info], self.num_envs)


def _end(processes: Sequence[Any], connections: Sequence[Connection], owner: int) -> None:
    """Terminate processes, in the one that started them: forks have the same objects."""
    if os.getpid() != owner:
        return
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(SECONDS_TO_CLOSE)
        process.kill()
    for connection in connections:
        connection.close()


def _values(replies: Sequence[tuple[bool, Any]]) -> list[Any]:
    """The answers; raises the first error that is among them."""
    for good, value in replies:
        if not good:
            raise value
    return [value for _, value in replies]


def _rows(actions: Any, part: slice) -> Any:
    """Some rows of a batch of actions."""
    if isinstance(actions, Mapping):
        return {name: _rows(value, part) for name, value in actions.items()}
    if isinstance(actions, tuple):
        return tuple(_rows(value, part) for value in actions)
    return actions[part]


def joined(infos: Sequence[tuple[slice, dict[str, Any]]], num: int) -> dict[str, Any]:
    """Infos of all environments from those of parts, as gymnasium's ``VectorEnv`` adds them.

    >>> parts = [(slice(0, 1), {"x": np.array([1.5])}), (slice(2, 3), {"x": np.array([2.5])})]
    >>> joined(parts, 3)["x"].tolist()
    [1.5, 0.0, 2.5]
    """
    result: dict[str, Any] = {}
    for name in dict.fromkeys(name for _, info in infos for name in info):
        own = [(part, info[name]) for part, info in infos if name in info]
        first = own[0][1]
        if isinstance(first, dict):
            result[name] = joined(own, num)
            continue
        empty = None if first.dtype == object else 0
        result[name] = np.full((num, *first.shape[1:]), empty, first.dtype)
        for part, values in own:
            result[name][part] = values
    return result
