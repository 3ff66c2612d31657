"""Policies that adapt within a trial, one step at a time, as functions of an explicit state.

What agents run, and what is exported. A step is two functions: :meth:`OnlinePolicy.observe` takes a
transition into the state, :meth:`OnlinePolicy.act` gives an action. Both take constant time. Arrays
are NumPy's or torch's, of one trial or of B side by side, each with a state of its own.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from metarl.embedding.cells import (
    Array,
    Feedforward,
    Normaliser,
    Recurrent,
    State,
    library,
    moved,
)
from metarl.embedding.heads import Drawn, Head
from metarl.files import check_finite


class Memory(Protocol):
    """What the policy sees beside the observation, and how it comes about."""

    @property
    def size(self) -> int:
        """C."""
        ...

    @property
    def starts(self) -> State:
        """What it remembers at the start of a trial, ``[size]`` each."""
        ...

    def add(self, state: State, features: Array, ended: Array) -> State:
        """What it remembers after one more transition.

        Args:
            state: before it.
            features: as :attr:`metarl.embedding.Transitions.features`, ``[..., F]``.
            ended: 1 where it ended a trajectory, else 0, ``[..., 1]``.
        """
        ...

    def end(self, state: State) -> State:
        """What it remembers where the last transition ended a trajectory after all."""
        ...

    def context(self, state: State) -> Array:
        """What the policy sees, ``[..., C]``."""
        ...

    def info(self, state: State) -> dict[str, Any]:
        """What it believes of one trial, as plain data."""
        ...


@dataclass(frozen=True, kw_only=True)
class OnlinePolicy:
    """A policy with all that it needs outside training."""

    observation_shape: tuple[int, ...]
    memory: Memory
    network: Feedforward | Recurrent
    head: Head
    normaliser: Normaliser | None = None
    """Of observation and context; the one place where observations are normalised."""
    forgets: bool = False
    """Whether the network forgets at the end of a trajectory, not only of a trial."""

    @property
    def starts(self) -> State:
        """All that is remembered at the start of a trial, ``[size]`` each."""
        return self.memory.starts | self.network.starts

    def in_numpy(self) -> "OnlinePolicy":
        """The same, its arrays NumPy's."""
        converted: OnlinePolicy = moved(self, lambda value: value.detach().numpy())
        return converted

    def check_finite(self) -> None:
        """Raise a :class:`NonFiniteError` for weights that command no motor."""

        def check(value: Tensor) -> Tensor:
            check_finite(value, "a weight of the policy")
            return value

        moved((self.memory, self.network), check)
        if isinstance(self.network.layers, nn.Module):
            check_finite(dict(self.network.layers.state_dict()), "policy")

    def digest(self) -> str:
        """Of all weights."""
        known = hashlib.sha256()

        def add(value: Tensor) -> Tensor:
            known.update(value.detach().cpu().numpy().tobytes())
            return value

        moved(self, add)
        if isinstance(self.network.layers, nn.Module):
            moved(dict(self.network.layers.state_dict()), add)
        return known.hexdigest()

    def observe(self, state: State, features: Array, ended: Array) -> State:
        """The state after a transition; see :meth:`Memory.add`."""
        new = state | self.memory.add(state, features, ended)
        if self.forgets:
            new |= {name: new[name] * (1.0 - ended) for name in self.network.starts}
        return new

    def end_trajectory(self, state: State) -> State:
        """The state where the last transition ended a trajectory after all."""
        new = state | self.memory.end(state)
        if self.forgets:
            new |= {name: 0.0 * new[name] for name in self.network.starts}
        return new

    def act(self, state: State, observation: Array, noise: Array) -> tuple[Drawn, State]:
        """Actions, and the state after them.

        Args:
            state: after all transitions so far.
            observation: flattened, ``[..., D]``.
            noise: ``[..., A]``.
        """
        seen = observation
        if self.memory.size:
            seen = library(seen).concat([seen, self.memory.context(state)], -1)
        if self.normaliser is not None:
            seen = self.normaliser(seen)
        outputs, remembered = self.network(seen, state)
        return self.head.draw(outputs, noise), state | remembered
