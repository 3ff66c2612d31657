"""Half-cheetah and ant as the authors of MAML simulate them (Finn et al. 2017; cbfinn/maml_rl).

In that code (rllab's ``MujocoEnv`` and ``vendor/mujoco_models``), unlike in gymnasium:

* one simulation step is one environment step: 0.01 s of the half-cheetah, 0.02 s of the ant;
* starts are q + 0.01 · N(0, 1) and 0.1 · N(0, 1), where q is the model's reference, or the
  ``init_qpos`` that the ant's file names: legs bent, feet on the ground;
* ``mj_forward`` follows every step, so that all that is derived is of the state after it;
* speed is that of the centre of mass of the torso's subtree, which is the whole robot, and that
  centre is observed;
* torques cost what is left of them within their bounds;
* contacts of the ant are softer (``solimp`` .8 .8 .01).

What remains different is MuJoCo itself, which was 1.31.
"""

from typing import Literal

import mujoco

from metarl_envs.mujoco.family import Array, Physics, Robot, Step

PhysicsName = Literal["gymnasium", "maml"]
"""Whose physics a family has."""

_CENTRE = (mujoco.mjtSensor.mjSENS_SUBTREECOM, mujoco.mjtSensor.mjSENS_SUBTREELINVEL)


def observe_centre(spec: mujoco.MjSpec) -> None:
    """``sensordata`` becomes position and velocity of the robot's centre of mass, 3 and 3."""
    for kind in _CENTRE:
        spec.add_sensor(
            name=kind.name, type=kind, objtype=mujoco.mjtObj.mjOBJ_BODY, objname="torso"
        )


def soften_ant(spec: mujoco.MjSpec) -> None:
    """The authors' ``ant.xml``, from gymnasium's: what differs is the clock and the contacts."""
    observe_centre(spec)
    spec.option.timestep = 0.02
    for geom in spec.geoms:
        geom.solimp[:3] = 0.8, 0.8, 0.01


HALF_CHEETAH = Robot(
    "half_cheetah.xml",
    frame_skip=1,
    noise=0.1,
    velocity_noise="normal",
    position_noise=0.01,
    edit=observe_centre,
)
ANT = Robot(
    "ant.xml",
    frame_skip=1,
    noise=0.1,
    velocity_noise="normal",
    position_noise=0.01,
    posture=(0.0, 0.0, 0.55, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0, -1.0, 0.0, 1.0),
    edit=soften_ant,
)


def centre(physics: Physics) -> Array:
    """Where the robot's centre of mass is, ``[N, 3]``."""
    return physics.derived["sensordata"][:, :3]


def as_authors_measure(step: Step) -> Step:
    """The step with the velocity of the centre of mass, and actions within [-1, 1]."""
    velocity = step.physics.derived["sensordata"][:, 3:]
    along = velocity[:, 0] if step.velocity.ndim == 1 else velocity[:, :2]
    return step._replace(velocity=along, action=step.action.clip(-1.0, 1.0))
