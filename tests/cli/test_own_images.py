"""A user's own images through the command line, and what is said where they do not fit."""

import csv
import json
import shutil
import struct

import numpy as np
import pytest
import torch
from PIL import Image

import metarl
from metarl.cli import main
from metarl.fewshot.classifier import load_classifier
from metarl.fewshot.data.folder import read_class_folder, read_query_folder
from metarl.fewshot.data.tfrecord import crc32c
from metarl.report import curves
from metarl.runs import dataset

SIZE = 20
LETTERS = "abcdefghij"
EPISODES = ["--num-ways", "2", "--num-queries", "3", "--num-validation", "2"]
SMALL = [*EPISODES, "--iterations", "2", "--filters", "4"]


@pytest.fixture(scope="module", autouse=True)
def _few_test_episodes():
    """A run ends with 600 episodes and each interval takes 2000 resamples; these tests do not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "NUM_EPISODES", 10)
        patch.setattr(curves, "RESAMPLES", 100)
        yield


def picture(name, example, size=SIZE):
    """The class's own coarse pattern of black and white, with noise."""
    pattern = np.random.default_rng(ord(name)).integers(0, 2, (4, 4)).repeat(5, 0).repeat(5, 1)
    noise = np.random.default_rng([ord(name), example]).integers(0, 60, (SIZE, SIZE))
    image = Image.fromarray((180 * pattern + noise).astype(np.uint8))
    return image.resize((size, size))


def write_classes(root, names, examples, size=SIZE):
    for name in names:
        (root / name).mkdir(parents=True)
        for example in examples:
            picture(name, example, size).save(root / name / f"{example}.png")
    return root


@pytest.fixture
def photos(tmp_path):
    """Ten classes of six images, to be damaged."""
    return write_classes(tmp_path / "photos", LETTERS, range(6))


def trained(tmp_path_factory, learner, *options):
    root = tmp_path_factory.mktemp(learner)
    photos = write_classes(root / "photos", LETTERS, range(6))
    output = ["--output", str(root / "runs")]
    assert main(["fewshot", learner, "--data", str(photos), *SMALL, *output, *options]) == 0
    (folder,) = (root / "runs").iterdir()
    return folder


@pytest.fixture(scope="module")
def protonet(tmp_path_factory):
    return trained(tmp_path_factory, "protonet", "--iterations", "20")


@pytest.fixture(scope="module")
def maml(tmp_path_factory):
    options = ["--norm", "inductive", "--num-inner-steps", "2", "--num-test-steps", "3"]
    return trained(tmp_path_factory, "maml", *options)


@pytest.fixture
def support(tmp_path):
    """Three classes of two images that training has not seen."""
    return write_classes(tmp_path / "support", "xyz", range(2))


@pytest.fixture
def query(tmp_path):
    """Four other images of each of them."""
    return write_classes(tmp_path / "query", "xyz", range(2, 6))


def adapt(run, output, **folders):
    options = [part for key, path in folders.items() for part in (f"--{key}", str(path))]
    return main(["adapt", str(run), "--output", str(output), *options])


def read_predictions(output):
    return list(csv.DictReader((output / "predictions.csv").read_text().splitlines()))


def test_training_and_evaluation(protonet, capsys):
    """Chance is 50 %, with a standard error of 4 %."""
    assert protonet.name.startswith("protonet_photos-2w1s_")
    assert main(["evaluate", str(protonet), "--tasks", "30"]) == 0
    record = json.loads((protonet / "evaluation.json").read_text())
    assert record["mean"][-1] > 0.75
    assert "protonet on" in capsys.readouterr().out


