"""What normalises images that are classified, and in which units they come."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import metarl
from metarl.cli import main
from metarl.fewshot import Classifier, load_classifier
from metarl.fewshot.data.folder import read_query_folder
from metarl.nn import Conv4

SIZE = 16
OPTIONS = {"num_ways": 3, "num_queries": 3, "num_validation": 2, "filters": 8, "eval_tasks": 0}
STEPS = {"num_inner_steps": 2, "num_test_steps": 10, "meta_batch_size": 2}


def write_classes(root: Path, names: str, examples: range) -> Path:
    """Every class is a pattern of black and white, with noise."""
    for name in names:
        (root / name).mkdir(parents=True)
        pattern = np.random.default_rng(ord(name)).integers(0, 2, (4, 4)).repeat(4, 0).repeat(4, 1)
        for example in examples:
            noise = np.random.default_rng([ord(name), example]).integers(0, 120, (SIZE, SIZE))
            image = Image.fromarray((120 * pattern + noise).astype(np.uint8))
            image.save(root / name / f"{example}.png")
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of classes to train on, to adapt to and to classify."""
    root = tmp_path_factory.mktemp("images")
    write_classes(root / "photos", "abcdefghijklmno", range(6))
    write_classes(root / "support", "xyz", range(3))
    write_classes(root / "query", "xyz", range(3, 9))
    return root


@pytest.fixture(scope="module")
def runs(root: Path) -> dict[str, Path]:
    """A run that adapts by steps in its default mode, one that does not, and an mlp."""
    kinds = {"maml": STEPS, "protonet": {}, "knn": {"features": "trained"}}
    return {
        learner: metarl.train_fewshot(
            learner, data=str(root / "photos"), output=root, iterations=12, **OPTIONS, **options
        ).folder
        for learner, options in kinds.items()
    }


def adapted(run: Path, output: Path, root: Path, query: Path, *options: str) -> dict[str, float]:
    """The record of ``metarl adapt``."""
    folders = ["--support", str(root / "support"), "--query", str(query)]
    assert main(["adapt", str(run), *folders, "--output", str(output), *options]) == 0
    record: dict[str, float] = json.loads((output / "adaptation.json").read_text())
    return record


def accuracy_in_parts(run: Path, output: Path, root: Path, *options: str) -> float:
    """Each class of the queries classified without the others."""
    records = []
    for name in "xyz":
        one = output / "one" / name
        (one / name).mkdir(parents=True)
        for path in (root / "query" / name).iterdir():
            (one / name / path.name).write_bytes(path.read_bytes())
        records.append(adapted(run, output / name, root, one, *options)["accuracy"])
    return float(np.mean(records))


@pytest.mark.parametrize("learner", ["maml", "protonet"])
def test_the_other_images_do_not_matter(
    learner: str, runs: dict[str, Path], root: Path, tmp_path: Path
) -> None:
    """One class, or one image: as right as all together, though MAML is trained transductively."""
    whole = adapted(runs[learner], tmp_path / "whole", root, root / "query")
    assert whole["norm"] == "inductive"
    assert accuracy_in_parts(runs[learner], tmp_path, root) == pytest.approx(whole["accuracy"])
    classifier = load_classifier(tmp_path / "whole" / "classifier.pt")
    images = read_query_folder(root / "query", image_size=SIZE, channels=1).images
    alone = torch.cat([classifier.probabilities(image[None]) for image in images])
    torch.testing.assert_close(alone, classifier.probabilities(images), rtol=0, atol=1e-4)
    assert whole["accuracy"] > 0.8


