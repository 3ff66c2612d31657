"""Families whose bodies change: masses, inertias, damping and friction of every part.

After ``rand_param_envs`` (``base.py``). A task holds, for each randomised model field, a multiplier
of every element of its nominal values: 1.5 ** U(-L, L), and 1.3 ** U(-L, L) for damping, L = 3.
The frame skip is 4 for walker and hopper, as it always was in that code. ``fields`` takes other
fields of the model just as well, ``opt.gravity`` or ``actuator_gear``.

Where the published code is wrong or old, ours differs: nominal values are kept, so that
randomisation does not compound from task to task; the constants that depend on masses are computed
anew (``mj_setConst``), which MuJoCo 1.31 did not do and which changes trajectories.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from metarl_envs.mujoco.ant import ANT, fallen
from metarl_envs.mujoco.ant import joints as ant_joints
from metarl_envs.mujoco.family import Array, Bools, MujocoFamily, Physics, Robot, Step, square_norm
from metarl_envs.mujoco.half_cheetah import CONTROL_COST, HALF_CHEETAH
from metarl_envs.mujoco.half_cheetah import joints as cheetah_joints
from metarl_envs.mujoco.models import check_fields, nominal
from metarl_envs.tasks import LogUniform, Product, Task

WALKER = Robot("walker2d.xml", frame_skip=4, noise=0.005, velocity_noise="uniform")
HOPPER = Robot("hopper.xml", frame_skip=4, noise=0.005, velocity_noise="uniform")

FIELDS = ("body_mass", "body_inertia", "geom_friction", "dof_damping")
BASES = {"dof_damping": 1.3}
BASE = 1.5


class Bodies(NamedTuple):
    """A distribution of bodies and what it means for the model."""

    task_distribution: Product
    """Multipliers by model field."""
    dynamics: Callable[[Task], dict[str, Array]]
    """Model fields of a batch of tasks."""


def random_bodies(robot: Robot, fields: tuple[str, ...], log_scale_limit: float) -> Bodies:
    """Multipliers of every element of the fields, ``base ** U(-limit, limit)``.

    Raises:
        ValueError: for a field that the model does not have, listing those it has, or a limit that
            is not positive.
    """
    if not 0 < log_scale_limit < np.inf:
        raise ValueError(f"log_scale_limit must be finite and above 0, got {log_scale_limit}")
    if not fields:
        raise ValueError("fields must name at least one model field")
    check_fields(robot.model, fields)
    values = {name: nominal(robot.model, name) for name in fields}

    def multiplier(name: str) -> LogUniform:
        lowest = np.full(values[name].shape, -float(log_scale_limit))
        return LogUniform(lowest, log_scale_limit, BASES.get(name, BASE))

    def dynamics(task: Task) -> dict[str, Array]:
        return {name: values[name] * task[name] for name in values}

    return Bodies(Product({name: multiplier(name) for name in values}), dynamics)


def joints_clipped(physics: Physics) -> list[Array]:
    """All but the root's x, then all velocities clipped to ±10."""
    return [physics.qpos[:, 1:], physics.qvel.clip(-10.0, 10.0)]


def run_and_stay_up(step: Step) -> Array:
    """dx/dt + 1 - 0.001 ||a||²."""
    return step.velocity + 1.0 - 0.001 * square_norm(step.action)


def walker_2d_rand_params(
    fields: tuple[str, ...] = FIELDS, log_scale_limit: float = 3.0
) -> MujocoFamily:
    """A walker with a body of its own, running forwards.

    * Observation: positions but for x, velocities clipped to ±10: 17 numbers.
    * Action: six torques in [-1, 1]. Time step 0.008 s. The model is gymnasium's v4, whose foot
      frictions are the published ones.
    * Start: qpos0 + U(-0.005, 0.005), velocities U(-0.005, 0.005).
    * Task: multipliers by model field, as the module says.
    * Reward: dx/dt + 1 - 0.001 ||a||².
    * Ends: terminated where the height leaves (0.8, 2) or the torso's angle (-1, 1); time limit
      200.

    Args:
        fields: the randomised model fields; an unknown one is answered with the list.
        log_scale_limit: L.
    """
    bodies = random_bodies(WALKER, fields, log_scale_limit)

    def terminated(physics: Physics) -> Bools:
        height, angle = physics.qpos[:, 1], physics.qpos[:, 2]
        return ~((height > 0.8) & (height < 2.0) & (abs(angle) < 1.0))

    return MujocoFamily(
        robot=WALKER,
        task_distribution=bodies.task_distribution,
        observe=joints_clipped,
        reward=run_and_stay_up,
        terminated=terminated,
        dynamics=bodies.dynamics,
    )


