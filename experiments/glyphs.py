"""Every few-shot learner on the built-in glyphs, three seeds, beside neighbours of raw pixels.

    python experiments/glyphs.py [--only NAME ...] [--seeds 0 1 2] [--settings 5w1s]

Printed letters, 600 test episodes, train scripts Latin, Cyrillic and Greek, test scripts Georgian,
Armenian and Lao. All have the same network, MAML's strided one for Omniglot with 32 filters, and
see as many train images, support and query together, ``IMAGES``, in as many iterations as that
takes. Options are a learner's defaults but for the size of its train episodes, and a larger outer
step size of those that adapt by gradients, for so few iterations.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import tyro
from results import fewshot_row, save
from runner import evaluated, finished, trained

from metarl.cli import _parse
from metarl.fewshot.configs import PretrainingConfig

IMAGES = 432_000
SETTINGS = {"5w1s": (5, 1), "5w5s": (5, 5), "20w1s": (20, 1)}
NETWORK = ["--filters", "32", "--downsample", "stride"]


class Plan(NamedTuple):
    """How a learner is trained."""

    options: list[str]
    settings: tuple[str, ...] = ("5w1s",)
    """Settings that it is trained for; it is tested in the others as trained for the first."""


METRIC = Plan(["--train-ways", "40", "--train-queries", "5"], ("5w1s", "5w5s"))
GRADIENT = Plan(["--train-queries", "5", "--lr", "0.003"], tuple(SETTINGS))
PLANS = {
    "protonet": METRIC,
    "matching": METRIC,
    "r2d2": METRIC,
    "maml": GRADIENT,
    "fomaml": GRADIENT,
    "anil": GRADIENT,
    "maml++": GRADIENT,
    "meta-sgd": GRADIENT,
    "proto-maml": GRADIENT,
    "reptile": Plan(["--train-shots", "10", "--train-queries", "5", "--inner-batch-size", "20"]),
    "baseline": Plan([]),
    "baseline++": Plan([]),
    "knn": Plan([]),
}


@dataclass(frozen=True)
class Options:
    """Train and evaluate, learner by learner."""

    only: tuple[str, ...] = tuple(PLANS)
    """Names of the learners."""
    settings: tuple[str, ...] = tuple(SETTINGS)
    """Which ways and shots."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of training."""
    output: Path = Path("runs/glyphs")
    """Where the run folders go; a run there is gone on with."""
    images: int = IMAGES
    """Train images."""
    time_limit: float | None = None
    """Seconds of each training in this call; one that is not over is gone on with in the next."""


def task(setting: str) -> list[str]:
    """Options of a setting's episodes."""
    ways, shots = SETTINGS[setting]
    return ["--num-ways", str(ways), "--num-shots", str(shots)]


def training(learner: str, setting: str) -> list[str]:
    """The command, without seed, iterations and folder."""
    return [
        "fewshot",
        learner,
        "--data",
        "glyphs",
        *task(setting),
        *NETWORK,
        *PLANS[learner].options,
    ]


def images_an_iteration(command: list[str]) -> int:
    """Support and query of all episodes of an iteration, or the batch of a classifier."""
    problem: Any = _parse([*command, "--iterations", "1"]).problem
    algorithm, episodes = problem.algorithm, problem.episodes
    if isinstance(algorithm, PretrainingConfig):
        return int(algorithm.batch_size)
    ways = episodes.train_ways or episodes.num_ways
    shots = episodes.train_shots or episodes.num_shots
    queries = episodes.train_queries or episodes.num_queries
    return int(algorithm.meta_batch_size * ways * (shots + queries))


def experiment(options: Options) -> None:
    """The learners that were asked for, setting by setting, seed by seed."""
    for setting in options.settings:
        for learner in options.only:
            make_row(learner, setting, options)


def make_row(learner: str, setting: str, options: Options) -> None:
    """Train and evaluate one learner in one setting; the row of the seeds that there are."""
    trained_for = setting if setting in PLANS[learner].settings else PLANS[learner].settings[0]
    command = training(learner, trained_for)
    iterations = 1
    if learner != "knn":
        iterations = max(1, round(options.images / images_an_iteration(command)))
    schedule = ["--eval-every", str(max(1, iterations // 10)), "--eval-tasks", "0"]
    kept = {
        "backbone": "none" if learner == "knn" else "conv4, 32 filters, strided",
        "iterations": iterations,
        "train_images": 0 if learner == "knn" else iterations * images_an_iteration(command),
    }
    found = []
    for seed in options.seeds:
        folder = options.output / learner / trained_for / str(seed)
        arguments = [*command, *schedule, "--seed", str(seed)]
        run = trained(folder, arguments, iterations, options.time_limit)
        if not finished(run, iterations):
            print(f"{run}: not over after this call's time; the next one goes on")
            continue
        test = ["--tasks", "600", *task(setting)]
        found.append(evaluated(run, test, run / f"{setting}-{iterations}.json"))
        shown = " ".join(["metarl", *command, "--iterations", str(iterations)])
        row = fewshot_row(f"glyphs-{setting}", learner, found, command=shown, trained_with=kept)
        save([row])


if __name__ == "__main__":
    experiment(tyro.cli(Options))
