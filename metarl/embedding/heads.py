"""What outputs mean, one step at a time: actions by given noise, and their probability."""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metarl.embedding.cells import Array, library, single
from metarl.nn.distributions import HALF_LOG_TWO_PI
from metarl.rl.actions import ActionMap, ActionScaling

CPU = torch.device("cpu")


class Drawn(NamedTuple):
    """Actions, of one policy or of B."""

    raw_action: Array
    """As emitted, ``[..., A]``; indices of choices, ``[..., G]``."""
    action: Array
    """As the environment takes it."""
    log_prob: Array
    """``[...]``."""


class Head(Protocol):
    """From a network's outputs to actions."""

    @property
    def to_env(self) -> ActionMap:
        """To the environment's actions."""
        ...

    @property
    def num_outputs(self) -> int:
        """A, of the network; and numbers of noise."""
        ...

    @property
    def choices(self) -> tuple[int, ...]:
        """How many each of the actions is of; empty where they are continuous."""
        ...

    def noise(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Of one action, ``[A]``."""
        ...

    def draw(self, outputs: Array, noise: Array) -> Drawn:
        """Actions for ``[..., A]`` by noise ``[..., A]``; 0 for the likeliest."""
        ...

    def vectors(self, raw: Array) -> Array:
        """Raw actions as transitions have them, ``[..., A']``."""
        ...


@dataclass(frozen=True)
class GaussianHead:
    """Actions around means, in bounds."""

    std: Array
    """σ, ``[A]``."""
    to_env: ActionScaling
    low: Array
    """Bounds of the environment's actions, ``[A]``."""
    high: Array
    half_range: Array
    middle: Array
    most: Array
    """Of raw actions, ``[A]``; stable-baselines3 cuts them before an environment sees them."""
    halves: Array
    """``[A]``."""
    at_mean: float
    """Log density of the mean."""

    choices: tuple[int, ...] = ()

    @classmethod
    def of(cls, log_std: Tensor, to_env: ActionScaling) -> "GaussianHead":
        """With a copy of log σ ``[A]``."""
        low, high = (torch.as_tensor(np.array(bound, np.float32)) for bound in to_env[:2])
        own, bounded = log_std.detach().cpu(), to_env.scale < np.inf
        return cls(
            own.exp(),
            to_env,
            low,
            high,
            half_range=(high - low) / (2 * to_env.scale) if bounded else torch.ones_like(own),
            middle=(high + low) / 2 if bounded else torch.zeros_like(own),
            most=torch.full_like(own, to_env.scale),
            halves=torch.full_like(own, 0.5),
            at_mean=-float((own.double() + HALF_LOG_TWO_PI).sum()),
        )

    @property
    def num_outputs(self) -> int:
        """A."""
        return len(self.std)

    def noise(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Standard normal numbers, ``[A]``."""
        return rng.standard_normal(self.num_outputs, np.float32)

    def draw(self, outputs: Array, noise: Array) -> Drawn:
        """Around means ``[..., A]``."""
        xp, raw = library(outputs), outputs + self.std * noise
        action = xp.minimum(xp.maximum(raw * self.half_range + self.middle, self.low), self.high)
        return Drawn(raw, action, self.at_mean - (noise * noise) @ self.halves)

    def vectors(self, raw: Array) -> Array:
        """Cut at ±scale."""
        xp = library(raw)
        return xp.minimum(xp.maximum(raw, -self.most), self.most)


@dataclass(frozen=True)
class ChoicesHead:
    """G choices, given the observation independent; a discrete action is one."""

    choices: tuple[int, ...]
    """How many each is of."""
    to_env: ActionMap
    one_hot: bool = True
    """Whether transitions have them one-hot, side by side, or as indices."""
    numbers: Array = field(default_factory=lambda: torch.zeros(0))
    """0 … n - 1 of every choice, side by side, ``[A]``."""

    @classmethod
    def of(cls, choices: tuple[int, ...], to_env: ActionMap, one_hot: bool = True) -> "ChoicesHead":
        """Of so many each."""
        numbers = torch.cat([torch.arange(n, dtype=torch.float32) for n in choices])
        return cls(choices, to_env, one_hot, numbers)

    @property
    def num_outputs(self) -> int:
        """A."""
        return sum(self.choices)

    def noise(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Standard Gumbel numbers, ``[A]``."""
        return rng.gumbel(size=self.num_outputs).astype(np.float32)

    def draw(self, outputs: Array, noise: Array) -> Drawn:
        """Of logits ``[..., A]``, side by side."""
        xp, shifted, indices, log_prob, first = library(outputs), outputs + noise, [], 0.0, 0
        for n in self.choices:
            part = slice(first, first + n)
            logits, index = outputs[..., part], shifted[..., part].argmax(-1)
            highest = xp.amax(logits, -1)
            total = xp.exp(logits - highest[..., None]).sum(-1)
            chosen = (logits * (self.numbers[part] == index[..., None])).sum(-1)
            log_prob = log_prob + chosen - highest - xp.log(total)
            indices.append(index)
            first += n
        raw = single(xp.stack(indices, -1))
        return Drawn(raw, _mapped(self.to_env, raw), log_prob)

    def vectors(self, raw: Array) -> Array:
        """``[..., A]``, or the indices ``[..., G]``."""
        if not self.one_hot:
            return raw
        parts, first = [], 0
        for g, n in enumerate(self.choices):
            parts.append(self.numbers[first : first + n] == raw[..., g : g + 1])
            first += n
        return single(library(raw).concat(parts, -1))


@dataclass(frozen=True)
class SwitchesHead:
    """Switches, given the observation independent."""

    num_outputs: int
    """A."""
    to_env: ActionMap

    @property
    def choices(self) -> tuple[int, ...]:
        """Of two each."""
        return (2,) * self.num_outputs

    def noise(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Standard logistic numbers, ``[A]``."""
        return rng.logistic(size=self.num_outputs).astype(np.float32)

    def draw(self, outputs: Array, noise: Array) -> Drawn:
        """Of log odds ``[..., A]``."""
        xp, raw = library(outputs), single(outputs + noise > 0)
        against = outputs * (1.0 - 2.0 * raw)  # log odds of the other
        excess = xp.maximum(against, 0.0 * against)
        log_prob = -(excess + xp.log1p(xp.exp(-abs(against)))).sum(-1)
        return Drawn(raw, _mapped(self.to_env, raw), log_prob)

    def vectors(self, raw: Array) -> Array:
        """As they are."""
        return raw


def _mapped(to_env: ActionMap, raw: Array) -> Array:
    return to_env.on(CPU)(raw) if isinstance(raw, Tensor) else to_env(raw)
