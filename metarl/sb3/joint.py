"""The encoder of tasks inside the policy, so that the policy's gradient trains it, too.

What the policy sees beside the observation is then a sample of the support transitions instead of
their prototype, which the policy makes itself.
"""

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor

from metarl.rl.task_embedding import moments, shown_prototypes
from metarl.rl.task_encoders import TaskEncoder
from metarl.sb3.contexts import Array, Rows, Transitions


class SupportSample:
    """A uniform sample of the transitions of each trial, kept as they come (reservoir sampling).

    Args:
        num_envs: N.
        num_support: S, transitions kept.
        num_features: F, of a transition.
        seed: of the choice.
    """

    def __init__(self, num_envs: int, num_support: int, num_features: int, seed: int) -> None:
        self.size = num_support * num_features + 1
        self._kept = np.zeros((num_envs, num_support, num_features), np.float32)
        self._count = np.zeros(num_envs, np.int64)
        self._seed = seed
        self._rng = np.random.default_rng(seed)

    def begin(self, rows: Rows) -> None:
        """Nothing is kept at the start of a trial; where all start at once, draws repeat."""
        if rows.all():
            self._rng = np.random.default_rng(self._seed)
        self._kept[rows] = 0.0
        self._count[rows] = 0

    def add(self, step: Transitions) -> None:
        """The n-th transition takes a place with probability S / n."""
        num_support = self._kept.shape[1]
        place = np.where(
            self._count < num_support, self._count, self._rng.integers(0, self._count + 1)
        )
        rows = np.flatnonzero(place < num_support)
        self._kept[rows, place[rows]] = step.features[rows]
        self._count += 1

    def features(self) -> Array:
        """The sample and how many transitions there were, ``[N, S·F + 1]``."""
        flat = self._kept.reshape(len(self._kept), -1)
        return np.concatenate([flat, self._count[:, None].astype(np.float32)], 1)


class JointEncoder(BaseFeaturesExtractor):
    """Observation and prototype from observation and :class:`SupportSample`.

    Args:
        observation_space: of both.
        encoder: of the transitions.
        num_support: S.
        options: ``uncertainty`` and ``capacity`` of :func:`shown_prototypes`.
    """

    def __init__(
        self,
        observation_space: gym.spaces.Box,
        encoder: TaskEncoder,
        num_support: int,
        options: dict[str, Any],
    ) -> None:
        whole = gym.spaces.flatdim(observation_space)
        self._size = whole - num_support * encoder.num_features - 1
        super().__init__(
            observation_space,
            self._size + encoder.embedding_size + 2 * options["uncertainty"],
        )
        self.encoder = encoder
        self._num_support = num_support
        self._options = options

    def forward(self, observations: Tensor) -> Tensor:
        """``[B, D + S·F + 1]`` to ``[B, D + C]``."""
        shown = self.context(observations[:, self._size :])
        return torch.cat([observations[:, : self._size], shown], 1)

    def context(self, sample: Tensor) -> Tensor:
        """What the policy sees of a sample, ``[B, S·F + 1]`` to ``[B, C]``."""
        count = sample[:, -1:]
        support = sample[:, :-1].reshape(len(sample), self._num_support, -1)
        place = torch.arange(self._num_support, device=sample.device)
        kept = moments(self.encoder.encode(support)) * (place < count)[..., None]
        return shown_prototypes(kept.sum(1), count, **self._options)

    def shown(self, sample: NDArray[np.float32]) -> NDArray[np.float32]:
        """:meth:`context` of one sample ``[S·F + 1]``."""
        with torch.no_grad():
            device = next(self.encoder.parameters()).device
            shown: NDArray[np.float32] = (
                self.context(torch.from_numpy(sample)[None].to(device))[0].cpu().numpy()
            )
        return shown
