"""The processes of one run, started by ``torchrun``: they join, and say each line once.

A launch outlives its processes: where one dies, torchrun starts all of them anew, perhaps another
number, and gives them the same store, in which the addresses of dead ones are left.
"""

import atexit
import json
import os
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import wraps

import torch
from torch import distributed as dist
from torch.distributed import TCPStore  # type: ignore[attr-defined]  # it is documented there
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from metarl.core.collectives import RanksError, ranks

TIMEOUT = timedelta(minutes=30)
"""Longest wait for the slowest process; one that has ended is noticed at once."""
POLL = 0.02
"""Seconds between two looks into the store, while the others come."""


@dataclass
class _Joined:
    """What this process knows since it joined the others."""

    store: Store | None = None
    """Of this attempt: empty at first, whatever earlier ones have left."""
    launch: str = ""
    """The same for all attempts of a launch, as long as what keeps its store lives."""
    said: Counter[str] = field(default_factory=Counter)
    """How often which line."""


_JOINED = _Joined()


def join() -> None:
    """Join the other processes, if ``torchrun`` has started this one; leave them at the end.

    Raises:
        RanksError: they do not come.
    """
    if dist.is_initialized() or not _launched():
        return
    try:
        store, rank, size = next(rendezvous("env://", timeout=TIMEOUT))
        _JOINED.launch = store.compare_set("metarl/launch", "", uuid.uuid4().hex).decode()
        _JOINED.store = PrefixStore(_attempt(store, rank, size), store)
        backend = "gloo"
        if torch.cuda.is_available():
            backend = "cpu:gloo,cuda:nccl"
            torch.cuda.set_device(local_rank() % torch.cuda.device_count())
        dist.init_process_group(
            backend, store=_JOINED.store, rank=rank, world_size=size, timeout=TIMEOUT
        )
        # who is connected and ends at once would break the connection of one that is not yet
        dist.all_reduce(torch.zeros(1))
    except (RuntimeError, ValueError) as error:
        why = " ".join(str(error).split())
        raise RanksError(f"the other processes of this run do not come: {why}") from error
    atexit.register(leave)


def leave() -> None:
    """Be one process again."""
    atexit.unregister(leave)
    if dist.is_initialized():
        dist.destroy_process_group()
    _JOINED.store, _JOINED.launch, _JOINED.said = None, "", Counter()


def is_first() -> bool:
    """Whether this process writes and speaks for all; true of the only one."""
    return ranks().rank == 0 if dist.is_initialized() else _env("RANK") == 0 or not _launched()


def local_rank() -> int:
    """This process among those on this machine."""
    return _env("LOCAL_RANK")


def launch() -> str:
    """What all attempts of a launch have in common; empty without one."""
    return _JOINED.launch


def once(say: Callable[[str], None]) -> Callable[[str], None]:
    """Says what no other process of the run has said as often."""

    @wraps(say)
    def said(line: str) -> None:
        if first_to_say(line):
            say(line)

    return said


def first_to_say(line: str) -> bool:
    """Whether no other process of the run has said this as often as this one, which says it."""
    try:
        store = _JOINED.store or _early_store()
        if store is None:
            return is_first()
        _JOINED.said[line] += 1
        return bool(store.add(f"said {_JOINED.said[line]} times: {line}", 1) == 1)
    except RuntimeError:  # what kept the store has ended: better twice than never
        return True


def _early_store() -> Store | None:
    """That of the agents before this process has joined; None where none keep one.

    Whichever process comes first ends the others, so it cannot be left to one to say why.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return None
    place, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = TCPStore(place, port, is_master=False, timeout=timedelta(seconds=10))
    return PrefixStore(f"metarl/early {os.environ.get('TORCHELASTIC_RESTART_COUNT')}", store)


def _launched() -> bool:
    return dist.is_torchelastic_launched() or _env("WORLD_SIZE", 1) > 1


def _env(name: str, default: int = 0) -> int:
    return int(os.environ.get(name, default))


def _attempt(store: Store, rank: int, size: int) -> str:
    """A name that the living processes agree on, and that no dead one has ever seen.

    Counts of restarts would not do: every machine has its own. So each process calls out a number
    of its own, and takes the name that the first one gives to it.
    """
    own, deadline = uuid.uuid4().hex, time.monotonic() + TIMEOUT.total_seconds()
    store.set(f"metarl/call/{rank}", own)
    calls = [f"metarl/call/{other}" for other in range(size)]
    while time.monotonic() < deadline:  # a store that waits would not hear signals meanwhile
        if rank == 0 and store.check(calls):
            answer = [own, [store.get(call).decode() for call in calls]]
            store.set("metarl/answer", json.dumps(answer))
            if store.check([f"metarl/{own}/{other}" for other in range(1, size)]):
                return own
        elif rank != 0 and store.check(["metarl/answer"]):
            name, called = json.loads(store.get("metarl/answer"))
            if called[rank : rank + 1] == [own]:
                store.set(f"metarl/{name}/{rank}", "")
                return str(name)
        time.sleep(POLL)
    raise RuntimeError(f"not all {size} within {TIMEOUT}")
