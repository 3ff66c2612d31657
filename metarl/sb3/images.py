"""Images in what stable-baselines3's policies see: convolutions before the rest."""

import math
from typing import Any

import gymnasium as gym
import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor

from metarl.nn import CNN
from metarl.rl.observations import image_shape_of

FEATURES = 64
"""Numbers that an image becomes."""


class PixelsBesideContext(BaseFeaturesExtractor):
    """From pixels and a context behind them to features of the image and the context.

    Args:
        observation_space: of both, ``[H·W·C + context]``, pixels within [0, 1] or normalised.
        image_shape: height, width and channels.
    """

    def __init__(
        self, observation_space: gym.Space[Any], image_shape: tuple[int, int, int]
    ) -> None:
        self._size = math.prod(image_shape)
        num_others = gym.spaces.flatdim(observation_space) - self._size
        super().__init__(observation_space, FEATURES + num_others)
        self.cnn = CNN(image_shape, 0, [FEATURES], highest=1.0)

    def forward(self, observations: Tensor) -> Tensor:
        """``[B, H·W·C + context]`` to ``[B, features]``."""
        seen = torch.relu(self.cnn(observations[:, : self._size]))
        return torch.cat([seen, observations[:, self._size :]], 1)


def image_kwargs(seen: gym.Space[Any]) -> dict[str, Any]:
    """What a policy of stable-baselines3 is told where observations are images."""
    image_shape = image_shape_of(seen)
    if image_shape is None:
        return {}
    return {
        "features_extractor_class": PixelsBesideContext,
        "features_extractor_kwargs": {"image_shape": image_shape},
    }
