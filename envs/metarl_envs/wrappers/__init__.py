"""Wrappers that turn any single gymnasium environment into a task family.

* :class:`RandomGoal`: the goal is the task.
* :class:`RandomDynamics`: masses, friction, gravity, ... are the task.
* :class:`Trial`: several trajectories of one task as one episode, for recurrent policies.
* :class:`ShowTask`: the task beside the observation, for policies that are to know it.

They nest: ``RandomGoal(RandomDynamics(env, ...), ...)`` has the entries of both in its task.
"""

from metarl_envs.wrappers.base import TaskWrapper
from metarl_envs.wrappers.dynamics import DynamicsField, RandomDynamics
from metarl_envs.wrappers.goal import RandomGoal
from metarl_envs.wrappers.show_task import ShowTask, ShowTaskVector
from metarl_envs.wrappers.trial import Trial

__all__ = [
    "DynamicsField",
    "RandomDynamics",
    "RandomGoal",
    "ShowTask",
    "ShowTaskVector",
    "TaskWrapper",
    "Trial",
]
