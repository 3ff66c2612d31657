"""The specifications of Meta-Dataset: which classes a source has, and how many images each.

:func:`read_spec` reads ``dataset_spec.json`` of each of its three kinds. No image is needed: the
counts and groups of a :class:`SplitSpec` are all that
:func:`metarl.fewshot.variable_sampler.draw_plan` takes. Class ids count through: training, then
validation, then test classes.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metarl.fewshot.sources import ClassGroups, Split

MIN_LEAVES = 5
"""A node of ImageNet's graph is eligible from as many leaves as the fewest ways of an episode,"""
MAX_LEAVES = 392
"""up to the fewest that leave every class of the training split within reach."""

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
        ValueError: there is no such file, or it is no specification.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
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
    except KeyError as error:
        raise ValueError(f"{path}: has no entry {error}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: {error}") from error


def _read_plain(spec: Mapping[str, Any]) -> dict[Split, SplitSpec]:
    ids = _consecutive(spec["classes_per_split"])
    return {split: _split_spec(spec, split, ids[split], None) for split in SPLITS}


def _read_bilevel(spec: Mapping[str, Any]) -> dict[Split, SplitSpec]:
    """Superclasses count through as classes do, and so do the classes of each."""
    specs: dict[Split, SplitSpec] = {}
    first = 0
    for split, superclasses in _consecutive(spec["superclasses_per_split"]).items():
        sizes = [spec["classes_per_superclass"][str(index)] for index in superclasses]
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


def _consecutive(per_split: Mapping[str, int]) -> dict[Split, range]:
    """The ids of every split, counting through."""
    ends = list(itertools.accumulate((per_split[key] for key in SPLITS.values()), initial=0))
    ranges = itertools.starmap(range, itertools.pairwise(ends))
    return dict(zip(SPLITS, ranges, strict=True))


def _split_spec(
    spec: Mapping[str, Any], split: Split, ids: Iterable[int], groups: ClassGroups | None
) -> SplitSpec:
    ids = tuple(ids)
    counts = tuple(spec["images_per_class"][str(class_id)] for class_id in ids)
    if pools := [count for count in counts if not isinstance(count, int)]:
        raise ValueError(f"images_per_class must be whole numbers, got {pools[0]!r}")
    names = tuple(spec["class_names"][str(class_id)] for class_id in ids)
    return SplitSpec(f"{spec['name']} {split}", ids, names, counts, groups, spec["file_pattern"])


def _eligible_nodes(
    children: Mapping[str, Sequence[str]], leaves: Sequence[str]
) -> tuple[tuple[int, ...], ...]:
    """Leaves of every inner node that has neither too few nor too many of them."""
    spans = {leaf: frozenset([index]) for index, leaf in enumerate(leaves)}

    def span(node: str) -> frozenset[int]:
        if node not in spans:
            spans[node] = frozenset[int]().union(*map(span, children[node]))
        return spans[node]

    inner = sorted(node for node in children if children[node])
    return tuple(
        tuple(sorted(span(node))) for node in inner if MIN_LEAVES <= len(span(node)) <= MAX_LEAVES
    )
