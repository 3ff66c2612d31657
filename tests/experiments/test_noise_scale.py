"""The noise scale of a meta-gradient: known ones, and that of a learner."""

from pathlib import Path
from typing import Any

import pytest
import torch
from noise_scale import Options, measured, noise_scale

import metarl

SMALL: dict[str, Any] = {
    "env": "metarl/PointGoal-v0",
    "iterations": 1,
    "meta_batch_size": 4,
    "num_trajectories": 3,
    "horizon": 5,
    "hidden_sizes": (8,),
    "eval_tasks": 0,
}


def test_it_is_what_the_squares_have_beyond_the_products() -> None:
    """|G|² = 1, squares of 2 in groups of 8: the noise is 8 |G|² a task."""
    scale = noise_scale(torch.eye(4) + 1.0, 8)
    assert scale.tasks == 8.0
    assert scale.error == 0.0
    assert noise_scale(torch.eye(4) - 0.5, 8).tasks == float("inf")  # no signal


@pytest.mark.parametrize("group", [5, 20])
def test_it_is_found_whatever_the_groups(group: int) -> None:
    """B = tr(Σ) / |G|² = 50 · 0.2 / 1 = 10 tasks; 1,000 tasks' worth is within a tenth of it."""
    generator = torch.Generator().manual_seed(0)
    mean = torch.zeros(50)
    mean[3] = 1.0
    tasks = mean + 0.2**0.5 * torch.randn(1000, 50, generator=generator)
    gradients = tasks.view(-1, group, 50).mean(1)
    scale = noise_scale(gradients @ gradients.T, group)
    assert scale.tasks == pytest.approx(10.0, rel=0.1)
    assert 0.0 < scale.error < 1.0


def test_a_learners_is_measured_on_tasks_of_its_own_number(tmp_path: Path) -> None:
    run = metarl.train("maml-trpo", output=tmp_path, **SMALL)
    learner: Any = run.learner
    found = measured(learner, Options((run.folder,), tasks=12, group=3, trajectories=4))
    assert set(found) == {"plain", "natural"}
    assert all(scale.tasks > 0.0 for scale in found.values())
