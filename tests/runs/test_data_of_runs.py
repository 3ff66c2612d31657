"""What a run was trained on is decided once: by its training, not by the folder as it is today."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import metarl
from metarl.cli import main
from metarl.runs.build import classifiers

SMALL: dict[str, Any] = {
    "iterations": 1,
    "num_ways": 2,
    "num_queries": 2,
    "num_validation": 2,
    "eval_tasks": 0,
    "backbone": "mlp",
    "hidden_sizes": (4,),
}


def write_class(root: Path, name: str, number: int = 3) -> None:
    (root / name).mkdir(parents=True)
    for index in range(number):
        pixels = np.random.default_rng([len(name), index]).integers(0, 256, (8, 8))
        Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{index}.png")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for index in range(30):
        write_class(tmp_path / "photos", f"c{index:02}")
    return tmp_path / "photos"


def train(data: Path, learner: str = "protonet", **options: Any) -> metarl.Run:
    return metarl.train_fewshot(
        learner, data=str(data), output=data.parent / "runs", **SMALL | options
    )


def change(folder: Path, option: str, value: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert option in config["problem"]["data"]
    config["problem"]["data"][option] = value
    (folder / "config.json").write_text(json.dumps(config))


def table(root: Path) -> Path:
    x = np.random.default_rng(0).normal(size=(60, 3))
    np.savez(root / "table.npz", x=x, y=np.arange(60) % 3)
    return root / "table.npz"


@pytest.mark.parametrize(
    ("option", "before", "now"),
    [
        ("split_seed", 0, 1),
        ("split", "examples", "classes"),
        ("array_kind", "table", "series"),
        ("split_fractions", [0.6, 0.2, 0.2], [0.5, 0.25, 0.25]),
        ("image_size", None, 28),
        ("label", None, "y"),
    ],
)
@pytest.mark.parametrize("command", ["evaluate", "resume"])
def test_options_of_the_data_stay(
    command: str,
    option: str,
    before: Any,
    now: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Another seed puts train examples in the test, with the same classes and numbers of each."""
    run = train(table(tmp_path), array_kind="table", split="examples")
    change(run.folder, option, now)
    capsys.readouterr()
    assert main([command, str(run.folder)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"config.json says {option} {json.dumps(now)}" in line
    assert f"trained with {json.dumps(before)}" in line


def test_data_may_move(photos: Path, tmp_path: Path) -> None:
    run = train(photos)
    expected = run.evaluate(tasks=3).values
    photos.rename(tmp_path / "elsewhere")
    (tmp_path / "new").mkdir()
    (tmp_path / "elsewhere").rename(tmp_path / "new" / "photos")
    for option, value in (
        ("data", str(tmp_path / "new" / "photos")),
        ("data_root", str(tmp_path)),
        ("skip_bad", True),
    ):
        change(run.folder, option, value)
    np.testing.assert_array_equal(metarl.load_run(run.folder).evaluate(tasks=3).values, expected)


def test_data_that_are_gone_are_no_loss_to_a_start_from_their_run(photos: Path) -> None:
    other = shutil.copytree(photos, photos.parent / "others")
    run = train(photos)
    shutil.rmtree(photos)
    started = train(other, init_from=str(run.folder))
    assert started.config.init_from == str(run.folder)


def test_a_start_from_a_run_that_was_trained_on_test_classes(photos: Path) -> None:
    """A class more, and the seed cuts the folder otherwise."""
    before = train(photos)
    train(photos, "maml", init_from=str(before.folder))
    write_class(photos, "d")
    trained, held_out = (
        {
            name
            for part in parts
            for name in run.config.problem.trained_on.classes["photos"][part].names
        }
        for run, parts in ((before, ("train",)), (train(photos), ("validation", "test")))
    )
    seen = min(trained & held_out)
    with pytest.raises(metarl.InputError, match=f"trained on class {seen} of photos that this run"):
        train(photos, init_from=str(before.folder))


def test_a_start_from_a_run_that_was_trained_on_test_examples(tmp_path: Path) -> None:
    options = {"array_kind": "table", "split": "examples"}
    data = table(tmp_path)
    before = train(data, **options)
    train(data, init_from=str(before.folder), **options)
    with pytest.raises(metarl.InputError, match="trained on examples of table that this run"):
        train(data, init_from=str(before.folder), split_seed=1, **options)


def reordered(path: Path, kind: str) -> None:
    """The same examples, and their labels with them, from the last to the first."""
    if kind == "rows":
        first, *lines = path.read_text().splitlines()
        path.write_text("\n".join([first, *reversed(lines), ""]))
    else:
        arrays = np.load(path)
        np.savez(path, x=arrays["x"][::-1], y=arrays["y"][::-1])


@pytest.mark.parametrize("kind", ["rows", "table", "images-hw"])
@pytest.mark.parametrize("command", ["evaluate", "init_from"])
def test_examples_in_another_order(kind: str, command: str, tmp_path: Path) -> None:
    """Names and numbers are the same, and what was trained on is in the test."""
    path = tmp_path / ("data.csv" if kind == "rows" else "data.npz")
    x, y = np.random.default_rng(0).integers(0, 256, (60, 3, 3)).astype(np.uint8), np.arange(60) % 3
    if kind == "rows":
        lines = (
            ",".join(map(str, [*row[0], f"k{label}"])) for row, label in zip(x, y, strict=True)
        )
        path.write_text("\n".join(["a,b,c,y", *lines, ""]))
    else:
        np.savez(path, x=x if kind == "images-hw" else x[:, 0], y=y)
    options = {"split": "examples"} | ({} if kind == "rows" else {"array_kind": kind})
    before = train(path, **options)
    metarl.load_run(before.folder).evaluate(tasks=2)
    reordered(path, kind)
    if command == "evaluate":
        message = "data has other examples, or the same in another order"
        with pytest.raises(metarl.InputError, match=message):
            metarl.load_run(before.folder).evaluate(tasks=2)
    else:
        with pytest.raises(metarl.InputError, match="trained on examples of data that this run"):
            train(path, init_from=str(before.folder), **options)


def test_the_order_of_examples_of_held_out_classes_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x=np.random.default_rng(0).normal(size=(60, 3)), y=np.arange(60) % 10)
    run = train(path, array_kind="table")
    reordered(path, "table")
    assert np.isfinite(metarl.load_run(run.folder).evaluate(tasks=2).values).all()


@pytest.mark.parametrize(
    "change", [lambda x: x * 1000, lambda x: x + (np.arange(60) < 20)[:, None]]
)
def test_examples_of_another_scale(change: Callable[[Any], Any], tmp_path: Path) -> None:
    """They would be standardised otherwise than those that were trained on."""
    path, x = tmp_path / "data.npz", np.random.default_rng(0).normal(size=(60, 3)) + 1e6
    labels = np.arange(60) % 10
    np.savez(path, x=x, y=labels)
    run = train(path, array_kind="table")
    np.savez(path, x=change(x), y=labels)
    with pytest.raises(metarl.InputError, match="the train split has another mean or scale"):
        metarl.load_run(run.folder).evaluate(tasks=2)


def test_data_are_read_once(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For training, validation, the closing evaluation and those after it."""
    read = []
    load = classifiers.load_data
    monkeypatch.setattr(classifiers, "load_data", lambda config: read.append(1) or load(config))
    run = train(photos, iterations=2, eval_every=1, eval_tasks=3)
    assert run.evaluate(tasks=2).values.shape == (1, 2)
    assert len(read) == 1
