"""Omniglot, Vinyals split: ProtoNet and MAML over 1,000 test episodes.

    python experiments/omniglot.py --data-root FOLDER [--output runs/omniglot] [--only NAME ...]

Final runs as the papers': trained on the train and validation characters, one seed, 15 queries a
class. ProtoNet is trained on 60-way episodes with as many shots as at test and normalised by
running statistics at test (inductive), as its authors do; MAML by those of the query set
(transductive), as its authors do. Every run is evaluated both ways. Hours are of one thread.

MAML has the paper's strided network, but one learned row for all classes as its head (Ye and Chao
2022) and three steps instead of one: with a row each it needs many more tasks. The 5-shot ProtoNet
and MAML are trained on slightly turned, scaled and moved images.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro
from results import fewshot_row, save
from runner import evaluated, trained

COMMON = ["--data", "omniglot", "--trainval", "--eval-every", "1000", "--checkpoint-every", "200"]
PROTONET = ["protonet", "--train-ways", "60", "--train-queries", "5"]
PAPERS = {
    "protonet": ("Snell et al. 2017", (0.988, 0.997, 0.960, 0.989)),
    "maml": ("Finn et al. 2017", (0.987, 0.999, 0.958, 0.989)),
}
REPRODUCED = {
    "protonet": ("users of jakesnell/prototypical-networks #2, #5", (0.984, 0.996, 0.949, 0.986)),
}
SETTINGS = {"5w1s": 0, "5w5s": 1, "20w1s": 2, "20w5s": 3}
MAML = ["maml", "--downsample", "stride", "--augmentation", "affine", "--train-queries", "5"]
MAML += ["--num-inner-steps", "3", "--num-test-steps", "5", "--inner-lr", "0.5", "--lr", "0.003"]
RUNS = {
    "protonet-1shot": ([*PROTONET, "--num-shots", "1"], 6000, ("5w1s", "20w1s")),
    "protonet-5shot": (
        [*PROTONET, "--augmentation", "affine", "--num-shots", "5"],
        4500,
        ("5w5s", "20w5s"),
    ),
    "maml-5w1s": ([*MAML, "--num-shots", "1"], 11000, ("5w1s",)),
    "maml-5w5s": ([*MAML, "--num-shots", "5"], 4200, ("5w5s",)),
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


def references(learner: str, setting: str) -> list[dict[str, Any]]:
    """What the paper says, and what its users reproduced."""
    found = [table[learner] for table in (PAPERS, REPRODUCED) if learner in table]
    return [{"source": source, "mean": [values[SETTINGS[setting]]]} for source, values in found]


def experiment(options: Options) -> None:
    """The runs that were asked for, then their rows of the results."""
    rows = []
    for name in options.only:
        arguments, iterations, settings = RUNS[name]
        command = ["fewshot", *arguments, *COMMON, "--data-root", str(options.data_root)]
        run = trained(options.output / name, command, iterations)
        learner = arguments[0]
        for setting in settings:
            ways, shots = setting.removesuffix("s").split("w")
            test = ["--tasks", "1000", "--num-ways", ways, "--num-shots", shots]
            shown = ["metarl", "fewshot", *arguments, *COMMON, "--iterations", str(iterations)]
            for norm in ("inductive", "transductive"):
                target = run / f"{setting}-{norm}.json"
                figures = evaluated(run, [*test, "--num-queries", "15", "--norm", norm], target)
                rows.append(
                    fewshot_row(
                        f"omniglot-{setting}",
                        learner,
                        figures,
                        references=references(learner, setting),
                        command=" ".join(shown),
                    )
                )
    save(rows)


if __name__ == "__main__":
    experiment(tyro.cli(Options))
