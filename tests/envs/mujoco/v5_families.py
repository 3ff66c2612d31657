"""Gymnasium's v5 environments as declarations for our engine, sum for sum in the same order.

Their one task sets model fields to given values, so that parity can be tested with other bodies.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from gymnasium import spaces

from metarl_envs.mujoco.ant import ANT
from metarl_envs.mujoco.family import (
    Array,
    Bools,
    MujocoFamily,
    Physics,
    Robot,
    Step,
    forward_position,
    never,
    no_dynamics,
    square_norm,
)
from metarl_envs.mujoco.half_cheetah import HALF_CHEETAH
from metarl_envs.mujoco.models import nominal
from metarl_envs.mujoco.rand_params import HOPPER
from metarl_envs.tasks import Choice, Product, Task

FIELDS = ("body_mass", "body_inertia", "geom_friction", "dof_damping", "opt.gravity")
WALKER_V5 = Robot("walker2d_v5.xml", frame_skip=4, noise=0.005, velocity_noise="uniform")


class V5(NamedTuple):
    """One of gymnasium's environments: its own options, and our declaration."""

    env_id: str
    options: dict[str, bool | float]
    robot: Robot
    observe: Callable[[Physics], list[Array]]
    reward: Callable[[Step], Array]
    terminated: Callable[[Physics], Bools] = never
    position: Callable[[Physics], Array] = forward_position
    derived_fields: tuple[str, ...] = ()

    def family(self, scaled: bool) -> MujocoFamily:
        """Nominal, or with a task that multiplies every element of ``FIELDS``."""
        values = {name: nominal(self.robot.model, name) for name in FIELDS}
        anything = {n: spaces.Box(0.0, 9.0, v.shape, np.float64) for n, v in values.items()}
        one = {name: Choice([np.ones(v.shape)], space=anything[name]) for name, v in values.items()}

        def scale(task: Task) -> dict[str, Array]:
            return {name: values[name] * task[name] for name in values}

        return MujocoFamily(
            robot=self.robot,
            task_distribution=Product(one if scaled else {"nothing": Choice([0.0])}),
            observe=self.observe,
            reward=self.reward,
            terminated=self.terminated,
            position=self.position,
            dynamics=scale if scaled else no_dynamics,
            derived_fields=self.derived_fields,
        )


def cheetah_observation(physics: Physics) -> list[Array]:
    return [physics.qpos[:, 1:], physics.qvel]


def cheetah_reward(step: Step) -> Array:
    return step.velocity - 0.1 * square_norm(step.action)


def clipped_observation(physics: Physics) -> list[Array]:
    return [physics.qpos[:, 1:], np.clip(physics.qvel, -10, 10)]


def hopper_healthy(physics: Physics) -> Bools:
    z, angle = physics.qpos[:, 1], physics.qpos[:, 2]
    state = np.concatenate([physics.qpos, physics.qvel], axis=1)[:, 2:]
    calm = ((state > -100) & (state < 100)).all(1)
    return calm & (z > 0.7) & (angle > -0.2) & (angle < 0.2)


def walker_healthy(physics: Physics) -> Bools:
    z, angle = physics.qpos[:, 1], physics.qpos[:, 2]
    return (z > 0.8) & (z < 2.0) & (angle > -1.0) & (angle < 1.0)


def ant_healthy(physics: Physics) -> Bools:
    z = physics.qpos[:, 2]
    return (z >= 0.2) & (z <= 1.0)


def forces(physics: Physics) -> Array:
    return np.clip(physics.derived["cfrc_ext"], -1, 1)


def torso(physics: Physics) -> Array:
    return physics.derived["xpos"][:, 1, 0]


def ant_observation(physics: Physics) -> list[Array]:
    return [physics.qpos[:, 2:], physics.qvel]


def ant_observation_with_forces(physics: Physics) -> list[Array]:
    return [*ant_observation(physics), forces(physics)[:, 1:]]


def ant_reward(step: Step) -> Array:
    return (step.velocity + ant_healthy(step.physics)) - 0.5 * square_norm(step.action)


def ant_reward_with_forces(step: Step) -> Array:
    costs = 0.5 * square_norm(step.action) + 5e-4 * square_norm(forces(step.physics))
    return (step.velocity + ant_healthy(step.physics)) - costs


def unhealthy(healthy: Callable[[Physics], Bools]) -> Callable[[Physics], Bools]:
    return lambda physics: ~healthy(physics)


def survive(healthy: Callable[[Physics], Bools]) -> Callable[[Step], Array]:
    """Forward velocity, 1 while healthy, and a small cost of control."""

    def reward(step: Step) -> Array:
        return (step.velocity + healthy(step.physics)) - 1e-3 * square_norm(step.action)

    return reward


V5_FAMILIES = {
    "HalfCheetah": V5("HalfCheetah-v5", {}, HALF_CHEETAH, cheetah_observation, cheetah_reward),
    "Hopper": V5(
        "Hopper-v5",
        {},
        HOPPER,
        clipped_observation,
        survive(hopper_healthy),
        unhealthy(hopper_healthy),
    ),
    "Walker2d": V5(
        "Walker2d-v5",
        {},
        WALKER_V5,
        clipped_observation,
        survive(walker_healthy),
        unhealthy(walker_healthy),
    ),
    "Ant": V5(
        "Ant-v5",
        {"include_cfrc_ext_in_observation": False, "contact_cost_weight": 0.0},
        ANT,
        ant_observation,
        ant_reward,
        unhealthy(ant_healthy),
        torso,
        ("xpos",),
    ),
    "Ant with contact forces": V5(
        "Ant-v5",
        {},
        ANT,
        ant_observation_with_forces,
        ant_reward_with_forces,
        unhealthy(ant_healthy),
        torso,
        ("xpos", "cfrc_ext"),
    ),
}
