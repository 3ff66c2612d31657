"""``--profile``: what torch did in some iterations, read back from the run folder."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch

import metarl
from metarl.runs import UserObjects, go_on

SHORT = {"iterations": 3, "eval_every": 2, "eval_tasks": 0}
FEW = {"meta_batch_size": 2, "num_trajectories": 2, "horizon": 5}
POLICY: dict[str, Any] = {"env": "metarl/PointGoal-v0", **FEW, **SHORT}
CLASSIFIER: dict[str, Any] = {
    "data": "sinusoid",
    "hidden_sizes": (8,),
    "num_validation": 2,
    **SHORT,
}


def names_in(trace: Path) -> set[str]:
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    return {event["name"] for event in events if "name" in event}


def traces(run: metarl.Run) -> list[Path]:
    return sorted(run.folder.glob("*.pt.trace.json.gz"))


def weights(run: metarl.Run) -> dict[str, torch.Tensor]:
    state = run.learner.state_dict()
    found: dict[str, torch.Tensor] = state["policy"] if "policy" in state else state["network"]
    return found


@pytest.mark.parametrize("kind", ["policy", "classifier"])
def test_a_trace_has_what_was_done_and_changes_nothing(
    kind: str, tmp_path: Path, capfd: Any
) -> None:
    def trained(profile: int) -> metarl.Run:
        output = tmp_path / str(profile)
        if kind == "policy":
            return metarl.train("maml-vpg", output=output, profile=profile, **POLICY)
        return metarl.train_fewshot("maml", output=output, profile=profile, **CLASSIFIER)

    with_trace, without = trained(1), trained(0)
    assert capfd.readouterr().err == ""
    assert traces(without) == []
    (trace,) = traces(with_trace)
    assert trace.name == "iterations_2-2.pt.trace.json.gz"
    found = names_in(trace)
    assert found >= {"iteration 2", "collect", "update", "evaluate"}
    assert not found & {"iteration 1", "iteration 3"}
    assert any(name.startswith("aten::") for name in found)
    for name, value in weights(without).items():
        assert torch.equal(value, weights(with_trace)[name]), name


def test_a_session_that_ends_or_begins_among_them(tmp_path: Path) -> None:
    options = CLASSIFIER | {"iterations": 3}
    run = metarl.train_fewshot("maml", output=tmp_path, profile=4, **options)
    go_on(run.folder, UserObjects(), iterations=6).train()
    assert [trace.name for trace in traces(run)] == [
        "iterations_2-3.pt.trace.json.gz",
        "iterations_4-5.pt.trace.json.gz",
    ]
