"""An arm that is to find a place with a payload it has to feel: a robot of one's own, batched.

Any MJCF file becomes a family by such a declaration; this one's is ``arm.xml``. From this folder:
``metarl train maml-trpo --env own_arm:ArmReach-v0 --inner-lr 0.1``; the option ``heaviest`` is
``--env-kwargs '{"heaviest": 4}'``.
"""

from pathlib import Path

import numpy as np

from metarl_envs import LogUniform, Product, Task, Uniform, mujoco

ARM = mujoco.Robot(
    str(Path(__file__).with_name("arm.xml")), frame_skip=4, noise=0.1, velocity_noise="uniform"
)


def arm_reach(heaviest: float = 2.0) -> mujoco.MujocoFamily:
    """Bring the hand to a place: 9 numbers seen, three torques in [-1, 1], steps of 0.04 s."""
    model = ARM.model
    hand, mass, inertia = model.body("hand").id, model.body_mass.copy(), model.body_inertia.copy()

    def tip(physics: mujoco.Physics) -> mujoco.Array:
        return physics.derived["site_xpos"][:, model.site("tip").id]

    def reward(step: mujoco.Step) -> mujoco.Array:
        miss = mujoco.square_norm(tip(step.physics) - step.task["goal"]) ** 0.5
        return -miss - 0.01 * mujoco.square_norm(step.action)

    def dynamics(task: Task) -> dict[str, mujoco.Array]:
        times = np.ones((len(task["payload"]), model.nbody))
        times[:, hand] = task["payload"]
        return {"body_mass": mass * times, "body_inertia": inertia * times[..., None]}

    goals = Uniform([0.2, -0.3, 0.1], [0.4, 0.3, 0.5])
    return mujoco.MujocoFamily(
        robot=ARM,
        task_distribution=Product({"goal": goals, "payload": LogUniform(-1, 1, base=heaviest)}),
        observe=lambda physics: [physics.qpos, physics.qvel, tip(physics)],
        reward=reward,
        dynamics=dynamics,
        derived_fields=("site_xpos",),
    )


mujoco.register("ArmReach-v0", arm_reach, max_episode_steps=50)
