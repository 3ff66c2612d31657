"""Files of arrays to a data set, and scikit-learn's two examples."""

import csv
import importlib
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from metarl.fewshot.data.arrays import ClassSplit, Kind, dataset_from_arrays
from metarl.fewshot.sources import Dataset

SklearnName = Literal["digits", "breast-cancer"]

DAMAGED = (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error)
"""What NumPy raises for files that are no archive, a cut one or another one."""


def read_npz(path: Path, keys: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The arrays of these names in a NumPy archive.

    Raises:
        ValueError: there is no such file, it is no archive, or it lacks one of the arrays.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path}: not a whole archive of arrays, as numpy.savez writes it")
    try:
        with np.load(path, allow_pickle=False) as archive:
            lacking = [key for key in keys if key not in archive]
            if lacking:
                have = ", ".join(archive.files)
                raise ValueError(f"has no array {lacking[0]}; it holds: {have}")
            return {key: archive[key] for key in keys}
    # ValueError is also what an array of Python objects gives
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: {error}") from error


def load_npz(
    path: Path,
    *,
    kind: Kind,
    split: ClassSplit | Literal["examples"] | None = None,
    seed: int = 0,
) -> Dataset:
    """Load a NumPy archive with arrays ``x`` and ``y``, see :func:`dataset_from_arrays`."""
    arrays = read_npz(path, ("x", "y"))
    return dataset_from_arrays(
        path.stem, arrays["x"], arrays["y"], kind=kind, split=split, seed=seed
    )


def load_csv(
    path: Path,
    *,
    label: str | None = None,
    split: Literal["examples"] | None = None,
    seed: int = 0,
) -> Dataset:
    """Load a table whose first line names the columns.

    Columns are apart by comma, semicolon or tab. All but the label's must hold numbers.

    Args:
        path: the file.
        label: column of the class, the last without; its text is the name of the class, and
            classes count in order of it.
        split: see :func:`dataset_from_arrays`.
        seed: of the cut.

    Raises:
        ValueError: the file is not such a table, or as for :func:`dataset_from_arrays`.
    """
    columns, lines = _read_table(path)
    if label is not None and columns.count(label) != 1:
        raise ValueError(f"{path}: has no column {label!r}; it has: {', '.join(columns)}")
    at = len(columns) - 1 if label is None else columns.index(label)
    if len(columns) < 2:
        raise ValueError(f"{path}: needs a column for the class and one for a feature")
    texts = [row[at].strip() for _, row in lines]
    _check_classes(path, columns[at], texts)
    x = np.empty((len(lines), len(columns) - 1))
    for index, (line, row) in enumerate(lines):
        cells = list(zip(columns, row, strict=True))
        del cells[at]
        x[index] = [_number(path, line, column, text) for column, text in cells]
    names, y = np.unique(texts, return_inverse=True)
    return dataset_from_arrays(
        path.stem,
        x,
        y,
        kind="table",
        split=split,
        seed=seed,
        class_names=dict(enumerate(names.tolist())),
    )


def load_sklearn(name: SklearnName, *, seed: int = 0) -> Dataset:
    """Scikit-learn's handwritten digits, or its table of breast tumours.

    ``digits``: 1797 images of 1x8x8, ten classes cut by the seed. ``breast-cancer``: 569 rows of 30
    features, of two classes, so all splits have both, with other examples.

    Raises:
        ValueError: there is no such set, or scikit-learn is not installed.
    """
    if name not in ("digits", "breast-cancer"):
        raise ValueError(f"scikit-learn sets are digits and breast-cancer, got {name!r}")
    try:
        datasets = importlib.import_module("sklearn.datasets")
    except ImportError as error:
        raise ValueError(f"{name} needs scikit-learn: pip install scikit-learn") from error
    if name == "digits":
        digits = datasets.load_digits()
        # ink from 0 to 16
        images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        return dataset_from_arrays(name, images, digits.target, kind="images-hw", seed=seed)
    tumours = datasets.load_breast_cancer()
    names = dict(enumerate(map(str, tumours.target_names)))
    return dataset_from_arrays(
        name,
        tumours.data,
        tumours.target,
        kind="table",
        split="examples",
        seed=seed,
        class_names=names,
    )


def _read_table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Names of the columns, and number and cells of every other line."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        # the signature of UTF-8 that Excel writes would else be part of the first name
        with path.open(newline="", encoding="utf-8-sig") as file:
            head = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=max(",;\t", key=head.count))
            lines = [(reader.line_num, row) for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a table of text in UTF-8 ({error})") from error
    if len(lines) < 2:
        raise ValueError(f"{path}: needs a line of column names and lines of examples")
    columns = [column.strip() for column in lines.pop(0)[1]]
    if all(map(_is_number, columns)):
        raise ValueError(f"{path}: its first line must name the columns, but holds numbers")
    for line, row in lines:
        if len(row) != len(columns):
            raise ValueError(f"{path}: line {line} has {len(row)} cells for {len(columns)} columns")
    return columns, lines


def _check_classes(path: Path, column: str, texts: list[str]) -> None:
    if "" in texts:
        raise ValueError(
            f"{path}: example {texts.index('') + 1} has no {column}, which is its class"
        )
    fractions = [text for text in texts if _is_number(text) and not _is_whole(text)]
    if fractions:
        raise ValueError(
            f"{path}: column {column} holds {fractions[0]}; labels must be integers or names"
        )


def _number(path: Path, line: int, column: str, text: str) -> float:
    if not _is_number(text):
        raise ValueError(
            f"{path}: line {line}, column {column}: {text!r} is not a number; "
            "remove the column or write it as numbers"
        )
    return float(text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_whole(text: str) -> bool:
    return text.lstrip("+-").isdigit()
