"""``RandomDynamics``: masses, friction, damping, gravity, ... are the task."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import ArrayLike, NDArray

from metarl_envs.tasks import Distribution, Task
from metarl_envs.wrappers.base import Env, TaskWrapper
from metarl_envs.wrappers.parameters import Array, Parameters, parameters_of

POSITIVE = ("body_mass", "body_inertia", "timestep")
NOT_NEGATIVE = (
    "density",
    "dof_armature",
    "dof_damping",
    "dof_frictionloss",
    "geom_friction",
    "jnt_stiffness",
    "pair_friction",
    "viscosity",
)


class DynamicsField(NamedTuple):
    """What one entry of a task does to the dynamics."""

    field: str
    """Field of the MuJoCo model, option of its world, or attribute of another environment."""
    distribution: Distribution
    """Of shape () for one number, (rows,) for one a row, or the shape of all that is changed."""
    names: Sequence[str] | None = None
    """Bodies, geoms, joints, ... to change; by default all."""
    absolute: bool = False
    """Whether the numbers are the new values, instead of multiples of the nominal ones."""


class RandomDynamics(TaskWrapper):
    """Dynamics that the agent has to find out, in any environment.

    In a MuJoCo environment the fields are those of its model (``body_mass``, ``geom_friction``,
    ``dof_damping``, ``actuator_gear``, ...) and of its world (``gravity``, ``wind``, ...).
    Elsewhere they are numeric attributes of the unwrapped environment; constants that it computed
    from them when it was made are not known here, so ``recompute`` has to bring them up to date.

    Nominal values are copied once, so tasks never compound. After each change of the task the
    model's constants are computed anew (``mj_setConst``); the state of the simulation stays.

    Args:
        env: the environment.
        fields: entries of the task by name. A distribution alone multiplies the field of that
            name; a :class:`DynamicsField` says more.
        recompute: called with the unwrapped environment after each change.
        observe_dynamics: whether to append these entries of the task to the observation, in the
            order of ``task_space``, as oracles need it.
        task: the task to start with; by default one from the train part.
    """

    def __init__(
        self,
        env: Env,
        fields: Mapping[str, Distribution | DynamicsField],
        *,
        recompute: Callable[[Any], object] | None = None,
        observe_dynamics: bool = False,
        task: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        RecordConstructorArgs.__init__(
            self,
            fields=fields,
            recompute=recompute,
            observe_dynamics=observe_dynamics,
            task=task,
        )
        _refuse_nesting(env)
        self._recompute = recompute
        self._parameters = parameters_of(env.unwrapped)
        self._changes = [
            _Change(name, _full(name, given), self._parameters) for name, given in fields.items()
        ]
        _refuse_overlap(self._changes)
        self._nominal = {c.field: self._parameters.read(c.field) for c in self._changes}
        parts = {change.name: change.distribution for change in self._changes}
        super().__init__(env, parts, task=task, hide=(), observe=observe_dynamics)

    def _apply(self, task: Task) -> None:
        values = {field: nominal.copy() for field, nominal in self._nominal.items()}
        for change in self._changes:
            change.write(values[change.field], task[change.name])
        for field, value in values.items():
            self._parameters.write(field, value)
        self._parameters.recompute()
        if self._recompute is not None:
            self._recompute(self.unwrapped)

    def _after_reset(self, observation: Any) -> None:
        if not self._parameters.belong_to(self.unwrapped):
            raise ValueError(
                "the environment made a new MuJoCo model in reset; RandomDynamics needs one model "
                "for the environment's lifetime"
            )


class _Change:
    """Which numbers of a field an entry of the task changes, and how."""

    def __init__(self, name: str, spec: DynamicsField, parameters: Parameters) -> None:
        self.name = name
        self.field = spec.field
        self.distribution = spec.distribution
        self._absolute = spec.absolute
        if self.field not in parameters.names:
            known = ", ".join(parameters.names)
            raise ValueError(f"there is no field {self.field!r}; there are {known}")
        nominal = parameters.read(self.field)
        self.rows = self._find(spec.names, parameters, nominal)
        self._check_shape(nominal[self.rows].shape)
        self._check_range()

    def write(self, field: Array, value: NDArray[Any]) -> None:
        """Change the rows of the field's nominal values in place."""
        nominal = field[self.rows]
        value = value.reshape(value.shape + (1,) * (nominal.ndim - value.ndim))
        field[self.rows] = value if self._absolute else nominal * value

    def _find(self, names: Sequence[str] | None, parameters: Parameters, nominal: Array) -> Any:
        if names is None:
            return ...
        known = parameters.row_names(self.field)
        if unknown := sorted(set(names) - set(known)):
            there = ", ".join(sorted({name for name in known if name})) or "none"
            raise ValueError(f"{self.name}: {self.field} has no {unknown}; there are {there}")
        # in the order of ``names``, a joint's degrees of freedom together
        return np.array([i for name in names for i, row in enumerate(known) if row == name])

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        given = self.distribution.space.shape
        if given != shape[: len(given)]:
            fitting = ", ".join(str(shape[:axes]) for axes in range(len(shape) + 1))
            raise ValueError(
                f"{self.name}: the distribution has shape {given}; for {self.field} it must be one "
                f"of {fitting}"
            )

    def _check_range(self) -> None:
        lowest = float(self.distribution.space.low.min())
        what = "a value" if self._absolute else "a multiplier"
        if self.field in POSITIVE and not lowest > 0:
            rule = "above 0"
        elif self.field in NOT_NEGATIVE and not lowest >= 0:
            rule = "at least 0"
        else:
            return
        raise ValueError(f"{self.name}: {what} of {self.field} must be {rule}, got {lowest}")


def _full(name: str, given: Distribution | DynamicsField) -> DynamicsField:
    return given if isinstance(given, DynamicsField) else DynamicsField(name, given)


def _refuse_overlap(changes: Sequence[_Change]) -> None:
    """Two entries that change the same numbers would overwrite one another."""
    for i, change in enumerate(changes):
        for other in changes[:i]:
            if change.field != other.field:
                continue
            everything = change.rows is ... or other.rows is ...
            if everything or np.intersect1d(change.rows, other.rows).size:
                raise ValueError(
                    f"{other.name} and {change.name} change the same numbers of {change.field}"
                )


def _refuse_nesting(env: Env) -> None:
    """The outer one would take the inner one's values for nominal ones."""
    while isinstance(env, gym.Wrapper):
        if isinstance(env, RandomDynamics):
            raise ValueError("give all fields to one RandomDynamics; two compound")
        env = env.env
