from .arrays import NUMPY, Arrays
from .bandits import BernoulliBandit
from .contract import TaskDistribution, TaskEnv
from .device import DeviceEnv, FamilyDeviceEnv
from .family import Family, FamilyEnv, FamilyVectorEnv
from .grid import GridNavi
from .making import make_device, make_single, make_task_env
from .mdp import TabularMDP
from .point import PointCorners, PointGoal, PointGoalSparse
from .registration import FAMILIES, MUJOCO_FAMILIES, NUMPY_FAMILIES
from .single import SingleTaskEnv
from .task_spaces import validate_task
from .tasks import (
    Choice,
    Dirichlet,
    Disk,
    Distribution,
    LogUniform,
    Normal,
    Product,
    Task,
    Uniform,
)
from .vector import TaskVectorEnv
from .workers import WorkerVectorEnv
from .wrappers import (
    DynamicsField,
    RandomDynamics,
    RandomGoal,
    ShowTask,
    ShowTaskVector,
    Trial,
)

__all__ = [
    "FAMILIES",
    "MUJOCO_FAMILIES",
    "NUMPY",
    "NUMPY_FAMILIES",
    "Arrays",
    "BernoulliBandit",
    "Choice",
    "DeviceEnv",
    "Dirichlet",
    "Disk",
    "Distribution",
    "DynamicsField",
    "Family",
    "FamilyDeviceEnv",
    "FamilyEnv",
    "FamilyVectorEnv",
    "GridNavi",
    "LogUniform",
    "Normal",
    "PointCorners",
    "PointGoal",
    "PointGoalSparse",
    "Product",
    "RandomDynamics",
    "RandomGoal",
    "ShowTask",
    "ShowTaskVector",
    "SingleTaskEnv",
    "TabularMDP",
    "Task",
    "TaskDistribution",
    "TaskEnv",
    "TaskVectorEnv",
    "Trial",
    "Uniform",
    "WorkerVectorEnv",
    "make_device",
    "make_single",
    "make_task_env",
    "validate_task",
]