def test_transductive_on_demand(
    runs: dict[str, Path], root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Then the images of one class, normalised by themselves, are spread over all of them."""
    options = "--norm", "transductive"
    whole = adapted(runs["maml"], tmp_path / "whole", root, root / "query", *options)
    assert whole["norm"] == "transductive"
    assert "batch norm: transductive" in capsys.readouterr().out
    in_parts = accuracy_in_parts(runs["maml"], tmp_path, root, *options)
    assert in_parts < whole["accuracy"] - 0.1


@pytest.mark.parametrize("learner", ["maml", "protonet", "knn"])
@pytest.mark.parametrize("norm", ["inductive", "transductive"])
def test_a_saved_classifier_can_be_switched(
    learner: str, norm: str, runs: dict[str, Path], root: Path, tmp_path: Path
) -> None:
    """To what it would be if it had been adapted in the other mode."""
    images = read_query_folder(root / "query", image_size=SIZE, channels=1).images
    kept: dict[str, Classifier] = {}
    for mode in ("inductive", "transductive"):
        adapted(runs[learner], tmp_path / mode, root, root / "query", "--norm", mode)
        kept[mode] = load_classifier(tmp_path / mode / "classifier.pt")
    (other,) = kept.keys() - {norm}
    switched = kept[other].with_norm(norm)  # type: ignore[arg-type]
    expected = kept[norm].probabilities(images)
    torch.testing.assert_close(switched.probabilities(images), expected)
    assert not torch.allclose(kept[other].probabilities(images), expected)


def own_network(norm: Callable[[], nn.Module]) -> nn.Module:
    """The same weights whatever ran before: a norm with weights is made after the seed, too."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 3), norm(), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())


@pytest.mark.parametrize("learner", ["maml", "protonet"])
@pytest.mark.parametrize(
    ("norm", "label"),
    [
        (lambda: nn.BatchNorm2d(8), "running"),
        (lambda: nn.BatchNorm2d(8, track_running_stats=False), "batch"),
        (lambda: nn.GroupNorm(2, 8), "none"),
        (
            lambda: nn.Sequential(
                nn.Upsample(16), Conv4(8, (16, 16), filters=4), nn.Unflatten(1, (1, 2, 2))
            ),
            "running",
        ),
    ],
)
def test_own_batch_norm_is_what_it_is(
    learner: str, norm: Callable[[], nn.Module], label: str, root: Path, tmp_path: Path
) -> None:
    """No mode changes it, so none is accepted, and what it is is printed."""
    run = metarl.train_fewshot(
        learner,
        data=str(root / "photos"),
        backbone=own_network(norm),
        output=tmp_path,
        iterations=1,
        **OPTIONS,
    )
    run.evaluate(tasks=2)
    assert json.loads((run.folder / "evaluation.json").read_text())["norm"] == label
    support = torch.zeros(4, 1, SIZE, SIZE), ["a", "b"] * 2
    classifier = run.adapt(support=support)
    assert classifier.record["norm"] == label
    for mode in ("inductive", "transductive"):
        message = f"norm {mode}: this backbone normalises by {label} statistics only"
        with pytest.raises(metarl.InputError, match=message):
            run.evaluate(tasks=2, norm=mode)
        with pytest.raises(metarl.InputError, match=message):
            run.adapt(support=support, norm=mode)
        with pytest.raises(ValueError, match=message.removeprefix("norm ")):
            classifier.classifier.with_norm(mode)


IMAGES = torch.randint(256, (4, 1, SIZE, SIZE), dtype=torch.uint8)


def test_options_of_policies(runs: dict[str, Path]) -> None:
    support = IMAGES, ["a", "b"] * 2
    run = metarl.load_run(runs["protonet"])
    for option in ({"trajectories": 3}, {"task": {"goal": [0.1, 0.2]}}):
        with pytest.raises(metarl.InputError, match=f"{next(iter(option))} is for policies"):
            run.adapt(support=support, **option)


@pytest.mark.parametrize(
    "images",
    [
        IMAGES.float(),
        IMAGES.long(),
        IMAGES > 100,
        IMAGES / 127.5 - 1,
        torch.full((4, 1, SIZE, SIZE), torch.nan),
    ],
    ids=["0 to 255", "integers", "booleans", "-1 to 1", "nan"],
)
def test_images_in_other_units(images: Tensor, runs: dict[str, Path]) -> None:
    run = metarl.load_run(runs["protonet"])
    classifier = run.adapt(support=(IMAGES, ["a", "b"] * 2)).classifier
    message = r"uint8 in 0..255 or floats in \[0, 1\], got (float32|int64|bool) in \["
    with pytest.raises(ValueError, match=message):
        classifier.predict(images)
    with pytest.raises(metarl.InputError, match=f"support images are {message}"):
        run.adapt(support=(images, ["a", "b"] * 2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_floats_are_bytes_of_255(dtype: torch.dtype, runs: dict[str, Path]) -> None:
    classifier = (
        metarl.load_run(runs["protonet"]).adapt(support=(IMAGES, ["a", "b"] * 2)).classifier
    )
    probabilities = classifier.probabilities((IMAGES / 255).to(dtype))
    expected = classifier.probabilities(IMAGES)
    torch.testing.assert_close(probabilities, expected, rtol=0, atol=1e-2)
    assert classifier.predict((IMAGES / 255).to(dtype)) == classifier.predict(IMAGES)


def test_other_data_than_images(tmp_path: Path) -> None:
    """Small integers in bytes are the numbers that they are, and no infinity is classified."""
    rows = np.random.default_rng(0).normal(size=(60, 3)) + np.arange(60)[:, None] % 10
    np.savez(tmp_path / "table.npz", x=rows, y=np.arange(60) % 10)
    run = metarl.train_fewshot(
        "protonet",
        data=str(tmp_path / "table.npz"),
        array_kind="table",
        hidden_sizes=(16,),
        output=tmp_path,
        iterations=1,
        num_ways=2,
        num_queries=2,
        num_validation=2,
        eval_tasks=0,
    )
    support = torch.tensor([[0, 1, 2], [3, 4, 5]], dtype=torch.uint8)
    classifier = run.adapt(support=(support, ["a", "b"])).classifier
    torch.testing.assert_close(
        classifier.probabilities(support), classifier.probabilities(support.double())
    )
    assert classifier.predict(support) == ["a", "b"]
    with pytest.raises(ValueError, match="examples must be finite"):
        classifier.predict(torch.full((1, 3), torch.inf))


def test_letters_are_light_on_dark(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As glyphs and Omniglot are when they are trained on; Omniglot's files are the other way."""
    options = {"iterations": 1, "eval_tasks": 0, "backbone": "mlp", "num_validation": 2}
    run = metarl.train_fewshot("protonet", data="glyphs", output=tmp_path, **options)
    test = run.classifiers.datasets[0].test
    ink = test.take(torch.arange(2).repeat(4), torch.arange(4).repeat_interleave(2))
    names = ["a", "b"] * 4
    assert len(run.adapt(support=(ink, names)).predict(ink)) == 8
    message = "images are dark on light, and glyphs was trained on as light"
    for page in (255 - ink, 1 - ink / 255):
        with pytest.raises(metarl.InputError, match=f"support {message}"):
            run.adapt(support=(page, names))
    folders = {"light": ink, "dark": 255 - ink}
    for folder, images in folders.items():
        for index, image in enumerate(images):
            path = tmp_path / folder / names[index] / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0].numpy()).save(path)
    command = ["adapt", str(run.folder), "--support", str(tmp_path / "light")]
    output = ["--output", str(tmp_path / "adapted")]
    capsys.readouterr()
    assert main([*command, "--query", str(tmp_path / "dark"), *output]) == 2
    assert f"--query {message}" in capsys.readouterr().err
    assert main([*command, "--query", str(tmp_path / "light"), *output]) == 0


def test_norm_is_no_option_of_policies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = metarl.train(
        "maml-trpo",
        env="metarl/PointGoal-v0",
        output=tmp_path,
        iterations=1,
        meta_batch_size=2,
        num_trajectories=2,
        horizon=5,
        eval_tasks=0,
    )
    with pytest.raises(metarl.InputError, match="norm is for few-shot runs"):
        run.adapt(task={"goal": [0.1, 0.2]}, norm="inductive")  # type: ignore[call-overload]
    task = ["--task", '{"goal": [0.1, 0.2]}', "--norm", "inductive"]
    assert main(["adapt", str(run.folder), *task, "--output", str(tmp_path / "adapted")]) == 2
    assert "--norm is for few-shot runs" in capsys.readouterr().err
