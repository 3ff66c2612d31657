"""With ``deterministic`` a run on CUDA that is resumed has the bits of one never stopped."""

from pathlib import Path
from typing import Any

import pytest
import torch

import metarl
from metarl.runs.sessions import go_on
from metarl.runs.user_objects import UserObjects

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA here"),
]
POLICY: dict[str, Any] = {
    "meta_batch_size": 6,
    "num_trajectories": 5,
    "horizon": 10,
    "hidden_sizes": (16,),
}
CLASSES: dict[str, Any] = {
    "data": "glyphs",
    "meta_batch_size": 2,
    "filters": 8,
    "lr_decay": "none",
    "eval_every": 100,
}


def weights(run: metarl.runs.Run) -> list[torch.Tensor]:
    state: Any = run.built.learner.state_dict()
    tensors = state["network"] if "network" in state else state["policy"]
    return [value.cpu() for value in tensors.values()]


@pytest.fixture
def _put_back() -> Any:
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("_put_back")
@pytest.mark.parametrize(
    ("learner", "env"),
    [
        ("maml-trpo", "metarl/PointGoal-v0"),
        ("promp", "metarl/GridNavi-v0"),
        ("maml-trpo", "metarl/HalfCheetahDir-v0"),
        ("maml", None),
        ("protonet", None),
    ],
)
def test_resume_is_exact(learner: str, env: str | None, tmp_path: Path) -> None:
    said: list[str] = []

    def trained(name: str, iterations: int) -> metarl.runs.Run:
        options: dict[str, Any] = {
            "iterations": iterations,
            "device": "cuda",
            "deterministic": True,
            "eval_tasks": 0,
            "say": said.append,
            "output": tmp_path / name,
            "checkpoint_every": 3,
        }
        if env is None:
            steps = {"num_inner_steps": 2, "num_test_steps": 2} if learner == "maml" else {}
            return metarl.train_fewshot(learner, **CLASSES, **steps, **options)
        return metarl.train(learner, env=env, **POLICY, **options)

    whole, part = trained("whole", 6), trained("part", 3)
    session = go_on(part.folder, UserObjects(), iterations=6, say=said.append)
    session.train()
    for ours, theirs in zip(weights(session.run), weights(whole), strict=True):
        assert torch.equal(ours, theirs)
