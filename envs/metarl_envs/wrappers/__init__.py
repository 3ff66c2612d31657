"""Wrappers that turn any single gymnasium environment into a task family.

* :class:`RandomGoal`: the goal is the task.
* :class:`RandomDynamics`: masses, friction, gravity, ... are the task.
* :class:`Trial`: several trajectories of one task as one episode, for recurrent policies.
* :class:`ShowTask`: the task beside the observation, for policies that are to know it.

They nest: ``RandomGoal(RandomDynamics(env, ...), ...)`` has the entries of both in its task.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
