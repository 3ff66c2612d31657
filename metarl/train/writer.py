"""Where metrics go: TensorBoard events and ``metrics.csv``, one row an iteration; and videos.

The only module that knows TensorBoard. On resume both drop what lies beyond the checkpoint, so a
run that was killed and resumed leaves the same rows as one that never was.
"""

import csv
import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter

from metarl.types import Metrics, Video

CSV_NAME = "metrics.csv"
VIDEO_KEY = "eval/adaptation"
EMBEDDING_TAG = "tasks"


class MetricsWriter:
    """Writes the metrics of one run folder.

    Args:
        folder: the run folder.
        start: iterations already done; rows and events beyond them are dropped.
    """

    def __init__(self, folder: Path, start: int) -> None:
        self._path = folder / CSV_NAME
        rows = _read(self._path)
        self._columns = list(rows[0]) if rows else ["iteration"]
        _replace(self._path, self._columns, [r for r in rows if int(r["iteration"]) <= start])
        self._events = SummaryWriter(str(folder), purge_step=start + 1 if start else None)

    def write(self, iteration: int, metrics: Metrics) -> None:
        """Add the row of one iteration; a metric seen for the first time adds a column."""
        for key, value in metrics.items():
            self._events.add_scalar(key, value, iteration)
        if not set(metrics) <= set(self._columns):
            self._widen([key for key in metrics if key not in self._columns])
        with self._path.open("a", newline="") as file:
            csv.DictWriter(file, self._columns).writerow({"iteration": iteration, **metrics})

    def write_video(self, iteration: int, video: Video) -> None:
        """Add a video to the events: TensorBoard shows an animated GIF among its images.

        ``SummaryWriter.add_video`` does the same by a release of moviepy that is long gone.
        """
        _, height, width, _ = video.frames.shape
        image = Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=_gif(video)
        )
        summary = Summary(value=[Summary.Value(tag=VIDEO_KEY, image=image)])
        # declared None, set by the constructor
        self._events.file_writer.add_summary(summary, iteration)  # type: ignore[attr-defined]

    def _widen(self, keys: list[str]) -> None:
        rows = _read(self._path)
        self._columns = [*self._columns, *keys]
        _replace(self._path, self._columns, rows)

    def __enter__(self) -> "MetricsWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._events.close()


def write_embedding(
    folder: Path,
    iteration: int,
    embeddings: NDArray[np.float32],
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
) -> None:
    """Write points for TensorBoard's projector, with what is known of each of them.

    Args:
        folder: the run folder.
        iteration: after which they were measured.
        embeddings: ``[num, D]``.
        header: names of the columns of ``rows``.
        rows: one a point.
    """
    # a second evaluation of the same iteration replaces the first
    shutil.rmtree(folder / f"{iteration:05d}" / EMBEDDING_TAG, ignore_errors=True)
    with SummaryWriter(str(folder)) as events:
        single = len(header) == 1  # the projector wants a plain list then
        events.add_embedding(
            embeddings,
            metadata=[row[0] for row in rows] if single else [list(row) for row in rows],
            metadata_header=None if single else list(header),
            global_step=iteration,
            tag=EMBEDDING_TAG,
        )


def _gif(video: Video) -> bytes:
    first, *rest = (Image.fromarray(frame) for frame in video.frames)
    content = io.BytesIO()
    duration = round(1000 / video.fps)  # milliseconds a frame
    first.save(content, "GIF", save_all=True, append_images=rest, duration=duration, loop=0)
    return content.getvalue()


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
