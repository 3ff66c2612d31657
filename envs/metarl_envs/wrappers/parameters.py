"""The numbers that decide an environment's dynamics, read and written by name.

:class:`ModelFields` are those of a MuJoCo model, :class:`Attributes` those of any other
environment.
"""

from typing import Any, Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

OPTIONS = ("density", "gravity", "magnetic", "timestep", "viscosity", "wind")
"""Fields of ``model.opt`` that belong to the world."""

DERIVED = frozenset(
    {
        "actuator_acc0",
        "actuator_length0",
        "body_invweight0",
        "body_margin",
        "body_subtreemass",
        "dof_M0",
        "dof_invweight0",
        "dof_length",
        "geom_aabb",
        "geom_fluid",
        "geom_rbound",
        "tendon_invweight0",
        "tendon_length0",
    }
)
"""Fields that ``mj_setConst`` computes from the others."""

KINDS = {
    "actuator": mujoco.mjtObj.mjOBJ_ACTUATOR,
    "body": mujoco.mjtObj.mjOBJ_BODY,
    "dof": mujoco.mjtObj.mjOBJ_JOINT,
    "eq": mujoco.mjtObj.mjOBJ_EQUALITY,
    "geom": mujoco.mjtObj.mjOBJ_GEOM,
    "jnt": mujoco.mjtObj.mjOBJ_JOINT,
    "pair": mujoco.mjtObj.mjOBJ_PAIR,
    "site": mujoco.mjtObj.mjOBJ_SITE,
    "tendon": mujoco.mjtObj.mjOBJ_TENDON,
}
"""First word of a field to what its rows are; degrees of freedom have the names of their joints."""


class Parameters(Protocol):
    """Numbers of an environment by name."""

    names: list[str]
    """The names there are, sorted."""

    def row_names(self, name: str) -> list[str]:
        """The object that each row belongs to; empty where rows have no names."""
        ...

    def read(self, name: str) -> Array:
        """A copy of the value."""
        ...

    def write(self, name: str, value: Array) -> None:
        """Set the value."""
        ...

    def recompute(self) -> None:
        """Bring constants that follow from the values up to date."""
        ...

    def belong_to(self, env: Any) -> bool:
        """Whether the environment still uses these."""
        ...


def parameters_of(env: Any) -> Parameters:
    """The parameters of an unwrapped environment."""
    model = getattr(env, "model", None)
    return ModelFields(model) if isinstance(model, mujoco.MjModel) else Attributes(env)


class ModelFields:
    """Float fields of a MuJoCo model, and the world's options such as ``gravity``."""

    def __init__(self, model: Any) -> None:
        self._model = model
        # kept, as making it costs hundreds of times what mj_setConst does
        self._scratch = mujoco.MjData(model)
        self.names = sorted([*filter(self._is_field, dir(model)), *OPTIONS])

    def row_names(self, name: str) -> list[str]:
        """Names of bodies, geoms, joints, ...; the joint's for each of its degrees of freedom."""
        if name in OPTIONS:
            return []
        kind = name.split("_")[0]
        rows = range(len(getattr(self._model, name)))
        ids = self._model.dof_jntid if kind == "dof" else rows
        return [mujoco.mj_id2name(self._model, KINDS[kind], int(i)) or "" for i in ids]

    def read(self, name: str) -> Array:
        """A copy: the model's arrays are live views."""
        return np.array(getattr(self._owner(name), name), np.float64)

    def write(self, name: str, value: Array) -> None:
        """Set it in the model."""
        owner = self._owner(name)
        if value.ndim:
            getattr(owner, name)[...] = value
        else:
            setattr(owner, name, float(value))

    def recompute(self) -> None:
        """``mj_setConst``, on data of its own: the simulation's state stays as it is."""
        mujoco.mj_setConst(self._model, self._scratch)

    def belong_to(self, env: Any) -> bool:
        """Whether the environment still simulates this model."""
        return env.model is self._model

    def _owner(self, name: str) -> Any:
        return self._model.opt if name in OPTIONS else self._model

    def _is_field(self, name: str) -> bool:
        # has a row for each object, and does not follow from other fields
        if name.split("_")[0] not in KINDS or name in DERIVED:
            return False
        value = getattr(self._model, name)
        return isinstance(value, np.ndarray) and value.dtype == np.float64 and value.size > 0


class Attributes:
    """Numeric public attributes of an environment, such as ``length`` of CartPole."""

    def __init__(self, env: Any) -> None:
        self._env = env
        attributes = {**vars(type(env)), **vars(env)}
        self.names = sorted(
            name
            for name, value in attributes.items()
            if not name.startswith("_") and _is_numeric(value)
        )

    def row_names(self, name: str) -> list[str]:
        """None: elements of an array have no names."""
        return []

    def read(self, name: str) -> Array:
        """A copy."""
        return np.array(getattr(self._env, name), np.float64)

    def write(self, name: str, value: Array) -> None:
        """Set the attribute, to a number where it is one."""
        setattr(self._env, name, value.copy() if value.ndim else float(value))

    def recompute(self) -> None:
        """Nothing: what follows from an attribute is the environment's own knowledge."""

    def belong_to(self, env: Any) -> bool:
        """Always."""
        return env is self._env


def _is_numeric(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return bool(np.issubdtype(value.dtype, np.floating)) and value.size > 0
    return isinstance(value, (int, float, np.floating)) and not isinstance(value, bool)
