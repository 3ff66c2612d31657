"""Wrappers that turn any single gymnasium environment into a task family.

* :class:`RandomGoal`: the goal is the task.
* :class:`RandomDynamics`: masses, friction, gravity, ... are the task.
* :class:`Trial`: several trajectories of one task as one episode, for recurrent policies.

They nest: ``RandomGoal(RandomDynamics(env, ...), ...)`` has the entries of both in its task.
"""

from envs.wrappers.base import TaskWrapper
from envs.wrappers.dynamics import DynamicsField, RandomDynamics
from envs.wrappers.goal import RandomGoal
from envs.wrappers.trial import Trial

__all__ = ["DynamicsField", "RandomDynamics", "RandomGoal", "TaskWrapper", "Trial"]