@pytest.mark.parametrize("learner", ["protonet", "maml"])
def test_adapting_to_classes_of_the_users_own(learner, support, query, tmp_path, capsys, request):
    """Three classes, though training had two."""
    run, output = request.getfixturevalue(learner), tmp_path / "adapted"
    assert adapt(run, output, support=support, query=query) == 0
    rows = read_predictions(output)
    assert [row["image"] for row in rows] == [str(p) for p in sorted(query.glob("*/*.png"))]
    assert {row["class"] for row in rows} <= set("xyz")
    assert all(1 / 3 <= float(row["probability"]) <= 1 for row in rows)
    right = [row["class"] == row["image"].split("/")[-2] for row in rows]
    record = json.loads((output / "adaptation.json").read_text())
    assert record["accuracy"] == pytest.approx(np.mean(right))
    if learner == "protonet":
        assert record["accuracy"] > 0.9
    assert record["classes"] == ["x", "y", "z"]
    assert record["norm"] == "inductive"
    assert (record["support"], record["queries"]) == (6, 12)
    assert record["steps"] == (3 if learner == "maml" else 0)
    shown = capsys.readouterr().out
    assert f"accuracy on 12 labelled queries: {100 * record['accuracy']:.1f} %" in shown
    assert f"{rows[0]['image']}: {rows[0]['class']} ({float(rows[0]['probability']):.2f})" in shown
    assert "batch norm: inductive" in shown
    assert f"adapted classifier: {output / 'classifier.pt'}" in shown


@pytest.mark.parametrize("learner", ["protonet", "maml"])
def test_the_saved_classifier_predicts_the_same(learner, support, query, tmp_path, request):
    output = tmp_path / "adapted"
    assert adapt(request.getfixturevalue(learner), output, support=support, query=query) == 0
    rows = read_predictions(output)
    classifier = load_classifier(output / "classifier.pt")
    images = read_class_folder(query).images
    assert classifier.class_names == ("x", "y", "z")
    assert classifier.shape == (1, SIZE, SIZE)
    assert classifier.predict(images) == [row["class"] for row in rows]
    probabilities = classifier.probabilities(images)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(12))
    kept = [float(row["probability"]) for row in rows]
    assert probabilities.amax(1).tolist() == pytest.approx(kept, abs=1e-4)
    assert metarl.load_classifier is load_classifier
    needed = r"examples must be a tensor \[B, 1, 20, 20\], of the size trained on, got"
    with pytest.raises(ValueError, match=needed + " a list; metarl adapt resizes files"):
        classifier.predict([torch.zeros(1, 20, 20)])
    with pytest.raises(ValueError, match=needed + r" \(2, 1, 8, 8\)"):
        classifier.predict(images[:2, :, :8, :8])


def test_queries_without_classes(protonet, support, query, tmp_path, capsys):
    """A flat folder, of another size and in colour."""
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in query.glob("*/*.png"):
        with Image.open(path) as image:
            image.convert("RGB").resize((33, 27)).save(flat / f"{path.parent.name}{path.stem}.bmp")
    assert adapt(protonet, tmp_path / "adapted", support=support, query=flat) == 0
    rows = read_predictions(tmp_path / "adapted")
    assert [row["image"] for row in rows] == [str(path) for path in sorted(flat.iterdir())]
    record = json.loads((tmp_path / "adapted" / "adaptation.json").read_text())
    assert "accuracy" not in record
    assert "accuracy" not in capsys.readouterr().out
    images = read_query_folder(flat, image_size=SIZE, channels=1).images
    classifier = load_classifier(tmp_path / "adapted" / "classifier.pt")
    assert classifier.predict(images) == [row["class"] for row in rows]


def test_a_classifier_without_queries(protonet, support, tmp_path):
    assert adapt(protonet, tmp_path / "adapted", support=support) == 0
    names = {path.name for path in (tmp_path / "adapted").iterdir()}
    assert names == {"classifier.pt", "adaptation.json"}


def test_steps_by_option(maml, support, tmp_path):
    arguments = ["adapt", str(maml), "--support", str(support), "--steps", "1"]
    assert main([*arguments, "--output", str(tmp_path / "adapted")]) == 0
    record = json.loads((tmp_path / "adapted" / "adaptation.json").read_text())
    assert record["steps"] == 1


def test_a_file_that_is_no_classifier(tmp_path):
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"other\.pt is damaged or not a classifier of metarl"):
        load_classifier(tmp_path / "other.pt")


def moved(run, tmp_path):
    """A copy of a run, whose training images are in a folder of their own."""
    folder = shutil.copytree(run, tmp_path / "run")
    photos = shutil.copytree(run.parents[1] / "photos", tmp_path / "photos")
    change_data(folder, photos)
    return folder, photos


def change_data(folder, data):
    config = json.loads((folder / "config.json").read_text())
    config["problem"]["data"]["data"] = str(data)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("learner", ["protonet", "maml"])
