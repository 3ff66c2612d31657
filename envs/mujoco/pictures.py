"""Pictures of simulations, drawn without a screen where OpenGL can do that."""

import mujoco
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 480, 320
CAMERA = "track"  # follows the robot; every model of gymnasium's has it


class Painter:
    """Draws states of one model; opens an OpenGL context, so make it when a picture is wanted.

    Args:
        model: what to draw.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model = model
        self._data = mujoco.MjData(model)
        self._renderer = mujoco.Renderer(model, HEIGHT, WIDTH)

    def draw(self, qpos: NDArray[np.float64]) -> NDArray[np.uint8]:
        """The robot in a position ``[nq]``, as ``[height, width, 3]``."""
        self._data.qpos[:] = qpos
        mujoco.mj_forward(self._model, self._data)
        self._renderer.update_scene(self._data, CAMERA)
        return np.array(self._renderer.render(), np.uint8)

    def close(self) -> None:
        """Give the OpenGL context back."""
        self._renderer.close()
