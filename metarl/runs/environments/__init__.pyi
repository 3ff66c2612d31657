from .making import EnvSource, TaskVectorEnv, make_single, make_task_env, name_of

__all__ = ["EnvSource", "TaskVectorEnv", "make_single", "make_task_env", "name_of"]
