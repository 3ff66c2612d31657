"""Named streams of random numbers: what is drawn follows from a seed, a name and indices.

The indices are the iteration, the inner step, the task or the episode, as far as a draw has them.
Nothing else decides it: not how many tasks are worked on at once, not how many environments there
are, not what was drawn before. So nothing of it has to be saved, and parts of a run, drawn one by
one or in several processes, are those of the whole.

Here, and nowhere else, seeds are derived from the seed of a run.
"""

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from metarl.core.rows import GOLDEN, mixed

Device = torch.device | str
"""Where tensors are."""
Purpose = Literal["training", "validation", "test"]
"""Meta-training; the evaluations during it; ``metarl evaluate``, ``metarl adapt`` and films."""

Stream = Literal[
    "tasks",
    "environments",
    "actions",
    "weights",
    "head",
    "pretraining head",
    "episodes",
    "augmentation",
    "mini-batches",
    "library",
    "encoder",
    "context",
    "trials",
]
"""What is drawn; ``library`` is all that stable-baselines3 draws by itself."""

# A name's place is its number: new names come last, and none is removed or moved.
_PURPOSES = {name: number for number, name in enumerate(get_args(Purpose))}
_STREAMS = {name: number for number, name in enumerate(get_args(Stream))}


@dataclass(frozen=True)
class Streams:
    """The random streams of a seed for one purpose, at some indices.

    >>> streams = Streams(0, "training").at(3)  # of iteration 3
    >>> streams.at(1).seeds("environments", 2, 5)[:2] == streams.seeds("environments", 1, 2, 2)
    False
    >>> streams.seeds("environments", 9)[:2] == streams.seeds("environments", 2)
    True
    """

    seed: int
    """Any integer that is at least 0."""
    purpose: Purpose
    indices: tuple[int, ...] = ()
    """Iteration, inner step, ..."""

    def at(self, *index: int) -> "Streams":
        """The streams at further indices."""
        return replace(self, indices=(*self.indices, *index))

    def numpy(self, stream: Stream, *index: int) -> np.random.Generator:
        """A NumPy generator."""
        return np.random.default_rng(self._sequence(stream, index))

    def torch(self, stream: Stream, *index: int) -> torch.Generator:
        """A torch generator, of the CPU."""
        state = self._sequence(stream, index).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(state >> np.uint64(1)))

    def seed_of(self, stream: Stream, *index: int) -> int:
        """One seed in [0, 2³¹)."""
        return self.seeds(stream, 1, *index)[0]

    def seeds(self, stream: Stream, num: int, *index: int) -> list[int]:
        """Seeds in [0, 2³¹); the first ones are the same however many there are."""
        state = self._sequence(stream, index).generate_state(num) >> np.uint32(1)
        seeds: list[int] = state.tolist()
        return seeds

    def rows(
        self,
        stream: Stream,
        tasks: range,
        trajectories: range,
        device: Device = "cpu",
    ) -> Tensor:
        """Seeds in [0, 2⁶³) of trajectories of tasks, int64 ``[M, E]``, hashed on a device.

        >>> rows, part = (Streams(0, "training").rows("actions", *drawn)
        ...     for drawn in ((range(4), range(3)), (range(2, 4), range(1, 3))))
        >>> torch.equal(rows[2:, 1:], part)
        True
        """
        state = self._sequence(stream, ()).generate_state(1, np.uint64)
        start = int(state.view(np.int64)[0])
        m, e = (
            GOLDEN * torch.arange(numbers.start + 1, numbers.stop + 1, device=device)
            for numbers in (tasks, trajectories)
        )
        return mixed(mixed(mixed(m + start))[:, None] + e) & (2**63 - 1)

    def _sequence(self, stream: Stream, index: tuple[int, ...]) -> np.random.SeedSequence:
        names = _PURPOSES[self.purpose], _STREAMS[stream]
        return np.random.SeedSequence(self.seed, spawn_key=(*names, *self.indices, *index))
