"""Files of strangers: nothing in them is run, and what cannot be read without is one line."""

import base64
import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from torch import nn

from metarl.cli import main
from metarl.files import FileError
from metarl.sb3 import TaskVecEnv, from_sb3, load_sb3
from metarl_envs.making import make_task_env

ENV = "metarl/PointGoal-v0"
SMALL = ["--meta-batch-size", "2", "--num-trajectories", "2", "--horizon", "5", "--iterations", "1"]
TRAIN = ["train", "maml-vpg", "--env", ENV, *SMALL, "--eval-tasks", "0", "--quiet"]


class Payload(NamedTuple):
    """Makes a folder when it is unpickled."""

    folder: Path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def model_of(**policy_kwargs: Any) -> PPO:
    env = TaskVecEnv(make_task_env(ENV, 2, {}, reset_by_caller=True))
    return PPO("MlpPolicy", env, seed=0, device="cpu", policy_kwargs=policy_kwargs)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.zip"
    model_of().save(path)
    return path


def rewritten(path: Path, name: str, content: bytes) -> None:
    """One member of a zip replaced."""
    with zipfile.ZipFile(path) as archive:
        members = {one: archive.read(one) for one in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for one, kept in (members | {name: content}).items():
            archive.writestr(one, kept)


def data_of(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        found: dict[str, Any] = json.loads(archive.read("data"))
    return found


def complaint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_what_a_model_has_pickled_is_not_run(model: Path, tmp_path: Path) -> None:
    """All of it is replaced; its weights are those of the model all the same."""
    expected = load_sb3(model).policy.state_dict()
    ran, data = tmp_path / "ran", data_of(model)
    code = base64.b64encode(pickle.dumps(Payload(ran))).decode()
    for value in data.values():
        if isinstance(value, dict) and ":serialized:" in value:
            value[":serialized:"] = code
    rewritten(model, "data", json.dumps(data).encode())
    found = load_sb3(model).policy.state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert main([*TRAIN, "--init-from", str(model), "--output", str(tmp_path / "runs")]) == 0
    assert not ran.exists()


def test_code_among_the_weights_of_a_model_is_refused(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran, file = tmp_path / "ran", io.BytesIO()
    torch.save({"log_std": Payload(ran)}, file)
    rewritten(model, "policy.pth", file.getvalue())
    runs = tmp_path / "runs"
    line = complaint([*TRAIN, "--init-from", str(model), "--output", str(runs)], capsys)
    assert "--init-from" in line
    assert f"{model} is not a PPO model of stable-baselines3: it holds code" in line
    assert not ran.exists()
    assert not runs.exists()


@pytest.mark.parametrize("option", ["--init-from", "--policy"])
def test_code_in_a_policy_is_refused(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran, path = tmp_path / "ran", tmp_path / "policy.pt"
    torch.save({"format": "metarl-policy", "format_version": 1, "spec": Payload(ran)}, path)
    output = ["--output", str(tmp_path / "runs")]
    arguments = [*TRAIN, "--init-from", str(path), *output]
    if option == "--policy":
        assert main([*TRAIN, *output]) == 0
        (run,) = (tmp_path / "runs").iterdir()
        arguments = ["export", str(run), "--sb3", str(tmp_path / "x.zip"), "--policy", str(path)]
    line = complaint(arguments, capsys)
    assert option in line
    assert f"{path} is damaged or not a policy of metarl: it holds code" in line
    assert not ran.exists()


@pytest.mark.parametrize("named", ["subprocess:call", "antigravity:Net", "no_such_module:Net"])
def test_a_run_names_nothing_that_is_not_installed(
    named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--meta-batch-size", "2", "--iterations", "1", "--num-validation", "2"]
    options = [*few, "--eval-tasks", "0", "--quiet", "--backbone", "mlp", "--output", str(tmp_path)]
    assert main(["fewshot", "protonet", "--hidden-sizes", "8", *options]) == 0
    (run,) = tmp_path.iterdir()
    config = json.loads((run / "config.json").read_text())
    config["problem"]["backbone"]["backbone"] = named
    (run / "config.json").write_text(json.dumps(config))
    line = complaint(["evaluate", str(run)], capsys)
    assert f"--backbone {named} is code that only the run's config names" in line


def test_numbers_and_spaces_of_a_model_are_read_as_it_has_them(model: Path) -> None:
    theirs = PPO.load(model, device="cpu")
    ours, read = from_sb3(theirs, action_scale=2.0), load_sb3(model, action_scale=2.0)
    assert read.spec == ours.spec
    pairs = zip(read.policy.parameters(), ours.policy.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert np.array_equal(read.to_env[:2], ours.to_env[:2])


class Halved(nn.Tanh):
    """A tanh of one's own."""


def test_what_a_model_has_of_its_own_is_refused(tmp_path: Path) -> None:
    """Layers before the first, another activation, observations that are no vector."""
    path = tmp_path / "model.zip"
    model = model_of(activation_fn=Halved)
    model.save(path)
    with pytest.raises(FileError, match=r"model\.zip is not .*: activations must be all tanh"):
        load_sb3(path)
    model.policy.features_extractor.scale = nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"this one has features_extractor\.scale\.weight"):
        from_sb3(model)
    model_of().save(path)
    data = data_of(path)
    data["observation_space"][":type:"] = "<class 'gymnasium.spaces.dict.Dict'>"
    rewritten(path, "data", json.dumps(data).encode())
    with pytest.raises(FileError, match=r"need a Box or Discrete space, got .*dict\.Dict"):
        load_sb3(path)


NO_JSON = ["[" * 100_000, '{"goal": NaN}', '{"goal": -Infinity}', '{"a": ' + "1" * 5000 + "}", "{"]


@pytest.mark.parametrize("text", NO_JSON)
def test_json_that_is_none(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = complaint([*TRAIN, "--env-kwargs", text], capsys)
    assert "is not JSON" in line
    assert len(line) < 600
