"""Rows and series of a user come as they are in the file: the run scales them as it did those."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import metarl
from metarl.cli import main
from metarl.fewshot import ArraySource, Scaling
from metarl.fewshot.classifier import checked_examples
from metarl.fewshot.episodes import Support
from metarl.runs.build import classifiers

CLASSES, EACH = 10, 6
OPTIONS: dict[str, Any] = {
    "iterations": 60,
    "num_ways": 2,
    "num_queries": 3,
    "num_validation": 2,
    "eval_tasks": 0,
    "hidden_sizes": (16,),
}


def rows(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Of classes that the second feature or channel tells apart, by thousandths.

    The first is the same thousands everywhere.
    """
    generator = np.random.default_rng(0)
    x = generator.normal(size=(*shape[1:], CLASSES * EACH, 3)) * 0.05
    x[..., 1] += generator.permutation(CLASSES).repeat(EACH)
    x[..., 2] = x[..., 1]
    raw = x * [0.0, 1e-3, 2e-3] + [5e4, 40.0, -1.0]
    result: NDArray[np.float64] = np.moveaxis(raw, 0, -1) if shape[1:] else raw
    return result


def write_table(folder: Path) -> dict[str, Any]:
    with (folder / "data.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["a", "b", "c", "y"])
        for index, row in enumerate(rows((3,)).tolist()):
            table.writerow([*row, f"k{index // EACH}"])
    return {"data": str(folder / "data.csv")}


def write_series(folder: Path) -> dict[str, Any]:
    np.savez(folder / "data.npz", x=rows((3, 5)), y=np.arange(CLASSES * EACH) // EACH)
    return {"data": str(folder / "data.npz"), "array_kind": "series"}


KINDS = {"table": (write_table, (3,)), "series": (write_series, (3, 5))}


@pytest.fixture(scope="module", params=list(KINDS))
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[metarl.Run, Tensor, list[str], Tensor]:
    """A run, test rows as in the file, their classes, and the same as training had them."""
    write, shape = KINDS[request.param]
    folder = tmp_path_factory.mktemp("tables")
    run = metarl.train_fewshot("protonet", output=folder, **write(folder), **OPTIONS)
    test = run.classifiers.datasets[0].test
    assert isinstance(test, ArraySource)
    numbers = [int(name.removeprefix("k")) for name in test.class_names]
    raw = torch.from_numpy(rows(shape)).unflatten(0, (CLASSES, EACH))[numbers].flatten(0, 1)
    names = [f"k{number}" for number in numbers for _ in range(EACH)]
    return run, raw, names, test.examples


def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[::2], x[1::2]


def test_rows_of_the_file_are_what_training_had(
    trained: tuple[metarl.Run, Tensor, list[str], Tensor],
) -> None:
    run, raw, names, seen = trained
    scaling, shape = run.classifiers.scaling, run.classifiers.shape
    assert torch.equal(checked_examples(raw, shape, scaling), seen)
    support, queries = halves(raw)
    classifier = run.adapt(support=(support, names[::2])).classifier
    assert classifier.predict(queries) == names[1::2]  # the evaluation is as right
    assert run.evaluate(tasks=20, num_shots=3, num_queries=3).mean[-1] > 0.99
    learner = run.classifiers.learner
    support, queries = halves(seen)
    indices = torch.tensor([names.index(name) // EACH for name in names[::2]])
    fitted = learner.adapt(Support(support[None], indices[None], 2), 1).model(0, True)
    expected = torch.softmax(learner.scores(fitted, queries[None])[0], -1)
    assert torch.equal(classifier.probabilities(halves(raw)[1]), expected)


def test_the_scale_is_kept_with_the_run_and_with_the_classifier(
    trained: tuple[metarl.Run, Tensor, list[str], Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No data are read for it."""
    run, raw, names, _ = trained
    monkeypatch.setattr(classifiers, "load_data", lambda config: pytest.fail("data are read"))
    support, queries = halves(raw)
    adapted = metarl.load_run(run.folder).adapt(support=(support, names[::2]))
    assert adapted.predict(queries) == names[1::2]
    adapted.save(tmp_path / "classifier.pt")
    loaded = metarl.load_classifier(tmp_path / "classifier.pt")
    probabilities = adapted.classifier.probabilities(queries)
    assert torch.equal(loaded.probabilities(queries), probabilities)


@pytest.mark.slow  # 6 s
@pytest.mark.parametrize("trained", ["table"], indirect=True)
def test_a_saved_classifier_in_another_process(
    trained: tuple[metarl.Run, Tensor, list[str], Tensor], tmp_path: Path
) -> None:
    run, raw, names, _ = trained
    support, queries = halves(raw)
    run.adapt(support=(support, names[::2])).save(tmp_path / "classifier.pt")
    np.save(tmp_path / "queries.npy", queries.numpy())
    code = (
        "import json, numpy, torch, metarl\n"
        "x = torch.from_numpy(numpy.load('queries.npy'))\n"
        "print(json.dumps(metarl.load_classifier('classifier.pt').predict(x)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == names[1::2]


def test_without_a_scale_nothing_is_adapted_or_classified(
    trained: tuple[metarl.Run, Tensor, list[str], Tensor], tmp_path: Path
) -> None:
    """As of older versions."""
    run, raw, names, _ = trained
    classifier = run.adapt(support=(raw, names)).classifier
    object.__setattr__(classifier, "scaling", None)
    classifier.save(tmp_path / "classifier.pt")
    message = "by which mean and scale the training data were standardised.*: train anew"
    with pytest.raises(ValueError, match=message):
        metarl.load_classifier(tmp_path / "classifier.pt").predict(raw)
    old = metarl.load_run(run.folder)
    object.__setattr__(old.built, "scaling", None)
    with pytest.raises(metarl.InputError, match=f"support nothing says {message}"):
        old.adapt(support=(raw, names))


def test_rows_that_no_scale_fits(trained: tuple[metarl.Run, Tensor, list[str], Tensor]) -> None:
    run, raw, names, _ = trained
    for number, message in (
        (np.nan, "support examples must be finite"),
        (1e300, "support some features are too large to be scaled by the train split's"),
    ):
        wrong = raw.clone()
        wrong[3, 1] = number
        with pytest.raises(metarl.InputError, match=message):
            run.adapt(support=(wrong, names))


def test_the_command_reads_images_only(
    trained: tuple[metarl.Run, Tensor, list[str], Tensor],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = trained[0]
    capsys.readouterr()
    data = run.config.problem.data.data  # type: ignore[union-attr]
    assert main(["adapt", str(run.folder), "--support", data, "--output", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "metarl: error: --support is for images; this run's data go to Run.adapt in Python"
    )


def test_a_constant_feature_is_only_centred() -> None:
    scaling = Scaling((0.1, 5.0), (1.0, 2.0))
    assert scaling.standardised(torch.tensor([[1.1, 9.0]]).double()).tolist() == [[1.0, 2.0]]


def test_a_regression_has_no_classes(tmp_path: Path) -> None:
    options = OPTIONS | {"iterations": 1, "backbone": "mlp"}
    run = metarl.train_fewshot("maml", data="sinusoid", output=tmp_path, **options)
    with pytest.raises(metarl.InputError, match="support is for classifiers, and this run is a"):
        run.adapt(support=(torch.zeros(2, 1), ["a", "b"]))
