"""TensorBoard: scalars, films and points of a run. The only module that imports it."""

import io
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter

from metarl.files import naming
from metarl.training.writers import Writer
from metarl.types import Metrics, Video

VIDEO_KEY = "eval/adaptation"
EMBEDDING_TAG = "tasks"


class Films(NamedTuple):
    """Videos on the way."""

    every: int
    """One after every n-th iteration."""
    make: Callable[[], Video]
    """Films what the learner can do at the moment, without changing any state."""


@dataclass
class TensorBoardWriter(Writer):
    """Writes TensorBoard events into the run folder."""

    films: Films | None = None
    """To show on the way, if any."""

    def open(self, folder: Path, iteration: int) -> None:
        """Make TensorBoard forget what lies beyond ``iteration``."""
        self._folder = folder
        with naming(folder):
            self._events = _events_of(folder, purge_step=iteration + 1 if iteration else None)

    def write(self, iteration: int, metrics: Metrics) -> None:
        """A scalar for every metric, and a film where one is due."""
        film = None
        if self.films is not None and iteration % self.films.every == 0:
            film = self.films.make()
        with naming(self._folder):
            for key, value in metrics.items():
                self._events.add_scalar(key, value, iteration)
            if film is not None:
                self._write_video(iteration, film)
            self._events.flush()

    def _write_video(self, iteration: int, video: Video) -> None:
        """An animated GIF, which TensorBoard shows among its images.

        ``SummaryWriter.add_video`` does the same by a release of moviepy that is long gone.
        """
        _, height, width, _ = video.frames.shape
        image = Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=_gif(video)
        )
        summary = Summary(value=[Summary.Value(tag=VIDEO_KEY, image=image)])
        written: Any = self._events.file_writer  # declared None, set by the constructor
        written.add_summary(summary, iteration)

    def close(self) -> None:
        """Write what is left."""
        with naming(self._folder):
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
    with naming(folder), _events_of(folder) as events:
        single = len(header) == 1  # the projector wants a plain list then
        events.add_embedding(
            embeddings,
            metadata=[row[0] for row in rows] if single else [list(row) for row in rows],
            metadata_header=None if single else list(header),
            global_step=iteration,
            tag=EMBEDDING_TAG,
        )


def _events_of(folder: Path, purge_step: int | None = None) -> SummaryWriter:
    events = SummaryWriter(str(folder), purge_step=purge_step)
    file_writer: Any = events.file_writer  # declared None, set by the constructor
    # What its thread cannot write is raised in ours, too: a traceback of its own would be a second.
    file_writer.event_writer._async_writer._worker._invoke_excepthook = lambda thread: None
    return events


def _gif(video: Video) -> bytes:
    first, *rest = (Image.fromarray(frame) for frame in video.frames)
    content = io.BytesIO()
    duration = round(1000 / video.fps)  # milliseconds a frame
    first.save(content, "GIF", save_all=True, append_images=rest, duration=duration, loop=0)
    return content.getvalue()
