"""Where metrics go.

On resume writers drop what lies beyond the checkpoint, so that a run which was killed and resumed
leaves the same rows as one that never was.
"""

import csv
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NamedTuple, Protocol

from metarl.files import naming, replacing
from metarl.types import Metrics

CSV_NAME = "metrics.csv"
FIRST_COLUMN = "iteration"


class Writer(Protocol):
    """Takes the metrics of a run."""

    def open(self, folder: Path, iteration: int) -> None:
        """Begin to write.

        Args:
            folder: the run folder.
            iteration: how many are done; what is there of later ones is dropped.
        """
        ...

    def write(self, iteration: int, metrics: Metrics) -> None:
        """Take the metrics of one iteration."""
        ...

    def close(self) -> None:
        """End; the run may go on later."""
        ...


@dataclass
class CSVWriter(Writer):
    """Writes ``metrics.csv``, a row an iteration."""

    warn: Callable[[str], None] = warnings.warn
    """Called with one line where a file is damaged that rows are to be added to. It is then kept
    under another name, and its good rows stay."""

    def open(self, folder: Path, iteration: int) -> None:
        """Drop rows beyond ``iteration``, and one that was cut short."""
        self._path = folder / CSV_NAME
        self._columns, rows = self._read(iteration)
        kept = [row for row in rows if int(row[0]) <= iteration]
        _replace(self._path, [self._columns, *kept])

    def write(self, iteration: int, metrics: Metrics) -> None:
        """Add a row; a metric seen for the first time adds a column."""
        if not set(metrics) <= set(self._columns):
            self._widen([key for key in metrics if key not in self._columns])
        with naming(self._path), self._path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._columns).writerow({"iteration": iteration, **metrics})

    def close(self) -> None:
        """Nothing is open between rows."""

    def _widen(self, keys: list[str]) -> None:
        columns, rows = self._read()
        self._columns = [*columns, *keys]
        _replace(self._path, [self._columns, *([*row, *[""] * len(keys)] for row in rows)])

    def _read(self, iteration: int = 0) -> tuple[list[str], list[list[str]]]:
        """Columns and whole rows of the file, which is damaged if it ends before an iteration."""
        if not self._path.exists():
            if iteration:
                self.warn(f"{self._path} is gone: its rows begin with iteration {iteration + 1}")
            return [FIRST_COLUMN], []
        columns, rows, damage = _parse(self._path)
        reached = int(rows[-1][0]) if rows else 0
        if damage or reached < iteration:
            damage = damage or f"it ends with iteration {reached} of {iteration}"
            name = _set_aside(self._path).name
            self.warn(f"{self._path} is damaged: {damage}; it is kept as {name}, good rows stay")
        return columns, rows


def read_metrics(path: Path) -> list[Metrics]:
    """The rows of a ``metrics.csv``, with ``iteration``; what is no row of it is left out."""
    if not path.is_file():
        return []
    columns, rows, _ = _parse(path)
    table = (zip(columns, row, strict=True) for row in rows)
    return [{name: float(cell) for name, cell in row if cell} for row in table]


class _Table(NamedTuple):
    """What a file of metrics holds."""

    columns: list[str]
    rows: list[list[str]]
    """Whole ones of rising iterations."""
    damage: str
    """What is wrong with the file, if anything is."""


def _parse(path: Path) -> _Table:
    if path.is_dir():
        return _Table([FIRST_COLUMN], [], "it is a folder")
    # what follows the last line's end was cut short by a kill
    lines = path.read_bytes().decode(errors="replace").split("\n")[:-1]
    columns, *table = [_cells(line) for line in lines] or [[]]
    if columns[:1] != [FIRST_COLUMN] or len(set(columns)) < len(columns):
        return _Table([FIRST_COLUMN], [], "its first line does not name its columns")
    rows: list[list[str]] = []
    for cells in table:
        reached = int(rows[-1][0]) if rows else 0
        if _iteration(cells, len(columns)) > reached:
            rows.append(cells)
    bad = len(table) - len(rows)
    return _Table(
        columns, rows, f"{bad} of {len(table)} rows are not such as follow" if bad else ""
    )


def _cells(line: str) -> list[str]:
    try:
        return next(csv.reader([line.rstrip("\r")], strict=True), [])
    except csv.Error:  # an open quotation, or a cell of more than 131,072 characters
        return []


def _iteration(cells: list[str], width: int) -> int:
    """Which one a row is of; 0 if it is no row of so many numbers."""
    try:
        for cell in filter(None, cells):
            float(cell)
        return int(cells[0]) if len(cells) == width else 0
    except ValueError:
        return 0


def _set_aside(path: Path) -> Path:
    """Give a file the first free name of those that say that it is damaged."""
    names = (f"{path.stem}-damaged-{number}{path.suffix}" for number in count(1))
    return path.rename(next(path.with_name(n) for n in names if not path.with_name(n).exists()))


def _replace(path: Path, rows: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    with replacing(path) as file:
        file.write(text.getvalue().encode())
