"""Meta-Dataset's files, written here byte by byte: no code of the reader is used for it."""

import io
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from metarl.fewshot.data.meta_dataset import TFRecordSource, load_meta_dataset
from metarl.fewshot.data.meta_dataset_spec import read_spec
from metarl.fewshot.data.tfrecord import crc32c, index_records, parse_example, read_record
from metarl.fewshot.samplers import FixedSampler
from metarl.fewshot.sources import ClassGroups
from metarl.fewshot.variable_sampler import VariableSampler


def masked_crc(data: bytes) -> int:
    """Bit by bit, from the definition: CRC-32C, turned right by 15 bits, plus a constant."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17) & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF


def framed(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    checksums = struct.pack("<I", masked_crc(length)), struct.pack("<I", masked_crc(data))
    return length + checksums[0] + data + checksums[1]


def varint(number: int) -> bytes:
    low, high = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(high) if high else bytes([low])


def message(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def feature(name: str, value: bytes | int) -> bytes:
    """An entry of the map of ``tf.train.Features``."""
    if isinstance(value, bytes):
        of = message(1, message(1, value))
    else:
        of = message(3, message(1, varint(value % 2**64)))
    return message(1, message(1, name.encode()) + message(2, of))


def example(image: bytes, label: int) -> bytes:
    return message(1, feature("image", image) + feature("label", label))


def colour(class_id: int, record: int) -> tuple[int, int, int]:
    return (class_id * 20, record * 10, 100)


def encoded(
    rgb: tuple[int, int, int], kind: str = "JPEG", size: tuple[int, int] = (20, 10)
) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, rgb).save(buffer, kind, quality=100)
    return buffer.getvalue()


def write_class(folder: Path, class_id: int, count: int, *, pattern: str = "{}.tfrecords") -> None:
    """Images of one colour each; with shards, all but the last hold two."""
    records = [framed(example(encoded(colour(class_id, i)), class_id)) for i in range(count)]
    step = 2 if pattern.count("{}") == 2 else count
    for shard, start in enumerate(range(0, count, step)):
        path = folder / pattern.format(class_id, shard)
        path.write_bytes(b"".join(records[start : start + step]))


PLAIN: dict[str, Any] = {
    "name": "birds",
    "classes_per_split": {"TRAIN": 2, "VALID": 0, "TEST": 1},
    "images_per_class": {"2": 6, "0": 3, "1": 5},
    "class_names": {"0": "wren", "1": "tern", "2": "crow"},
    "path": "/elsewhere",
    "file_pattern": "{}.tfrecords",
    "__class__": "DatasetSpecification",
}

BILEVEL: dict[str, Any] = {
    "name": "scripts",
    "superclasses_per_split": {"TRAIN": 2, "VALID": 1, "TEST": 1},
    "classes_per_superclass": {"0": 2, "1": 1, "2": 1, "3": 2},
    "images_per_class": {str(i): 3 + i for i in range(6)},
    "superclass_names": {"0": "Latin", "1": "Greek", "2": "Runes", "3": "Braille"},
    "class_names": {str(i): f"letter{i}" for i in range(6)},
    "path": "/elsewhere",
    "file_pattern": "{}.tfrecords",
    "__class__": "BiLevelDatasetSpecification",
}


def node(wn_id: str, *children: str) -> dict[str, Any]:
    return {"wn_id": wn_id, "words": wn_id, "children_ids": list(children), "parents_ids": []}


TRAIN_LEAVES = [f"n{i}" for i in range(6)]
GRAPH: dict[str, Any] = {
    "name": "things",
    "split_subgraphs": {
        # n3 is below both inner nodes; "few" spans 4 leaves only
        "TRAIN": [
            node("root", "many", "few"),
            node("many", "n0", "n1", "n2", "deep"),
            node("deep", "n3", "n4"),
            node("few", "n2", "n3", "deep", "n5"),
            *map(node, reversed(TRAIN_LEAVES)),
        ],
        "VALID": [node("top", "n6", "n7"), node("n7"), node("n6")],
        "TEST": [
            node("peak", *(f"n{i}" for i in range(8, 13))),
            *(node(f"n{i}") for i in range(8, 13)),
        ],
    },
    "images_per_class": {
        "TRAIN": {"root": 99, "many": 50, "deep": 9, "few": 9}
        | {leaf: 10 + i for i, leaf in enumerate(TRAIN_LEAVES)},
        "VALID": {"top": 33, "n6": 16, "n7": 17},
        "TEST": {"peak": 90} | {f"n{i}": 10 + i for i in range(8, 13)},
    },
    "class_names": {str(i): f"n{i}" for i in range(13)},
    "path": "/elsewhere",
    "file_pattern": "{}.tfrecords",
    "__class__": "HierarchicalDatasetSpecification",
}


def write_spec(folder: Path, spec: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "dataset_spec.json"
    path.write_text(json.dumps(spec))
    return path


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    """A root with one source in it."""
    write_spec(tmp_path / "birds", PLAIN)
    for class_id, count in PLAIN["images_per_class"].items():
        write_class(tmp_path / "birds", int(class_id), count)
    return tmp_path


def everything(source: TFRecordSource) -> Tensor:
    counts = source.counts.tolist()
    classes = [c for c, count in enumerate(counts) for _ in range(count)]
    examples = [i for count in counts for i in range(count)]
    return source.take(torch.tensor(classes), torch.tensor(examples))


def assert_colours(images: Tensor, expected: Sequence[tuple[int, int, int]]) -> None:
    """JPEG shifts a colour by a few steps."""
    assert images.dtype == torch.uint8
    wanted = torch.tensor(expected)[:, :, None, None].expand(images.shape)
    assert int((images.int() - wanted).abs().max()) <= 4


def test_a_source_on_disk(birds: Path) -> None:
    data = load_meta_dataset(birds)["birds"]
    assert data.name == "birds"
    assert (data.train.name, data.test.name) == ("birds train", "birds test")
    assert data.train.class_names == ("wren", "tern")
    assert data.test.class_names == ("crow",)
    assert data.train.counts.tolist() == [3, 5]
    assert data.train.shape == (3, 84, 84)
    assert data.train.groups is None


def test_images_are_those_of_the_class_and_number(birds: Path) -> None:
    data = load_meta_dataset(birds, ["birds"], image_size=8)["birds"]
    taken = data.train.take(torch.tensor([[1, 0], [0, 1]]), torch.tensor([[4, 2], [0, 1]]))
    assert taken.shape == (2, 2, 3, 8, 8)
    assert_colours(taken.flatten(0, 1), [colour(1, 4), colour(0, 2), colour(0, 0), colour(1, 1)])
    assert_colours(data.test.take(torch.tensor([0]), torch.tensor([5])), [colour(2, 5)])


def test_episodes_from_disk(birds: Path) -> None:
    sampler = FixedSampler(
        load_meta_dataset(birds, image_size=4)["birds"].train,
        num_ways=2,
        num_shots=1,
        num_queries=2,
    )
    (episodes,) = sampler.sample(3, torch.Generator().manual_seed(0))
    assert episodes.query_x.shape == (3, 4, 3, 4, 4)
    red = episodes.query_x[:, :, 0].float().mean((2, 3)).div(20).round()
    assert all(sorted(set(row)) == [0, 1] for row in red.tolist())


def test_a_split_without_classes_is_refused_by_samplers_only(birds: Path) -> None:
    empty = load_meta_dataset(birds)["birds"].validation
    assert empty.counts.dtype == torch.int64
    assert empty.counts.shape == (0,)
    with pytest.raises(ValueError, match=r"^birds validation: has 0 classes, but min_ways is 5$"):
        VariableSampler(empty)


def test_shards_are_one_class(tmp_path: Path) -> None:
    """Eleven or more, so that shard 10 must not come before shard 2."""
    pattern = "{}_{}.tfrecords"
    counts = {"0": 23, "1": 3, "2": 2}
    write_spec(tmp_path / "birds", PLAIN | {"file_pattern": pattern, "images_per_class": counts})
    for class_id, count in counts.items():
        write_class(tmp_path / "birds", int(class_id), count, pattern=pattern)
    source = load_meta_dataset(tmp_path, image_size=4)["birds"].train
    assert isinstance(source, TFRecordSource)
    assert_colours(
        everything(source), [colour(c, i) for c, n in ((0, 23), (1, 3)) for i in range(n)]
    )


def test_images_of_other_kinds(birds: Path) -> None:
    """PNG, and one channel, which becomes three."""
    buffer = io.BytesIO()
    Image.new("L", (3, 5), 70).save(buffer, "PNG")
    records = [encoded((5, 200, 9), "PNG"), buffer.getvalue(), encoded((1, 2, 3), size=(900, 700))]
    path = birds / "birds" / "0.tfrecords"
    path.write_bytes(b"".join(framed(example(data, 0)) for data in records))
    source = load_meta_dataset(birds)["birds"].train
    taken = source.take(torch.tensor([0, 0, 0]), torch.tensor([0, 1, 2]))
    assert_colours(taken, [(5, 200, 9), (70, 70, 70), (1, 2, 3)])


def test_sources_are_the_folders_with_a_specification(birds: Path) -> None:
    (birds / "notes").mkdir()
    assert list(load_meta_dataset(birds)) == ["birds"]
    with pytest.raises(ValueError, match=r"notes: no folder in it has a dataset_spec\.json$"):
        load_meta_dataset(birds / "notes")
    with pytest.raises(ValueError, match=r"notes.dataset_spec\.json: No such file or directory$"):
        load_meta_dataset(birds, ["notes"])


def test_plain_specification(tmp_path: Path) -> None:
    specs = read_spec(write_spec(tmp_path, PLAIN))
    assert [spec.class_ids for spec in specs.values()] == [(0, 1), (), (2,)]
    assert [spec.counts for spec in specs.values()] == [(3, 5), (), (6,)]
    assert all(spec.groups is None for spec in specs.values())


def test_bilevel_specification(tmp_path: Path) -> None:
    """Classes in order of superclass: two and one to train on, one for validation, two to test."""
    specs = read_spec(write_spec(tmp_path, BILEVEL))
    assert [spec.class_ids for spec in specs.values()] == [(0, 1, 2), (3,), (4, 5)]
    assert [spec.counts for spec in specs.values()] == [(3, 4, 5), (6,), (7, 8)]
    assert [spec.groups for spec in specs.values()] == [
        ClassGroups("bilevel", ((0, 1), (2,))),
        ClassGroups("bilevel", ((0,),)),
        ClassGroups("bilevel", ((0, 1),)),
    ]


def test_graph_specification(tmp_path: Path) -> None:
    """By hand: ``many`` spans n0 to n4, ``root`` all six, ``few`` and ``deep`` less than five."""
    specs = read_spec(write_spec(tmp_path, GRAPH))
    assert [spec.class_ids for spec in specs.values()] == [
        tuple(range(6)),
        (6, 7),
        tuple(range(8, 13)),
    ]
    assert specs["train"].counts == (10, 11, 12, 13, 14, 15)
    assert specs["test"].counts == (18, 19, 20, 21, 22)
    assert specs["validation"].class_names == ("n6", "n7")
    assert [spec.groups for spec in specs.values()] == [
        ClassGroups("graph", ((0, 1, 2, 3, 4), (0, 1, 2, 3, 4, 5))),
        ClassGroups("graph", ()),
        ClassGroups("graph", ((0, 1, 2, 3, 4),)),
    ]


def test_groups_reach_the_sampler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metarl.fewshot.variable_sampler.MIN_WAYS", 2)
    folder = tmp_path / "scripts"
    write_spec(folder, BILEVEL)
    for class_id, count in BILEVEL["images_per_class"].items():
        write_class(folder, int(class_id), count)
    source = load_meta_dataset(tmp_path, image_size=2)["scripts"].train
    sampler = VariableSampler(source)
    for episodes in sampler.sample(5, torch.Generator().manual_seed(0)):
        red = episodes.query_x[0, :, 0, 0, 0].float().div(20).round()
        assert set(red.tolist()) == {0, 1}, "the one superclass of two classes"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"__class__": "Spec"}, "__class__ is 'Spec', but must be one of DatasetSpecification, "),
        ({"file_pattern": "{}.records"}, "file_pattern is '{}.records', but must be "),
        ({"images_per_class": {"0": 3, "1": 5}}, "has no entry '2'"),
        (
            {"images_per_class": {key: {"train": 3, "test": 2} for key in "012"}},
            "images_per_class must be whole numbers, got {'train': 3, 'test': 2}",
        ),
        ({"classes_per_split": 3}, "'int' object is not subscriptable"),
    ],
)
def test_refuses_specifications(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = write_spec(tmp_path, PLAIN | change)
    with pytest.raises(ValueError, match=r".") as error:
        read_spec(path)
    assert str(error.value).startswith(f"{path}: {message}")


def test_refuses_what_is_no_specification(tmp_path: Path) -> None:
    path = tmp_path / "dataset_spec.json"
    for text, message in (
        ("{", "Expecting property name"),
        ("[]", "list indices"),
        ("{}", "has no entry"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=rf"dataset_spec\.json: {message}"):
            read_spec(path)


def assert_take_says(root: Path, message: str) -> None:
    source = load_meta_dataset(root)["birds"].train
    with pytest.raises(ValueError, match=r".") as error:
        source.take(torch.tensor([0, 1]), torch.tensor([0, 1]))
    assert str(error.value) == message
    assert "\n" not in message


@pytest.mark.parametrize("lost", [1, 4, 5, 100])
def test_a_file_cut_short(birds: Path, lost: int) -> None:
    path = birds / "birds" / "1.tfrecords"
    whole = path.read_bytes()
    path.write_bytes(whole[:-lost])
    begins = int(index_records(birds / "birds" / "2.tfrecords")[0])
    assert begins == 0
    size = len(whole) - lost
    last = len(whole) - len(framed(example(encoded(colour(1, 4)), 1)))
    assert_take_says(
        birds,
        f"{path}: record 4, which begins at byte {last}, is cut short at byte {size}: "
        f"it should end at {len(whole)}",
    )


def test_a_file_cut_short_in_a_header(birds: Path) -> None:
    path = birds / "birds" / "1.tfrecords"
    last = len(path.read_bytes()) - len(framed(example(encoded(colour(1, 4)), 1)))
    path.write_bytes(path.read_bytes()[: last + 11])
    assert_take_says(
        birds,
        f"{path}: record 4, which begins at byte {last}, is cut short: "
        f"the file ends at byte {last + 11}",
    )


def test_too_few_and_too_many_records(birds: Path) -> None:
    for has in (4, 6):
        write_class(birds / "birds", 1, has)
        path = birds / "birds" / "1.tfrecords"
        message = f"{path}: has {has} records, but dataset_spec.json says 5"
        assert_take_says(birds, message)


def test_a_file_that_is_none_of_records(birds: Path) -> None:
    path = birds / "birds" / "1.tfrecords"
    path.write_bytes(b"<html>not here, but long enough</html>")
    assert_take_says(
        birds,
        f"{path}: record 0, which begins at byte 0, is damaged: "
        "the checksum of its length is wrong",
    )


def test_a_missing_file(birds: Path) -> None:
    path = birds / "birds" / "1.tfrecords"
    path.unlink()
    with pytest.raises(ValueError, match=r".") as error:
        load_meta_dataset(birds)
    assert str(error.value) == (f"{path}: no such file; it should hold class 'tern' of birds train")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            example(b"no image at all", 1),
            "record 1 cannot be read as an image: it holds no image of a known format: "
            "PNG, JPEG, BMP, GIF, WEBP, TIFF",
        ),
        (
            message(1, feature("label", 1)),
            "record 1 cannot be read as an image: it has no feature 'image' of bytes",
        ),
        (
            b"\x0f",
            "record 1 cannot be read as an image: not a tf.train.Example: wire type 7 at byte 1",
        ),
        (
            b"\x0a\x09",
            "record 1 cannot be read as an image: "
            "not a tf.train.Example: a field ends past its 2 bytes",
        ),
    ],
)
def test_a_record_that_is_no_image(birds: Path, data: bytes, message: str) -> None:
    path = birds / "birds" / "1.tfrecords"
    good = framed(example(encoded(colour(1, 0)), 1))
    path.write_bytes(good + framed(data) + good * 3)
    assert_take_says(birds, f"{path}: {message}")


def test_half_an_image(birds: Path) -> None:
    """The record is whole, the JPEG in it is not."""
    path = birds / "birds" / "1.tfrecords"
    noise = np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG")
    path.write_bytes(framed(example(buffer.getvalue()[:1500], 1)) * 5)
    source = load_meta_dataset(birds)["birds"].train
    with pytest.raises(ValueError, match=r"1\.tfrecords: record 2 cannot be read as an image: "):
        source.take(torch.tensor([1]), torch.tensor([2]))


def test_records_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "0.tfrecords"
    data = [b"", b"a", b"x" * 300]
    path.write_bytes(b"".join(map(framed, data)))
    starts = index_records(path).tolist()
    assert starts == [0, 16, 33]
    with path.open("rb") as file:
        assert [read_record(file, start) for start in reversed(starts)] == data[::-1]


def test_crc32c_of_rfc_3720() -> None:
    """The examples of appendix B.4."""
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E


def test_examples_with_every_wire_type() -> None:
    """Numbers packed and one by one, negative ones, floats and unknown fields, which are passed."""
    one_by_one = message(3, b"\x08\x05" + b"\x08" + varint(2**64 - 3))
    features = (
        feature("image", b"\x00\xff")
        + feature("label", -7)
        + message(1, message(1, b"numbers") + message(2, one_by_one))
        + message(1, message(1, b"box") + message(2, message(2, message(1, bytes(8)))))
    )
    unknown = (
        varint(9 << 3 | 1) + bytes(8) + varint(10 << 3 | 5) + bytes(4) + varint(11 << 3) + b"\x01"
    )
    assert parse_example(unknown + message(1, features)) == {
        "image": [b"\x00\xff"],
        "label": [-7],
        "numbers": [5, -3],
    }


@pytest.mark.parametrize("data", [b"\x80", b"\xff" * 12, b"\x0a"])
def test_numbers_without_an_end(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a tf\.train\.Example: a number has no end at byte "):
        parse_example(data)


def test_refuses_sizes(birds: Path) -> None:
    with pytest.raises(ValueError, match="image_size must be at least 1, got 0"):
        load_meta_dataset(birds, image_size=0)
