"""Pictures of simulations, by gymnasium's renderer: it reads ``MUJOCO_GL`` when it first draws."""

import mujoco
import numpy as np
from gymnasium.envs.mujoco.mujoco_rendering import MujocoRenderer
from numpy.typing import NDArray

WIDTH, HEIGHT = 480, 320
CAMERA = "track"  # follows the robot; every model of gymnasium's has it


class Painter:
    """Draws states of one model.

    Args:
        model: what to draw.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model = model
        self._data = mujoco.MjData(model)
        self._renderer = MujocoRenderer(
            model, self._data, width=WIDTH, height=HEIGHT, camera_name=CAMERA
        )

    def draw(self, qpos: NDArray[np.float64]) -> NDArray[np.uint8]:
        """The robot in a position ``[nq]``, as ``[height, width, 3]``."""
        self._data.qpos[:] = qpos
        mujoco.mj_forward(self._model, self._data)
        return np.array(self._renderer.render("rgb_array"), np.uint8)

    def close(self) -> None:
        """Give the OpenGL context back."""
        self._renderer.close()  # type: ignore[no-untyped-call]