def test_adapting_reads_no_training_data(learner, support, query, tmp_path, request):
    run, photos = moved(request.getfixturevalue(learner), tmp_path)
    assert adapt(run, tmp_path / "before", support=support, query=query) == 0
    shutil.rmtree(photos)
    assert adapt(run, tmp_path / "after", support=support, query=query) == 0
    assert read_predictions(tmp_path / "after") == read_predictions(tmp_path / "before")


def test_data_may_move(protonet, tmp_path, capsys):
    """But evaluation needs them, and says so in a line."""
    run, photos = moved(protonet, tmp_path)
    (tmp_path / "new").mkdir()
    photos.rename(tmp_path / "new" / "photos")
    assert_complaint(complaint(capsys, ["evaluate", run, "--tasks", "5"]), f"--data {photos}")
    change_data(run, tmp_path / "new" / "photos")
    assert main(["evaluate", str(run), "--tasks", "5"]) == 0
    assert main(["resume", str(run), "--iterations", "21"]) == 0


@pytest.mark.parametrize(
    "command", [["evaluate", "--tasks", "5"], ["resume", "--iterations", "21"]]
)
def test_classes_that_are_others_than_in_training(command, protonet, tmp_path, capsys):
    run, photos = moved(protonet, tmp_path)
    before = (run / "metrics.csv").read_text()
    name, *options = command
    write_classes(photos, "k", range(6))
    line = complaint(capsys, [name, run, *options])
    assert_complaint(line, f"--data {photos} holds other classes", "trained on: photos has k too")
    shutil.rmtree(photos / "k")
    shutil.move(photos / "a", tmp_path / "a")
    assert_complaint(complaint(capsys, [name, run, *options]), "trained on: photos has no a")
    shutil.move(tmp_path / "a", photos / "a")
    (photos / "a" / "0.png").unlink()
    assert_complaint(
        complaint(capsys, [name, run, *options]), "trained on: photos has other examples"
    )
    assert (run / "metrics.csv").read_text() == before


def complaint(capsys, arguments):
    """The one line of a command that must fail with status 2."""
    capsys.readouterr()
    status = main([str(argument) for argument in arguments])
    lines = capsys.readouterr().err.splitlines()
    assert status == 2, lines
    assert len(lines) == 1, lines
    assert lines[0].startswith("metarl: error: ")
    return lines[0]


def training(data, tmp_path, *options):
    return ["fewshot", "protonet", "--data", data, *SMALL, "--output", tmp_path / "runs", *options]


def assert_complaint(line, *parts):
    for part in parts:
        assert str(part) in line


def test_a_class_with_too_few_images(photos, tmp_path, capsys):
    """Named, with what it has and what it needs."""
    for example in range(2, 6):
        (photos / "c" / f"{example}.png").unlink()
    line = complaint(capsys, training(photos, tmp_path))
    assert_complaint(line, "'c'", "has 2 examples", "1 shots + 3 queries need 4")
    assert not (tmp_path / "runs").exists()


def test_a_corrupt_image(photos, tmp_path, capsys):
    bad = photos / "e" / "3.png"
    bad.write_bytes(bad.read_bytes()[:60])
    line = complaint(capsys, training(photos, tmp_path))
    assert_complaint(line, "--data", bad, "not a readable image", "--skip-bad")
    assert main([str(part) for part in training(photos, tmp_path, "--skip-bad")]) == 0
    assert f"metarl: skipped 1 file that cannot be read: {bad}" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["support", "query"])
def test_a_corrupt_image_to_adapt_to(option, protonet, support, query, tmp_path, capsys):
    bad = {"support": support, "query": query}[option] / "y" / "0.png"
    bad.write_text("no image")
    arguments = ["adapt", protonet, "--support", support, "--query", query]
    arguments += ["--output", tmp_path / "adapted"]
    line = complaint(capsys, arguments)
    assert_complaint(line, f"--{option} {bad}: not a readable image", "--skip-bad")
    assert not (tmp_path / "adapted").exists()
    assert main([str(argument) for argument in [*arguments, "--skip-bad"]]) == 0
    assert f"--{option}: skipped 1 file that cannot be read" in capsys.readouterr().err


def test_a_class_of_which_nothing_can_be_read(photos, tmp_path, capsys):
    for path in (photos / "d").iterdir():
        path.write_text("no image")
    line = complaint(capsys, training(photos, tmp_path, "--skip-bad"))
    assert_complaint(line, "class d: 0 images can be read")


