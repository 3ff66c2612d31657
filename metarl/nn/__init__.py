"""Networks whose layers take task-batched weights."""

from metarl.nn.backbones import Backbone, FeatureMLP, LiftedBackbone, RawInputs
from metarl.nn.conv4 import Conv4
from metarl.nn.mlp import MLP
from metarl.nn.policies import Gaussian, GaussianPolicy
from metarl.nn.resnet12 import ResNet12

__all__ = [
    "MLP",
    "Backbone",
    "Conv4",
    "FeatureMLP",
    "Gaussian",
    "GaussianPolicy",
    "LiftedBackbone",
    "RawInputs",
    "ResNet12",
]
