"""Networks whose layers take task-batched weights."""

from metarl.nn.mlp import MLP
from metarl.nn.policies import Gaussian, GaussianPolicy

__all__ = ["MLP", "Gaussian", "GaussianPolicy"]
