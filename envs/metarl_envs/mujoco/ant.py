"""Families of gymnasium's ant: run that way, run that fast, go there.

Time step 0.05 s, eight torques in [-1, 1], starts qpos0 + U(-0.1, 0.1) and 0.1 · N(0, 1). What the
papers' codes do differently from one another is an :class:`AntStyle`, by the name of the paper.
``physics="maml"`` has the ant, starts and measurements of the authors of MAML, see
:mod:`metarl_envs.mujoco.maml_physics`: 0.02 s a step, softer contacts, rewarded for the velocity of
the centre of mass.

Two defects of published environments are not copied: velocities and positions are those of the
root's ``qpos``, where ``get_body_com`` lags by a simulation step and makes the first reward after
a reset too small; and contact forces are computed (``mj_rnePostConstraint``), where MuJoCo 2 left
them at zero. The contact forces and the torso's rotation in observations are those of the last
simulation step, as in gymnasium's Ant-v5; with ``physics="maml"`` those of the state itself.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, NamedTuple

import mujoco
import numpy as np

from metarl_envs.mujoco import maml_physics
from metarl_envs.mujoco.family import (
    Array,
    Bools,
    MujocoFamily,
    Physics,
    Robot,
    Step,
    as_it_is,
    choose,
    planar_position,
    square_norm,
)
from metarl_envs.mujoco.maml_physics import PhysicsName
from metarl_envs.tasks import Choice, Disk, Distribution, Product, Uniform

ANT = Robot("ant.xml", frame_skip=5, noise=0.1, velocity_noise="normal")
CONTACT_COST = 0.0005
TORSO = 1  # its body id


def contact_forces(physics: Physics) -> Array:
    """External forces on all bodies, clipped to ±1, ``[N, 84]``."""
    forces = physics.derived["cfrc_ext"]
    return forces.clip(-1.0, 1.0).reshape(len(forces), -1)


def joints(physics: Physics) -> list[Array]:
    """All but the root's x and y, then all velocities: 27 numbers (PEARL)."""
    return [physics.qpos[:, 2:], physics.qvel]


def joints_and_contacts(physics: Physics) -> list[Array]:
    """``joints`` and contact forces: 111 numbers (ProMP)."""
    return [*joints(physics), contact_forces(physics)]


def joints_contacts_and_torso(physics: Physics) -> list[Array]:
    """Everything, with the rotation matrix and position of the torso: 125 numbers (MAML)."""
    state = state_and_contacts(physics)
    return [*state, physics.derived["xmat"][:, TORSO], physics.qpos[:, :3]]


def joints_contacts_and_centre(physics: Physics) -> list[Array]:
    """The same with the robot's centre of mass in place of the torso's position: 125 numbers."""
    state = state_and_contacts(physics)
    return [*state, physics.derived["xmat"][:, TORSO], maml_physics.centre(physics)]


def state_and_contacts(physics: Physics) -> list[Array]:
    """All positions, velocities and contact forces: 113 numbers (goals)."""
    return [physics.qpos, physics.qvel, contact_forces(physics)]


class AntStyle(NamedTuple):
    """Numbers in which the papers' ants differ."""

    observe: Callable[[Physics], list[Array]]
    fields: tuple[str, ...]
    """Derived fields of the observation."""
    control_cost: float
    alive: float
    """Reward of every step."""
    lowest: float
    """Terminated where the torso's height leaves [lowest, 1]."""


STYLES = {
    "maml": AntStyle(joints_contacts_and_torso, ("xmat", "cfrc_ext"), 0.005, 0.05, 0.2),
    "promp": AntStyle(joints_and_contacts, ("cfrc_ext",), 0.5, 1.0, 0.0),
    "pearl": AntStyle(joints, (), 0.5, 1.0, 0.2),
}
Style = Literal["maml", "promp", "pearl"]


class AntPhysics(NamedTuple):
    """In what simulations of ants differ."""

    robot: Robot
    styles: dict[str, AntStyle]
    measure: Callable[[Step], Step] = as_it_is
    """The step as rewards see it."""
    stage: mujoco.mjtStage = mujoco.mjtStage.mjSTAGE_NONE


PHYSICS = {
    "gymnasium": AntPhysics(ANT, STYLES),
    "maml": AntPhysics(
        maml_physics.ANT,
        {
            "maml": STYLES["maml"]._replace(
                observe=joints_contacts_and_centre, fields=("xmat", "cfrc_ext", "sensordata")
            )
        },
        maml_physics.as_authors_measure,
        mujoco.mjtStage.mjSTAGE_ACC,
    ),
}


def fallen(lowest: float) -> Callable[[Physics], Bools]:
    """Terminates where the torso's height leaves [lowest, 1]."""

    def outside(physics: Physics) -> Bools:
        height = physics.qpos[:, 2]
        return ~((height >= lowest) & (height <= 1.0))

    return outside


def contact_penalty(physics: Physics, weight: float) -> Array | float:
    """Cost ``weight`` · ||clip(forces)||²; forces that cost nothing are not read."""
    return weight * square_norm(contact_forces(physics)) if weight else 0.0


def _fields(observed: tuple[str, ...], contact_cost: float) -> tuple[str, ...]:
    contacts = {"cfrc_ext"} if contact_cost else set()
    return tuple(sorted(set(observed) | contacts))


def towards(step: Step) -> Array:
    """(cos, sin) of the tasks' ``angle``, ``[N, 2]``."""
    xp, angle = step.physics.xp, step.task["angle"]
    return xp.stack([xp.cos(angle), xp.sin(angle)], axis=1)


