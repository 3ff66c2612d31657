"""Adaptation without gradients: prototypes of tasks beside recurrence, beside knowing and nothing.

    python experiments/embedding.py [--family point-goal] [--learners proto-embedding]

Trials of three trajectories; the returns after 0, 1 and 2 of them on 40 held-out tasks, 40 trials
each, actions drawn. ``--shuffle`` shows the policy of ``proto-embedding`` the prototype of another
task; ``sb3-oracle`` sees the task, ``sb3-ppo`` has only what is right on average. ``promp`` beside
them adapts by gradients, each from 40 trajectories of the task, and trains on as many steps.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import tyro
from results import FOLDER, NO_REFERENCE, collect, read_rows, save
from runner import evaluated, trained

from metarl.report import draw_lines

FamilyName = Literal["point-goal", "point-goal-sparse", "half-cheetah-vel"]
LEARNERS = ("proto-embedding", "sb3-ppo", "sb3-oracle", "proto-embedding --shuffle", "rl2")
TRIAL_LENGTH = 3
# optimiser steps of a recurrent policy go through whole trials
RECURRENT = ["--num-epochs", "4", "--num-minibatches", "4"]
PROMP = ["--inner-lr", "0.05", "--gae-lambda", "1.0", "--min-log-std", "-1.5"]


class Family(NamedTuple):
    """A family, and how long it is trained on."""

    env: list[str]
    horizon: int
    iterations: int
    num_tasks: int
    """An iteration."""
    num_trials: int
    """Of each of them."""
    options: tuple[str, ...] = ()
    """Of all learners."""
    ppo: tuple[str, ...] = ()
    """Of PPO without recurrence."""
    embedding: tuple[str, ...] = ()
    """Of ``proto-embedding`` besides."""
    learners: tuple[str, ...] = LEARNERS

    @property
    def steps(self) -> int:
        """Of the environment, in all."""
        trials = self.num_tasks * self.num_trials
        return self.iterations * trials * TRIAL_LENGTH * self.horizon


FAMILIES = {
    "point-goal": Family(
        ["--env", "metarl/PointGoal-v0"],
        100,
        100,
        20,
        20,
        # goals in the held-out corner lie beside those of training, not between them
        embedding=(
            *("--encoder", "recurrent", "--encoder-half-life", "20"),
            *("--activation", "relu", "--prototype-noise", "0.15"),
            *("--num-epochs", "5", "--lr-half-life", "40"),
        ),
    ),
    "point-goal-sparse": Family(
        ["--env", "metarl/PointGoalSparse-v0"],
        20,
        800,
        400,
        1,
        # large steps on advantages that are noise while no goal is found lead away from all goals,
        # and there is nothing to tell tasks apart by before some are
        embedding=(
            *("--lr", "3e-4", "--entropy-coefficient", "0.01"),
            *("--encoder", "recurrent", "--encoder-half-life", "60"),
            *("--activation", "relu"),
        ),
    ),
    "half-cheetah-vel": Family(
        ["--env", "metarl/HalfCheetahVel-v0", "--env-kwargs", '{"velocity_range": [0, 3]}'],
        200,
        147,
        34,  # with three times as many it learns more slowly, by a third of the iterations
        1,
        ("--initial-log-std", "-1"),
        ("--num-minibatches", "14"),
        # at a step size that stays, one seed of three lost its policy near the end
        ("--encoder-half-life", "40", "--lr-half-life", "100"),
        learners=("proto-embedding", "sb3-ppo", "sb3-oracle", "rl2", "promp"),
    ),
}


@dataclass(frozen=True)
class Options:
    """Train and evaluate over the seeds."""

    family: FamilyName = "point-goal"
    """Where."""
    learners: tuple[str, ...] | None = None
    """Which; by default those of the family."""
    seeds: tuple[int, ...] = (0,)
    """Of training."""
    output: Path = Path("runs/embedding")
    """Where the run folders go; a finished run there is not repeated."""


def training(learner: str, family: Family) -> tuple[list[str], int]:
    """The command that trains a learner, and its environment steps an iteration."""
    name, *extra = learner.split()
    command = ["train", name, *family.env, *extra]
    if name == "promp":  # 20 tasks, 20 trajectories before its gradient step and after it
        return [*command, *PROMP, *family.options], 2 * 20 * 20 * family.horizon
    command += ["--meta-batch-size", str(family.num_tasks)]
    command += ["--num-trajectories", str(family.num_trials), *family.options]
    command += RECURRENT if name == "rl2" else family.ppo
    command += family.embedding if name == "proto-embedding" else ()
    steps = family.num_tasks * family.num_trials * family.horizon
    if name in ("proto-embedding", "rl2"):
        return [*command, "--trial-length", str(TRIAL_LENGTH)], TRIAL_LENGTH * steps
    return command, steps


def experiment(options: Options) -> None:
    """The runs, their rows of the results, then the picture."""
    family, experiment_name = FAMILIES[options.family], f"{options.family}-embedding"
    for learner in options.learners or family.learners:
        command, steps = training(learner, family)
        iterations = round(family.steps / steps)
        folder = options.output / options.family / learner.replace(" ", "_")
        targets = []
        for seed in options.seeds:
            run = trained(folder / str(seed), [*command, "--seed", str(seed)], iterations)
            targets.append(run / "40-tasks.json")
            evaluated(run, ["--tasks", "40", "--steps", "2"], targets[-1])
        row = collect(
            targets,
            experiment=experiment_name,
            learner=learner,
            command=" ".join(["metarl", *command]) + f" --iterations {iterations}",
            reference=NO_REFERENCE,
            training_seeds=list(options.seeds),
        )
        save([row])
    lines, intervals = {}, {}
    for row in read_rows():  # those of earlier calls, too
        if row["experiment"] == experiment_name:
            name = row["learner"] + ", 40 trajectories each" * (row["learner"] == "promp")
            lines[name] = (np.arange(len(row["mean"])), np.array(row["mean"]))
            if row["ci95"] is not None:
                intervals[name] = np.array(row["ci95"])
    draw_lines(
        FOLDER / "pictures" / f"embedding_{options.family.replace('-', '_')}.png",
        lines,
        intervals=intervals,
        title=options.family,
        x_label="trajectories seen of the task; for promp, gradient steps",
        y_label="return of the next trajectory",
    )


if __name__ == "__main__":
    experiment(tyro.cli(Options))
