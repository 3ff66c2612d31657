"""Networks whose layers take task-batched weights."""

from metarl.nn.backbones import Backbone, FeatureMLP, LiftedBackbone
from metarl.nn.conv4 import Conv4
from metarl.nn.mlp import MLP
from metarl.nn.policies import Gaussian, GaussianPolicy

__all__ = [
    "MLP",
    "Backbone",
    "Conv4",
    "FeatureMLP",
    "Gaussian",
    "GaussianPolicy",
    "LiftedBackbone",
]
