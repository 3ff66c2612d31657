"""Files with weights: a flipped bit never loads as other weights, what holds code is not run."""

import os
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from stable_baselines3 import PPO

import metarl
from metarl.fewshot.configs import BackboneConfig
from metarl.fewshot.episodes import EpisodeSamplers
from metarl.fewshot.from_config import Problem, make_backbone, make_learner
from metarl.fewshot.presets import PRESETS
from metarl.fewshot.samplers import SinusoidSampler
from metarl.fewshot.sources import ArraySource
from metarl.files import FileError, NonFiniteError
from metarl.rl import Actor
from metarl.rl.actions import action_map
from metarl.rl.policy_spec import PolicySpec
from metarl.sb3 import load_sb3
from metarl.training.checkpoint import load_checkpoint, save_checkpoint

SHAPE = (3,)
Weights = dict[str, torch.Tensor]


def write_policy(path: Path) -> None:
    spec = PolicySpec(2, 2, (8,), "tanh", -1.5)
    policy = spec.build(generator=torch.Generator().manual_seed(0))
    Actor(policy, spec, action_map(spaces.Box(-1.0, 1.0, (2,)), 1.0)).save(path)


def write_classifier(path: Path, backbone: str = "mlp") -> None:
    config = BackboneConfig(backbone=backbone, hidden_sizes=(4,))
    source = ArraySource("rows", torch.zeros(4, *SHAPE), [2, 2], ["a", "b"])
    unused = SinusoidSampler(1, 1)
    learner = make_learner(
        PRESETS["protonet"].config,
        make_backbone(config, SHAPE, torch.Generator().manual_seed(0)),
        Problem(SHAPE, 2, regression=False, train_source=source),
        EpisodeSamplers(unused, unused, 1),
        iterations=1,
        seed=0,
        device=torch.device("cpu"),
    )
    fitted = {"prototypes": torch.rand(1, 2, 4, generator=torch.Generator().manual_seed(1))}
    scaling = metarl.fewshot.Scaling((0.0,) * 3, (1.0,) * 3)
    metarl.fewshot.Classifier(learner, fitted, ["a", "b"], SHAPE, config, scaling).save(path)


def write_model(path: Path) -> None:
    env = gym.make("CartPole-v1")
    kwargs: dict[str, Any] = {"net_arch": [4]}
    PPO("MlpPolicy", env, seed=0, device="cpu", policy_kwargs=kwargs).save(path)


def write_checkpoint(path: Path) -> None:
    saved = save_checkpoint(path.parent, 1, {"w": torch.rand(40), "list": [1, 2.5, {"x": "y"}]})
    saved.rename(path)


def classifier_weights(path: Path) -> Weights:
    classifier = metarl.load_classifier(path)
    return {**classifier.learner.network.state_dict(), **classifier.fitted}


class Kind(NamedTuple):
    """A kind of file."""

    suffix: str
    write: Callable[[Path], None]
    read: Callable[[Path], Weights]
    refuses: type[Exception] = FileError


