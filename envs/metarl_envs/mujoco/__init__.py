"""MuJoCo task families on ``mujoco.batch``: thousands of robots, each with a task of its own.

``import metarl_envs`` does not import this package; making one of its families does. A family is a
:class:`~metarl_envs.mujoco.family.MujocoFamily`, a declaration of a few lines
(:mod:`metarl_envs.mujoco.half_cheetah` and its neighbours);
:class:`~metarl_envs.mujoco.engine.MujocoVectorEnv` runs it, and :func:`register` gives one of your
own an id.
"""

import lazy_loader

# the first import, so that a MuJoCo without mujoco.batch is named before anything needs it
from metarl_envs.mujoco.version import MINIMUM_VERSION as MINIMUM_VERSION

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
