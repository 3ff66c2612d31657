"""Where metrics go.

On resume writers drop what lies beyond the checkpoint, so that a run which was killed and resumed
leaves the same rows as one that never was.
"""

import csv
from pathlib import Path
from typing import Protocol

from metarl.types import Metrics

CSV_NAME = "metrics.csv"


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


class CSVWriter(Writer):
    """Writes ``metrics.csv``, a row an iteration."""

    def open(self, folder: Path, iteration: int) -> None:
        """Drop rows beyond ``iteration``, and one that was cut short."""
        self._path = folder / CSV_NAME
        rows = _read(self._path)
        self._columns = list(rows[0]) if rows else ["iteration"]
        kept = [row for row in rows if int(row["iteration"]) <= iteration]
        _replace(self._path, self._columns, kept)

    def write(self, iteration: int, metrics: Metrics) -> None:
        """Add a row; a metric seen for the first time adds a column."""
        if not set(metrics) <= set(self._columns):
            self._widen([key for key in metrics if key not in self._columns])
        with self._path.open("a", newline="") as file:
            csv.DictWriter(file, self._columns).writerow({"iteration": iteration, **metrics})

    def close(self) -> None:
        """Nothing is open between rows."""

    def _widen(self, keys: list[str]) -> None:
        rows = _read(self._path)
        self._columns = [*self._columns, *keys]
        _replace(self._path, self._columns, rows)


def _read(path: Path) -> list[dict[str, str]]:
    """The whole rows of a file that may not exist yet."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        # a row cut short by a kill lacks its last columns
        rows = [row for row in csv.DictReader(file) if None not in row.values()]
    return [row for row in rows if (row.get("iteration") or "").isdigit()]


def _replace(path: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    temporary.replace(path)
