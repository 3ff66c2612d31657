"""What a file claims to hold is compared with what it can hold, before memory is taken for it."""

import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib import format as npy
from PIL import Image

from metarl.fewshot.data.config import DataConfig
from metarl.fewshot.data.meta_dataset_spec import read_spec
from metarl.fewshot.data.pixels import open_image
from metarl.fewshot.data.registry import load_data
from metarl.files import FileError
from metarl.npz import read_npz

MEGABYTE = 1 << 20


def refused(read: Callable[[], object], message: str) -> None:
    """With one line, and with no memory to speak of."""
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match=message):
            read()
        assert tracemalloc.get_traced_memory()[1] < 4 * MEGABYTE
    finally:
        tracemalloc.stop()


def write_npy(path: Path, shape: tuple[int, ...], content: bytes, **settings: Any) -> None:
    """An archive of one array, whose header claims a shape."""
    header = io.BytesIO()
    npy.write_array_header_2_0(header, {"descr": "<f8", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w", **settings) as archive:
        archive.writestr("x.npy", header.getvalue() + content)


@pytest.mark.parametrize("shape", [(10**12,), (10**6, 10**6), (21, 2), (2**62, 2**62)])
def test_an_archive_that_claims_more_numbers_than_it_holds(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    write_npy(tmp_path / "a.npz", shape, bytes(200))
    message = r"a.npz: x.npy claims \d+ bytes of numbers, but holds 328"
    refused(lambda: read_npz(tmp_path / "a.npz", ["x"]), message)


def test_an_archive_that_claims_fewer(tmp_path: Path) -> None:
    """One digit of the header: eleven of twelve rows would be read."""
    path = tmp_path / "a.npz"
    write_npy(path, (24,), bytes(200))
    refused(lambda: read_npz(path, ["x"]), "a.npz: x.npy holds more than the 192 bytes")
    np.savez(path, x=np.zeros((12, 2)))
    path.write_bytes(path.read_bytes().replace(b"(12, 2)", b"(11, 2)"))
    refused(lambda: read_npz(path, ["x"]), "a.npz: x.npy holds more|Bad CRC")


def test_an_archive_that_expands_to_far_more_than_a_file(tmp_path: Path) -> None:
    """A gigabyte of zeros in a megabyte. As much that is not compressed is as good as any."""
    path = tmp_path / "a.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w", force_zip64=True) as file,
    ):
        for _ in range(80):
            file.write(bytes(MEGABYTE))
    message = (
        r"a.npz: x.npy claims 83886080 bytes, over 200 times those of the file; .* numpy.savez"
    )
    refused(lambda: read_npz(path, ["x"]), message)
    np.savez(path, x=np.zeros(70 * MEGABYTE, np.uint8))
    assert read_npz(path, ["x"])["x"].nbytes == 70 * MEGABYTE


def test_a_modest_array_may_be_compressed_as_well_as_it_can(tmp_path: Path) -> None:
    """One-hot features are."""
    x = np.zeros((1000, 1000))
    np.savez_compressed(tmp_path / "a.npz", x=x)
    assert np.array_equal(read_npz(tmp_path / "a.npz", ["x"])["x"], x)


SPEC: dict[str, Any] = {
    "name": "birds",
    "classes_per_split": {"TRAIN": 2, "VALID": 1, "TEST": 1},
    "superclasses_per_split": {"TRAIN": 1, "VALID": 1, "TEST": 1},
    "classes_per_superclass": {"0": 2, "1": 1, "2": 1},
    "images_per_class": {str(i): 2 for i in range(4)},
    "class_names": {str(i): f"c{i}" for i in range(4)},
    "file_pattern": "{}.tfrecords",
}
PLAIN, BILEVEL = "DatasetSpecification", "BiLevelDatasetSpecification"


@pytest.mark.parametrize(
    ("kind", "changed", "message"),
    [
        (PLAIN, {"classes_per_split": {"TRAIN": 10**10, "VALID": 1, "TEST": 1}}, "up to 4 at most"),
        (PLAIN, {"classes_per_split": {"TRAIN": -1, "VALID": 1, "TEST": 1}}, "up to 4 at most"),
        (PLAIN, {"classes_per_split": {"TRAIN": True, "VALID": 1, "TEST": 1}}, "up to 4 at most"),
        (BILEVEL, {"classes_per_superclass": {"0": 10**10, "1": 1, "2": 1}}, "up to 4 at most"),
        (BILEVEL, {"superclasses_per_split": {"TRAIN": 10**10, "VALID": 1, "TEST": 1}}, "up to 3"),
        (PLAIN, {"images_per_class": {str(i): -2 for i in range(4)}}, "whole numbers, got -2"),
        (PLAIN, {"images_per_class": {str(i): 2**70 for i in range(4)}}, "whole numbers, got 1180"),
        (PLAIN, {"images_per_class": {"0": 2}}, "has no entry '1'"),
    ],
)
def test_a_specification_of_more_classes_than_it_names(
    tmp_path: Path, kind: str, changed: dict[str, Any], message: str
) -> None:
    path = tmp_path / "dataset_spec.json"
    path.write_text(json.dumps({**SPEC, "__class__": kind, **changed}))
    refused(lambda: read_spec(path), f"{path}: .*{message}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 100_000, "maximum recursion depth exceeded"),
        ('{"name": ' + "9" * 5000 + "}", "Exceeds the limit"),
        ('"a text"', "string indices must be integers"),
        ("\udc80", "utf-8"),
    ],
)
def test_a_specification_that_is_none(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "dataset_spec.json"
    path.write_text(content, errors="surrogateescape")
    refused(lambda: read_spec(path), f"{path}: .*{message}")


def test_a_large_file_is_no_specification(tmp_path: Path) -> None:
    path = tmp_path / "dataset_spec.json"
    with path.open("wb") as file:
        file.truncate(20 * MEGABYTE)
    refused(lambda: read_spec(path), f"{path}: has over 16777216 bytes")


def test_many_nodes_with_many_leaves_take_little(tmp_path: Path) -> None:
    """A chain of 400 nodes above 2,000 leaves: 800,000 numbers if each kept its own."""
    leaves = [f"n{i}" for i in range(2000)]
    chain = [
        {"wn_id": f"c{i}", "children_ids": [f"c{i + 1}"] if i < 399 else leaves} for i in range(400)
    ]
    nodes = [*chain, *({"wn_id": leaf, "children_ids": []} for leaf in leaves)]
    spec = {
        **SPEC,
        "__class__": "HierarchicalDatasetSpecification",
        "split_subgraphs": {"TRAIN": nodes, "VALID": [], "TEST": []},
        "images_per_class": {"TRAIN": dict.fromkeys(leaves, 5), "VALID": {}, "TEST": {}},
        "class_names": {str(i): leaf for i, leaf in enumerate(leaves)},
    }
    path = tmp_path / "dataset_spec.json"
    path.write_text(json.dumps(spec))
    tracemalloc.start()
    groups = read_spec(path)["train"].groups
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert groups is not None
    assert groups.members == ()
    assert peak < 8 * MEGABYTE


@pytest.mark.parametrize("name", ["my_mnist_subset.npz", "dermamnist.npz", "data", "data.CSV"])
def test_an_archive_is_known_by_its_arrays(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with path.open("wb") as file:
        np.savez(file, x=np.arange(24.0).reshape(12, 2), y=np.arange(12) % 6)
    (dataset,) = load_data(DataConfig(data=str(path), array_kind="table")).datasets
    assert dataset.train.shape == (2,)


@pytest.mark.parametrize("name", ["data.CSV", "data.npz", "data.txt", "mnist_.csv"])
def test_a_table_is_known_by_its_text(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("a,b\n" + "".join(f"{i},{'abcdef'[i % 6]}\n" for i in range(12)))
    (dataset,) = load_data(DataConfig(data=str(path))).datasets
    assert dataset.train.shape == (1,)


@pytest.mark.parametrize(
    "content", [b"\x93NUMPY\x01\x00", b"\x89PNG\r\n\x1a\n\xff", b"PK\x03\x04x"]
)
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(FileError, match=f"{path}: not a (table of text|whole archive)"):
        load_data(DataConfig(data=str(path)))


def test_a_picture_that_claims_a_long_chunk(tmp_path: Path) -> None:
    """A PNG's first chunk of pixels says that it has 2³¹ - 1 bytes: none are taken for them."""
    path = tmp_path / "picture.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    content = bytearray(path.read_bytes())
    at = content.index(b"IDAT") - 4
    content[at : at + 4] = (2**31 - 1).to_bytes(4, "big")
    path.write_bytes(content)
    tracemalloc.start()
    with suppress(OSError, SyntaxError, ValueError), open_image(path) as image:
        image.load()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10**7
