"""A half-cheetah runs as fast as a prototype says; without one it runs at a speed for all goals."""

from pathlib import Path
from typing import Any

import pytest

import metarl

COMMON: dict[str, Any] = {
    "env": "metarl/HalfCheetahVel-v0",
    "env_kwargs": {"velocity_range": [0, 3]},
    "meta_batch_size": 34,
    "num_trajectories": 1,
    "initial_log_std": -1.0,
    "num_minibatches": 12,
    "eval_tasks": 0,
    "eval_every": 100,
}


@pytest.mark.learning
def test_a_prototype_tells_how_fast(tmp_path: Path) -> None:
    """Half a million steps each; standing still has -300 on average, and the best for all -150."""
    options = COMMON | {"trial_length": 3, "encoder_half_life": 40}
    own = metarl.train("proto-embedding", iterations=25, output=tmp_path / "own", **options)
    blind = metarl.train("sb3-ppo", iterations=75, output=tmp_path / "blind", **COMMON)
    returns = [run.evaluate(tasks=20).mean[-1] for run in (own, blind)]
    assert returns[0] > returns[1] + 30
    assert returns[0] > -140
