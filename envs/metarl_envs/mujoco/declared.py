"""What is wrong with a family's declaration, in one line, before anything is simulated."""

from collections.abc import Callable
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


_HOW = (
    "on a device it takes operators and methods that NumPy and torch share, and the rest from "
    "physics.xp (docs/own-environments.md); the C engine runs it as it is"
)


def check_for_device(family: MujocoFamily, xp: Any) -> None:
    """Raise unless the functions run on another library's arrays, too.

    Args:
        family: the declaration.
        xp: the library, as array-api-compat has it.

    Raises:
        ValueError: as :func:`check_declaration`, or naming a function that does not.
    """
    model = family.robot.model
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    for name in family.derived_fields:
        if not isinstance(getattr(data, name, None), np.ndarray):
            raise ValueError(f"derived_fields: {name} is not an MjData array field")
    own = ("qpos", "qvel", *family.derived_fields)
    two = {name: np.stack([getattr(data, name)] * 2) for name in own}
    check_declaration(family, Physics(two.pop("qpos"), two.pop("qvel"), two))
    drawn = family.task_distribution.sample(np.random.default_rng(0), 2, "train")
    fields, tasks = (
        {name: xp.asarray(values, dtype=xp.float32) for name, values in group.items()}
        for group in ({name: np.stack([getattr(data, name)] * 2) for name in own}, drawn)
    )
    physics = Physics(fields.pop("qpos"), fields.pop("qvel"), fields, xp)
    _run_on("observe", family.observe, physics)
    _run_on("terminated", family.terminated, physics)
    position = _run_on("position", family.position, physics)
    action = xp.zeros((2, model.nu), dtype=xp.float32)
    _run_on("reward", family.reward, Step(physics, xp.zeros_like(position), action, tasks))


def _run_on(what: str, function: Callable[[Any], Any], given: Any) -> Any:
    """What a function gives, which must be arrays of the library of those it is given."""
    kind = type(given.qpos if isinstance(given, Physics) else given.action)
    try:
        made = function(given)
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{what} fails on tensors ({reason}): {_HOW}") from error
    parts = made if isinstance(made, list | tuple) else [made]
    for part in parts:
        if not isinstance(part, kind):
            raise ValueError(f"{what} makes {type(part).__name__} of tensors: {_HOW}")
    return made


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
