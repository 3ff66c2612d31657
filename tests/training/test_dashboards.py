"""What TensorBoard is told beside the scalars of iterations, read back from its events."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from metarl.training import Pictures, Snapshot, TensorBoardWriter, write_final
from metarl.training.tensorboard import CURVES, FINAL, PICTURE_KEY
from metarl.types import Metrics


def png() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (6, 4), (200, 0, 0)).save(content, "PNG")
    return content.getvalue()


def events_of(folder: Path) -> EventAccumulator:
    sizes = {"scalars": 0, "images": 0, "histograms": 0, "tensors": 0}
    return EventAccumulator(str(folder), size_guidance=sizes).Reload()


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in events_of(folder).Scalars(tag)]


def metrics_of(iteration: int) -> Metrics:
    """1,000 environment steps and 2 seconds an iteration, a return of minus its number."""
    costs = {"rollout/env_steps": 1000.0 * iteration, "time/seconds": 2.0 * iteration}
    return {"eval/return_post": -float(iteration), "meta/loss": 0.5, **costs}


def train(folder: Path, first: int, last: int, writer: TensorBoardWriter) -> None:
    writer.open(folder, first - 1)
    for iteration in range(first, last + 1):
        writer.write(iteration, metrics_of(iteration))
    writer.close()


def test_evaluations_are_shown_over_what_they_cost(tmp_path: Path) -> None:
    train(tmp_path, 1, 3, TensorBoardWriter())
    assert scalars(tmp_path / CURVES, "eval_by_steps/return_post") == [
        (1000, -1),
        (2000, -2),
        (3000, -3),
    ]
    assert scalars(tmp_path / CURVES, "eval_by_seconds/return_post") == [(2, -1), (4, -2), (6, -3)]
    assert set(events_of(tmp_path / CURVES).Tags()["scalars"]) == {
        "eval_by_steps/return_post",
        "eval_by_seconds/return_post",
    }


def test_a_run_that_goes_on_from_earlier_has_one_curve(tmp_path: Path) -> None:
    """Killed after 3 iterations, resumed from a checkpoint after 2."""
    train(tmp_path, 1, 3, TensorBoardWriter())
    with (tmp_path / "metrics.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["iteration", *metrics_of(1)])
        table.writeheader()
        table.writerows({"iteration": number, **metrics_of(number)} for number in (1, 2, 3))
    train(tmp_path, 3, 4, TensorBoardWriter())
    assert [step for step, _ in scalars(tmp_path / CURVES, "eval_by_steps/return_post")] == [
        1000,
        2000,
        3000,
        4000,
    ]


def test_texts_and_charts_are_told_once(tmp_path: Path) -> None:
    writer = TensorBoardWriter(texts={"run/command": "    metarl train promp"})
    train(tmp_path, 1, 1, writer)
    train(tmp_path, 2, 2, writer)
    events = events_of(tmp_path)
    (text,) = events.Tensors("run/command/text_summary")
    assert text.tensor_proto.string_val[0] == b"    metarl train promp"
    (layout,) = events.Tensors("custom_scalars__config__")
    told = layout.tensor_proto.string_val[0]
    for name in ("return before, after and gain", "held-out tasks over seconds"):
        assert name.encode() in told
    for name in ("success rate", "score before and after"):  # nothing tells of them
        assert name.encode() not in told


def test_pictures_and_histograms_come_every_nth_iteration(tmp_path: Path) -> None:
    snapshot = Snapshot(png(), np.arange(5.0), np.arange(5.0) + 10)
    train(tmp_path, 1, 5, TensorBoardWriter(pictures=Pictures(2, lambda: snapshot)))
    events = events_of(tmp_path)
    images = events.Images(PICTURE_KEY)
    assert [(image.step, image.width, image.height) for image in images] == [(2, 6, 4), (4, 6, 4)]
    before, after = (
        events.Histograms(f"eval/by_task_{when}")[-1].histogram_value
        for when in ("before", "after")
    )
    assert (before.min, before.max, after.min, after.max) == (0, 4, 10, 14)


@pytest.fixture
def final(tmp_path: Path) -> Path:
    for score in (1.0, 2.0):  # the second takes the place of the first
        write_final(
            tmp_path,
            7,
            Snapshot(None, np.zeros(3), np.ones(3)),
            options={"learner": "promp", "inner_lr": 0.1, "hidden_sizes": [64, 64], "none": None},
            scores={"eval/return_post": score},
            curve={"mean": [0.0, score]},
        )
    return tmp_path / FINAL


def test_the_last_evaluation_is_scalars_over_steps_of_adaptation(final: Path) -> None:
    assert scalars(final, "eval/return_post") == [(7, 2.0)]
    assert scalars(final, "final/mean") == [(0, 0.0), (1, 2.0)]


def test_hparams_are_every_option_by_its_name(final: Path) -> None:
    content: Any = events_of(final).summary_metadata["_hparams_/session_start_info"]
    session = HParamsPluginData.FromString(content.plugin_data.content).session_start_info
    told = {
        name: getattr(value, value.WhichOneof("kind")) for name, value in session.hparams.items()
    }
    assert told == {
        "learner": "promp",
        "inner_lr": 0.1,
        "hidden_sizes": "[64, 64]",
        "none": "null",
    }
    assert metadata.EXPERIMENT_TAG not in events_of(final).summary_metadata
