from .making import FAMILIES, EnvSource, make_single, make_task_env, name_of

__all__ = ["FAMILIES", "EnvSource", "make_single", "make_task_env", "name_of"]
