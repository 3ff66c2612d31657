"""The standard network of a policy."""

from collections.abc import Sequence

import torch

from metarl.nn.cnn import CNN, HIGHEST
from metarl.nn.mlp import MLP, Activation

# of the last layer's initial weights: an untrained policy explores around 0 instead of drifting
# off, which is a local optimum of MAML (one inner step then only learns to come back)
OUTPUT_SCALE = 0.01

ImageShape = tuple[int, int, int]
"""Height, width and channels."""


def policy_network(
    observation_size: int | ImageShape,
    num_outputs: int,
    *,
    hidden_sizes: Sequence[int] = (64, 64),
    activation: Activation = "tanh",
    context_size: int = 0,
    generator: torch.Generator | None = None,
    highest: float = HIGHEST,
) -> MLP | CNN:
    """The standard network of a policy, with small outputs while untrained.

    Args:
        observation_size: D; or height, width and channels of images, which go through
            convolutions first.
        num_outputs: A, numbers of a continuous action or how many discrete ones there are.
        hidden_sizes: widths of the hidden layers.
        activation: ``tanh`` or ``relu``.
        context_size: C, see :class:`Policy`.
        generator: source of the initial weights; torch's global one if none is given.
        highest: of a pixel, where observations are images.
    """
    sizes = [*hidden_sizes, num_outputs]
    network: MLP | CNN
    if isinstance(observation_size, int):
        network = last = MLP([observation_size + context_size, *sizes], activation, generator)
    else:
        network = CNN(observation_size, context_size, sizes, activation, generator, highest=highest)
        last = network.mlp
    with torch.no_grad():
        last.get_parameter(f"layers.{len(hidden_sizes)}.weight").mul_(OUTPUT_SCALE)
    return network
