"""A run keeps the physics that it was trained in."""

import json
from pathlib import Path
from typing import Any

import pytest

import metarl
from metarl.runs import environments

ID = "metarl/AntVel-v0"
OPTIONS = {"physics": "maml", "max_episode_steps": 6}


def test_a_run_keeps_its_physics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ants of both physics have 125 observations: shapes could not tell them apart."""
    trained = metarl.train(
        "random-init",
        env=ID,
        env_kwargs=OPTIONS,
        iterations=1,
        meta_batch_size=2,
        num_trajectories=2,
        eval_tasks=0,
        output=tmp_path,
    )
    run = metarl.load_run(trained.folder)
    problem = json.loads((run.folder / "config.json").read_text())["problem"]
    assert problem["env_kwargs"] == OPTIONS
    run.evaluate(tasks=2, trajectories=2, steps=0)
    assert json.loads((run.folder / "evaluation.json").read_text())["env_kwargs"] == OPTIONS
    made: list[Any] = []
    make = environments.make_single

    def remember(source: Any, options: dict[str, Any], **more: Any) -> Any:
        made.append((source, options))
        return make(source, options, **more)

    monkeypatch.setattr(environments, "make_single", remember)
    run.adapt(env=ID, steps=1, num_trajectories=1)
    assert made == [(ID, OPTIONS)]
