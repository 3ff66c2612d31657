"""Runs on the hub: pushed to a stand-in on this machine, fetched, and the same bit for bit."""

import importlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hub_server import TOKEN, Hub, running_hub

import metarl
from metarl.cli import main
from metarl.runs import InputError, push_run
from metarl.runs.hub.plain_files import read_plain, write_plain

TINY = {"meta_batch_size": 2, "num_trajectories": 2, "horizon": 5, "iterations": 2, "eval_tasks": 2}
POINT = "metarl/PointGoal-v0"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: Any) -> Iterator[Hub]:
    """The library reads its settings when it is imported, so in this process it stays with it."""
    assert "huggingface_hub" not in sys.modules
    with running_hub() as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", running.url)
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf")))
        for name in ("HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_TELEMETRY"):
            patch.setenv(name, "1")
        patch.setenv("HF_TOKEN", TOKEN)
        importlib.import_module("huggingface_hub")
        yield running


LEARNERS: dict[str, dict[str, Any]] = {
    "maml-vpg": {},
    "proto-embedding": {"encoder_warmup": 2, "num_ways": 2, "trial_length": 2},
    "maml": {"num_validation": 2, "filters": 4},
}


def trained(learner: str, output: Path) -> Path:
    """A small evaluated run."""
    options = {"output": output, **LEARNERS[learner]}
    if learner == "maml":
        return metarl.train_fewshot(learner, iterations=2, eval_tasks=4, **options).folder
    return metarl.train(learner, env=POINT, **TINY, **options).folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: Any) -> Path:
    return trained("maml-vpg", tmp_path_factory.mktemp("runs"))


def figures(run: metarl.Run) -> Any:
    return run.evaluate(tasks=2).values


