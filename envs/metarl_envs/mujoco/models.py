"""Compiled models, and the model fields that may differ between environments."""

import difflib
import warnings
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import gymnasium as gym
import mujoco
import numpy as np
from mujoco.batch import MODEL_FIELDS

ASSETS = Path(gym.__file__).parent / "envs" / "mujoco" / "assets"

# results of the compiler and of mj_setConst, the clock, and what has no part in the physics
_DERIVED = {"actuator_acc0", "actuator_length0", "body_invweight0", "body_subtreemass"}
_DERIVED |= {"dof_invweight0", "dof_length", "dof_M0", "tendon_invweight0", "tendon_length0"}
_DERIVED |= {"bvh_aabb", "geom_aabb", "geom_rbound", "opt.timestep"}
_NOT_PHYSICAL = ("cam_", "efm", "key_", "light_", "mat_", "numeric_", "sensor_")
_NOT_PHYSICAL_ENDS = ("_user", "_rgba")


ModelEdit = Callable[[mujoco.MjSpec], None]
"""Changes the description of a model in place."""


@cache
def load_model(xml_file: str, edit: ModelEdit | None = None) -> mujoco.MjModel:
    """The compiled model of an MJCF file, shared: never to be written to.

    Args:
        xml_file: a path, or a file name in gymnasium's ``assets``.
        edit: changes what the file describes.

    Raises:
        ValueError: there is no such file, or it is no model; in one line.
    """
    path = ASSETS / xml_file if (ASSETS / xml_file).is_file() else Path(xml_file)
    if not path.is_file():
        raise ValueError(f"there is no model file {path}, nor has gymnasium one of that name")
    previous = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(_relay_warning)
    try:
        return _compiled(path, edit)
    except ValueError as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from error
    finally:
        mujoco.set_mju_user_warning(previous)


def _compiled(path: Path, edit: ModelEdit | None) -> mujoco.MjModel:
    if edit is None:
        return mujoco.MjModel.from_xml_path(str(path))
    spec = mujoco.MjSpec.from_file(str(path))
    edit(spec)
    with warnings.catch_warnings():
        # a description is compiled with Python's warnings
        warnings.filterwarnings("ignore", message=".*settotalmass")
        return spec.compile()


def _relay_warning(message: str) -> None:
    # half_cheetah.xml is gymnasium's and has a deprecated attribute that nobody here can change;
    # MuJoCo would also write that to MUJOCO_LOG.TXT in the current folder
    if "settotalmass" not in message:
        warnings.warn(message, stacklevel=2)


def model_fields(model: mujoco.MjModel) -> list[str]:
    """Names of the physical fields of a model that may differ between environments.

    Array fields are named as in ``MjModel``, options as ``opt.gravity``.
    """
    return sorted(name for name in MODEL_FIELDS if _is_physical(model, name))


def _is_physical(model: mujoco.MjModel, name: str) -> bool:
    if name in _DERIVED or name.startswith(_NOT_PHYSICAL) or name.endswith(_NOT_PHYSICAL_ENDS):
        return False
    values = nominal(model, name)
    return values.dtype.kind == "f" and values.size > 0


def nominal(model: mujoco.MjModel, name: str) -> np.ndarray:
    """A copy of a field's values in the model: MjModel's own arrays are live views."""
    owner, _, attribute = name.rpartition(".")
    return np.array(getattr(model.opt if owner == "opt" else model, attribute))


def check_fields(model: mujoco.MjModel, names: Iterable[str]) -> None:
    """Raise unless every name is a physical field of the model.

    Raises:
        ValueError: naming the nearest field and listing all of them.
    """
    known = model_fields(model)
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise ValueError(
                f"the model has no field {name!r} that may differ between environments; "
                f"{hint}There are: {', '.join(known)}"
            )
