"""What outputs mean, one step at a time: actions by given noise, and their probability."""

from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metarl.nn.distributions import HALF_LOG_TWO_PI, Bernoulli
from metarl.rl.actions import ActionMap, ActionScaling

CPU = torch.device("cpu")


class Drawn(NamedTuple):
    """Actions of B policies."""

    raw_action: Tensor
    """As emitted, ``[B, A]``; indices of choices, ``[B, G]``."""
    action: Tensor
    """As the environment takes it, ``[B, ...]``."""
    log_prob: Tensor
    """``[B]``."""


class Head(Protocol):
    """From a network's outputs to actions."""

    to_env: ActionMap

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

    def draw(self, outputs: Tensor, noise: Tensor) -> Drawn:
        """Actions for ``[B, A]`` by noise ``[B, A]``; 0 for the likeliest."""
        ...

    def vectors(self, raw: Tensor) -> Tensor:
        """Raw actions as transitions have them, ``[B, A']``."""
        ...


class GaussianHead:
    """Actions around means, in bounds.

    Args:
        log_std: log σ, ``[A]``.
        to_env: to the environment's actions.
    """

    def __init__(self, log_std: Tensor, to_env: ActionScaling) -> None:
        self.to_env: ActionMap = to_env
        self.scale = to_env.scale
        self.std = log_std.detach().cpu().exp()
        self.num_outputs = len(self.std)
        self.choices: tuple[int, ...] = ()
        self._map = to_env.on(CPU)
        self._at_mean = -float((self.std.double().log() + HALF_LOG_TWO_PI).sum())

    def noise(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Standard normal numbers, ``[A]``."""
        return rng.standard_normal(self.num_outputs, np.float32)

    def draw(self, outputs: Tensor, noise: Tensor) -> Drawn:
        """Around means ``[B, A]``."""
        raw = torch.addcmul(outputs, self.std, noise)
        return Drawn(raw, self._map(raw), self._at_mean - 0.5 * noise.square().sum(-1))

    def vectors(self, raw: Tensor) -> Tensor:
        """Cut at ±scale, as stable-baselines3 does before an environment sees them."""
        return raw.clamp(-self.scale, self.scale)


class ChoicesHead:
    """G choices, given the observation independent; a discrete action is one.

    Args:
        sizes: how many each is of.
        to_env: to the environment's numbers.
        one_hot: whether transitions have them one-hot, side by side, or as indices.
    """

    def __init__(self, sizes: tuple[int, ...], to_env: ActionMap, *, one_hot: bool = True) -> None:
        self.to_env = to_env
        self.choices = sizes
        self.num_outputs = sum(sizes)
        self._map = to_env.on(CPU)
        self._one_hot = one_hot

    def noise(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Standard Gumbel numbers, ``[A]``."""
        return rng.gumbel(size=self.num_outputs).astype(np.float32)

    def draw(self, outputs: Tensor, noise: Tensor) -> Drawn:
        """Of logits ``[B, A]``, side by side."""
        indices, log_probs = [], []
        parts = (torch.split(values, list(self.choices), -1) for values in (outputs, noise))
        for logits, shifts in zip(*parts, strict=True):
            indices.append((logits + shifts).argmax(-1, keepdim=True))
            log_probs.append(logits.log_softmax(-1).gather(-1, indices[-1]))
        raw = torch.cat(indices, -1).to(outputs.dtype)
        return Drawn(raw, self._map(raw), torch.cat(log_probs, -1).sum(-1))

    def vectors(self, raw: Tensor) -> Tensor:
        """``[B, A]``, or the indices ``[B, G]``."""
        if not self._one_hot:
            return raw
        columns = zip(torch.split(raw, 1, -1), self.choices, strict=True)
        return torch.cat([(index == torch.arange(n)).to(raw.dtype) for index, n in columns], -1)


class SwitchesHead:
    """Switches, given the observation independent.

    Args:
        num_switches: A.
        to_env: to the environment's.
    """

    def __init__(self, num_switches: int, to_env: ActionMap) -> None:
        self.to_env = to_env
        self.num_outputs = num_switches
        self.choices = (2,) * num_switches
        self._map = to_env.on(CPU)

    def noise(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Standard logistic numbers, ``[A]``."""
        return rng.logistic(size=self.num_outputs).astype(np.float32)

    def draw(self, outputs: Tensor, noise: Tensor) -> Drawn:
        """Of log odds ``[B, A]``."""
        distribution = Bernoulli(outputs)
        raw = distribution.draw(noise)
        return Drawn(raw, self._map(raw), distribution.log_prob(raw))

    def vectors(self, raw: Tensor) -> Tensor:
        """As they are."""
        return raw