def check_round_trip(hub: Hub, folder: Path, repo: str) -> None:
    address = push_run(folder, repo)
    files = hub.files(repo)
    assert files is not None
    assert not [name for name in files if name.endswith((".pt", ".pkl", ".bin", ".npz"))]
    fetched, own = metarl.load_run(address), metarl.load_run(folder)
    assert fetched.config == own.config
    np.testing.assert_array_equal(figures(fetched), figures(own))
    for ours, theirs in zip(_tensors(own), _tensors(fetched), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_a_fetched_run_is_the_pushed_one(hub: Hub, run: Path) -> None:
    check_round_trip(hub, run, "me/maml-vpg")


@pytest.mark.slow
@pytest.mark.parametrize("learner", ["proto-embedding", "maml"])
def test_so_is_one_of_another_kind(learner: str, hub: Hub, tmp_path: Path) -> None:
    """Three seconds each: states of stable-baselines3, of an encoder, of torch's optimisers."""
    check_round_trip(hub, trained(learner, tmp_path), f"me/{learner}")


def _tensors(run: metarl.Run) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []

    def gather(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            found.append(value)
        entries = value.values() if isinstance(value, dict) else value
        for entry in entries if isinstance(value, dict | list | tuple) else ():
            gather(entry)

    gather(run.learner.state_dict())
    return found


def test_every_command_takes_its_address(
    hub: Hub, run: Path, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["push", str(run), "me/commands", "--private"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "hf://me/commands"
    address, task = "hf://me/commands", '{"goal": [0.3, -0.4]}'
    for source, folder in ((address, "theirs"), (str(run), "ours")):
        options = ["--task", task, "--output", folder, "--steps", "1", "--num-trajectories", "2"]
        assert main(["adapt", source, *options]) == 0
    theirs, ours = (
        json.loads(Path(name, "adaptation.json").read_text()) for name in ("theirs", "ours")
    )
    assert theirs == ours
    assert main(["compare", address]) == 0
    assert main(["resume", address, "--iterations", "3"]) == 0
    (copy,) = Path("runs").iterdir()
    assert sorted(path.name for path in (copy / "checkpoints").glob("iteration*")) == [
        "iteration_00000002.pt",
        "iteration_00000003.pt",
    ]
    assert metarl.load_run(address).iteration == 2  # what is trained on is a copy


def test_the_card_tells_how_it_adapts(hub: Hub, run: Path) -> None:
    push_run(run, "me/card")
    files = hub.files("me/card")
    assert files is not None
    card = files["README.md"].decode()
    record = json.loads((run / "evaluation.json").read_text())
    assert card.startswith("---\n")
    assert "library_name: metarl" in card
    for step, mean in enumerate(record["mean"]):
        assert f"| {step} | {mean:.2f} |" in card
    assert "![how held-out tasks adapt](adaptation.png)" in card
    assert files["adaptation.png"][1:4] == b"PNG"
    assert "metarl train maml-vpg --env metarl/PointGoal-v0" in card
    assert 'metarl.load_run("hf://me/card")' in card
    task = json.dumps(record["tasks"][0])
    assert f"metarl adapt hf://me/card --task '{task}' --output adapted" in card


def test_the_card_names_another_head(hub: Hub, run: Path, tmp_path: Path) -> None:
    """In its text and in its metadata."""
    copy = shutil.copytree(run, tmp_path / "run")
    path = copy / "evaluation.json"
    told = {"head": "tim", "transductive": True}
    path.write_text(json.dumps(json.loads(path.read_text()) | told))
    push_run(copy, "me/head")
    files = hub.files("me/head")
    assert files is not None
    assert files["README.md"].decode().count(", head tim (transductive)") == 2


def test_damage_is_one_line(hub: Hub, run: Path) -> None:
    push_run(run, "me/damaged")
    files = hub.files("me/damaged")
    assert files is not None
    weights = bytearray(files["model.safetensors"])
    weights[-1] ^= 1
    for name, content, part in (
        ("model.safetensors", bytes(weights), "the weights fail their checksum"),
        ("state.json", b"{", "state.json or model.safetensors is damaged"),
        ("state.json", b'{"format_version": 9}', "its format is 9"),
        ("config.json", b"{}", "is not a config"),
    ):
        sha = hub.commit("me/damaged", {**files, name: content})
        with pytest.raises(InputError, match=part) as caught:
            metarl.load_run(f"hf://me/damaged@{sha}")
        assert len(str(caught.value).splitlines()) == 1


def complaint(capsys: Any, *words: str) -> str:
    capsys.readouterr()
    assert main(list(words)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return str(line)


def test_what_the_hub_refuses_is_one_line(
    hub: Hub, run: Path, capsys: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    assert "no such repository" in complaint(capsys, "evaluate", "hf://me/nothing")
    push_run(run, "me/there")
    assert "no such revision" in complaint(capsys, "evaluate", "hf://me/there@v9")
    assert "hf://OWNER/NAME" in complaint(capsys, "evaluate", "hf://me")
    assert "must be OWNER/NAME" in complaint(capsys, "push", str(run), "there")
    bare = shutil.copytree(run, tmp_path / "bare")
    (bare / "evaluation.json").unlink()
    assert f"`metarl evaluate {bare}` makes it" in complaint(capsys, "push", str(bare), "me/x")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "the hub refuses the token" in complaint(capsys, "push", str(run), "me/x")
    monkeypatch.delenv("HF_TOKEN")
    assert "hf auth login" in complaint(capsys, "push", str(run), "me/x")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "metarl-toolkit[hub]" in complaint(capsys, "push", str(run), "me/x")


def test_an_evaluation_of_another_checkpoint_is_refused(
    hub: Hub, run: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    record = json.loads((copy / "evaluation.json").read_text())
    (copy / "evaluation.json").write_text(json.dumps(record | {"iteration": 1}))
    with pytest.raises(InputError, match="is of iteration 1, the checkpoint of 2: `metarl eval"):
        push_run(copy, "me/run")


def test_plain_data_come_back_as_they_were(tmp_path: Path) -> None:
    shared = torch.arange(6.0)
    content: dict[str, Any] = {
        "a.b": {0: shared[::2], "empty": {}, "none": None},
        "a": {"b": {"0": torch.tensor(True)}},  # the same name with dots
        "list": [1, 2.5, float("-inf"), "text", True, (shared, [])],
        "twice": [shared, shared],  # safetensors refuses shared memory
        "big": 2**70,
        "half": torch.ones(2, 1, dtype=torch.bfloat16),
    }
    write_plain(tmp_path, content)
    found = read_plain(tmp_path)
    assert str(found) == str(content)
    assert torch.equal(found["a.b"][0], shared[::2])
    with pytest.raises(ValueError, match=r"a\.0 is of ndarray, which is no plain data"):
        write_plain(tmp_path, {"a": [np.zeros(1)]})