KINDS = {
    "checkpoint": Kind(".pt", write_checkpoint, lambda p: {"w": load_checkpoint(p)["w"]}),
    "policy": Kind(".pt", write_policy, lambda p: metarl.load_policy(p).policy.state_dict()),
    "classifier": Kind(".pt", write_classifier, classifier_weights),
    "their model": Kind(".zip", write_model, lambda p: load_sb3(p).policy.state_dict()),
    # what stable-baselines3 itself makes of an export
    "export": Kind(
        ".zip", write_model, lambda p: PPO.load(p, device="cpu").policy.state_dict(), Exception
    ),
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
our_kinds = pytest.mark.parametrize("kind", list(KINDS.values())[:4], ids=list(KINDS)[:4])


def written(kind: Kind, folder: Path) -> Path:
    path = folder / f"file{kind.suffix}"
    kind.write(path)
    return path


def same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def is_other(kind: Kind, path: Path, weights: Weights) -> bool:
    """Whether a file loads, and as other weights."""
    try:
        return not same(kind.read(path), weights)
    except kind.refuses as error:
        return kind.refuses is FileError and len(str(error).splitlines()) != 1


def others_after_flips(kind: Kind, path: Path, num_flips: int) -> int:
    """How many of the files with one flipped bit load as other weights."""
    whole, weights, found = path.read_bytes(), kind.read(path), 0
    for place in np.random.default_rng(0).integers(8 * len(whole), size=num_flips).tolist():
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        found += is_other(kind, path, weights)
    return found


# reason: stable-baselines3 warns of the models that it cannot read whole
@pytest.mark.filterwarnings("ignore::UserWarning")
@every_kind
def test_a_flipped_bit_never_loads_as_other_weights(kind: Kind, tmp_path: Path) -> None:
    assert others_after_flips(kind, written(kind, tmp_path), 40) == 0


@pytest.mark.slow  # 15 s
@pytest.mark.filterwarnings("ignore::UserWarning")
@every_kind
def test_300_flipped_bits_never_load_as_other_weights(kind: Kind, tmp_path: Path) -> None:
    assert others_after_flips(kind, written(kind, tmp_path), 300) == 0


@our_kinds
def test_any_bytes_are_the_one_error(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = written(kind, tmp_path_factory.mktemp("bytes"))
    whole, weights = path.read_bytes(), kind.read(path)

    @given(st.binary(max_size=60), st.floats(0, 1), st.floats(0, 1))
    def spliced(middle: bytes, start: float, end: float) -> None:
        path.write_bytes(whole[: int(start * len(whole))] + middle + whole[int(end * len(whole)) :])
        assert not is_other(kind, path, weights)

    spliced()


class Payload(NamedTuple):
    """Makes a folder when it is unpickled."""

    folder: Path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("name", ["checkpoint", "policy", "classifier"])
def test_code_in_a_file_is_not_run(name: str, tmp_path: Path) -> None:
    path, ran = tmp_path / "file.pt", tmp_path / "ran"
    content = {"format": f"metarl-{name}", "format_version": 1, "spec": Payload(ran)}
    torch.save(content, path)
    with pytest.raises(FileError, match=f"file.pt is damaged or not a {name} of metarl: it holds"):
        KINDS[name].read(path)
    assert not ran.exists()


@pytest.mark.parametrize("name", ["policy", "classifier"])
def test_weights_that_are_not_finite_are_not_saved(name: str, tmp_path: Path) -> None:
    path = written(KINDS[name], tmp_path)
    before = path.read_bytes()
    loaded: Any = {"policy": metarl.load_policy, "classifier": metarl.load_classifier}[name](path)
    network = loaded.policy if name == "policy" else loaded.learner.network
    with torch.no_grad():
        next(iter(network.parameters()))[0] = torch.nan
    with pytest.raises(NonFiniteError, match=r"file.pt is not written: \w+\..* is not finite"):
        loaded.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def doctored(path: Path, **entries: Any) -> None:
    """Other plain data in a file, with the right checksums."""
    content = torch.load(path, weights_only=True)
    for name, value in entries.items():
        content[name] = {**content[name], **value} if isinstance(value, dict) else value
    torch.save(content, path)


def test_a_policy_of_any_size_takes_no_memory(tmp_path: Path) -> None:
    """10^12 weights."""
    path = written(KINDS["policy"], tmp_path)
    doctored(path, spec={"hidden_sizes": (10**6, 10**6)})
    with pytest.raises(FileError, match=r"file.pt: Error\(s\) in loading state_dict .* size mis"):
        metarl.load_policy(path)


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"spec": {"activation": "sine"}}, "sine"),
        ({"spec": {"hidden_sizes": None}}, "NoneType"),
        ({"spec": {"unknown": 1}}, "unknown"),
        ({"actions": {"low": "a"}}, "could not convert"),
        ({"weights": []}, "Expected state_dict to be dict-like"),
        ({"format_version": None}, "its format is None, this version reads 1"),
    ],
)
def test_other_plain_data_is_the_one_error(
    entries: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    path = written(KINDS["policy"], tmp_path)
    doctored(path, **entries)
    with pytest.raises(FileError, match=f"^{path}.*{reason}"):
        metarl.load_policy(path)


@pytest.mark.parametrize("name", ["policy", "their model"])
def test_what_is_compressed_is_not_unpacked(name: str, tmp_path: Path) -> None:
    """A few bytes may stand for any number of them."""
    path = written(KINDS[name], tmp_path)
    with zipfile.ZipFile(path) as archive:
        members = {one: archive.read(one) for one in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    with pytest.raises(FileError, match="its content is compressed"):
        KINDS[name].read(path)


OWN = """
import pathlib
from torch import nn

pathlib.Path("imported").touch()


class Net(nn.Sequential):
    def __init__(self, shape):
        super().__init__(nn.Linear(shape[0], 4))
"""


def test_a_backbone_that_a_classifier_names_needs_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    (tmp_path / "own_layers.py").write_text(OWN)
    path = tmp_path / "classifier.pt"
    write_classifier(path, "own_layers:Net")
    kept = classifier_like(path, allow_code=True)
    forget(monkeypatch, tmp_path)
    with pytest.raises(
        FileError, match=r"classifier\.pt: .*own_layers:Net is code of your own: .* allow_code=True"
    ) as error:
        metarl.load_classifier(path)
    assert len(str(error.value).splitlines()) == 1
    assert not (tmp_path / "imported").exists()
    own = torch.nn.Sequential(torch.nn.Linear(3, 4))
    for given_again in ({"allow_code": True}, {"backbone": own}):
        forget(monkeypatch, tmp_path)
        assert torch.equal(classifier_like(path, **given_again), kept)


def forget(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """As in a new process."""
    monkeypatch.delitem(sys.modules, "own_layers", raising=False)
    (folder / "imported").unlink(missing_ok=True)


def classifier_like(path: Path, **options: Any) -> torch.Tensor:
    return metarl.load_classifier(path, **options).probabilities(torch.eye(3))


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ("subprocess:check_call", "subprocess is part of Python"),
        ("numpy:zeros", "zeros is no class of torch modules"),
        ("metarl.files:FileError", "FileError is no class of torch modules"),
        ("no_such_module:Net", "No module named 'no_such_module'"),
    ],
)
def test_a_classifier_names_nothing_else_to_be_called(
    named: str, reason: str, tmp_path: Path
) -> None:
    path, ran = tmp_path / "classifier.pt", tmp_path / "ran"
    write_classifier(path)
    doctored(path, backbone={"backbone": named}, shape=["mkdir", str(ran)])
    with pytest.raises(FileError):
        metarl.load_classifier(path, allow_code=True)
    doctored(path, shape=[3])
    with pytest.raises(FileError, match=f"{path}: .*{reason}"):
        metarl.load_classifier(path)
    assert not ran.exists()