def test_an_empty_split(tmp_path, capsys):
    for split, names in {"train": "abc", "val": "de"}.items():
        write_classes(tmp_path / "splits" / split, names, range(6))
    (tmp_path / "splits" / "test").mkdir()
    line = complaint(capsys, training(tmp_path / "splits", tmp_path))
    assert_complaint(line, tmp_path / "splits" / "test", "no folders in it")
    shutil.rmtree(tmp_path / "splits" / "test")
    line = complaint(capsys, training(tmp_path / "splits", tmp_path))
    assert_complaint(line, "has train and val, but nothing called test")


def test_an_empty_class(photos, tmp_path, capsys):
    (photos / "k").mkdir()
    assert_complaint(complaint(capsys, training(photos, tmp_path)), photos / "k", "no images in it")


def test_more_ways_than_classes(photos, protonet, tmp_path, capsys):
    line = complaint(capsys, training(photos, tmp_path, "--num-ways", "3"))
    assert_complaint(line, "photos validation: has 2 classes, but num_ways is 3")
    line = complaint(capsys, training(photos, tmp_path, "--train-ways", "7"))
    assert_complaint(line, "photos train: has 6 classes, but num_ways is 7")
    line = complaint(capsys, ["evaluate", protonet, "--num-ways", "3"])
    assert_complaint(line, "photos test: has 2 classes, but num_ways is 3")


def test_sizes_that_differ(photos, tmp_path, capsys):
    picture("a", 9, size=24).save(photos / "a" / "9.png")
    line = complaint(capsys, training(photos, tmp_path))
    assert_complaint(line, "differ in size", "20x20", "a/9.png is 24x24", "--image-size")
    assert main([str(part) for part in training(photos, tmp_path, "--image-size", "16")]) == 0


def test_images_too_small_for_the_backbone(photos, tmp_path, capsys):
    line = complaint(capsys, training(photos, tmp_path, "--image-size", "12"))
    assert_complaint(line, "conv4", "16x16", "(12, 12)", "stride")


@pytest.mark.parametrize("labels", [np.arange(60) / 7, np.array(["cat", "dog"] * 30)])
def test_labels_of_an_array_that_are_not_integers(labels, tmp_path, capsys):
    np.savez(tmp_path / "cells.npz", x=np.zeros((60, SIZE, SIZE, 1), np.uint8), y=labels)
    line = complaint(capsys, training(tmp_path / "cells.npz", tmp_path))
    assert_complaint(line, "--data", "cells: labels must be integers", labels.dtype)


def test_labels_of_a_table_that_are_not_integers(tmp_path, capsys):
    rows = ["height,width,kind", *(f"{i}.5,2,{i / 4 + 0.25}" for i in range(40))]
    (tmp_path / "shapes.csv").write_text("\n".join(rows) + "\n")
    line = complaint(capsys, training(tmp_path / "shapes.csv", tmp_path))
    assert_complaint(line, "shapes.csv", "column kind holds 0.25", "must be integers or names")


def write_records(path, number):
    """A TFRecord file of records without sense; checksums of their lengths are right."""
    length = struct.pack("<Q", 40)
    crc = crc32c(length)
    masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    path.write_bytes(number * (length + struct.pack("<I", masked) + bytes(44)))


def write_meta_dataset(root):
    folder = root / "birds"
    folder.mkdir()
    spec = {
        "name": "birds",
        "classes_per_split": {"TRAIN": 2, "VALID": 2, "TEST": 2},
        "images_per_class": {str(index): 8 for index in range(6)},
        "class_names": {str(index): f"bird {index}" for index in range(6)},
        "file_pattern": "{}.tfrecords",
        "__class__": "DatasetSpecification",
    }
    (folder / "dataset_spec.json").write_text(json.dumps(spec))
    for index in range(6):
        write_records(folder / f"{index}.tfrecords", 8)
    return folder


def test_a_tfrecord_cut_short(tmp_path, capsys):
    """It shows when the class is first drawn; the run ends with a line, as all bad input does."""
    cut = write_meta_dataset(tmp_path) / "1.tfrecords"
    cut.write_bytes(cut.read_bytes()[:-7])
    options = training("meta-dataset", tmp_path, "--data-root", tmp_path)
    assert_complaint(complaint(capsys, options), cut, "record 7", "cut short at byte")


