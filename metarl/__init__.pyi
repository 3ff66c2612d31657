from .core import MAML, AdaptedModel, ProtoNet
from .fewshot import Classifier, load_classifier
from .rl import Acted, Actor, Agent, Trajectories, TrajectoryRecorder, load_policy
from .runs import (
    AdaptedClassifier,
    AdaptedPolicy,
    Comparison,
    InputError,
    Run,
    compare,
    load_run,
    train,
    train_fewshot,
)

__version__: str

__all__ = [
    "MAML",
    "Acted",
    "Actor",
    "AdaptedClassifier",
    "AdaptedModel",
    "AdaptedPolicy",
    "Agent",
    "Classifier",
    "Comparison",
    "InputError",
    "ProtoNet",
    "Run",
    "Trajectories",
    "TrajectoryRecorder",
    "__version__",
    "compare",
    "load_classifier",
    "load_policy",
    "load_run",
    "train",
    "train_fewshot",
]
