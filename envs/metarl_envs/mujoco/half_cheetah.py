"""Families of gymnasium's half-cheetah: run there, run that fast.

Time step 0.05 s, six torques in [-1, 1] (6), starts qpos0 + U(-0.1, 0.1) and 0.1 · N(0, 1). Never
terminated.
"""

from typing import Literal

from metarl_envs.mujoco.family import Array, MujocoFamily, Physics, Robot, Step, choose, square_norm
from metarl_envs.tasks import Choice, Product, Uniform

HALF_CHEETAH = Robot("half_cheetah.xml", frame_skip=5, noise=0.1, velocity_noise="normal")
CONTROL_COST = 0.05

Layout = Literal["joints", "joints+torso"]


def joints(physics: Physics) -> list[Array]:
    """All but the root's x, then all velocities: 17 numbers (ProMP)."""
    return [physics.qpos[:, 1:], physics.qvel]


def joints_and_torso(physics: Physics) -> list[Array]:
    """``joints`` and the position of the torso: 20 numbers (MAML's code and PEARL)."""
    x, z = physics.qpos[:, 0], physics.qpos[:, 1] + HALF_CHEETAH.model.body("torso").pos[2]
    xp = physics.xp
    return [*joints(physics), xp.stack([x, xp.zeros_like(x), z], axis=1)]


LAYOUTS = {"joints": joints, "joints+torso": joints_and_torso}


def half_cheetah_dir(observation: Layout = "joints") -> MujocoFamily:
    """Run forwards or backwards (Finn et al. 2017; ``half_cheetah_env_rand_direc``).

    * Observation: ``joints``: positions but for x, velocities (17); ``joints+torso``: those and
      the position of the torso (20), as in the code of MAML and PEARL, which shows x.
    * Action: six torques in [-1, 1].
    * Task: ``direction``, -1 or 1. These are all the tasks there are, so none is held out.
    * Reward: direction · dx/dt - 0.05 ||a||².
    * Ends: never terminated; time limit 100 (ProMP), 200 in MAML's code, PEARL and VariBAD.

    Args:
        observation: ``joints`` or ``joints+torso``.
    """

    def reward(step: Step) -> Array:
        direction = step.task["direction"]
        return direction * step.velocity - CONTROL_COST * square_norm(step.action)

    return MujocoFamily(
        robot=HALF_CHEETAH,
        task_distribution=Product({"direction": Choice([-1.0, 1.0])}),
        observe=choose("observation", observation, LAYOUTS),
        reward=reward,
    )


def half_cheetah_vel(
    observation: Layout = "joints", velocity_range: tuple[float, float] = (0.0, 2.0)
) -> MujocoFamily:
    """Run at a velocity (Finn et al. 2017; ``half_cheetah_env_rand``).

    * Observation: as in :func:`half_cheetah_dir`, 17 or 20 numbers.
    * Action: six torques in [-1, 1].
    * Task: ``velocity`` in m/s, uniform over ``velocity_range``.
    * Reward: -|dx/dt - velocity| - 0.05 ||a||².
    * Ends: never terminated; time limit 200 (MAML's code, ProMP, PEARL), 100 in pytorch-maml-rl.

    Args:
        observation: ``joints`` or ``joints+torso``.
        velocity_range: (0, 2) in MAML's code, (0, 3) in ProMP, PEARL and VariBAD.
    """

    def reward(step: Step) -> Array:
        miss = abs(step.velocity - step.task["velocity"])
        return -miss - CONTROL_COST * square_norm(step.action)

    return MujocoFamily(
        robot=HALF_CHEETAH,
        task_distribution=Product({"velocity": Uniform(*velocity_range)}),
        observe=choose("observation", observation, LAYOUTS),
        reward=reward,
    )