def test_a_tfrecord_without_an_image(tmp_path, capsys):
    folder = write_meta_dataset(tmp_path)
    options = training("meta-dataset:birds", tmp_path, "--data-root", tmp_path)
    assert_complaint(complaint(capsys, options), folder, ".tfrecords: record", "cannot be read")


def test_data_that_there_is_not(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("METARL_DATA", raising=False)
    line = complaint(capsys, training("omniglott", tmp_path))
    assert_complaint(line, "'omniglott'", "neither a folder", "omniglot", "glyphs", "sinusoid")
    for name in ("omniglot", "cub", "meta-dataset"):
        line = complaint(capsys, training(name, tmp_path))
        assert_complaint(line, f"--data {name}", "--data-root", "METARL_DATA")
    line = complaint(capsys, training("cub", tmp_path, "--data-root", tmp_path))
    assert_complaint(line, tmp_path / "cub", "no such folder")
    line = complaint(capsys, training("meta-dataset", tmp_path, "--data-root", tmp_path))
    assert_complaint(line, tmp_path, "dataset_spec.json")


def test_a_learner_that_there_is_not(capsys):
    assert_complaint(
        complaint(capsys, ["fewshot", "protnet"]), "'protnet'", "did you mean protonet?"
    )
    line = complaint(capsys, ["fewshot", "maml-trpo"])
    assert_complaint(line, "maml-trpo is a learner of metarl train")
    assert_complaint(complaint(capsys, ["fewshots"]), "did you mean fewshot?")


def test_adapt_options_of_classifiers(protonet, support, tmp_path, capsys):
    output = ["--output", tmp_path / "adapted"]
    alone = write_classes(tmp_path / "alone", "v", range(2))
    cases = [
        (["--task", '{"goal": [0, 0]}'], ["--task", "for policies", "--support"]),
        (["--support", support, "--task", "{}"], ["--task", "for policies"]),
        ([], ["--support is missing"]),
        (
            ["--support", tmp_path / "nowhere"],
            [f"--support {tmp_path / 'nowhere'}: no such folder"],
        ),
        (["--support", support / "x"], [f"--support {support / 'x'}: no folders in it"]),
        (["--support", alone], [f"--support {alone}", "needs two classes, has ['v']"]),
        (
            ["--support", support, "--query", tmp_path / "gone"],
            [f"--query {tmp_path / 'gone'}: no such folder"],
        ),
        (["--support", support, "--steps", "2"], ["protonet does not adapt by steps"]),
    ]
    for options, parts in cases:
        assert_complaint(complaint(capsys, ["adapt", protonet, *options, *output]), *parts)
    assert not (tmp_path / "adapted").exists()


def test_query_classes_that_are_not_in_the_support(protonet, support, query, tmp_path, capsys):
    write_classes(query, "w", range(1))
    arguments = ["adapt", protonet, "--support", support, "--query", query]
    line = complaint(capsys, [*arguments, "--output", tmp_path / "adapted"])
    assert_complaint(line, f"--query {query}", "['w']", "are not in", support)
    assert not (tmp_path / "adapted").exists()


def test_a_head_of_two_ways_and_three_classes(support, tmp_path, tmp_path_factory, capsys):
    run = trained(tmp_path_factory, "meta-sgd")
    arguments = ["adapt", run, "--support", support, "--output", tmp_path / "adapted"]
    line = complaint(capsys, arguments)
    assert_complaint(line, "--support", "2 ways and cannot be used with 3", "--head shared")


def test_a_policy_has_no_support(support, tmp_path, capsys):
    options = ["--iterations", "1", "--meta-batch-size", "2", "--num-trajectories", "2"]
    options += ["--horizon", "5", "--output", str(tmp_path / "runs")]
    assert main(["train", "maml-trpo", "--env", "metarl/PointGoal-v0", *options]) == 0
    (run,) = (tmp_path / "runs").iterdir()
    output = ["--output", tmp_path / "adapted"]
    line = complaint(capsys, ["adapt", run, "--support", support, *output])
    assert_complaint(line, "--support", "few-shot", "this is a policy")
    assert_complaint(complaint(capsys, ["adapt", run, *output]), "--task is missing")
    assert_complaint(complaint(capsys, ["evaluate", run, "--ways", "3"]), "--num-ways", "few-shot")