def hopper_rand_params(
    fields: tuple[str, ...] = FIELDS, log_scale_limit: float = 3.0
) -> MujocoFamily:
    """A hopper with a body of its own, hopping forwards.

    * Observation: positions but for x, velocities clipped to ±10: 11 numbers.
    * Action: three torques in [-1, 1]. Time step 0.008 s.
    * Start, task, reward: as in :func:`walker_2d_rand_params`.
    * Ends: terminated where the height is at most 0.7, the torso's angle leaves (-0.2, 0.2) or
      any angle or velocity (-100, 100); time limit 200.

    Args:
        fields: the randomised model fields.
        log_scale_limit: L.
    """
    bodies = random_bodies(HOPPER, fields, log_scale_limit)

    def terminated(physics: Physics) -> Bools:
        height, angle = physics.qpos[:, 1], physics.qpos[:, 2]
        calm = (abs(physics.qpos[:, 2:]) < 100).all(1) & (abs(physics.qvel) < 100).all(1)
        return ~(calm & (height > 0.7) & (abs(angle) < 0.2))

    return MujocoFamily(
        robot=HOPPER,
        task_distribution=bodies.task_distribution,
        observe=joints_clipped,
        reward=run_and_stay_up,
        terminated=terminated,
        dynamics=bodies.dynamics,
    )


def half_cheetah_rand_params(
    fields: tuple[str, ...] = FIELDS, log_scale_limit: float = 3.0
) -> MujocoFamily:
    """A half-cheetah with a body of its own, running forwards.

    * Observation, action, start: as in :func:`metarl_envs.mujoco.half_cheetah.half_cheetah_dir`, 17
      numbers.
    * Task: multipliers by model field, as the module says.
    * Reward: dx/dt - 0.05 ||a||².
    * Ends: never terminated; time limit 200.

    Args:
        fields: the randomised model fields.
        log_scale_limit: L.
    """
    bodies = random_bodies(HALF_CHEETAH, fields, log_scale_limit)

    def reward(step: Step) -> Array:
        return step.velocity - CONTROL_COST * square_norm(step.action)

    return MujocoFamily(
        robot=HALF_CHEETAH,
        task_distribution=bodies.task_distribution,
        observe=cheetah_joints,
        reward=reward,
        dynamics=bodies.dynamics,
    )


def ant_rand_params(fields: tuple[str, ...] = FIELDS, log_scale_limit: float = 3.0) -> MujocoFamily:
    """An ant with a body of its own, running along x.

    * Observation: positions but for x and y, velocities: 27 numbers.
    * Action, start: as in :func:`metarl_envs.mujoco.ant.ant_dir`.
    * Task: multipliers by model field, as the module says.
    * Reward: dx/dt - 0.5 ||a||² + 1, without a cost of contacts, so that it runs at full speed.
    * Ends: terminated where the height of the torso leaves [0.2, 1]; time limit 200.

    Args:
        fields: the randomised model fields.
        log_scale_limit: L.
    """
    bodies = random_bodies(ANT, fields, log_scale_limit)

    def reward(step: Step) -> Array:
        return step.velocity - 0.5 * square_norm(step.action) + 1.0

    return MujocoFamily(
        robot=ANT,
        task_distribution=bodies.task_distribution,
        observe=ant_joints,
        reward=reward,
        terminated=fallen(0.2),
        dynamics=bodies.dynamics,
    )
