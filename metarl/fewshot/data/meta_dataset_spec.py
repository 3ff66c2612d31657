"""The specifications of Meta-Dataset: which classes a source has, and how many images each.

:func:`read_spec` reads ``dataset_spec.json`` of each of its three kinds. No image is needed: the
counts and groups of a :class:`SplitSpec` are all that
:func:`metarl.fewshot.variable_sampler.draw_plan` takes. Class ids count through: training, then
validation, then test classes.
"""

import itertools
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metarl.fewshot.sources import ClassGroups, Split
from metarl.files import FileError, one_error

MIN_LEAVES = 5
"""A node of ImageNet's graph is eligible from as many leaves as the fewest ways of an episode,"""
MAX_LEAVES = 392
"""up to the fewest that leave every class of the training split within reach."""

LARGEST = 16 << 20
"""Most bytes of a specification; that of ImageNet with its graph has 337,525."""

SPLITS: dict[Split, str] = {"train": "TRAIN", "validation": "VALID", "test": "TEST"}
ONE_FILE, SHARDS = "{}.tfrecords", "{}_{}.tfrecords"
"""File patterns: of class id, or of class id and shard."""


@dataclass(frozen=True)
class SplitSpec:
    """The classes of one split, without their images."""

    name: str
    """Such as ``fungi test``."""
    class_ids: tuple[int, ...]
    class_names: tuple[str, ...]
    counts: tuple[int, ...]
    """Images of every class."""
    groups: ClassGroups | None
    """Alphabets (``bilevel``), or the eligible nodes of the class graph (``graph``)."""
    file_pattern: str
    """Of the files of a class."""


def read_spec(path: Path) -> dict[Split, SplitSpec]:
    """Read ``dataset_spec.json`` of any of the three kinds.

    Raises:
        FileError: there is no such file, or it is no specification.
    """
    with one_error(FileError, str(path)):
        try:
            return _read_any_kind(path)
        except KeyError as error:
            raise ValueError(f"has no entry {error}") from error


def _read_any_kind(path: Path) -> dict[Split, SplitSpec]:
    if path.stat().st_size > LARGEST:
        raise ValueError(f"has over {LARGEST} bytes, too many for a specification")
    spec = json.loads(path.read_bytes())
    read = _KINDS.get(spec["__class__"])
    if read is None:
        raise ValueError(
            f"__class__ is {spec['__class__']!r}, but must be one of {', '.join(_KINDS)}"
        )
    if spec["file_pattern"] not in (ONE_FILE, SHARDS):
        raise ValueError(
            f"file_pattern is {spec['file_pattern']!r}, but must be {ONE_FILE} or {SHARDS}"
        )
    return read(spec)


def _read_plain(spec: Mapping[str, Any]) -> dict[Split, SplitSpec]:
    ids = _consecutive(spec["classes_per_split"], len(spec["class_names"]))
    return {split: _split_spec(spec, split, ids[split], None) for split in SPLITS}


def _read_bilevel(spec: Mapping[str, Any]) -> dict[Split, SplitSpec]:
    """Superclasses count through as classes do, and so do the classes of each."""
    specs: dict[Split, SplitSpec] = {}
    first = 0
    sizes_of = spec["classes_per_superclass"]
    _whole_numbers("classes_per_superclass", sizes_of.values(), len(spec["class_names"]))
    per_split = _consecutive(spec["superclasses_per_split"], len(sizes_of))
    for split, superclasses in per_split.items():
        sizes = [sizes_of[str(index)] for index in superclasses]
        ends = list(itertools.accumulate(sizes, initial=0))
        members = tuple(tuple(range(a, b)) for a, b in itertools.pairwise(ends))
        ids = range(first, first + ends[-1])
        specs[split] = _split_spec(spec, split, ids, ClassGroups("bilevel", members))
        first = ids.stop
    return specs


def _read_graph(spec: Mapping[str, Any]) -> dict[Split, SplitSpec]:
    """Classes are the leaves of the split's graph; their WordNet ids are the class names."""
    ids = {wn_id: int(class_id) for class_id, wn_id in spec["class_names"].items()}
    specs: dict[Split, SplitSpec] = {}
    for split, key in SPLITS.items():
        children = {node["wn_id"]: node["children_ids"] for node in spec["split_subgraphs"][key]}
        leaves = sorted((wn_id for wn_id in children if not children[wn_id]), key=ids.__getitem__)
        images = {str(ids[leaf]): spec["images_per_class"][key][leaf] for leaf in leaves}
        specs[split] = _split_spec(
            {**spec, "images_per_class": images},
            split,
            [ids[leaf] for leaf in leaves],
            ClassGroups("graph", _eligible_nodes(children, leaves)),
        )
    return specs


_KINDS: dict[str, Callable[[Mapping[str, Any]], dict[Split, SplitSpec]]] = {
    "DatasetSpecification": _read_plain,
    "BiLevelDatasetSpecification": _read_bilevel,
    "HierarchicalDatasetSpecification": _read_graph,
}


def _whole_numbers(name: str, numbers: Collection[Any], most: int) -> list[int]:
    """Raise unless these are whole numbers of at least 0 that add up to no more than that."""
    whole = [number for number in numbers if type(number) is int and number >= 0]
    if len(whole) != len(numbers) or sum(whole) > most:
        raise ValueError(f"{name} must be whole numbers that add up to {most} at most")
    return whole


def _consecutive(per_split: Mapping[str, int], most: int) -> dict[Split, range]:
    """The ids of every split, counting through."""
    numbers = _whole_numbers("numbers of classes", [per_split[k] for k in SPLITS.values()], most)
    ends = list(itertools.accumulate(numbers, initial=0))
    ranges = itertools.starmap(range, itertools.pairwise(ends))
    return dict(zip(SPLITS, ranges, strict=True))


def _split_spec(
    spec: Mapping[str, Any], split: Split, ids: Iterable[int], groups: ClassGroups | None
) -> SplitSpec:
    ids = tuple(ids)
    counts = tuple(spec["images_per_class"][str(class_id)] for class_id in ids)
    if wrong := [count for count in counts if type(count) is not int or not 0 <= count < 2**62]:
        raise ValueError(f"images_per_class must be whole numbers, got {wrong[0]!r}")
    names = tuple(str(spec["class_names"][str(class_id)]) for class_id in ids)
    return SplitSpec(f"{spec['name']} {split}", ids, names, counts, groups, spec["file_pattern"])


def _eligible_nodes(
    children: Mapping[str, Sequence[str]], leaves: Sequence[str]
) -> tuple[tuple[int, ...], ...]:
    """Leaves of every inner node that has neither too few nor too many of them."""
    spans = {leaf: frozenset([index]) for index, leaf in enumerate(leaves)}
    too_many = frozenset(range(MAX_LEAVES + 1))  # for all of them: a graph may have many such nodes

    def span(node: str) -> frozenset[int]:
        if node not in spans:
            leaves_below = frozenset[int]().union(*map(span, children[node]))
            spans[node] = leaves_below if len(leaves_below) <= MAX_LEAVES else too_many
        return spans[node]

    inner = sorted(node for node in children if children[node])
    return tuple(
        tuple(sorted(span(node))) for node in inner if MIN_LEAVES <= len(span(node)) <= MAX_LEAVES
    )
