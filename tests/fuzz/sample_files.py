"""A small whole file of every format that metarl reads, and what reads it."""

import io
import json
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from PIL import Image
from stable_baselines3 import PPO

import metarl
from metarl.fewshot import Classifier
from metarl.fewshot.configs import BackboneConfig
from metarl.fewshot.data.config import DataConfig
from metarl.fewshot.data.folder import load_folder, read_class_folder, read_query_folder
from metarl.fewshot.data.glyphs import _read_cache
from metarl.fewshot.data.meta_dataset import load_meta_dataset
from metarl.fewshot.data.omniglot import NPZ, read_omniglot
from metarl.fewshot.data.registry import load_data
from metarl.fewshot.data.tfrecord import crc32c
from metarl.fewshot.episodes import EpisodeSamplers
from metarl.fewshot.from_config import Problem, make_backbone, make_learner
from metarl.fewshot.presets import PRESETS
from metarl.fewshot.samplers import FixedSampler
from metarl.fewshot.sources import ArraySource
from metarl.runs.errors import input_errors
from metarl.runs.json_option import json_object
from metarl.runs.policy_files import read_policy
from metarl.training import CSVWriter

RNG = np.random.default_rng(0)


class Sample(NamedTuple):
    """A file to damage."""

    name: str
    path: Path
    """It is whole."""
    read: Callable[[], object]
    """Reads it, or raises the format's error."""

    holds_options: bool = False
    """Whether a wrong value in it may be complained of as an option's is."""

    def names_itself(self, message: str) -> bool:
        """Whether an error's text names the file or a folder that it is in."""
        places = [str(self.path), *(str(place) for place in self.path.parents[:2])]
        return any(place in message for place in places)


def write_samples(folder: Path) -> list[Sample]:
    """Write a file of every format."""
    return [
        *_archives(folder / "archives"),
        *_tables(folder / "tables"),
        *_images(folder / "images"),
        *_image_lists(folder / "lists"),
        *_omniglot(folder / "omniglot"),
        *_meta_dataset(folder / "meta"),
        *_weights(folder / "weights"),
        *_run_files(folder / "runs"),
        *_texts(folder / "texts"),
    ]


def _archives(folder: Path) -> list[Sample]:
    folder.mkdir()
    y = np.arange(12) % 6
    table, series = RNG.normal(size=(12, 3)), RNG.normal(size=(12, 2, 5)).astype(np.float32)
    pictures = RNG.integers(0, 256, (12, 4, 4, 3), np.uint8)
    parts = {}
    for part in ("train", "val", "test"):
        parts[f"{part}_images"] = pictures
        parts[f"{part}_labels"] = y[:, None].astype(np.uint8)
    np.savez(folder / "table.npz", x=table, y=y)
    np.savez_compressed(folder / "series.npz", x=series, y=y)
    np.savez_compressed(folder / "pictures.npz", x=pictures, y=y)
    np.savez_compressed(folder / "dermamnist.npz", **parts)
    np.savez_compressed(folder / "glyphs.npz", images=np.zeros((2, 16, 28, 28), np.uint8))
    kinds = {
        "table": "table",
        "series": "series",
        "pictures": "images-hwc",
        "dermamnist": "images-hwc",
    }
    samples = []
    for name, kind in kinds.items():
        path = folder / f"{name}.npz"
        samples.append(Sample(f"npz {name}", path, partial(_load, data=str(path), array_kind=kind)))
    cache = folder / "glyphs.npz"
    samples.append(Sample("npz glyph cache", cache, partial(_read_cache, cache, 2)))
    return [*samples, _trajectories(folder / "trajectories.npz")]


def _trajectories(path: Path) -> Sample:
    lengths, ends = np.array([2, 1, 3]), np.array([True, False, False])
    metarl.Trajectories(
        lengths=lengths,
        observations=RNG.normal(size=(9, 2)),
        rewards=np.ones(6),
        terminated=ends,
        truncated=~ends,
        raw_actions=RNG.normal(size=(6, 1)),
        actions=RNG.uniform(size=(6, 1)),
        log_probs=-np.ones(6),
    ).save(path)
    return Sample("npz trajectories", path, lambda: metarl.Trajectories.load(path).after())


def _load(**settings: Any) -> object:
    return load_data(DataConfig(**settings))


def _tables(folder: Path) -> list[Sample]:
    folder.mkdir()
    rows = "".join(f"{i % 7}.5,{i * i},{'abcdef'[i % 6]}\n" for i in range(24))
    (folder / "table.csv").write_text("width,height,species\n" + rows)
    quoted = "".join(f'"{i}";"{i}e-1";"{"αβγδεζ"[i % 6]}"\r\n' for i in range(24))
    (folder / "quoted.csv").write_text("\ufeffa;b;c\r\n" + quoted, encoding="utf-8")
    return [
        Sample(f"csv {path.stem}", path, partial(_load, data=str(path)))
        for path in sorted(folder.iterdir())
    ]


