"""Meta-updates on a GPU, beside a loop over the tasks there and beside the CPU.

As ``policy_update.py``: HalfCheetahDir, 40 tasks of 20 trajectories of 100 steps, one inner step;
the CPU has two threads. Also one meta-gradient of MAML on images, as ``conv_maml.py``, 32 tasks.
Without CUDA there is nothing to compare, and nothing is written.
"""

from collections.abc import Callable
from functools import partial

import conv_maml
import harness
import policy_update
import torch


def milliseconds(work: Callable[[], object]) -> harness.Measure:
    """Of ``work`` until the GPU has done it."""

    def finished() -> None:
        work()
        torch.cuda.synchronize()

    return harness.milliseconds(finished)


def beside_the_loop(num_trajectories: int, pairs: int) -> harness.Row:
    """A ProMP update beside the loop's, both on the GPU."""
    learner = policy_update.make("promp", num_trajectories, device="cuda")
    data = learner.collect()
    policy_update.check_same(learner, data)
    loop = policy_update.LoopedProMP(learner, data)
    mine, other = harness.alternate(
        milliseconds(partial(learner.update, data)), milliseconds(loop.update), pairs=pairs
    )
    name = "promp-update-cuda" if num_trajectories > 1 else "promp-update-small-cuda"
    return row(name, "task-loop", mine, other)


def beside_the_cpu(name: str, pairs: int) -> harness.Row:
    """An update on the GPU beside the same on the CPU."""

    def side(device: str) -> harness.Measure:
        learner = policy_update.make(name, device=device)
        return milliseconds(partial(learner.update, learner.collect()))

    mine, other = harness.alternate(side("cuda"), side("cpu"), pairs=pairs)
    return row(f"{name}-update-cuda", "cpu", mine, other)


def images(pairs: int) -> list[harness.Row]:
    """A meta-gradient on images: all tasks at once, beside one after another and beside the CPU."""
    work = conv_maml.WORKLOADS[1]._replace(num_tasks=32)
    sides = conv_maml.Sides.make(work)
    exact, on_gpu = (conv_maml.Sides.make(work).to(torch.device("cuda")) for _ in range(2))
    exact = exact.double()
    conv_maml.check_same(conv_maml.native(exact), conv_maml.looped(exact))
    mine, other = harness.alternate(
        milliseconds(partial(conv_maml.native, on_gpu)),
        milliseconds(partial(conv_maml.looped, on_gpu)),
        pairs=pairs,
    )
    rows = [row(f"{work.name}-cuda", "task-loop", mine, other)]
    mine, other = harness.alternate(
        milliseconds(partial(conv_maml.native, on_gpu)),
        milliseconds(partial(conv_maml.native, sides)),
        pairs=pairs,
    )
    return [*rows, row(f"{work.name}-cuda", "cpu", mine, other)]


def row(name: str, against: str, mine: list[float], other: list[float]) -> harness.Row:
    """With the GPU's name."""
    return harness.Row(
        name=name,
        against=against,
        unit="milliseconds",
        ours=mine,
        theirs=other,
        extra={"gpu": torch.cuda.get_device_name()},
    )


def main() -> None:
    """All comparisons."""
    pairs = 3 if harness.quick_asked(__doc__) else 7
    if not torch.cuda.is_available():
        print("no row of gpu_update.py: torch finds no CUDA here")
        return
    rows = [beside_the_loop(num_trajectories, pairs) for num_trajectories in (20, 1)]
    rows += [beside_the_cpu(name, pairs) for name in ("promp", "maml-trpo")]
    harness.report([*rows, *images(3)])


if __name__ == "__main__":
    main()
