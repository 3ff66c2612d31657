"""Policies that adapt within a trial, one step at a time, as functions of an explicit state.

What agents run, and what is exported. A step is two functions: :meth:`OnlinePolicy.observe` takes a
transition into the state, :meth:`OnlinePolicy.act` gives an action. Both take constant time and are
batch-first: B trials side by side, each with a state of its own.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from metarl.embedding.cells import Normaliser, State
from metarl.nn.distributions import HALF_LOG_TWO_PI
from metarl.rl.actions import ActionMap, ActionNumbering, ActionScaling


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


class Drawn(NamedTuple):
    """Actions of B policies."""

    raw_action: Tensor
    """As emitted, ``[B, A]``; the index of a discrete one, ``[B, 1]``."""
    action: Tensor
    """As the environment takes it, ``[B, A]``; the number of a discrete one, ``[B]``."""
    log_prob: Tensor
    """``[B]``."""


class GaussianHead:
    """Actions around means, in bounds.

    Args:
        log_std: log σ, ``[A]``.
        to_env: to the environment's actions.
    """

    def __init__(self, log_std: Tensor, to_env: ActionScaling) -> None:
        self.to_env = to_env
        self.std = log_std.exp()
        self.low, self.high = (torch.as_tensor(bound).float() for bound in to_env[:2])
        self._half_range = (self.high - self.low) / (2 * to_env.scale)
        self._middle = (self.high + self.low) / 2
        self._at_mean = -float((log_std.double() + HALF_LOG_TWO_PI).sum())

    @property
    def num_outputs(self) -> int:
        """A."""
        return len(self.std)

    def draw(self, mean: Tensor, noise: Tensor) -> Drawn:
        """By standard normal noise ``[B, A]``; 0 for the mean."""
        raw = torch.addcmul(mean, self.std, noise)
        action = torch.addcmul(self._middle, raw, self._half_range).clamp(self.low, self.high)
        return Drawn(raw, action, self._at_mean - 0.5 * noise.square().sum(-1))

    def vectors(self, raw: Tensor) -> Tensor:
        """Raw actions ``[B, A]`` as transitions have them: stable-baselines3 cuts them."""
        return raw.clamp(-self.to_env.scale, self.to_env.scale)


class CategoricalHead(NamedTuple):
    """One of A actions."""

    num_outputs: int
    """A."""
    to_env: ActionNumbering

    def draw(self, logits: Tensor, noise: Tensor) -> Drawn:
        """By standard Gumbel noise ``[B, A]``; 0 for the likeliest."""
        index = (logits + noise).argmax(-1, keepdim=True)
        log_prob = logits.log_softmax(-1).gather(-1, index).squeeze(-1)
        return Drawn(index.to(logits.dtype), index[:, 0] + self.to_env.start, log_prob)

    def vectors(self, raw: Tensor) -> Tensor:
        """Indices ``[B, 1]`` one-hot, ``[B, A]``."""
        return (raw == torch.arange(self.num_outputs)).to(raw.dtype)


Head = GaussianHead | CategoricalHead


def head_of(log_std: Tensor | None, num_outputs: int, to_env: ActionMap) -> Head:
    """What outputs mean: means, with a log σ ``[A]``, or logits."""
    if isinstance(to_env, ActionNumbering):
        return CategoricalHead(num_outputs, to_env)
    assert log_std is not None
    return GaussianHead(log_std.detach().cpu().clone(), to_env)


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
