"""TensorBoard: scalars, pictures, films and points of a run. The only module that imports it.

A run folder is a run of TensorBoard's with two more within it: ``curves`` has the evaluations of
training over environment steps and over seconds, ``final`` the evaluation at the end with what the
HParams tab shows. They are folders of their own since the step of their scalars is no iteration.
"""

import io
import json
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from metarl.files import naming
from metarl.training.writers import CSV_NAME, FIRST_COLUMN, Writer, read_metrics
from metarl.types import Metrics, Video

VIDEO_KEY = "eval/adaptation"
PICTURE_KEY = "eval/adaptation_curve"
EMBEDDING_TAG, EVENTS = "tasks", "events.out.tfevents."  # what names of its files begin with
CURVES, FINAL = "curves", "final"
COSTS = {"steps": "rollout/env_steps", "seconds": "time/seconds"}
"""What else evaluations are shown over, and the metric that tells it."""
LAYOUT: dict[str, dict[str, tuple[str, list[str]]]] = {
    "adaptation": {
        "return before, after and gain": (
            "Multiline",
            ["eval/return_(pre|post|first|last)$", "eval/(adaptation|trial)_gain$"],
        ),
        "score before and after": ("Multiline", ["eval/score(_pre)?$"]),
        "success rate": ("Multiline", ["eval/.*success.*"]),
        "after training, over steps of adaptation": (
            "Margin",
            ["final/mean", "final/ci95_low", "final/ci95_high"],
        ),
    },
    "learning": {
        "held-out tasks over environment steps": ("Multiline", ["eval_by_steps/.*_(post|last)$"]),
        "held-out tasks over seconds": (
            "Multiline",
            ["eval_by_seconds/(.*_(post|last)|score)$"],
        ),
    },
}
"""Charts of the Custom Scalars tab: patterns of tags."""


class Films(NamedTuple):
    """Videos on the way."""

    every: int
    """One after every n-th iteration."""
    make: Callable[[], Video]
    """Films what the learner can do at the moment, without changing any state."""


class Snapshot(NamedTuple):
    """How the learner adapts at the moment."""

    png: bytes | None
    """A picture of the adaptation curve, and of paths where there are any."""
    before: NDArray[np.float64]
    """Of every task, before adaptation."""
    after: NDArray[np.float64]
    """And after all steps."""


class Pictures(NamedTuple):
    """Snapshots on the way."""

    every: int
    """One after every n-th iteration."""
    make: Callable[[], Snapshot]
    """Looks at held-out tasks, without changing any state."""


