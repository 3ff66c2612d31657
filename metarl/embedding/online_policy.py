"""Policies that adapt within a trial, one step at a time, as functions of an explicit state.

What agents run, and what is exported. A step is two functions: :meth:`OnlinePolicy.observe` takes a
transition into the state, :meth:`OnlinePolicy.act` gives an action. Both take constant time and are
batch-first: B trials side by side, each with a state of its own.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from metarl.embedding.cells import Normaliser, State
from metarl.embedding.heads import Drawn, Head


class Memory(Protocol):
    """What the policy sees beside the observation, and how it comes about."""

    @property
    def size(self) -> int:
        """C."""
        ...

    @property
    def state_sizes(self) -> dict[str, int]:
        """Of what it remembers."""
        ...

    def add(self, state: State, features: Tensor, ended: Tensor) -> State:
        """What it remembers after one more transition.

        Args:
            state: before it.
            features: as :attr:`metarl.embedding.Transitions.features`, ``[B, F]``.
            ended: 1 where it ended a trajectory, else 0, ``[B, 1]``.
        """
        ...

    def end(self, state: State) -> State:
        """What it remembers where the last transition ended a trajectory after all."""
        ...

    def context(self, state: State) -> Tensor:
        """What the policy sees, ``[B, C]``."""
        ...

    def info(self, state: State) -> dict[str, Any]:
        """What it believes of the first of the B, as plain data."""
        ...


class Network(Protocol):
    """From what the policy sees to means or logits."""

    @property
    def state_sizes(self) -> dict[str, int]:
        """Of what it remembers."""
        ...

    def __call__(self, seen: Tensor, state: State) -> tuple[Tensor, State]:
        """Outputs ``[B, A]`` for ``[B, D + C]``, and what it remembers afterwards."""
        ...


@dataclass(frozen=True, kw_only=True)
class OnlinePolicy:
    """A policy with all that it needs outside training."""

    observation_shape: tuple[int, ...]
    memory: Memory
    network: Network
    head: Head
    normaliser: Normaliser | None = None
    """Of observation and context; the one place where observations are normalised."""
    forgets: bool = False
    """Whether the network forgets at the end of a trajectory, not only of a trial."""
    state_sizes: dict[str, int] = field(init=False)
    """Of all that is remembered."""

    def __post_init__(self) -> None:
        sizes = self.memory.state_sizes | self.network.state_sizes
        object.__setattr__(self, "state_sizes", sizes)

    def digest(self) -> str:
        """Of all weights."""
        known = hashlib.sha256()
        for value in _tensors(self):
            known.update(value.detach().cpu().numpy().tobytes())
        return known.hexdigest()

    def start(self, batch: int = 1) -> State:
        """The state of B trials at their start."""
        return {name: torch.zeros(batch, size) for name, size in self.state_sizes.items()}

    def observe(self, state: State, features: Tensor, ended: Tensor) -> State:
        """The state after a transition; see :meth:`Memory.add`."""
        new = state | self.memory.add(state, features, ended)
        if self.forgets:
            new |= {name: new[name] * (1.0 - ended) for name in self.network.state_sizes}
        return new

    def end_trajectory(self, state: State) -> State:
        """The state where the last transition ended a trajectory after all."""
        new = state | self.memory.end(state)
        if self.forgets:
            new |= {name: torch.zeros_like(new[name]) for name in self.network.state_sizes}
        return new

    def act(self, state: State, observation: Tensor, noise: Tensor) -> tuple[Drawn, State]:
        """Actions, and the state after them.

        Args:
            state: after all transitions so far.
            observation: flattened, ``[B, D]``.
            noise: ``[B, A]``.
        """
        seen = observation
        if self.memory.size:
            seen = torch.cat([observation, self.memory.context(state)], -1)
        if self.normaliser is not None:
            seen = self.normaliser(seen)
        outputs, remembered = self.network(seen, state)
        return self.head.draw(outputs, noise), state | remembered


def _tensors(part: object) -> Iterator[Tensor]:
    """All that a policy is made of, in a fixed order."""
    if isinstance(part, Tensor):
        yield part
    elif isinstance(part, nn.Module):
        yield from part.state_dict().values()
    else:
        own = part if isinstance(part, tuple) else getattr(part, "__dict__", {}).values()
        for value in own:
            yield from _tensors(value)
