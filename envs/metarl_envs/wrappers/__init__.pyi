from .base import TaskWrapper
from .dynamics import DynamicsField, RandomDynamics
from .goal import RandomGoal
from .show_task import ShowTask, ShowTaskVector
from .trial import Trial

__all__ = [
    "DynamicsField",
    "RandomDynamics",
    "RandomGoal",
    "ShowTask",
    "ShowTaskVector",
    "TaskWrapper",
    "Trial",
]
