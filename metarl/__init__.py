"""metarl: meta-reinforcement learning and few-shot adaptation, batch-first over tasks."""

from importlib.metadata import version

from metarl.core import MAML, AdaptedModel, ProtoNet
from metarl.fewshot import load_classifier
from metarl.rl import load_policy

__version__ = version("metarl-toolkit")

__all__ = ["MAML", "AdaptedModel", "ProtoNet", "__version__", "load_classifier", "load_policy"]
