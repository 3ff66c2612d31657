from .adapted_classifier import AdaptedClassifier
from .adapted_policy import AdaptedPolicy
from .composed import describe
from .config import RunConfig
from .env_checks import EnvReport, check_env
from .errors import InputError
from .evaluate import Evaluation, EvaluationOptions
from .families import COLUMNS, families
from .loading import load, load_run
from .run import Run
from .sessions import Session, go_on, start, train, train_fewshot
from .user_objects import UserObjects

__all__ = [
    "COLUMNS",
    "AdaptedClassifier",
    "AdaptedPolicy",
    "EnvReport",
    "Evaluation",
    "EvaluationOptions",
    "InputError",
    "Run",
    "RunConfig",
    "Session",
    "UserObjects",
    "check_env",
    "describe",
    "families",
    "go_on",
    "load",
    "load_run",
    "start",
    "train",
    "train_fewshot",
]
