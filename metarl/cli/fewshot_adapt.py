"""``metarl adapt`` of a few-shot run: classify a user's own images and keep the classifier."""

import csv
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console
from torch import Tensor

from metarl.cli.adapt import Adapt
from metarl.cli.evaluate import write_json
from metarl.cli.fewshot_runs import FewShotRun, data_problem, load_fewshot_run
from metarl.cli.session import say
from metarl.fewshot.classifier import Classifier
from metarl.fewshot.data.folder import FolderImages, read_class_folder, read_query_folder
from metarl.runs.errors import InputError


def adapt_fewshot(options: Adapt) -> int:
    """Run ``metarl adapt`` for a few-shot run."""
    if any(value is not None for value in (options.task, options.trajectories, options.video)):
        raise InputError(
            "--task, --trajectories and --video are for policies; classifiers take --support"
        )
    if options.support is None:
        raise InputError("--support is missing: a folder with a folder of images a class")
    run = load_fewshot_run(options.run, options.device)
    if options.steps and not run.learner.num_steps:
        raise InputError(f"--steps {options.steps}: {run.config.learner} does not adapt by steps")
    support = _read(run, options.support, options, query=False)
    if len(support.class_names) < 2:
        raise InputError(
            f"--support {options.support}: has one class, '{support.class_names[0]}', and telling "
            "classes apart needs two"
        )
    query = None if options.query is None else _read(run, options.query, options, query=True)
    if query is not None and not set(query.labels) <= set(support.class_names):
        unknown = sorted(set(query.labels) - set(support.class_names))
        raise InputError(f"--query {options.query}: classes {unknown} are not in {options.support}")
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--output {options.output} cannot be written: {error.strerror}"
        ) from error
    _adapt(run, support, query, options)
    return 0


def _read(run: FewShotRun, folder: Path, options: Adapt, *, query: bool) -> FolderImages:
    """Images of a folder in the size and with the channels that the run was trained on."""
    shape = run.datasets[0].train.shape if run.datasets else ()
    if len(shape) != 3:
        raise InputError(f"{run.folder} was not trained on images, so it cannot classify a folder")
    reader = read_query_folder if query else read_class_folder
    option = "--query" if query else "--support"
    channels: Literal[1, 3] = 1 if shape[0] == 1 else 3
    try:
        if shape[1] != shape[2]:
            raise ValueError(f"the run's images are {shape[1]}x{shape[2]}, not square")
        images = reader(folder, image_size=shape[1], channels=channels, skip_bad=options.skip_bad)
    except ValueError as error:
        raise InputError(f"{option}: {error}") from error
    if images.skipped:
        say(f"{option}: skipped {len(images.skipped)} images that cannot be read")
    return images


def _adapt(
    run: FewShotRun, support: FolderImages, query: FolderImages | None, options: Adapt
) -> None:
    learner, names = run.learner, support.class_names
    num_steps = options.steps or learner.num_steps
    classifier = _fitted(run, support, num_steps, options)
    console = Console(soft_wrap=True, markup=False)
    path = options.output / "classifier.pt"
    classifier.save(path, backbone=data_problem(run.config).backbone)
    record: dict[str, object] = {
        "data": run.config.subject,
        "learner": run.config.learner,
        "norm": run.learner.config.norm,
        "classes": list(names),
        "support": len(support.labels),
        "steps": num_steps,
    }
    if query is not None:
        probabilities = classifier.probabilities(query.images)
        record |= _predict(query, probabilities, names, options.output, console)
    write_json(options.output / "adaptation.json", record)
    console.print(f"batch norm: {run.learner.config.norm}")
    console.print(f"adapted classifier: {path}")


def _fitted(run: FewShotRun, support: FolderImages, num_steps: int, options: Adapt) -> Classifier:
    learner, names = run.learner, support.class_names
    labels = torch.tensor([names.index(label) for label in support.labels], device=learner.device)
    images = learner.inputs(support.images)[None]
    learner.network.eval()
    try:
        with torch.no_grad(), learner.autocast():
            fitted = learner.fit(images, labels[None], len(names), num_steps)[-1]
    except ValueError as error:
        raise InputError(f"--support {options.support}: {error}") from error
    return Classifier(learner, fitted, names, tuple(support.images.shape[1:]))


def _predict(
    query: FolderImages,
    probabilities: Tensor,
    names: tuple[str, ...],
    output: Path,
    console: Console,
) -> dict[str, object]:
    """Write and print the classes of the queries; the accuracy too where they are known."""
    probability, chosen = probabilities.max(-1)
    rows = [
        {"image": str(path), "class": names[index], "probability": round(share, 4)}
        for path, index, share in zip(
            query.paths, chosen.tolist(), probability.tolist(), strict=True
        )
    ]
    target = output / "predictions.csv"
    with target.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["image", "class", "probability"])
        writer.writeheader()
        writer.writerows(rows)
    for row in rows[:20]:
        console.print(f"{row['image']}: {row['class']} ({row['probability']:.2f})")
    if len(rows) > 20:
        console.print(f"... {len(rows) - 20} more in {target}")
    console.print(f"predictions: {target}")
    if not query.labels:
        return {"queries": len(rows)}
    right = [row["class"] == label for row, label in zip(rows, query.labels, strict=True)]
    accuracy = sum(right) / len(right)
    console.print(f"accuracy on {len(right)} labelled queries: {100 * accuracy:.1f} %")
    return {"queries": len(rows), "accuracy": accuracy}
