"""Arrays in memory to a data set: images, tables and time series with integer labels."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metarl.fewshot.data.class_splits import LEAST, Partition, check_disjoint, seeded_partition
from metarl.fewshot.sources import ArraySource, Dataset, Scaling

Kind = Literal["images-hw", "images-hwc", "images-chw", "table", "series"]
"""What an array holds, with the axes after the first:

``images-hw`` ``[n, H, W]``, ``images-hwc`` ``[n, H, W, C]``, ``images-chw`` ``[n, C, H, W]``, all
uint8; ``table`` ``[n, D]``; ``series`` ``[n, channels, time]``, or ``[n, time]`` of one channel.
"""

ClassSplit = tuple[Sequence[int], Sequence[int], Sequence[int]]
"""Class labels of train, validation and test; labels in none of them are left out."""

_AXES: dict[Kind, tuple[tuple[int, ...], str]] = {
    "images-hw": ((3,), "[n, H, W]"),
    "images-hwc": ((4,), "[n, H, W, C]"),
    "images-chw": ((4,), "[n, C, H, W]"),
    "table": ((2,), "[n, D]"),
    "series": ((2, 3), "[n, channels, time] or [n, time]"),
}
"""Numbers of axes, and how a message says them."""

Rows = Mapping[int, NDArray[np.int64]]
"""Rows of a split by class label."""


def dataset_from_arrays(
    name: str,
    x: NDArray[Any] | Tensor,
    y: NDArray[Any] | Tensor,
    *,
    kind: Kind,
    split: ClassSplit | Literal["examples"] | None = None,
    seed: int = 0,
    class_names: Mapping[int, str] | None = None,
) -> Dataset:
    """A data set of examples and their class labels.

    Tables and series are standardised, every feature or channel by its mean and standard deviation
    over the train split; one that is constant there is only centred.

    Args:
        name: of the data set.
        x: examples, see :data:`Kind`.
        y: class labels, ``[n]`` integers.
        kind: what ``x`` holds.
        split: the class labels of every split; without, the classes are cut 60/20/20 by the seed.
            ``"examples"`` puts all classes into every split, each with other examples, cut alike:
            few-shot learning of known classes, for data of few classes.
        seed: of the cut.
        class_names: by label; without, the label itself.

    Raises:
        ValueError: shapes, types or labels are not as above, or there is too little for the cut.

    >>> x, y = np.arange(24.0).reshape(12, 2), np.arange(12) % 6
    >>> dataset = dataset_from_arrays("toy", x, y, kind="table")
    >>> dataset.train.class_names, dataset.train.shape, dataset.train.counts.tolist()
    (('2', '3'), (2,), [2, 2])
    """
    examples = checked_examples(name, _numpy(x), kind)
    labels = checked_labels(name, _numpy(y), len(examples))
    rows = _split_rows(name, labels, split, seed)
    return dataset_from_rows(name, examples, rows, class_names or {})


def dataset_from_rows(
    name: str, examples: NDArray[Any], rows: Partition[Rows], class_names: Mapping[int, str]
) -> Dataset:
    """A data set of rows of an array.

    Args:
        name: of the data set.
        examples: all of them, as :func:`checked_examples` gives them.
        rows: of every split, by class label.
        class_names: by label; without, the label itself.
    """
    digest = _digest(examples, rows) if rows.train.keys() & rows.test.keys() else ""
    scaling = None
    if examples.dtype != np.uint8:
        scaling = _scaling(examples[np.concatenate(list(rows.train.values()))])
        try:
            examples = scaling.standardised(torch.from_numpy(examples)).numpy()
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    sources = (
        _source(f"{name} {part}", examples, members, class_names)
        for part, members in zip(Partition._fields, rows, strict=True)
    )
    return Dataset(name, *sources, scaling=scaling, digest=digest)


def _digest(examples: NDArray[Any], rows: Partition[Rows]) -> str:
    digest = hashlib.sha256()
    for members in (members for part in rows for members in part.values()):
        digest.update(examples[members].tobytes())
    return digest.hexdigest()


def rows_by_class(labels: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
    """Rows of every class label, both in order.

    >>> rows_by_class(np.array([7, 3, 7]))
    {3: array([1]), 7: array([0, 2])}
    """
    classes, counts = np.unique(labels, return_counts=True)
    rows = np.split(np.argsort(labels, kind="stable"), np.cumsum(counts)[:-1])
    return dict(zip(classes.tolist(), rows, strict=True))


def _split_rows(
    name: str, labels: NDArray[np.int64], split: ClassSplit | str | None, seed: int
) -> Partition[Rows]:
    rows = rows_by_class(labels)
    if split == "examples":
        return _cut_examples(name, rows, seed)
    if split is None:
        _check_enough(name, len(rows))
        classes = seeded_partition(list(rows), seed=seed, what=f"{name}: classes")
    elif isinstance(split, str) or len(split) != 3:
        raise ValueError(f"{name}: split must be three lists of labels or 'examples', got {split}")
    else:
        classes = Partition(*(list(part) for part in split))
    check_disjoint(name, classes)
    for label in (label for part in classes for label in part):
        if label not in rows:
            raise ValueError(f"{name}: no example has label {label}, which the split names")
    return Partition(*({label: rows[label] for label in part} for part in classes))


def _cut_examples(name: str, rows: Rows, seed: int) -> Partition[Rows]:
    cut = {
        label: seeded_partition(
            members.tolist(), seed=seed, what=f"{name}: examples of class {label}"
        )
        for label, members in rows.items()
    }
    return Partition(
        *(
            {label: np.array(part[index], dtype=np.int64) for label, part in cut.items()}
            for index in range(3)
        )
    )


def _check_enough(name: str, num_classes: int) -> None:
    if num_classes < 3 * LEAST:
        raise ValueError(
            f"{name}: {num_classes} classes are too few to cut in train, validation and test "
            f"({LEAST} each); --split examples puts all classes in every split, with other examples"
        )


def _source(name: str, examples: NDArray[Any], rows: Rows, names: Mapping[int, str]) -> ArraySource:
    taken = examples[np.concatenate(list(rows.values()))]
    tensor = torch.from_numpy(np.ascontiguousarray(taken))
    counts = [len(members) for members in rows.values()]
    return ArraySource(name, tensor, counts, [names.get(label, str(label)) for label in rows])


def _numpy(array: NDArray[Any] | Tensor) -> NDArray[Any]:
    if isinstance(array, Tensor):
        array = array.detach().cpu()
        # NumPy has no bfloat16
        return np.asarray(array.double() if array.is_floating_point() else array)
    return np.asarray(array)


def checked_labels(name: str, y: NDArray[Any], length: int) -> NDArray[np.int64]:
    """Labels of so many examples, or a ValueError if they are not ``[n]`` integers."""
    if y.dtype.kind not in "iu":
        raise ValueError(f"{name}: labels must be integers, got {y.dtype}")
    if y.ndim != 1:
        raise ValueError(f"{name}: labels must be [n], got shape {list(y.shape)}")
    if len(y) != length:
        raise ValueError(f"{name}: {len(y)} labels for {length} examples")
    if y.size and y.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name}: labels must be at most {np.iinfo(np.int64).max}, got {y.max()}")
    return y.astype(np.int64)


def checked_examples(name: str, x: NDArray[Any], kind: Kind) -> NDArray[Any]:
    """Images to uint8 ``[n, C, H, W]``, everything else to float64, a series with its channels.

    Raises:
        ValueError: shape or type is not that of the kind, or a number is not finite.
    """
    if kind not in _AXES:
        raise ValueError(f"{name}: kind must be one of {', '.join(_AXES)}, got {kind!r}")
    axes, said = _AXES[kind]
    if x.ndim not in axes or 0 in x.shape:
        raise ValueError(f"{name}: {kind} takes {said}, got shape {list(x.shape)}")
    if kind.startswith("images"):
        return _checked_images(name, x, kind)
    return _checked_numbers(name, x[:, None] if kind == "series" and x.ndim == 2 else x)


def _checked_images(name: str, x: NDArray[Any], kind: Kind) -> NDArray[np.uint8]:
    if x.dtype != np.uint8:
        raise ValueError(
            f"{name}: images must be uint8 in [0, 255], got {x.dtype}; "
            "scale them to [0, 255] and convert with astype('uint8')"
        )
    if kind == "images-hw":
        return x[:, None]
    channels, other = (1, 3) if kind == "images-chw" else (3, 1)
    if x.shape[channels] > 4 >= x.shape[other]:
        swapped = "images-hwc" if kind == "images-chw" else "images-chw"
        raise ValueError(f"{name}: {kind} of shape {list(x.shape)} looks like {swapped}")
    return x if kind == "images-chw" else x.transpose(0, 3, 1, 2)


def _checked_numbers(name: str, x: NDArray[Any]) -> NDArray[np.float64]:
    if x.dtype.kind not in "fiu":
        raise ValueError(f"{name}: features must be numbers, got {x.dtype}")
    numbers = x.astype(np.float64)
    wrong = np.argwhere(~np.isfinite(numbers))
    if len(wrong):
        index = tuple(wrong[0].tolist())
        raise ValueError(f"{name}: {len(wrong)} features are not finite, the first at x{[*index]}")
    return numbers


def _scaling(train: NDArray[np.float64]) -> Scaling:
    """A table's by feature, a series' by channel."""
    axes = (0,) if train.ndim == 2 else (0, 2)
    with np.errstate(over="ignore", invalid="ignore"):
        # not by std == 0, which rounding can miss
        constant = np.ptp(train, axis=axes) == 0
        mean, std = train.mean(axes), np.where(constant, 1.0, train.std(axes))
    return Scaling(tuple(mean.tolist()), tuple(std.tolist()))
