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

from metarl.embedding.encoders import TaskEncoder
from metarl.embedding.prototypes import moments, shown_prototypes


class JointEncoder(BaseFeaturesExtractor):
    """Observation and prototype from observation and :class:`~metarl.embedding.SupportSample`.

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

    @torch.no_grad()
    def shown(self, sample: NDArray[np.float32]) -> NDArray[np.float32]:
        """:meth:`context` of one sample ``[S·F + 1]``."""
        device = next(self.encoder.parameters()).device
        context = self.context(torch.from_numpy(sample)[None].to(device))
        shown: NDArray[np.float32] = context[0].cpu().numpy()
        return shown