def _images(folder: Path) -> list[Sample]:
    colour = Image.fromarray(RNG.integers(0, 256, (6, 9, 3), np.uint8))
    deep = Image.fromarray(RNG.integers(0, 65536, (6, 9)).astype(np.uint16))
    several = {"save_all": True, "append_images": [colour.convert("P")]}
    kinds: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "rgb.png": (colour, {}),
        "gray.png": (colour.convert("L"), {}),
        "alpha.png": (colour.convert("RGBA"), {}),
        "palette.png": (colour.quantize(16), {"transparency": 3}),
        "bits.png": (colour.convert("1"), {}),
        "deep.png": (deep, {}),
        "rgb.jpg": (colour, {"exif": _turned()}),
        "progressive.jpg": (colour, {"progressive": True}),
        "cmyk.jpg": (colour.convert("CMYK"), {}),
        "rgb.bmp": (colour, {}),
        "palette.bmp": (colour.quantize(16), {}),
        "moving.gif": (colour.quantize(16), several),
        "rgb.webp": (colour, {}),
        "lossless.webp": (colour.convert("RGBA"), {"lossless": True}),
        "rgb.tif": (colour, several),
        "lzw.tif": (colour, {"compression": "tiff_lzw"}),
        "deflate.tif": (colour, {"compression": "tiff_adobe_deflate"}),
        "jpeg.tif": (colour, {"compression": "jpeg"}),
        "deep.tif": (deep, {}),
        "float.tif": (colour.convert("F"), {}),
    }
    samples = []
    for name, (image, settings) in kinds.items():
        path = folder / name.replace(".", "-") / "a" / name
        path.parent.mkdir(parents=True)
        image.save(path, **settings)
        read = partial(read_class_folder, path.parent.parent, image_size=8, channels=3)
        samples.append(Sample(f"image {name}", path, read))
    path = folder / "queries" / "one.png"
    path.parent.mkdir()
    colour.save(path)
    return [*samples, Sample("image query", path, partial(read_query_folder, path.parent))]


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _image_lists(folder: Path) -> list[Sample]:
    (folder / "images").mkdir(parents=True)
    for split, classes in zip(("train", "val", "test"), ("ab", "cd", "ef"), strict=True):
        files = [f"{name}{index}.png" for name in classes for index in range(2)]
        for file in files:
            Image.new("L", (3, 3)).save(folder / "images" / file)
        rows = "".join(f"{file},n{file[0]}\n" for file in files)
        (folder / f"{split}.csv").write_text("filename,label\n" + rows)
    return [Sample("csv list of images", folder / "train.csv", partial(load_folder, folder))]


def _omniglot(folder: Path) -> list[Sample]:
    drawings = folder / "folders" / "images_background" / "Latin" / "character01"
    drawings.mkdir(parents=True)
    for index in range(20):
        Image.new("1", (10, 10), index % 2).save(drawings / f"{index:02d}.png")
    (folder / "npz").mkdir()
    names = np.array(["images_background/Latin/character01"] * 2)
    np.savez_compressed(folder / "npz" / NPZ, x=np.ones((2, 20, 28, 28), np.uint8), classes=names)
    return [
        Sample("omniglot folders", drawings / "03.png", partial(read_omniglot, folder / "folders")),
        Sample("omniglot npz", folder / "npz" / NPZ, partial(read_omniglot, folder / "npz")),
    ]


SPECS: dict[str, dict[str, Any]] = {
    "plain": {
        "name": "plain",
        "classes_per_split": {"TRAIN": 2, "VALID": 1, "TEST": 1},
        "images_per_class": {str(i): 2 for i in range(4)},
        "class_names": {str(i): f"c{i}" for i in range(4)},
        "file_pattern": "{}.tfrecords",
        "__class__": "DatasetSpecification",
    },
    "bilevel": {
        "name": "bilevel",
        "superclasses_per_split": {"TRAIN": 1, "VALID": 1, "TEST": 1},
        "classes_per_superclass": {"0": 2, "1": 1, "2": 1},
        "images_per_class": {str(i): 2 for i in range(4)},
        "superclass_names": {"0": "Latin", "1": "Greek", "2": "Runes"},
        "class_names": {str(i): f"c{i}" for i in range(4)},
        "file_pattern": "{}.tfrecords",
        "__class__": "BiLevelDatasetSpecification",
    },
    "graph": {
        "name": "graph",
        "split_subgraphs": {
            part: [
                {"wn_id": f"{part}root", "children_ids": leaves},
                *({"wn_id": leaf, "children_ids": []} for leaf in leaves),
            ]
            for part, leaves in (("TRAIN", ["n0", "n1"]), ("VALID", ["n2"]), ("TEST", ["n3"]))
        },
        "images_per_class": {"TRAIN": {"n0": 2, "n1": 2}, "VALID": {"n2": 2}, "TEST": {"n3": 2}},
        "class_names": {str(i): f"n{i}" for i in range(4)},
        "file_pattern": "{}.tfrecords",
        "__class__": "HierarchicalDatasetSpecification",
    },
}


