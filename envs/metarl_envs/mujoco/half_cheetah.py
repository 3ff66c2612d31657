"""Families of gymnasium's half-cheetah: run there, run that fast.

Time step 0.05 s, six torques in [-1, 1] (6), starts qpos0 + U(-0.1, 0.1) and 0.1 · N(0, 1). Never
terminated. ``physics="maml"`` has the robot, starts and measurements of the authors of MAML, see
:mod:`metarl_envs.mujoco.maml_physics`: 0.01 s a step, 20 observations, rewarded for the velocity of
the centre of mass.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import mujoco

from metarl_envs.mujoco import maml_physics
from metarl_envs.mujoco.family import (
    Array,
    MujocoFamily,
    Physics,
    Robot,
    Step,
    as_it_is,
    choose,
    square_norm,
)
from metarl_envs.mujoco.maml_physics import PhysicsName
from metarl_envs.tasks import Choice, Product, Uniform

HALF_CHEETAH = Robot("half_cheetah.xml", frame_skip=5, noise=0.1, velocity_noise="normal")
CONTROL_COST = 0.05

Layout = Literal["joints", "joints+torso", "joints+centre"]


def joints(physics: Physics) -> list[Array]:
    """All but the root's x, then all velocities: 17 numbers (ProMP)."""
    return [physics.qpos[:, 1:], physics.qvel]


def joints_and_torso(physics: Physics) -> list[Array]:
    """``joints`` and the position of the torso: 20 numbers (PEARL)."""
    x, z = physics.qpos[:, 0], physics.qpos[:, 1] + HALF_CHEETAH.model.body("torso").pos[2]
    xp = physics.xp
    return [*joints(physics), xp.stack([x, xp.zeros_like(x), z], axis=1)]


def joints_and_centre(physics: Physics) -> list[Array]:
    """``joints`` and the centre of mass: 20 numbers (MAML)."""
    return [*joints(physics), maml_physics.centre(physics)]


class CheetahPhysics(NamedTuple):
    """In what simulations of half-cheetahs differ."""

    robot: Robot
    layouts: dict[str, Callable[[Physics], list[Array]]]
    """Observations, the default first."""
    measure: Callable[[Step], Step] = as_it_is
    """The step as rewards see it."""
    derived_fields: tuple[str, ...] = ()
    stage: mujoco.mjtStage = mujoco.mjtStage.mjSTAGE_NONE


PHYSICS = {
    "gymnasium": CheetahPhysics(HALF_CHEETAH, {"joints": joints, "joints+torso": joints_and_torso}),
    "maml": CheetahPhysics(
        maml_physics.HALF_CHEETAH,
        {"joints+centre": joints_and_centre},
        maml_physics.as_authors_measure,
        ("sensordata",),
        mujoco.mjtStage.mjSTAGE_VEL,
    ),
}


def half_cheetah_dir(
    observation: Layout | None = None, physics: PhysicsName = "gymnasium"
) -> MujocoFamily:
    """Run forwards or backwards (Finn et al. 2017; ``half_cheetah_env_rand_direc``).

    * Observation: ``joints``: positions but for x, velocities (17); ``joints+torso``: those and
      the position of the torso (20), as in PEARL's code, which shows x; ``joints+centre``: with
      the centre of mass instead (20), in ``maml`` physics.
    * Action: six torques in [-1, 1].
    * Task: ``direction``, -1 or 1. These are all the tasks there are, so none is held out.
    * Reward: direction · dx/dt - 0.05 ||a||².
    * Ends: never terminated; time limit 100 (ProMP), 200 in MAML's code, PEARL and VariBAD.

    Args:
        observation: ``joints`` or ``joints+torso``; with ``maml`` physics ``joints+centre``.
        physics: ``gymnasium``, or ``maml``, where x is the centre of mass.
    """

    def reward(step: Step) -> Array:
        direction = step.task["direction"]
        return direction * step.velocity - CONTROL_COST * square_norm(step.action)

    return _family(observation, physics, Product({"direction": Choice([-1.0, 1.0])}), reward)


def half_cheetah_vel(
    observation: Layout | None = None,
    velocity_range: tuple[float, float] = (0.0, 2.0),
    physics: PhysicsName = "gymnasium",
) -> MujocoFamily:
    """Run at a velocity (Finn et al. 2017; ``half_cheetah_env_rand``).

    * Observation: as in :func:`half_cheetah_dir`, 17 or 20 numbers.
    * Action: six torques in [-1, 1].
    * Task: ``velocity`` in m/s, uniform over ``velocity_range``.
    * Reward: -|dx/dt - velocity| - 0.05 ||a||².
    * Ends: never terminated; time limit 200 (MAML's code, ProMP, PEARL), 100 in pytorch-maml-rl.

    Args:
        observation: ``joints`` or ``joints+torso``; with ``maml`` physics ``joints+centre``.
        velocity_range: (0, 2) in MAML's code, (0, 3) in ProMP, PEARL and VariBAD.
        physics: ``gymnasium``, or ``maml``, where x is the centre of mass.
    """

    def reward(step: Step) -> Array:
        miss = abs(step.velocity - step.task["velocity"])
        return -miss - CONTROL_COST * square_norm(step.action)

    tasks = Product({"velocity": Uniform(*velocity_range)})
    return _family(observation, physics, tasks, reward)


def _family(
    observation: Layout | None,
    physics: PhysicsName,
    tasks: Product,
    reward: Callable[[Step], Array],
) -> MujocoFamily:
    chosen: CheetahPhysics = choose("physics", physics, PHYSICS)
    layout = next(iter(chosen.layouts)) if observation is None else observation
    return MujocoFamily(
        robot=chosen.robot,
        task_distribution=tasks,
        observe=choose(f"in {physics} physics observation", layout, chosen.layouts),
        reward=lambda step: reward(chosen.measure(step)),
        derived_fields=chosen.derived_fields,
        stage=chosen.stage,
    )
