"""What is wrong with a family's declaration, in one line, before anything is simulated."""

from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from metarl_envs.mujoco.family import Array, MujocoFamily, Physics, Step
from metarl_envs.mujoco.models import check_fields, nominal


def action_bounds(model: mujoco.MjModel) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lowest and highest controls, ``[nu]`` each; infinite where the model has no limit.

    Raises:
        ValueError: the model has no actuator.
    """
    if model.nu == 0:
        raise ValueError("the model has no actuator, so there is nothing that a policy could do")
    limited = np.asarray(model.actuator_ctrllimited, bool)
    low, high = model.actuator_ctrlrange.T.astype(np.float32)
    return np.where(limited, low, -np.float32(np.inf)), np.where(limited, high, np.float32(np.inf))


def check_declaration(family: MujocoFamily, physics: Physics) -> None:
    """Raise unless the functions give arrays of the right shapes.

    Args:
        family: the declaration.
        physics: of its simulations, of which the first two are looked at.

    Raises:
        ValueError: naming the function, what it gives and what it should give.
    """
    few = Physics(
        physics.qpos[:2], physics.qvel[:2], {k: v[:2] for k, v in physics.derived.items()}
    )
    num = len(few.qpos)
    model = family.robot.model
    tasks = family.task_distribution.sample(np.random.default_rng(0), num, "train")
    for number, part in enumerate(family.observe(few)):
        _check(f"part {number} of observe", part, num, "biuf")
    position = _check("position", family.position(few), num, "biuf")
    action = np.zeros((num, model.nu), np.float32)
    step = Step(few, np.zeros_like(position), action, tasks)
    _check("reward", family.reward(step), num, "biuf", ())
    _check("terminated", family.terminated(few), num, "b", ())
    fields = family.dynamics(tasks)
    check_fields(model, fields)
    for name, values in fields.items():
        _check(f"dynamics of {name}", values, num, "biuf", nominal(model, name).shape)


def _check(what: str, given: Any, num: int, kinds: str, each: tuple[int, ...] | None = None) -> Any:
    """The array, with the environments first and, where that is known, the shape of each."""
    array: Array = np.asarray(given)
    leading = array.shape if each is not None else array.shape[:1]
    if leading != (num, *(each or ())) or array.dtype.kind not in kinds:
        wanted = "bool" if kinds == "b" else "numbers"
        shape = ", ".join(("N", *map(str, each if each is not None else ("...",))))
        raise ValueError(
            f"{what} must give {wanted} [{shape}] for N environments, gives {array.dtype} of shape "
            f"{array.shape} for {num}"
        )
    return array
