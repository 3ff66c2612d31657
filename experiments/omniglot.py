"""Omniglot, Vinyals split: ProtoNet and MAML over 1,000 test episodes.

    python experiments/omniglot.py --data-root FOLDER [--output runs/omniglot] [--only NAME ...]

Final runs as the papers': trained on the train and validation characters, one seed, 15 queries a
class. ProtoNet is trained on 60-way episodes with as many shots as at test and normalised by
running statistics at test (inductive), as its authors do; MAML by those of the query set
(transductive), as its authors do. Every run is evaluated both ways. Hours are of one thread.

From random weights MAML has the paper's strided network and is trained for an hour or less (the
paper's runs see 20 to 60 times as many tasks), and also from the backbone of the ProtoNet with as
many shots, by small steps that keep what it knows: hours count both. The 5-shot ProtoNet, the
shorter 1-shot one to start from and what starts from them are trained on slightly turned, scaled
and moved images. MAML from the 1-shot ProtoNet takes 10 steps at test: with one shot the accuracy
still rises after the 5 that are enough with five.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import tyro
from results import fewshot_row, reference, save
from runner import evaluated, trained

COMMON = ["--data", "omniglot", "--trainval", "--checkpoint-every", "200"]
PROTONET = ["protonet", "--train-ways", "60", "--train-queries", "5", "--eval-every", "1000"]
PAPERS = {
    "protonet": ("Snell et al. 2017", (0.988, 0.997, 0.960, 0.989)),
    "maml": ("Finn et al. 2017", (0.987, 0.999, 0.958, 0.989)),
}
REPRODUCED = {
    "protonet": ("users of jakesnell/prototypical-networks #2, #5", (0.984, 0.996, 0.949, 0.986)),
}
DIFFERS = {
    "protonet": [],
    "maml": [
        "split of Vinyals et al., theirs 1,200 characters drawn at random",
        "theirs trained on 20 to 60 times as many tasks",
    ],
}
"""What holds for all runs of a learner; what one run does otherwise is read off its options."""
PAPER_NORM = {"protonet": "inductive", "maml": "transductive"}
SETTINGS = {"5w1s": 0, "5w5s": 1, "20w1s": 2, "20w5s": 3}
STRIDED = ["--downsample", "stride"]
ALONE = ["maml", *STRIDED, "--head", "free", "--num-inner-steps", "1", "--num-test-steps", "3"]
ALONE += ["--inner-lr", "0.5", "--lr", "0.003", "--train-queries", "5", "--eval-every", "1000"]
STARTED = ["maml", "--augmentation", "affine", "--num-inner-steps", "3", "--num-test-steps", "5"]
STARTED += ["--inner-lr", "0.1", "--lr", "2e-05", "--train-queries", "15", "--eval-every", "50"]


class Training(NamedTuple):
    """One run of the command line, and what it is tested on."""

    arguments: list[str]
    iterations: int
    settings: tuple[str, ...]
    start: str | None = None
    """The run whose backbone it starts from."""
    test_steps: int | None = None
    """Steps at test, if not the run's own."""


RUNS = {
    "protonet-1shot": Training([*PROTONET, "--num-shots", "1"], 6000, ("5w1s", "20w1s")),
    "start-1shot": Training([*PROTONET, "--augmentation", "affine", "--num-shots", "1"], 3000, ()),
    "protonet-5shot": Training(
        [*PROTONET, "--augmentation", "affine", "--num-shots", "5"], 4500, ("5w5s", "20w5s")
    ),
    "maml-5w1s": Training([*ALONE, "--num-shots", "1"], 24000, ("5w1s",)),
    "maml-5w5s": Training([*ALONE, "--num-shots", "5"], 8000, ("5w5s",)),
    "started-maml-5w1s": Training(
        [*STARTED, "--num-shots", "1"], 100, ("5w1s",), "start-1shot", test_steps=10
    ),
    "started-maml-5w5s": Training([*STARTED, "--num-shots", "5"], 100, ("5w5s",), "protonet-5shot"),
}


@dataclass(frozen=True)
class Options:
    """Train and evaluate every run."""

    data_root: Path
    """Folder with Omniglot."""
    output: Path = Path("runs/omniglot")
    """Where the run folders go; a finished run there is not repeated."""
    only: tuple[str, ...] = field(default=tuple(RUNS))
    """Names of the runs to do."""


def references(name: str, setting: str, norm: str) -> list[dict[str, Any]]:
    """What the paper of a run's learner says, and what its users reproduced."""
    training = RUNS[name]
    learner = training.arguments[0]
    differs = [*DIFFERS[learner]]
    if "--augmentation" in training.arguments:
        differs.append("trained on slightly turned, scaled and moved images")
    if training.start is not None:
        differs.append("starts from a ProtoNet")
    if norm != PAPER_NORM[learner]:
        differs.append(f"batch norm {norm}, theirs {PAPER_NORM[learner]}")
    return [
        reference(source, [values[SETTINGS[setting]]], "; ".join(differs))
        for source, values in (table[learner] for table in (PAPERS, REPRODUCED) if learner in table)
    ]


def run_of(name: str, options: Options) -> tuple[Path, list[str]]:
    """A run's folder, trained as the table above says, and its command without folders."""
    training = RUNS[name]
    shown = ["fewshot", *training.arguments, *COMMON]
    command = [*shown, "--data-root", str(options.data_root)]
    if training.start is not None:
        started_from, start = run_of(training.start, options)
        command += ["--init-from", str(started_from)]
        shown += ["--init-from", f"RUN of ({' '.join(start)})"]
    run = trained(options.output / name, command, training.iterations)
    return run, ["metarl", *shown, "--iterations", str(training.iterations)]


def hours_of(run: Path) -> float:
    """Hours of training that a run took."""
    hours: float = json.loads((run / "evaluation.json").read_text())["hours"]
    return hours


def experiment(options: Options) -> None:
    """The runs that were asked for, then their rows of the results."""
    rows = []
    for name in options.only:
        training, hours = RUNS[name], 0.0
        run, shown = run_of(name, options)
        learner = training.arguments[0]
        if training.start is not None:
            started_from, _ = run_of(training.start, options)
            hours = hours_of(started_from)
            learner += f" from {RUNS[training.start].arguments[0]}"
        for setting in training.settings:
            ways, shots = setting.removesuffix("s").split("w")
            test = ["--tasks", "1000", "--num-ways", ways, "--num-shots", shots]
            test += [] if training.test_steps is None else ["--steps", str(training.test_steps)]
            for norm in ("inductive", "transductive"):
                target = run / f"{setting}-{norm}.json"
                figures = evaluated(run, [*test, "--num-queries", "15", "--norm", norm], target)
                row = fewshot_row(
                    f"omniglot-{setting}",
                    learner,
                    [{**figures, "hours": figures["hours"] + hours}],
                    references=tuple(references(name, setting, norm)),
                    command=" ".join(shown),
                )
                rows.append(row)
    save(rows)


if __name__ == "__main__":
    experiment(tyro.cli(Options))
