"""Floor and ceiling of σ as options of a run."""

from pathlib import Path
from typing import Any

import pytest
import torch

import metarl

SMALL: dict[str, Any] = {
    "env": "metarl/PointGoal-v0",
    "iterations": 1,
    "meta_batch_size": 2,
    "num_trajectories": 2,
    "horizon": 5,
    "hidden_sizes": (4,),
    "eval_tasks": 0,
}


def test_a_run_keeps_its_bounds(tmp_path: Path) -> None:
    bounds = {"min_log_std": -0.1, "max_log_std": 0.0}
    run = metarl.train("maml-vpg", output=tmp_path, inner_lr=5.0, outer_lr=1.0, **bounds, **SMALL)
    policy: Any = metarl.load_run(run.folder).learner.policy
    assert (policy.min_log_std, policy.max_log_std) == (-0.1, 0.0)
    assert ((policy.log_std >= -0.1) & (policy.log_std <= 0.0)).all()
    metarl.load_run(run.folder).adapt(task={"goal": [0.3, -0.4]}).save(tmp_path / "policy.pt")
    adapted: Any = metarl.load_policy(tmp_path / "policy.pt").policy
    assert (adapted.min_log_std, adapted.max_log_std) == (-0.1, 0.0)
    assert ((adapted.log_std >= -0.1) & (adapted.log_std <= 0.0)).all()
    assert not torch.equal(adapted.log_std, policy.log_std)


@pytest.mark.parametrize(
    ("learner", "options", "message"),
    [
        ("maml-vpg", {"max_log_std": -0.2}, "initial_log_std 0.0 is over its ceiling -0.2"),
        ("sb3-ppo", {"max_log_std": 1.0}, "PPO has no ceiling"),
        ("sb3-ppo", {"min_log_std": -1.0}, "PPO has no floor"),
    ],
)
def test_bounds_that_cannot_be(learner: str, options: dict[str, float], message: str) -> None:
    with pytest.raises(metarl.InputError, match=message):
        metarl.train(learner, **options, **SMALL)
