"""The agents of the exploration table play every goal, and are set beside the best."""

from pathlib import Path
from typing import Any

import numpy as np
from bayes_optimal import grid_optimum
from exploration import EPISODES, GOALS, played, row_of

import metarl


def test_an_untrained_agent_is_played_on_every_goal(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "trial_length": 2,
        "meta_batch_size": 2,
        "num_trajectories": 1,
        "eval_tasks": 0,
    }
    run = metarl.train(
        "rl2",
        env="metarl/GridNavi-v0",
        env_kwargs={"hold_out": False},
        iterations=1,
        num_epochs=1,
        output=tmp_path,
        **options,
    )
    returns = played(run.agent(), GOALS, 2)
    assert returns.shape == (21, 2)
    assert (returns >= -1.5 - 1e-9).all()
    assert (returns <= 14).all()


def test_a_row_counts_the_seeds_that_are_optimal() -> None:
    best = grid_optimum(GOALS, 5, EPISODES)
    found = [
        {"returns": [4.0, best - 26.0, 11.0, 11.0], "env_steps": 10, "hours": 0.1},
        {"returns": [4.0, best - 26.1, 11.0, 11.0], "env_steps": 10, "hours": 0.1},
    ]
    row = row_of("rl2", [0, 1], found)
    assert row["optimal_seeds"] == 1
    np.testing.assert_allclose(row["totals"], [best, best - 0.1], atol=1e-4)
