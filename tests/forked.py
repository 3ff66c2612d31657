"""A function in several processes that have joined, forked: so none has to import torch anew.

The test's own process stands for torchrun's agent: it keeps the store, also over several attempts.
"""

import faulthandler
import gc
import multiprocessing
import os
import pickle  # of its own: torch's shares memory with processes that have ended
import time
import traceback
from collections.abc import Callable
from typing import Any

from torch.distributed import TCPStore

from metarl import training

LONGEST = 120  # seconds, on a machine with much else to do
STORES: list[TCPStore] = []  # for good: a fork that collects one waits for its threads, has none


def agent_store() -> TCPStore:
    """What all attempts of a launch have in common."""
    STORES.append(TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False))
    return STORES[-1]


def on_ranks(
    size: int,
    work: Callable[..., Any],
    *arguments: Any,
    store: TCPStore | None = None,
    kill: tuple[int, float] | None = None,
) -> list[Any]:
    """What ``work`` gives on each of the ranks, in their order; what it raises is raised here.

    Args:
        size: how many.
        work: called with the arguments on each.
        store: of a launch that has had other attempts.
        kill: a rank, and the seconds after which it is killed.
    """
    context = multiprocessing.get_context("fork")
    store = store or agent_store()
    ends = [context.Pipe() for _ in range(size)]
    processes = [
        context.Process(
            target=_work,
            args=(rank, size, store.port, ends[rank][1], work, arguments),
            daemon=True,
        )
        for rank in range(size)
    ]
    for process in processes:
        process.start()
    for _, end in ends:
        end.close()
    try:
        if kill is not None:
            time.sleep(kill[1])
            processes[kill[0]].kill()
            for process in processes:
                process.terminate()  # as torchrun does
                process.join(LONGEST)
        return [_result(end) for end, _ in ends]
    finally:
        for process in processes:
            process.kill()
            process.join()


def _result(end: Any) -> Any:
    assert end.poll(LONGEST), "no answer"
    kind, value = pickle.loads(end.recv_bytes())
    if kind == "raised":
        raise value
    return value


def _work(
    rank: int, size: int, port: int, end: Any, work: Callable[..., Any], arguments: Any
) -> None:
    gc.disable()  # what the test's process has left may own threads, which a fork has not
    faulthandler.dump_traceback_later(LONGEST / 2)
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "none",
        "TORCHELASTIC_USE_AGENT_STORE": "True",
    }
    training.join()
    try:
        end.send_bytes(pickle.dumps(("gave", work(*arguments))))
    except BaseException as error:
        traceback.print_exc()
        end.send_bytes(pickle.dumps(("raised", error)))
        raise
    training.leave()
