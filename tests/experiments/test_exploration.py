"""The agents of the exploration table play every goal, and are set beside the best."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from bayes_optimal import bandit_optimum, grid_optimum
from exploration import (
    EPISODES,
    GOALS,
    TRIED,
    WORLDS,
    Options,
    command_of,
    experiment,
    on_bandit,
    played,
    row_of,
)

import metarl
from metarl.cli import _parse
from metarl.rl import Acted, Agent


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
    row = row_of("grid", "rl2", [0, 1], found)
    assert row["optimal_seeds"] == 1
    np.testing.assert_allclose(row["totals"], [best, best - 0.1], atol=1e-4)


class Arms:
    """An agent that counts what arms paid, and pulls that of the largest mean, or arm 0 always."""

    noise_size = 0

    def __init__(self, greedy: bool) -> None:
        self.greedy, self.counts = greedy, np.ones((2, 2))

    def reset(self) -> None:
        self.counts = np.ones((2, 2))

    def act(self, observation: Any, noise: Any) -> Acted:
        arm = np.array(np.argmax(self.counts[:, 0] / self.counts.sum(1)) * self.greedy)
        return Acted(arm, arm, np.float32(0.0))

    def observe(self, observation: Any, acted: Acted, reward: float, *_: Any) -> None:
        self.counts[int(acted.action), 0 if reward else 1] += 1

    def state(self) -> Any:
        return self.counts.copy()

    def load_state(self, state: Any) -> None:
        self.counts = state.copy()


@pytest.mark.parametrize("pulls", [2, 3])
def test_a_greedy_agent_s_reward_is_followed_through_every_history(pulls: int) -> None:
    """Two pulls: 1/2, then 2/3 after a win and 1/2 of the other arm after a loss, the best.

    Three: after a win and a loss of arm 0 it has 2/4, and the other 1/2, too: any is right.
    """
    best = bandit_optimum(2, pulls)
    assert sum(on_bandit(cast(Agent, Arms(greedy=True)), 2, pulls)) == pytest.approx(best)


def test_one_arm_pays_a_half_whatever_it_paid() -> None:
    rewards = on_bandit(cast(Agent, Arms(greedy=False)), 2, 4)
    np.testing.assert_allclose(rewards, 0.5)


@pytest.mark.parametrize("name", TRIED)
def test_what_was_tried_is_what_its_name_says(name: str) -> None:
    """An option that is given twice counts as given last."""
    own, _ = TRIED[name]
    problem: Any = _parse(
        [*command_of(WORLDS["grid"], "proto-embedding", own), "--iterations", "1"]
    ).problem
    algorithm, as_now = problem.algorithm, name.startswith("as in the table")
    assert algorithm.finite_horizon == (as_now and "without --finite-horizon" not in name)
    assert (algorithm.encoder == "recurrent") == ("recurrent" in name)
    assert (f"entropy {algorithm.entropy_coefficient:g}" in name) or as_now
    assert (problem.sampling.discount == 1) == ("γ 1" in name)
    few = as_now or "128 tasks" in name
    assert problem.sampling.meta_batch_size == (128 if few else 512)
    assert problem.env_kwargs == {"hold_out": False}


def test_what_was_tried_is_of_the_grid_alone() -> None:
    with pytest.raises(SystemExit, match="grid alone"):
        experiment(Options(world="bandit", tried=True))
