"""Networks whose layers take task-batched weights."""

from metarl.nn.conv4 import Conv4
from metarl.nn.mlp import MLP
from metarl.nn.policies import Gaussian, GaussianPolicy

__all__ = ["MLP", "Conv4", "Gaussian", "GaussianPolicy"]