def _meta_dataset(folder: Path) -> list[Sample]:
    samples = []
    for name, spec in SPECS.items():
        (folder / name).mkdir(parents=True)
        path = folder / name / "dataset_spec.json"
        path.write_text(json.dumps(spec))
        for class_id in range(4):
            records = b"".join(_framed(_example(class_id)) for _ in range(2))
            (folder / name / f"{class_id}.tfrecords").write_bytes(records)
        samples.append(Sample(f"spec {name}", path, partial(_take, folder, name)))
    path = folder / "plain" / "1.tfrecords"
    return [*samples, Sample("tfrecord", path, partial(_take, folder, "plain"))]


def _take(folder: Path, name: str) -> object:
    source = load_meta_dataset(folder, [name], image_size=8)[name].train
    classes = torch.arange(len(source.counts)).repeat(2)
    return source.take(classes, torch.arange(len(classes)) % 2)


def _example(label: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 7), (label * 20, 50, 100)).save(buffer, "JPEG")
    image = _message(1, _message(1, buffer.getvalue()))
    number = _message(3, _message(1, bytes([label])))
    pairs = ((b"image", image), (b"label", number))
    return _message(
        1, b"".join(_message(1, _message(1, key) + _message(2, value)) for key, value in pairs)
    )


def _message(number: int, data: bytes) -> bytes:
    length, size = len(data), b""
    while length > 0x7F:
        size += bytes([length & 0x7F | 0x80])
        length >>= 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + data


def _framed(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)


def _checksum(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)


class _Point(gym.Env[Any, Any]):
    observation_space = spaces.Box(-1.0, 1.0, (3,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)


def _weights(folder: Path) -> list[Sample]:
    folder.mkdir()
    model = PPO("MlpPolicy", _Point(), policy_kwargs={"net_arch": [4]}, seed=0, device="cpu")
    model.save(folder / "model.zip")
    read_policy("init-from", folder / "model.zip", 1.0).save(folder / "policy.pt")
    _classifier().save(folder / "classifier.pt")
    return [
        *(
            Sample(
                f"policy {name}", folder / name, partial(read_policy, "policy", folder / name, 1)
            )
            for name in ("model.zip", "policy.pt")
        ),
        Sample(
            "classifier.pt",
            folder / "classifier.pt",
            partial(metarl.load_classifier, folder / "classifier.pt"),
        ),
    ]


def _classifier() -> Classifier:
    source = ArraySource("s", torch.zeros(6, 2), [3, 3], ["a", "b"])
    sampler = FixedSampler(source, num_ways=2, num_shots=1, num_queries=1)
    kind = BackboneConfig(backbone="mlp", hidden_sizes=(4,))
    learner = make_learner(
        PRESETS["protonet"].config,
        make_backbone(kind, (2,), torch.Generator().manual_seed(0)),
        Problem((2,), 2, regression=False, train_source=source),
        EpisodeSamplers(sampler, sampler, 1),
        iterations=1,
        seed=0,
        device=torch.device("cpu"),
    )
    fitted = learner.fit(torch.zeros(1, 2, 2), torch.tensor([[0, 1]]), 2, 0)[-1]
    fitted = {name: value.detach() for name, value in fitted.items()}
    return Classifier(learner, fitted, ["a", "b"], (2,), kind)


def _run_files(folder: Path) -> list[Sample]:
    run = metarl.train(
        "maml-vpg",
        env="metarl/PointGoal-v0",
        output=folder,
        iterations=1,
        meta_batch_size=2,
        num_trajectories=2,
        horizon=3,
        hidden_sizes=(4,),
        eval_tasks=0,
    ).folder
    checkpoint = max((run / "checkpoints").glob("*.pt"))
    load = partial(metarl.load_run, run, say=lambda _: None)
    return [
        Sample("run config.json", run / "config.json", load, holds_options=True),
        Sample("run checkpoint", checkpoint, load),
        Sample("run metrics.csv", run / "metrics.csv", partial(_go_on, run)),
    ]


def _go_on(run: Path) -> None:
    writer = CSVWriter()
    writer.open(run, 1)
    writer.write(2, {"meta/loss": 1.0})


def _texts(folder: Path) -> list[Sample]:
    folder.mkdir()
    path = folder / "task.json"
    path.write_text(json.dumps({"goal": [0.3, -0.4], "name": "x", "more": {"m": 1.5}}))
    return [Sample("JSON of an option", path, partial(_parse_option, path), holds_options=True)]


def _parse_option(path: Path) -> None:
    with input_errors("task"):
        json_object(path.read_text("latin-1"))
