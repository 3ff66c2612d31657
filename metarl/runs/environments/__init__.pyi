from .making import (
    FAMILIES,
    MUJOCO_FAMILIES,
    Around,
    EnvSource,
    device_hindrance,
    has_single,
    made_at_once,
    make_device,
    make_single,
    make_task_env,
    name_of,
    validate_task,
)

__all__ = [
    "FAMILIES",
    "MUJOCO_FAMILIES",
    "Around",
    "EnvSource",
    "device_hindrance",
    "has_single",
    "made_at_once",
    "make_device",
    "make_single",
    "make_task_env",
    "name_of",
    "validate_task",
]
