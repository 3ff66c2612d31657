"""What runs take of the package of task families, where they take it."""

from metarl_envs import FAMILIES
from metarl_envs.making import EnvSource, make_single, make_task_env, name_of

__all__ = ["FAMILIES", "EnvSource", "make_single", "make_task_env", "name_of"]
