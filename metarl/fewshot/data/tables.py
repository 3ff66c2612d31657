"""Tables in text, their cells apart by comma, semicolon or tab, to a data set."""

import csv
import re
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal, NamedTuple

import numpy as np

from metarl.fewshot.data.arrays import dataset_from_arrays
from metarl.fewshot.sources import Dataset
from metarl.files import FileError, one_error

Header = Literal["auto", "yes", "no"]
"""Whether the first line names the columns; ``auto`` refuses one that could be an example."""

LONGEST_LINE = 8 << 20
"""Most characters of a line: 400,000 columns of numbers in full."""

_UNNAMED = re.compile(r"(Unnamed: \d+)?")
"""Of a column that pandas wrote without being asked to: its row numbers."""


class LoadedTable(NamedTuple):
    """A data set, and what the user should know about it."""

    dataset: Dataset
    notes: tuple[str, ...]


def load_csv(
    path: Path,
    *,
    label: str | None = None,
    header: Header = "auto",
    split: Literal["examples"] | None = None,
    seed: int = 0,
) -> LoadedTable:
    """Load a table.

    Columns are apart by comma, semicolon or tab. All but the label's must hold numbers. A first
    column without a name, which is how pandas writes its row numbers, is left out, and a note says
    so.

    Args:
        path: the file.
        label: column of the class, the last without; its text is the name of the class, and
            classes count in order of it. Without a header columns are called 1, 2, ...
        header: see :data:`Header`.
        split: see :func:`dataset_from_arrays`.
        seed: of the cut.

    Raises:
        FileError: the file is not such a table, or as for :func:`dataset_from_arrays`.
    """
    with one_error(FileError, str(path)):
        columns, rows = _columns(read_rows(path), header)
        notes = []
        left_out = int(_UNNAMED.fullmatch(columns[0]) is not None)
        if left_out:
            notes.append(f"{path}: left out its first column, which has no name (row numbers?)")
        at = _label_column(columns, left_out, label)
        values, texts = _parsed(columns, rows, {*range(left_out), at}, at)
        x = np.frombuffer(values).reshape(len(texts), -1)
        names, y = np.unique(texts, return_inverse=True)
        dataset = dataset_from_arrays(
            path.stem,
            x,
            y,
            kind="table",
            split=split,
            seed=seed,
            class_names=dict(enumerate(names.tolist())),
        )
    return LoadedTable(dataset, tuple(notes))


Row = tuple[int, list[str]]
"""Number of a line, from 1, and its cells."""


def read_rows(path: Path) -> Iterator[Row]:
    """The lines of a table that are not empty.

    Raises:
        ValueError: it is no text in UTF-8, or a line is too long to be one of a table.
    """
    try:
        # the signature of UTF-8 that Excel writes would else be part of the first name
        with path.open(newline="", encoding="utf-8-sig") as file:
            head = file.readline(LONGEST_LINE)
            file.seek(0)
            separator = max(",;\t", key=head.count)
            reader = csv.reader(_lines(file), delimiter=separator, strict=True)
            yield from ((reader.line_num, row) for row in reader if row)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"not a table of text in UTF-8 ({error})") from error


def _lines(file: IO[str]) -> Iterator[str]:
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise ValueError(f"line {number} has over {LONGEST_LINE} characters: not a table")
        yield line


def _columns(rows: Iterator[Row], header: Header) -> tuple[list[str], Iterator[Row]]:
    """Names of the columns, and the lines of examples."""
    first = next(rows, None)
    second = first if header == "no" else next(rows, None)
    if first is None or second is None:
        raise ValueError("needs a line of column names and lines of examples")
    cells = [cell.strip() for cell in first[1]]
    if len(cells) < 2:
        raise ValueError("needs a column for the class and one for a feature")
    if header == "no":
        cells = [str(number) for number in range(1, len(cells) + 1)]
    numbers = [cell for cell in cells if _is_number(cell)]
    if header == "auto" and numbers:
        raise ValueError(
            f"its first line must name the columns, but holds the number {numbers[0]}: "
            "--header no takes it as an example, --header yes as names"
        )
    for place, name in enumerate(cells[1:], 2):
        if not name:
            raise ValueError(f"column {place} has no name")
    return cells, _with(second, rows)


def _with(first: Row, rest: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rest


def _label_column(columns: list[str], left_out: int, label: str | None) -> int:
    if len(columns) - left_out < 2:
        raise ValueError("needs a column for the class and one for a feature")
    if label is None:
        return len(columns) - 1
    if columns.count(label) != 1:
        has = "several columns" if label in columns else "no column"
        raise ValueError(f"has {has} {label!r}; it has: {', '.join(columns)}")
    return columns.index(label)


def _parsed(
    columns: list[str], rows: Iterator[Row], skipped: set[int], at: int
) -> tuple["array[float]", list[str]]:
    """The features of all lines one after the other, and the text of every label."""
    features = [index for index in range(len(columns)) if index not in skipped]
    values, labels = array("d"), []
    for line, row in rows:
        if len(row) != len(columns):
            raise ValueError(f"line {line} has {len(row)} cells for {len(columns)} columns")
        labels.append(_class(line, columns[at], row[at].strip()))
        values.extend(_number(line, columns[index], row[index]) for index in features)
    return values, labels


def _class(line: int, column: str, text: str) -> str:
    if not text:
        raise ValueError(f"line {line} has no {column}, which is its class")
    if _is_number(text) and not text.lstrip("+-").isdigit():
        raise ValueError(f"column {column} holds {text}; labels must be integers or names")
    return text


def _number(line: int, column: str, text: str) -> float:
    if not _is_number(text):
        raise ValueError(
            f"line {line}, column {column}: {text[:50]!r} is not a number; "
            "remove the column or write it as numbers"
        )
    return float(text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    # Python's own 1_000 is no number elsewhere
    return "_" not in text
