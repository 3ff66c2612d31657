"""Training with Warp's physics, by the run of the command line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import metarl
from metarl.rl import DeviceSampler
from metarl.rl.env_faults import EnvironmentFaultError

SMALL: dict[str, Any] = {
    "env": "metarl/HopperRandParams-v0",
    "engine": "device",
    "device": "cpu",
    "iterations": 1,
    "meta_batch_size": 40,
    "num_trajectories": 2,
    "horizon": 20,
    "hidden_sizes": (8,),
    "eval_tasks": 0,
}


@pytest.mark.warp
def test_a_run_trains_repeats_and_adapts(tmp_path: Path) -> None:
    runs: list[Any] = [
        metarl.train("maml-trpo", output=tmp_path / name, **SMALL) for name in ("one", "two")
    ]
    ours, theirs = (run.learner.collect().returns().numpy() for run in runs)
    assert isinstance(runs[0].learner.sampler, DeviceSampler)
    np.testing.assert_array_equal(ours, theirs)
    assert np.isfinite(runs[0].evaluate(tasks=4, steps=1).values).all()


@pytest.mark.warp
def test_a_full_buffer_ends_a_run(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFaultError, match=r"80 of 80 .* nconmax=1 .*--engine-kwargs"):
        metarl.train("maml-trpo", output=tmp_path, engine_kwargs={"nconmax": 1}, **SMALL)
