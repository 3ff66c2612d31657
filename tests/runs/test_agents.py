"""``run.agent()``: what loads without environments acts and adapts without them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import metarl
from metarl import InputError
from metarl.runs import environments

SMALL: dict[str, Any] = {
    "iterations": 1, "meta_batch_size": 2, "num_trajectories": 3, "horizon": 4, "eval_tasks": 0,
}  # fmt: skip


def trained(output: Path, learner: str, **options: Any) -> Path:
    given = SMALL | options
    return metarl.train(learner, env="metarl/PointGoal-v0", output=output, **given).folder


@pytest.mark.parametrize("learner", ["maml-trpo", "rl2"])
def test_it_needs_no_environment(
    learner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = trained(tmp_path, learner)

    def make(*given: Any, **options: Any) -> None:
        raise AssertionError("an environment was made")

    monkeypatch.setattr(environments, "make_task_env", make)
    agent = metarl.load_run(folder).agent()
    observation = np.zeros(2, np.float32)
    for t in range(12):
        acted = agent.act(observation)
        agent.observe(observation, acted, -1.0, observation + 0.1, False, t % 4 == 3)
    assert agent.info()["num_trajectories"] == 3
    assert agent.info().get("num_steps", 1) == 1  # as many trajectories a step as in training


def test_runs_without_agents_say_so(tmp_path: Path) -> None:
    run = metarl.load_run(trained(tmp_path, "sb3-ppo"))
    with pytest.raises(InputError, match="trajectories is for learners by gradients"):
        run.agent(trajectories=3)
    tried = trained(tmp_path, "proto-embedding", joint=True, normalise="none", encoder_warmup=1)
    with pytest.raises(InputError, match=r"proto-embedding has no agent: joint: its policy sees"):
        metarl.load_run(tried).agent()
