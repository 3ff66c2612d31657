"""Contact forces, which MuJoCo computes only when asked after a step."""

import mujoco
import numpy as np
from mujoco.batch import Batch

from metarl_envs.mujoco.family import Bools


class ContactForces:
    """``cfrc_ext`` of every simulation, as gymnasium computes it: ``mj_rnePostConstraint``.

    Args:
        batch: with ``persistent=True``.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._scratch = mujoco.MjData(batch.model)
        self.values = np.zeros((batch.nsim, batch.model.nbody, 6))

    def compute(self, rows: Bools) -> None:
        """Bring the chosen rows ``[num_envs]`` up to date after a step."""
        # the forces depend on contacts and geometry, not on the masses that may differ
        for row in np.flatnonzero(rows):
            self._batch.get_data(int(row), self._scratch)
            mujoco.mj_rnePostConstraint(self._batch.model, self._scratch)
            self.values[row] = self._scratch.cfrc_ext
