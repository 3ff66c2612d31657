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

NUM = 100
CONSTANTS = ("body_subtreemass", "body_invweight0", "dof_invweight0", "actuator_acc0")
IN_WARP = [pytest.param(n, CPU, marks=pytest.mark.warp) for n in FAMILIES if n != "hopper"]
ON_CUDA = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA here"),
]
EACH = pytest.mark.parametrize(
    ("name", "arrays"),
    [("hopper", CPU), *IN_WARP, *(pytest.param(n, CUDA, marks=ON_CUDA) for n in FAMILIES)],
    ids=lambda value: value if isinstance(value, str) else str(value.device),
)


def close(ours: Tensor, theirs: NDArray[Any], atol: float, rtol: float = 0.0) -> None:
    np.testing.assert_allclose(ours.cpu().numpy(), theirs, rtol=rtol, atol=atol)


@EACH
def test_a_step_is_the_c_engines(name: str, arrays: Arrays, tmp_path: Path) -> None:
    """From 100 states of random steps, some of them about to end, most of them in contact."""
    c, warp = make_pair(FAMILIES[name](tmp_path), NUM, arrays)
    put(c, warp, *wander(c))
    close(warp.observations, c._observe(), 1e-5)
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
    assert int((wp.to_torch(warp.physics.data.nefc) > 0).sum()) >= NUM // 4


@EACH
def test_constants_follow_from_bodies(name: str, arrays: Arrays, tmp_path: Path) -> None:
    """Those that MuJoCo computes from masses and inertias, in every world (``mj_setConst``)."""
    c, warp = make_pair(FAMILIES[name](tmp_path), NUM, arrays)
    for field in CONSTANTS:
        theirs = np.array(c.batch.expand(field))
        ours = wp.to_torch(getattr(warp.physics.model, field)).reshape(theirs.shape)
        assert len(np.unique(theirs, axis=0)) == NUM
        close(ours, theirs, 1e-12, rtol=1e-4)
