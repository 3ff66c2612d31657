"""Model fields that differ between simulations, and what MuJoCo computes from them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np
import torch
from numpy.typing import NDArray

from metarl_envs.mujoco.family import MujocoFamily
from metarl_envs.mujoco.models import check_fields, nominal
from metarl_envs.mujoco.warp.installed import mujoco_warp as mjw
from metarl_envs.mujoco.warp.installed import wp

# set_const fills as many rows of these as there are: with one row, the first simulation's values
# would serve all, silently
_CONSTANTS = ("body_subtreemass", "body_invweight0", "dof_invweight0", "actuator_acc0")
_TENDON_CONSTANTS = ("tendon_invweight0", "tendon_length0")
_BOUNDS = ("geom_aabb", "geom_rbound")
_FLUID = {"opt.density", "opt.viscosity", "opt.wind"}


def fields_of_tasks(family: MujocoFamily) -> tuple[str, ...]:
    """The model fields that the family's tasks set.

    Raises:
        ValueError: for one that the model does not have, or that Warp keeps once for all.
    """
    one = family.task_distribution.sample(np.random.default_rng(0), 1, "train")
    names = tuple(family.dynamics(one))
    check_fields(family.robot.model, names)
    known = _fields_by_world()
    for name in names:
        if name not in known:
            raise ValueError(
                f"on a device every environment has the same {name}: MuJoCo Warp cannot vary it; "
                "the C engine can"
            )
    return names


def _fields_by_world() -> set[str]:
    """Names of what Warp can hold once a world: its arrays whose first axis is free."""
    owners = (("", mjw.Model), ("opt.", mjw.Option))
    fields = [
        (prefix + f.name, f.type) for prefix, kind in owners for f in dataclasses.fields(kind)
    ]
    return {name for name, kind in fields if getattr(kind, "shape", ())[:1] == ("*",)}


def put_model(model: mujoco.MjModel, names: tuple[str, ...], num_worlds: int) -> mjw.Model:
    """The model on the current device, with a row for every world of the fields of that name."""
    derived = (*_CONSTANTS, *(_TENDON_CONSTANTS if model.ntendon else ())) if names else ()
    bounds = _BOUNDS if "geom_size" in names else ()
    arrays = [name for name in (*names, *derived, *bounds) if not name.startswith("opt.")]
    model_on_device = mjw.put_model(model, batch_sizes=dict.fromkeys(arrays, num_worlds))
    for name in names:
        if name.startswith("opt."):
            option = name.removeprefix("opt.")
            shared = getattr(model_on_device.opt, option)
            rows = np.repeat(shared.numpy(), num_worlds, axis=0)
            setattr(model_on_device.opt, option, wp.array(rows, dtype=shared.dtype))
    model_on_device.has_fluid |= not _FLUID.isdisjoint(names)
    return model_on_device


def view(model: mjw.Model, name: str) -> torch.Tensor:
    """A field of the model as a tensor on the same memory, ``[num_worlds, ...]``."""
    owner = model.opt if name.startswith("opt.") else model
    tensor: torch.Tensor = wp.to_torch(getattr(owner, name.removeprefix("opt.")))
    return tensor


def check_static(model: mujoco.MjModel, values: Mapping[str, NDArray[Any]]) -> None:
    """Raise where what is fixed to the ground is moved: Warp places that once and for all.

    Raises:
        ValueError: naming the field.
    """
    fixed = model.body_weldid == 0
    static = {"body": fixed, "geom": fixed[model.geom_bodyid]}
    for name in {"body_pos", "body_quat", "geom_pos", "geom_quat"} & values.keys():
        rows = static[name.split("_")[0]]
        if not np.allclose(values[name][:, rows], nominal(model, name)[rows]):
            raise ValueError(
                f"a task moves something fixed to the ground ({name}), which on a device stays "
                "where it is; the C engine moves it"
            )
