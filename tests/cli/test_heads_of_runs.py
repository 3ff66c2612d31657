"""``--head`` of evaluate and adapt: what is said of it, kept of it and refused."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

import metarl
from metarl.cli import main
from metarl.fewshot.heads import features
from metarl.report import curves
from metarl.runs.comparison import compared

SMALL = {"num_ways": 3, "num_queries": 3, "num_validation": 2, "filters": 4, "eval_tasks": 0}
IMAGES = torch.randint(256, (6, 1, 28, 28), generator=torch.Generator().manual_seed(0)).byte()
LABELS = ["a", "b", "c"] * 2


@pytest.fixture(scope="module", autouse=True)
def _quick():
    """Few resamples for intervals, few train examples for the mean feature."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curves, "RESAMPLES", 100)
        patch.setattr(features, "NUM_BASE", 200)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of a run that has learned nothing."""
    output = tmp_path_factory.mktemp("heads")
    return metarl.train_fewshot("protonet", iterations=1, output=output, **SMALL).folder


def evaluated(folder, *options):
    assert main(["evaluate", str(folder), "--tasks", "4", *options]) == 0
    return json.loads((folder / "evaluation.json").read_text())


def test_transduction_is_named(folder, capsys):
    options = ["--head", "tim", "--head-options", '{"num_steps": 3}']
    record = evaluated(folder, *options)
    assert (record["head"], record["transductive"]) == ("tim", True)
    assert record["head_options"]["num_steps"] == 3
    shown = " ".join(capsys.readouterr().out.split())
    assert "batch norm inductive, head tim (transductive), seeds" in shown
    record = evaluated(folder, "--head", "simpleshot")
    assert (record["head"], record["transductive"]) == ("simpleshot", False)
    assert "head simpleshot, seeds" in " ".join(capsys.readouterr().out.split())
    own, same = evaluated(folder), evaluated(folder, "--head", "prototypes")
    assert (own["head"], own["transductive"]) == ("own", False)
    assert own["accuracy"] == same["accuracy"]


def test_comparisons_do_not_mix_them(folder, tmp_path):
    other = metarl.train_fewshot("protonet", iterations=1, output=tmp_path, seed=1, **SMALL).folder
    evaluated(folder, "--head", "tim", "--head-options", '{"num_steps": 3}')
    evaluated(other)
    message = "not comparable: transductive is True in the one and False in the other"
    with pytest.raises(metarl.InputError, match=message):
        compared([folder, other])
    evaluated(other, "--head", "bd-cspn")
    (section,) = compared([folder, other])
    labels = [group.label for group in section.groups]
    assert [label.split(" (")[0] for label in labels] == [
        "protonet head=tim",
        "protonet head=bd-cspn",
    ]
    assert all("(transductive)" in label for label in labels)
    path = other / "evaluation.json"  # of a file from before there were heads
    evaluated(folder)
    evaluated(other)
    record = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in record.items() if k != "transductive"}))
    (section,) = compared([folder, other])
    assert [group.label for group in section.groups] == ["protonet"]


@pytest.mark.parametrize("head", ["ridge", "simpleshot", "pt-map"])
def test_a_saved_classifier_keeps_its_head(head, folder, tmp_path):
    """In either norm, whichever it was adapted in."""
    run = metarl.load_run(folder)
    options = {"num_steps": 2} if head == "pt-map" else {}
    kept = {}
    for norm in ("inductive", "transductive"):
        adapted = run.adapt(support=(IMAGES, LABELS), head=head, head_options=options, norm=norm)
        assert adapted.record["head"] == head
        adapted.save(tmp_path / "classifier.pt")
        kept[norm] = metarl.load_classifier(tmp_path / "classifier.pt")
        expected = adapted.classifier.probabilities(IMAGES)
        assert torch.equal(kept[norm].probabilities(IMAGES), expected)
    switched = kept["transductive"].with_norm("inductive").probabilities(IMAGES)
    torch.testing.assert_close(switched, kept["inductive"].probabilities(IMAGES))
    own = run.adapt(support=(IMAGES, LABELS)).classifier.probabilities(IMAGES)
    assert not torch.allclose(own, switched)


def write_images(root: Path, per_class: int, names: str = "ab") -> Path:
    for index, name in enumerate(names * per_class):
        (root / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(IMAGES[index % 6, 0].numpy()).save(root / name / f"{index}.png")
    return root


def test_adapting_says_which_head(folder, tmp_path, capsys):
    support, query = write_images(tmp_path / "s", 2), write_images(tmp_path / "q", 2)
    command = ["adapt", str(folder), "--support", str(support), "--head", "bd-cspn"]
    output = ["--output", str(tmp_path / "out")]
    assert main([*command, "--query", str(query), *output]) == 0
    shown = capsys.readouterr().out
    assert "head: bd-cspn (transductive)\nbatch norm: inductive" in shown
    record = json.loads((tmp_path / "out" / "adaptation.json").read_text())
    assert (record["head"], record["transductive"]) == ("bd-cspn", True)
    one = write_images(tmp_path / "one", 1, "a")
    assert main([*command, "--query", str(one), *output]) == 2
    shown = capsys.readouterr().err
    assert "--query bd-cspn (transductive) classifies queries jointly, at least 2 of them" in shown


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "tim", "steps": 2}, "steps 2: head tim does not adapt by steps"),
        ({"head": "cosine"}, "head must be one of 'prototypes'.*got 'cosine'"),
        ({"head_options": {"scale": 2.0}}, "head_options is for head, and there is none"),
        ({"head": "tim", "head_options": {"lr": -1.0}}, "head_options tim: lr must be at least 0"),
    ],
)
def test_what_is_refused(options, message, folder):
    run = metarl.load_run(folder)
    with pytest.raises(metarl.InputError, match=message):
        run.evaluate(tasks=2, **options)
    with pytest.raises(metarl.InputError, match=message):
        run.adapt(support=(IMAGES, LABELS), **options)


def test_runs_without_features_are_refused(tmp_path):
    small = {"iterations": 1, "output": tmp_path, "eval_tasks": 0}
    pixels = metarl.train_fewshot("knn", **small)
    with pytest.raises(metarl.InputError, match="head knn of pixels has no backbone"):
        pixels.evaluate(tasks=2, head="ridge")
    steps = {"num_inner_steps": 1, "num_test_steps": 1, "hidden_sizes": (4,)}
    sinusoid = metarl.train_fewshot("maml", data="sinusoid", **steps, **small)
    with pytest.raises(metarl.InputError, match=r"head is for classifiers, .* regression"):
        sinusoid.evaluate(tasks=2, head="ridge")