def ant_dir(
    dimensions: Literal[1, 2] = 1,
    style: Style = "maml",
    contact_cost: float = CONTACT_COST,
    physics: PhysicsName = "gymnasium",
) -> MujocoFamily:
    """Run in a direction, of the line or of the plane.

    * Observation: ``maml`` 125 numbers (positions, velocities, contact forces clipped to ±1, the
      torso's rotation matrix and position), ``promp`` 111 (positions but for x and y, velocities,
      contact forces), ``pearl`` 27 (``promp`` without contact forces).
    * Action: eight torques in [-1, 1].
    * Task: 1-D: ``direction``, -1 or 1, which are all the tasks there are, none held out. 2-D:
      ``angle`` uniform over [0, 2π]. (VariBAD's code takes ±1 for angles in radians, so its
      directions are 115° apart; here they are opposite.)
    * Reward: direction · dx/dt, or (cos, sin)(angle) · dxy/dt, minus w ||a||² minus
      ``contact_cost`` · ||clip(forces)||² plus b; (w, b) = (0.005, 0.05) ``maml``, else (0.5, 1).
    * Ends: terminated where the height of the torso leaves [0.2, 1] (``promp``: [0, 1]); time
      limit 200, in pytorch-maml-rl 100.

    Args:
        dimensions: 1 or 2.
        style: ``maml``, ``promp`` or ``pearl``.
        contact_cost: weight of contact forces; ``pearl`` without it (0) is a third faster.
        physics: ``gymnasium``, or ``maml``, where xy is the centre of mass and ``style`` ``maml``.
    """
    tasks: dict[str, Distribution]
    if dimensions == 1:
        tasks = {"direction": Choice([-1.0, 1.0])}
    elif dimensions == 2:
        tasks = {"angle": Uniform(0.0, 2 * np.pi)}
    else:
        raise ValueError(f"dimensions must be 1 or 2, got {dimensions!r}")

    def progress(step: Step) -> Array:
        if dimensions == 1:
            return step.task["direction"] * step.velocity[:, 0]
        return (towards(step) * step.velocity).sum(1)

    family = _runner(physics, style, contact_cost, Product(tasks), progress)
    return replace(family, position=planar_position)


def ant_vel(
    style: Style = "maml",
    velocity_range: tuple[float, float] = (0.0, 3.0),
    contact_cost: float = CONTACT_COST,
    physics: PhysicsName = "gymnasium",
) -> MujocoFamily:
    """Run at a velocity along x (Finn et al. 2017; ``ant_env_rand``).

    * Observation, action: as in :func:`ant_dir`; 125 numbers in MAML's code.
    * Task: ``velocity`` in m/s, uniform over ``velocity_range``.
    * Reward: 1 - |dx/dt - velocity| - w ||a||² - ``contact_cost`` · ||clip(forces)||² + b, with
      w and b as in :func:`ant_dir`.
    * Ends: as in :func:`ant_dir`; time limit 200, in pytorch-maml-rl 100.

    Args:
        style: ``maml``, ``promp`` or ``pearl``.
        velocity_range: lowest and highest velocity.
        contact_cost: weight of contact forces.
        physics: as in :func:`ant_dir`.
    """

    def match(step: Step) -> Array:
        return 1.0 - abs(step.velocity - step.task["velocity"])

    tasks = Product({"velocity": Uniform(*velocity_range)})
    return _runner(physics, style, contact_cost, tasks, match)


def _runner(
    physics: PhysicsName,
    style: Style,
    contact_cost: float,
    tasks: Product,
    gain: Callable[[Step], Array],
) -> MujocoFamily:
    """An ant that is to run: what it gains minus what that costs."""
    simulated: AntPhysics = choose("physics", physics, PHYSICS)
    chosen: AntStyle = choose(f"in {physics} physics style", style, simulated.styles)

    def reward(step: Step) -> Array:
        step = simulated.measure(step)
        cost = chosen.control_cost * square_norm(step.action)
        contact = contact_penalty(step.physics, contact_cost)
        return gain(step) - cost - contact + chosen.alive

    return MujocoFamily(
        robot=simulated.robot,
        task_distribution=tasks,
        observe=chosen.observe,
        reward=reward,
        terminated=fallen(chosen.lowest),
        derived_fields=_fields(chosen.fields, contact_cost),
        stage=simulated.stage,
    )


def ant_goal(radius: float = 3.0, contact_cost: float = CONTACT_COST) -> MujocoFamily:
    """Go to a point of the disk (Rothfuss et al. 2019; Rakelly et al. 2019).

    * Observation: positions, velocities, contact forces clipped to ±1: 113 numbers.
    * Action: eight torques in [-1, 1].
    * Task: ``goal``, uniform over the disk of ``radius`` around the start. Any goal of the square
      around the disk can be given.
    * Reward: -||xy - goal||₁ - 0.1 ||a||² - ``contact_cost`` · ||clip(forces)||².
    * Ends: never terminated; time limit 200.

    Args:
        radius: of the disk, in metres.
        contact_cost: weight of contact forces.
    """

    def reward(step: Step) -> Array:
        gap = abs(step.physics.qpos[:, :2] - step.task["goal"]).sum(1)
        contact = contact_penalty(step.physics, contact_cost)
        return -gap - 0.1 * square_norm(step.action) - contact

    return MujocoFamily(
        robot=ANT,
        task_distribution=Product({"goal": Disk(radius)}),
        observe=state_and_contacts,
        reward=reward,
        derived_fields=("cfrc_ext",),
    )
