from .making import (
    FAMILIES,
    EnvSource,
    device_hindrance,
    make_device,
    make_single,
    make_task_env,
    name_of,
)

__all__ = [
    "FAMILIES",
    "EnvSource",
    "device_hindrance",
    "make_device",
    "make_single",
    "make_task_env",
    "name_of",
]
