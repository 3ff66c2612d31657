"""ProtoNet, MAML and MAML++ on Omniglot, Vinyals split, from random weights, three seeds.

    python experiments/omniglot.py --data-root FOLDER [--only NAME ...] [--settings 5w1s]

Final runs as the papers': trained on the train and validation characters. All have MAML's strided
network for Omniglot and see as many train images, in as many iterations as that takes, 600 test
episodes of 15 queries a class. ProtoNet is trained on 60-way episodes with as many shots as at test
and normalised by running statistics at test (inductive), as its authors do; MAML by those of the
query set (transductive), as its authors do. Every run is evaluated both ways.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from fewshot_rows import Budget, Plan, Table, make_table
from results import reference

SETTINGS = {"5w1s": (5, 1), "5w5s": (5, 5), "20w1s": (20, 1), "20w5s": (20, 5)}
PAPERS = {
    "protonet": ("Snell et al. 2017", (0.988, 0.997, 0.960, 0.989)),
    "maml": ("Finn et al. 2017", (0.987, 0.999, 0.958, 0.989)),
    "maml++": ("Antoniou et al. 2019", (0.9947, 0.9993, 0.9765, 0.9933)),
}
"""Accuracies in the order of the settings."""
REPRODUCED = {
    "protonet": ("users of jakesnell/prototypical-networks #2, #5", (0.984, 0.996, 0.949, 0.986)),
    "maml++": ("users of HowToTrainYourMAMLPytorch #20", (None, None, 0.9665, None)),
}
CHARACTERS = "split of Vinyals et al., theirs characters drawn at random"
DIFFERS = {
    "protonet": ["strided network", "theirs trained until validation gained no more"],
    "maml": [CHARACTERS, "theirs trained on at least 40 times as many images"],
    "maml++": [CHARACTERS, "strided network", "theirs an ensemble of five checkpoints"],
}
PAPER_NORM = {"protonet": "inductive", "maml": "transductive", "maml++": "transductive"}


def references(learner: str, setting: str, norm: str) -> tuple[dict[str, Any], ...]:
    """What the paper of a learner says, and what its users reproduced."""
    differs, index = [*DIFFERS[learner]], list(SETTINGS).index(setting)
    if norm != PAPER_NORM[learner]:
        differs.append(f"batch norm {norm}, theirs {PAPER_NORM[learner]}")
    known = [table[learner] for table in (PAPERS, REPRODUCED) if learner in table]
    figures = [(source, values[index]) for source, values in known]
    return tuple(
        reference(source, [value], "; ".join(differs))
        for source, value in figures
        if value is not None
    )


GRADIENT = ["--inner-lr", "2.0", "--train-queries", "5", "--lr", "0.003"]
METRIC = Plan(["--train-ways", "60", "--train-queries", "5"], ("5w1s", "5w5s"))
TABLE = Table(
    name="omniglot",
    data=["--data", "omniglot", "--trainval"],
    network=["--filters", "64", "--downsample", "stride"],
    backbone="conv4, 64 filters, strided",
    images=480_000,
    settings=SETTINGS,
    plans={
        "protonet": METRIC,
        "maml": Plan(GRADIENT, tuple(SETTINGS)),
        "maml++": Plan([*GRADIENT, "--multi-step-iterations", "100"], tuple(SETTINGS)),
    },
    test=["--tasks", "600", "--num-queries", "15"],
    norms=("inductive", "transductive"),
    references=references,
)


@dataclass(frozen=True, kw_only=True)
class Options(Budget):
    """Train and evaluate, learner by learner."""

    data_root: Path
    """Folder with Omniglot."""


def experiment(options: Options) -> None:
    """The rows that were asked for."""
    make_table(TABLE, options, ("--data-root", str(options.data_root)))


if __name__ == "__main__":
    experiment(tyro.cli(Options))
