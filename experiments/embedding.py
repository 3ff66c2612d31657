"""Adaptation without gradients: prototypes of tasks beside recurrence, beside knowing and nothing.

    python experiments/embedding.py [--family point-goal] [--learners proto-embedding] [--seeds 0]

Trials of three trajectories; the returns after 0, 1 and 2 of them on 40 held-out tasks, 40 trials
each, actions drawn. ``--shuffle`` shows the policy of ``proto-embedding`` the prototype of another
task; ``sb3-oracle`` sees the task, ``sb3-ppo`` has only what is right on average. ``promp`` beside
them adapts by gradients, each from 40 trajectories of the task, and trains on as many steps.
The half-cheetahs, the ant and the walker are gymnasium's, 200 steps a trajectory.
"""

import json
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import tyro
from results import FOLDER, read_rows
from seeded_rows import Budget, Plan, make_row

from metarl.report import draw_lines

FamilyName = Literal[
    "point-goal",
    "point-goal-sparse",
    "half-cheetah-vel",
    "half-cheetah-dir",
    "ant-dir",
    "walker2d-rand-params",
]
LEARNERS = ("proto-embedding", "sb3-ppo", "sb3-oracle", "proto-embedding --shuffle", "rl2")
SAC = "proto-embedding --optimiser sac"
ROBOT_LEARNERS = ("proto-embedding", SAC, "sb3-ppo", "sb3-oracle", "rl2")
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
    threshold: float = 0.0
    """Return in training, of the last trajectory, that stands for having learned."""

    @property
    def steps(self) -> int:
        """Of the environment, in all."""
        trials = self.num_tasks * self.num_trials
        return self.iterations * trials * TRIAL_LENGTH * self.horizon


def robot(
    name: str,
    env_kwargs: dict[str, Any],
    threshold: float,
    *,
    iterations: int = 490,
    more: tuple[str, ...] = (),
    learners: tuple[str, ...] = ROBOT_LEARNERS,
) -> Family:
    """A robot of MuJoCo; with three times as many tasks it learns more slowly, in fewer iterations.

    Args:
        name: of its id.
        env_kwargs: of the family.
        threshold: return that stands for having learned.
        iterations: of 20,400 environment steps.
        more: options of ``proto-embedding``.
        learners: which.
    """
    return Family(
        ["--env", f"metarl/{name}-v0", "--env-kwargs", json.dumps(env_kwargs)],
        200,
        iterations,
        34,
        1,
        ("--initial-log-std", "-1"),
        ("--num-minibatches", "14"),
        ("--encoder-half-life", "40", *more),
        learners,
        threshold,
    )


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
        threshold=-8.0,
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
        threshold=4.0,
    ),
    # at a step size that stays, one seed of three lost its policy near the end
    "half-cheetah-vel": robot(
        "HalfCheetahVel",
        {"velocity_range": [0, 3]},
        -70.0,
        more=("--lr-half-life", "250"),
        learners=(*ROBOT_LEARNERS, "promp"),
    ),
    "half-cheetah-dir": robot("HalfCheetahDir", {"max_episode_steps": 200}, 1000.0, iterations=980),
    "ant-dir": robot(
        "AntDir",
        {"dimensions": 2, "style": "pearl", "contact_cost": 0, "max_episode_steps": 200},
        300.0,
    ),
    "walker2d-rand-params": robot("Walker2DRandParams", {}, 300.0),
}


@dataclass(frozen=True)
class Options(Budget):
    """Train and evaluate over the seeds."""

    family: FamilyName = "point-goal"
    """Where."""
    learners: tuple[str, ...] | None = None
    """Which; by default those of the family."""


def training(learner: str, family: Family) -> tuple[list[str], int]:
    """The command that trains a learner, and its environment steps an iteration."""
    name, *extra = learner.split()
    command = ["train", name, *family.env, *extra]
    if name == "promp":  # 20 tasks, 20 trajectories before its gradient step and after it
        return [*command, *PROMP, *family.options], 2 * 20 * 20 * family.horizon
    command += ["--meta-batch-size", str(family.num_tasks)]
    command += ["--num-trajectories", str(family.num_trials), *family.options]
    if learner != SAC:
        command += RECURRENT if name == "rl2" else family.ppo
    command += family.embedding if name == "proto-embedding" else ()
    steps = family.num_tasks * family.num_trials * family.horizon
    if name in ("proto-embedding", "rl2"):
        return [*command, "--trial-length", str(TRIAL_LENGTH)], TRIAL_LENGTH * steps
    return command, steps


def plan_of(name: FamilyName, learner: str) -> Plan:
    """A learner's training and test."""
    family = FAMILIES[name]
    command, steps = training(learner, family)
    return Plan(
        experiment=f"{name}-embedding",
        learner=learner,
        command=command,
        iterations=round(family.steps / steps),
        test=["--tasks", "40", "--steps", "2"],
        script=f"python experiments/embedding.py --family {name} --learners '{learner}'",
        threshold=family.threshold,
    )


def experiment(options: Options) -> None:
    """The runs, their rows of the results, then the picture."""
    for learner in options.learners or FAMILIES[options.family].learners:
        make_row(plan_of(options.family, learner), options)
    draw(options.family)


def draw(name: FamilyName) -> None:
    """Returns of one trajectory after the other, of all rows there are."""
    lines, intervals = {}, {}
    for row in read_rows():
        if row["experiment"] == f"{name}-embedding":
            learner = row["learner"] + ", 40 trajectories each" * (row["learner"] == "promp")
            lines[learner] = (np.arange(len(row["mean"])), np.array(row["mean"]))
            if row["ci95"] is not None:
                intervals[learner] = np.array(row["ci95"])
    draw_lines(
        FOLDER / "pictures" / f"embedding_{name.replace('-', '_')}.png",
        lines,
        intervals=intervals,
        title=name,
        x_label="trajectories seen of the task; for promp, gradient steps",
        y_label="return of the next trajectory",
    )


if __name__ == "__main__":
    experiment(tyro.cli(Options))
