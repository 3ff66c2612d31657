"""The MAML authors' environments, written out for one robot on MuJoCo's own functions.

As rllab's ``MujocoEnv`` and the four ``*_rand*`` environments do it: ``mj_step``, ``mj_forward``,
what is derived of the state after the step, and momenta of all bodies summed up.
"""

from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from metarl_envs.mujoco.models import ASSETS

Array = NDArray[Any]
TORSO = 1


def authors_model(xml_file: str) -> mujoco.MjModel:
    """Gymnasium's file, changed as text where the authors' differs."""
    text = (ASSETS / xml_file).read_text()
    if xml_file == "ant.xml":
        text = text.replace('timestep="0.01"', 'timestep="0.02"')
        text = text.replace(
            "<geom conaffinity", '<geom solref=".02 1" solimp=".8 .8 .01" conaffinity'
        )
    previous = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda message: None)  # an attribute of half_cheetah.xml is old
    try:
        return mujoco.MjModel.from_xml_string(text)
    finally:
        mujoco.set_mju_user_warning(previous)


class AuthorsRobot:
    """One robot."""

    def __init__(self, xml_file: str) -> None:
        self.model = authors_model(xml_file)
        self.data = mujoco.MjData(self.model)

    def put(self, qpos: Array, qvel: Array) -> None:
        """As their ``reset``: the state, then ``mj_forward``."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:], self.data.qvel[:] = qpos, qvel
        self._forward()

    def step(self, action: Array) -> None:
        """As their ``forward_dynamics``, whose ``frame_skip`` is 1: no file names another."""
        self.data.ctrl[:] = action
        mujoco.mj_step(self.model, self.data)
        self._forward()

    def _forward(self) -> None:
        mujoco.mj_forward(self.model, self.data)
        mujoco.mj_rnePostConstraint(self.model, self.data)  # a part of mj_forward in MuJoCo 1.31

    @property
    def velocity(self) -> Array:
        """Of the centre of mass: Σ m v / Σ m over all bodies, v of each body's own centre."""
        momentum, each = np.zeros(3), np.zeros(6)
        for body in range(self.model.nbody):
            kind = mujoco.mjtObj.mjOBJ_BODY
            mujoco.mj_objectVelocity(self.model, self.data, kind, body, each, 0)
            momentum += self.model.body_mass[body] * each[3:]
        velocity: Array = momentum / self.model.body_mass.sum()
        return velocity

    @property
    def forces(self) -> Array:
        """Contact forces of all bodies within ±1, ``[84]``."""
        forces: Array = np.clip(self.data.cfrc_ext, -1, 1).ravel()
        return forces

    @property
    def observation(self) -> Array:
        """20 numbers of the half-cheetah, 125 of the ant."""
        data = self.data
        centre = data.subtree_com[TORSO]
        if self.model.nq == 9:
            return np.concatenate([data.qpos[1:], data.qvel, centre])
        return np.concatenate([data.qpos, data.qvel, self.forces, data.xmat[TORSO], centre])
