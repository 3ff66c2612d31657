"""Robots that are not ours as task families: ``metarl train maml-trpo --env own_robot:ID``.

Run from this folder; from the root of the repository it is ``--env experiments.own_robot:ID``.
``PendulumDynamics-v0``: a cart-pole with poles, rails and gravities to adapt to.
``SwingUpDynamics-v0``: the classic pendulum, with masses, lengths and gravities to adapt to.
``PusherGoal-v0``: an arm that pushes an object to a goal it has to find out from rewards.
"""

from typing import Any

import gymnasium as gym
import numpy as np

from metarl_envs import DynamicsField, LogUniform, RandomDynamics, RandomGoal, Uniform


def pendulum_dynamics(**options: Any) -> RandomDynamics:
    """InvertedPendulum-v5 with a pole, friction in the joints and a gravity that differ."""
    fields = {
        "pole_mass": DynamicsField("body_mass", LogUniform(-1, 1, base=4), names=["pole"]),
        "pole_inertia": DynamicsField("body_inertia", LogUniform(-1, 1, base=4), names=["pole"]),
        "dof_damping": LogUniform([-1, -1], 1, base=3),
        "gravity": Uniform(0.5, 1.5),
    }
    return RandomDynamics(gym.make("InvertedPendulum-v5", **options), fields)


def swing_up_dynamics(**options: Any) -> RandomDynamics:
    """Pendulum-v1 with a mass, a length and a gravity that differ: attributes, not a model's."""
    fields = {
        "m": LogUniform(-1, 1, base=2),
        "l": LogUniform(-1, 1, base=1.3),
        "g": Uniform(0.8, 1.2),
    }
    return RandomDynamics(gym.make("Pendulum-v1", **options), fields)


def pusher_goal(**options: Any) -> RandomGoal:
    """Pusher-v5 with a goal that differs and is not in the observation."""

    def set_goal(robot: Any, goal: np.ndarray) -> None:
        robot.model.body("goal").pos[:2] = goal

    goals = Uniform([0.3, -0.4], [0.6, 0.1])
    env = gym.make("Pusher-v5", **options)
    return RandomGoal(env, goals, set_goal=set_goal, hide=range(20, 23))


gym.register("PendulumDynamics-v0", entry_point=pendulum_dynamics, max_episode_steps=100)
gym.register("SwingUpDynamics-v0", entry_point=swing_up_dynamics, max_episode_steps=200)
gym.register("PusherGoal-v0", entry_point=pusher_goal, max_episode_steps=100)