@dataclass
class TensorBoardWriter(Writer):
    """Writes TensorBoard events into the run folder."""

    films: Films | None = None
    """To show on the way, if any."""
    pictures: Pictures | None = None
    """To show on the way, if any."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """What is said of the run, Markdown by its tag."""

    def open(self, folder: Path, iteration: int) -> None:
        """Make TensorBoard forget what lies beyond ``iteration``."""
        self._folder = folder
        with naming(folder):
            _put_before_now(folder)
            self._events = _events_of(folder, purge_step=iteration + 1)
            if not iteration:
                for tag, text in self.texts.items():
                    self._events.add_text(tag, text)
            self._curves = _new_events(folder / CURVES)
            for metrics in read_metrics(folder / CSV_NAME) if iteration else ():
                if metrics[FIRST_COLUMN] <= iteration:
                    self._write_curves(metrics)

    def write(self, iteration: int, metrics: Metrics) -> None:
        """A scalar for every metric, and a film and a picture where they are due."""
        film = snapshot = None
        if self.films is not None and iteration % self.films.every == 0:
            film = self.films.make()
        if self.pictures is not None and iteration % self.pictures.every == 0:
            snapshot = self.pictures.make()
        with naming(self._folder):
            if iteration == 1:
                self._events.add_custom_scalars(_layout_for(metrics))
            for key, value in metrics.items():
                self._events.add_scalar(key, value, iteration)
            if film is not None:
                self._write_video(iteration, film)
            if snapshot is not None:
                _write_snapshot(self._events, iteration, snapshot)
            self._events.flush()
            self._write_curves(metrics)
            self._curves.flush()

    def _write_curves(self, metrics: Metrics) -> None:
        """Evaluations over what they have cost."""
        for tag, (value, cost) in _by_cost(metrics).items():
            self._curves.add_scalar(tag, value, round(cost))

    def _write_video(self, iteration: int, video: Video) -> None:
        """An animated GIF, which TensorBoard shows among its images.

        ``SummaryWriter.add_video`` does the same by a release of moviepy that is long gone.
        """
        _, height, width, _ = video.frames.shape
        _write_image(self._events, iteration, VIDEO_KEY, _gif(video), (width, height))

    def close(self) -> None:
        """Write what is left."""
        with naming(self._folder):
            self._events.close()
            self._curves.close()


def write_final(
    folder: Path,
    iteration: int,
    snapshot: Snapshot,
    *,
    options: Mapping[str, Any],
    scores: Metrics,
    curve: Mapping[str, Sequence[float]],
) -> None:
    """Write what came out in the end, in place of what an earlier evaluation wrote.

    Args:
        folder: the run folder.
        iteration: after which it was measured.
        snapshot: of the evaluation.
        options: of the run, by which the HParams tab tells runs apart.
        scores: by which it sorts them.
        curve: scalars over steps of adaptation, after 0..K of them.
    """
    with naming(folder), _new_events(folder / FINAL) as events:
        told = {name: _plain(value) for name, value in options.items()}
        written: Any = events.file_writer  # declared None, set by the constructor
        # without the summary of an experiment the tab shows the options of all runs, not of one
        for summary in hparams(told, dict.fromkeys(scores))[1:]:  # type: ignore[no-untyped-call]
            written.add_summary(summary)
        for tag, value in scores.items():
            events.add_scalar(tag, value, iteration)
        for tag, values in curve.items():
            for step, value in enumerate(values):
                events.add_scalar(f"{FINAL}/{tag}", value, step)
        _write_snapshot(events, iteration, snapshot)


def _plain(value: Any) -> bool | int | float | str:
    return value if isinstance(value, bool | int | float | str) else json.dumps(value)


def _write_snapshot(events: SummaryWriter, iteration: int, snapshot: Snapshot) -> None:
    if snapshot.png is not None:
        size = Image.open(io.BytesIO(snapshot.png)).size
        _write_image(events, iteration, PICTURE_KEY, snapshot.png, size)
    events.add_histogram("eval/by_task_before", snapshot.before, iteration)
    events.add_histogram("eval/by_task_after", snapshot.after, iteration)


def _write_image(
    events: SummaryWriter, iteration: int, tag: str, content: bytes, size: tuple[int, int]
) -> None:
    """A picture that is encoded already, of a width and height."""
    image = Summary.Image(height=size[1], width=size[0], colorspace=3, encoded_image_string=content)
    written: Any = events.file_writer  # declared None, set by the constructor
    written.add_summary(Summary(value=[Summary.Value(tag=tag, image=image)]), iteration)


def _by_cost(metrics: Metrics) -> dict[str, tuple[float, float]]:
    """By tag, what an evaluation found and what training had cost by then."""
    return {
        key.replace("eval/", f"eval_by_{name}/", 1): (value, metrics[cost])
        for name, cost in COSTS.items()
        for key, value in metrics.items()
        if cost in metrics and key.startswith("eval/")
    }


def _layout_for(metrics: Metrics) -> dict[str, Any]:
    """The charts of :data:`LAYOUT` that there is something for."""
    tags = {*metrics, *_by_cost(metrics)}
    return {
        category: {
            name: [kind, patterns]
            for name, (kind, patterns) in charts.items()
            if kind == "Margin" or any(re.search(p, tag) for p in patterns for tag in tags)
        }
        for category, charts in LAYOUT.items()
    }


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


def _put_before_now(folder: Path) -> None:
    """Give files of events names before that of the one to come: TensorBoard reads them by name.

    There is a time in them, which is one to come where a clock has been set back since.
    """
    now = int(time.time())
    for path in folder.glob(f"{EVENTS}*"):
        rest = path.name.removeprefix(EVENTS)
        written = rest.partition(".")[0]
        if written.isdecimal() and int(written) >= now:
            path.rename(path.with_name(f"{EVENTS}{now - 1:010d}.{rest}"))


def _events_of(folder: Path, purge_step: int | None = None) -> SummaryWriter:
    events = SummaryWriter(str(folder), purge_step=purge_step)
    file_writer: Any = events.file_writer  # declared None, set by the constructor
    # What its thread cannot write is raised in ours, too: a traceback of its own would be a second.
    file_writer.event_writer._async_writer._worker._invoke_excepthook = lambda thread: None
    return events


def _new_events(folder: Path) -> SummaryWriter:
    """Of a folder that is to hold nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    return _events_of(folder)


def _gif(video: Video) -> bytes:
    first, *rest = (Image.fromarray(frame) for frame in video.frames)
    content = io.BytesIO()
    duration = round(1000 / video.fps)  # milliseconds a frame
    first.save(content, "GIF", save_all=True, append_images=rest, duration=duration, loop=0)
    return content.getvalue()
