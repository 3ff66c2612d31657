"""What a MuJoCo family declares: a robot, tasks, and functions over whole arrays.

A family is a function that returns a :class:`MujocoFamily`. Its parts get a :class:`Physics` or a
:class:`Step`, whose arrays lead with the environments ``N``, and read like the family's line in
the literature::

    def reward(step: Step) -> Array:
        return step.task["direction"] * step.velocity - 0.05 * square_norm(step.action)

The arrays are NumPy's or tensors of a GPU. Functions that use operators and methods that both have
(``abs(x)``, ``x.clip(low, high)``, ``x.sum(1)``), and for the rest ``physics.xp``, run on both.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from metarl_envs.arrays import Array as Array
from metarl_envs.mujoco.models import ModelEdit, load_model
from metarl_envs.rows import Random
from metarl_envs.tasks import Product, Task

Bools = Array
"""An :data:`Array` of True and False."""


class Robot(NamedTuple):
    """A model and how it is driven and started."""

    xml_file: str
    """A path of an MJCF file, or the name of one of gymnasium's assets."""
    frame_skip: int
    """Simulation steps of one environment step."""
    noise: float
    """Starts add U(-noise, noise) to every position."""
    velocity_noise: Literal["normal", "uniform"]
    """Starts add ``noise`` · N(0, 1), or U(-noise, noise), to every velocity."""
    position_noise: float | None = None
    """Starts add ``position_noise`` · N(0, 1) to every position, in place of U(-noise, noise)."""
    posture: tuple[float, ...] | None = None
    """Positions ``[nq]`` that starts are around; the model's reference positions by default."""
    edit: ModelEdit | None = None
    """Changes what the file describes before it is compiled."""

    @property
    def model(self) -> mujoco.MjModel:
        """The compiled model, shared: never to be written to."""
        return load_model(self.xml_file, self.edit)

    @property
    def start_qpos(self) -> NDArray[np.float64]:
        """Positions ``[nq]`` that starts are around."""
        return self.model.qpos0 if self.posture is None else np.array(self.posture)

    def start(self, rng: Random, num: int, qpos0: Array | None = None) -> tuple[Array, Array]:
        """Start positions ``[num, nq]`` and velocities ``[num, nv]``, as gymnasium draws them.

        Args:
            rng: what to draw from.
            num: how many.
            qpos0: :attr:`start_qpos`, where they have to be arrays like those that ``rng`` draws.
        """
        model, noise = self.model, self.noise
        reference = self.start_qpos if qpos0 is None else qpos0
        if self.position_noise is None:
            qpos = reference + rng.uniform(-noise, noise, (num, model.nq))
        else:
            qpos = reference + self.position_noise * rng.standard_normal((num, model.nq))
        if self.velocity_noise == "normal":
            return qpos, noise * rng.standard_normal((num, model.nv))
        return qpos, rng.uniform(-noise, noise, (num, model.nv))


class Physics(NamedTuple):
    """Live views of all simulations: they change with every step, so copy what is to be kept."""

    qpos: Array
    """Positions, ``[N, nq]``."""
    qvel: Array
    """Velocities, ``[N, nv]``."""
    derived: Mapping[str, Array]
    """The family's ``derived_fields``, ``[N, ...]`` each, of the last simulation step's start.

    That is how ``mj_step`` leaves them, and gymnasium reads them; ``cfrc_ext`` is as
    ``mj_rnePostConstraint`` computes it then, and zero after a reset. A family's ``stage`` makes
    them those of the state itself.
    """
    xp: Any = np
    """Functions of these arrays' library, as the Python array API has them."""


class Step(NamedTuple):
    """What a reward is made of."""

    physics: Physics
    """After the step."""
    velocity: Array
    """Change of the family's ``position`` in the step, per second: ``[N]`` or ``[N, 2]``."""
    action: Array
    """``[N, A]``, not clipped."""
    task: Task
    """The current tasks, ``[N, ...]`` each."""


def forward_position(physics: Physics) -> Array:
    """The root's x, ``[N]``."""
    return physics.qpos[:, 0]


def planar_position(physics: Physics) -> Array:
    """The root's (x, y), ``[N, 2]``."""
    return physics.qpos[:, :2]


def never(physics: Physics) -> Bools:
    """No environment terminates."""
    xp, qpos = physics.xp, physics.qpos
    return xp.zeros(len(qpos), dtype=xp.bool, device=qpos.device)


def no_dynamics(task: Task) -> dict[str, Array]:
    """Every environment has the nominal body."""
    return {}


@dataclass(frozen=True, kw_only=True)
class MujocoFamily:
    """One family of tasks for a robot."""

    robot: Robot
    """Model, frame skip and start noise."""
    task_distribution: Product
    """Where tasks come from."""
    observe: Callable[[Physics], Sequence[Array]]
    """Parts ``[N, ...]`` of the observation, joined in this order."""
    reward: Callable[[Step], Array]
    """Rewards ``[N]``."""
    terminated: Callable[[Physics], Bools] = never
    """Which environments have terminated, ``[N]``."""
    position: Callable[[Physics], Array] = forward_position
    """What ``Step.velocity`` is the change of."""
    dynamics: Callable[[Task], dict[str, Array]] = no_dynamics
    """Values ``[n, ...]`` of model fields in a batch of ``n`` tasks; always NumPy arrays."""
    derived_fields: tuple[str, ...] = ()
    """MjData fields that the functions read from ``Physics.derived``."""
    stage: mujoco.mjtStage = mujoco.mjtStage.mjSTAGE_NONE
    """How far they are computed for the state after a step: ``mjSTAGE_VEL`` what depends on
    positions and velocities, ``mjSTAGE_ACC`` all, as by ``mj_forward``; by default not at all."""

    @property
    def with_contacts(self) -> bool:
        """Whether contact forces are read."""
        return "cfrc_ext" in self.derived_fields

    @property
    def contacts_of_now(self) -> bool:
        """Whether contact forces are read that are of the state after a step."""
        return self.with_contacts and self.stage == mujoco.mjtStage.mjSTAGE_ACC


def square_norm(x: Array) -> Array:
    """||x||² of rows ``[N, ...]``, ``[N]``."""
    return (x.reshape(len(x), -1) ** 2).sum(-1)


def as_it_is(step: Step) -> Step:
    """The step unchanged."""
    return step


def choose(name: str, value: str, options: Mapping[str, Any]) -> Any:
    """The option of that name.

    Raises:
        ValueError: listing the options.
    """
    if value not in options:
        raise ValueError(f"{name} must be one of {', '.join(options)}, got {value!r}")
    return options[value]
