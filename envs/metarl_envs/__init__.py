"""Task distributions and environments whose tasks are drawn from them.

``import metarl_envs`` registers the families with gymnasium. ``gymnasium.make(id)`` gives the
single environment, ``gymnasium.make_vec(id, num_envs=...)`` the batched one. The ids are the keys
of :data:`FAMILIES`. Models are compiled when a MuJoCo family is made, not before.
"""

from metarl_envs.bandits import BernoulliBandit
from metarl_envs.family import Family, FamilyEnv, FamilyVectorEnv
from metarl_envs.grid import GridNavi
from metarl_envs.making import make_single, make_task_env
from metarl_envs.mdp import TabularMDP
from metarl_envs.point import PointCorners, PointGoal, PointGoalSparse
from metarl_envs.registration import FAMILIES, MUJOCO_FAMILIES, NUMPY_FAMILIES
from metarl_envs.single import SingleTaskEnv
from metarl_envs.task_spaces import validate_task
from metarl_envs.tasks import (
    Choice,
    Dirichlet,
    Disk,
    Distribution,
    LogUniform,
    Normal,
    Product,
    Uniform,
)
from metarl_envs.vector import TaskVectorEnv
from metarl_envs.wrappers import (
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
    "NUMPY_FAMILIES",
    "BernoulliBandit",
    "Choice",
    "Dirichlet",
    "Disk",
    "Distribution",
    "DynamicsField",
    "Family",
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
    "TaskVectorEnv",
    "Trial",
    "Uniform",
    "make_single",
    "make_task_env",
    "validate_task",
]
