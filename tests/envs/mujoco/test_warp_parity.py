"""One environment step of Warp's engine is that of the C engine, with everyone's own body."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import warp as wp
from engines import CPU, CUDA, FAMILIES, actions_of, make_pair, put, wander
from numpy.typing import NDArray
from torch import Tensor

from metarl_envs.arrays import Arrays
from metarl_envs.mujoco.engine import MujocoVectorEnv
from metarl_envs.mujoco.warp.env import WarpEnv

NUM = 100
CONSTANTS = ("body_subtreemass", "body_invweight0", "dof_invweight0", "actuator_acc0")
ON_CUDA = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA here"),
]
EACH = [
    *(pytest.param(name, CPU, marks=pytest.mark.warp, id=f"{name}-cpu") for name in FAMILIES),
    *(pytest.param(name, CUDA, marks=ON_CUDA, id=f"{name}-cuda") for name in FAMILIES),
]


def close(ours: Tensor, theirs: NDArray[Any], atol: float, rtol: float = 0.0) -> None:
    np.testing.assert_allclose(ours.cpu().numpy(), theirs, rtol=rtol, atol=atol)


def compare_a_step(c: MujocoVectorEnv, warp: WarpEnv) -> None:
    """One environment step from states of random steps, some of them about to end."""
    put(c, warp, *wander(c))
    # forces of a state itself are solved for
    close(warp.observations, c._observe(), 1e-4 if c.family.contacts_of_now else 1e-5)
    actions = actions_of(c, 1)[0]
    observations, rewards, terminated, _, info = c.step(actions)
    warp.step(torch.from_numpy(actions).to(warp.device))
    warp.check()
    close(warp.physics.views.qpos, c.physics.qpos, 2e-5)
    close(warp.physics.views.qvel, c.physics.qvel, 1e-3)
    close(warp.observations, observations, 2e-2, rtol=1e-3)  # forces of thousands of newtons
    close(warp.rewards, rewards, 1e-3)
    assert warp.terminated.tolist() == terminated.tolist()
    assert not warp.diverged.any()
    assert not info["diverged"].any()


def compare_constants(c: MujocoVectorEnv, warp: WarpEnv) -> None:
    """What MuJoCo computes from masses and inertias (``mj_setConst``), in every world."""
    for field in CONSTANTS:
        theirs = np.array(c.batch.expand(field))
        ours = wp.to_torch(getattr(warp.physics.model, field)).reshape(theirs.shape)
        assert len(np.unique(theirs, axis=0)) == c.num_envs
        close(ours, theirs, 1e-12, rtol=1e-4)


@pytest.mark.parametrize(("name", "arrays"), EACH)
def test_a_step_is_the_c_engines(name: str, arrays: Arrays, tmp_path: Path) -> None:
    c, warp = make_pair(FAMILIES[name](tmp_path), NUM, arrays)
    compare_constants(c, warp)
    compare_a_step(c, warp)
    assert int((wp.to_torch(warp.physics.data.nefc) > 0).sum()) >= NUM // 4, "few touch the ground"
