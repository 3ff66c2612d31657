"""The family of gymnasium's humanoid: run in a direction of the plane."""

import numpy as np

from metarl_envs.mujoco.ant import towards
from metarl_envs.mujoco.family import Array, Bools, MujocoFamily, Physics, Robot, Step, square_norm
from metarl_envs.tasks import Product, Uniform

HUMANOID = Robot("humanoid.xml", frame_skip=5, noise=0.01, velocity_noise="uniform")
OBSERVED = ("cinert", "cvel", "qfrc_actuator", "cfrc_ext")
WORLD = 0  # body id: its subtree is the whole robot


def humanoid_dir() -> MujocoFamily:
    """Run in a direction of the plane (ProMP, PEARL and VariBAD; ``humanoid_rand_direc_2d``).

    * Observation: positions but for x and y, velocities, ``cinert``, ``cvel``, ``qfrc_actuator``,
      ``cfrc_ext`` of all bodies: 376 numbers. The last four are those of the last simulation step,
      as in gymnasium's Humanoid-v5 (which leaves out the world's zeros: 348).
    * Action: 17 torques in [-0.4, 0.4]. Time step 0.015 s.
    * Start: qpos0 + U(-0.01, 0.01), velocities U(-0.01, 0.01).
    * Task: ``angle`` of the direction u, uniform over [0, 2π].
    * Reward: 1.25 u · d(centre of mass)/dt - 0.1 ||a||² - min(5e-7 ||forces||², 10) + 5. The
      published 0.25 is divided by the 0.003 s of a simulation step for a displacement over five,
      which is 1.25 times the velocity. The centre of mass is that of the last simulation step.
    * Ends: terminated where the height of the torso leaves [1, 2]; time limit 200.
    """

    def centre_of_mass(physics: Physics) -> Array:
        return physics.derived["subtree_com"][:, WORLD, :2]

    def observe(physics: Physics) -> list[Array]:
        derived = [physics.derived[name] for name in OBSERVED]
        return [physics.qpos[:, 2:], physics.qvel, *derived]

    def reward(step: Step) -> Array:
        forward = 1.25 * (towards(step) * step.velocity).sum(1)
        contact = (5e-7 * square_norm(step.physics.derived["cfrc_ext"])).clip(max=10.0)
        return forward - 0.1 * square_norm(step.action) - contact + 5.0

    def fallen(physics: Physics) -> Bools:
        height = physics.qpos[:, 2]
        return ~((height >= 1.0) & (height <= 2.0))

    return MujocoFamily(
        robot=HUMANOID,
        task_distribution=Product({"angle": Uniform(0.0, 2 * np.pi)}),
        observe=observe,
        reward=reward,
        terminated=fallen,
        position=centre_of_mass,
        derived_fields=(*OBSERVED, "subtree_com"),
    )
