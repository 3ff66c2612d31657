from .adapted_classifier import AdaptedClassifier
from .adapted_policy import AdaptedPolicy
from .comparison_files import Comparison, compare
from .composed import describe
from .config import RunConfig
from .deployed import Format, export_policy
from .env_checks import EnvReport, check_env
from .errors import InputError
from .evaluate import Evaluation, EvaluationOptions
from .families import COLUMNS, Family, draw_family, families, family_of
from .from_python import train, train_fewshot
from .hub import push_run
from .loading import load, load_run
from .policy_files import read_policy
from .run import Run
from .run_list import ListedRun, listed
from .sessions import Session, go_on, start
from .sweeps import Row, Sweep, open_sweep, parse_seeds, parse_settings, run_sweep
from .user_objects import UserObjects

__all__ = [
    "COLUMNS",
    "AdaptedClassifier",
    "AdaptedPolicy",
    "Comparison",
    "EnvReport",
    "Evaluation",
    "EvaluationOptions",
    "Family",
    "Format",
    "InputError",
    "ListedRun",
    "Row",
    "Run",
    "RunConfig",
    "Session",
    "Sweep",
    "UserObjects",
    "check_env",
    "compare",
    "describe",
    "draw_family",
    "export_policy",
    "families",
    "family_of",
    "go_on",
    "listed",
    "load",
    "load_run",
    "open_sweep",
    "parse_seeds",
    "parse_settings",
    "push_run",
    "read_policy",
    "run_sweep",
    "start",
    "train",
    "train_fewshot",
]
