"""Networks whose layers take task-batched weights."""

from metarl.nn.backbones import Backbone, LiftedBackbone, RawInputs
from metarl.nn.cnn import CNN
from metarl.nn.conv4 import Conv4
from metarl.nn.distributions import (
    ActionDistribution,
    Bernoulli,
    Categorical,
    Gaussian,
    MultiCategorical,
)
from metarl.nn.mlp import MLP, FeatureMLP
from metarl.nn.multi_policies import BernoulliPolicy, MultiCategoricalPolicy
from metarl.nn.observation_normaliser import ObservationNormaliser
from metarl.nn.policies import CategoricalPolicy, GaussianPolicy, Policy
from metarl.nn.policy_networks import policy_network
from metarl.nn.resnet12 import ResNet12

__all__ = [
    "CNN",
    "MLP",
    "ActionDistribution",
    "Backbone",
    "Bernoulli",
    "BernoulliPolicy",
    "Categorical",
    "CategoricalPolicy",
    "Conv4",
    "FeatureMLP",
    "Gaussian",
    "GaussianPolicy",
    "LiftedBackbone",
    "MultiCategorical",
    "MultiCategoricalPolicy",
    "ObservationNormaliser",
    "Policy",
    "RawInputs",
    "ResNet12",
    "policy_network",
]
