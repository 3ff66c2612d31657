"""On a small grid prototypes explore as a Bayes-optimal policy; those of others do not."""

from pathlib import Path

import pytest
from bayes_optimal import goals_of, grid_optimum
from exploration import played

import metarl
from metarl_envs import GridNavi

SIZE, EPISODES = 3, 2
GOALS = goals_of(GridNavi(SIZE, hold_out=False))


def trained(output: Path, *, shuffle: bool) -> metarl.Run:
    """After 192,000 steps."""
    return metarl.train(
        "proto-embedding",
        env="metarl/GridNavi-v0",
        env_kwargs={"size": SIZE, "hold_out": False},
        iterations=100,
        meta_batch_size=64,
        num_trajectories=1,
        trial_length=EPISODES,
        finite_horizon=True,
        discount=1.0,  # values that go on beyond a trial would have no bound
        gae_lambda=0.8,
        entropy_coefficient=0.05,
        entropy_half_life=25,
        eval_tasks=0,
        eval_every=100,
        shuffle=shuffle,
        output=output,
    )


@pytest.mark.learning
def test_exploration_is_the_best_there_is(tmp_path: Path) -> None:
    """The control is told of the steps of another task; its actions are drawn."""
    best = grid_optimum(GOALS, SIZE, EPISODES)
    agent = trained(tmp_path / "own", shuffle=False).agent()
    assert played(agent, GOALS, EPISODES, SIZE).mean(0).sum() == pytest.approx(best)
    control = trained(tmp_path / "others", shuffle=True).evaluate(tasks=40, steps=EPISODES - 1)
    assert control.mean.sum() < best - 4.0
