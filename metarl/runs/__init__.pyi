from .config import RunConfig
from .dataset import AdaptedClassifier
from .errors import InputError
from .evaluate import Evaluation, EvaluationOptions
from .run import Run, load_run
from .sessions import train, train_fewshot
from .simulated import AdaptedPolicy

__all__ = [
    "AdaptedClassifier",
    "AdaptedPolicy",
    "Evaluation",
    "EvaluationOptions",
    "InputError",
    "Run",
    "RunConfig",
    "load_run",
    "train",
    "train_fewshot",
]
