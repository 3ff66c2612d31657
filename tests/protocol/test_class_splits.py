"""Which classes few-shot learners train on, are validated on and are tested on.

In the data of these tests the classes of one part look different from each other, and all other
images are the same. So a score says where its episodes are from: 1 in that part, chance elsewhere.
"""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metarl.cli import main

PARTS = ("train", "val", "test")
WAYS, SIZE = 5, 6
LEARNERS = {
    "protonet": "protonet",
    "protonet-variable": "protonet --sampling variable",
    "matching": "matching",
    "maml": "maml --inner-lr 0.5 --num-test-steps 5",
    "knn": "knn",
    "baseline++": "baseline++ --lr 0.05",
}
"""Name of a test to learner and options."""
SMALL = ["--backbone", "mlp", "--hidden-sizes", "32", "--ways", str(WAYS), "--shots", "1"]
SMALL += ["--queries", "2", "--num-validation", "8", "--eval-every", "1"]


def write_data(folder: Path, telling: str) -> Path:
    """Images ``folder/<part>/<class>/*.png``: in one part a pattern of each class, else black."""
    rng = np.random.default_rng(0)
    for part in PARTS:
        for number in range(WAYS + 1):
            pattern = 255 * rng.integers(2, size=(SIZE, SIZE), dtype=np.uint8)
            image = Image.fromarray(pattern if part == telling else np.zeros_like(pattern))
            place = folder / part / f"{part}-{number}"
            place.mkdir(parents=True)
            for copy in range(4):
                image.save(place / f"{copy}.png")
    return folder


def scores(learner: str, data: Path, output: Path, iterations: int = 1) -> dict[str, float]:
    """Scores of a run: in training, in validation, and of the test that ends it."""
    options = [*SMALL, "--iterations", str(iterations), "--output", str(output)]
    assert main(["fewshot", *LEARNERS[learner].split(), "--data", str(data), *options]) == 0
    assert main(["evaluate", str(*output.iterdir()), "--tasks", "20"]) == 0
    (folder,) = output.iterdir()
    with (folder / "metrics.csv").open() as file:
        *_, last = csv.DictReader(file)
    tested = json.loads((folder / "evaluation.json").read_text())["mean"][-1]
    trained = float(last.get("train/score", "nan"))
    return {"val": float(last["eval/score"]), "train": trained, "test": tested}


@pytest.mark.parametrize("telling", ["val", "test"])
@pytest.mark.parametrize("learner", LEARNERS)
def test_validation_and_test_have_classes_of_their_own(
    learner: str, telling: str, tmp_path: Path
) -> None:
    found = scores(learner, write_data(tmp_path / "data", telling), tmp_path / "runs")
    assert found[telling] > 0.8
    assert found["test" if telling == "val" else "val"] < 0.4


@pytest.mark.parametrize("learner", ["protonet", "protonet-variable", "maml", "baseline++"])
def test_training_has_the_train_classes(learner: str, tmp_path: Path) -> None:
    """It learns to tell them apart, and what is the same for all stays at chance."""
    data = write_data(tmp_path / "data", "train")
    found = scores(learner, data, tmp_path / "runs", iterations=30)
    assert found["train"] > 0.8
    assert found["val"] < 0.4
    assert found["test"] < 0.4
