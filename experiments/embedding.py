"""Adaptation without gradients: prototypes of tasks beside recurrence, beside knowing and nothing.

    python experiments/embedding.py [--family point-goal] [--learners proto-embedding]

Trials of three trajectories; the returns after 0, 1 and 2 of them on 40 held-out tasks, 40 trials
each, actions drawn. ``--shuffle`` shows the policy of ``proto-embedding`` the prototype of another
task; ``sb3-oracle`` sees the task, ``sb3-ppo`` has only what is right on average.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import tyro
from results import FOLDER, collect, save
from runner import evaluated, trained

from metarl.report import draw_lines

FamilyName = Literal["point-goal", "point-goal-sparse", "half-cheetah-vel"]
LEARNERS = ("proto-embedding", "sb3-ppo", "sb3-oracle", "proto-embedding --shuffle", "rl2")


class Family(NamedTuple):
    """A family, and how long it is trained on."""

    env: list[str]
    iterations: int
    """Of 400 trials."""


FAMILIES = {
    "point-goal": Family(["--env", "metarl/PointGoal-v0"], 100),
    "point-goal-sparse": Family(["--env", "metarl/PointGoalSparse-v0"], 150),
    "half-cheetah-vel": Family(
        ["--env", "metarl/HalfCheetahVel-v0", "--env-kwargs", '{"velocity_range": [0, 3]}'], 100
    ),
}


@dataclass(frozen=True)
class Options:
    """Train and evaluate over the seeds."""

    family: FamilyName = "point-goal"
    """Where."""
    learners: tuple[str, ...] = LEARNERS
    """Which."""
    seeds: tuple[int, ...] = (0,)
    """Of training."""
    output: Path = Path("runs/embedding")
    """Where the run folders go; a finished run there is not repeated."""


def experiment(options: Options) -> None:
    """The runs, then their rows of the results and the picture."""
    family, rows, lines = FAMILIES[options.family], [], {}
    for learner in options.learners:
        name, *extra = learner.split()
        adapts = name in ("proto-embedding", "rl2")
        command = ["train", name, *family.env, *extra]
        command += ["--trial-length", "3"] if adapts else []
        # as many steps for all
        iterations = family.iterations * (1 if adapts else 3)
        folder = options.output / options.family / learner.replace(" ", "_")
        targets = []
        for seed in options.seeds:
            run = trained(folder / str(seed), [*command, "--seed", str(seed)], iterations)
            targets.append(run / "40-tasks.json")
            evaluated(run, ["--tasks", "40", "--steps", "2"], targets[-1])
        row = collect(
            targets,
            experiment=f"{options.family}-embedding",
            learner=learner,
            command=" ".join(["metarl", *command]) + f" --iterations {iterations}",
            reference={"source": "none", "mean": []},
            training_seeds=list(options.seeds),
        )
        rows.append(row)
        lines[learner] = (range(len(row["mean"])), row["mean"])
    save(rows)
    draw_lines(
        FOLDER / "pictures" / f"embedding_{options.family.replace('-', '_')}.png",
        lines,
        title=options.family,
        x_label="trajectories seen of the task",
        y_label="return of the next one",
    )


if __name__ == "__main__":
    experiment(tyro.cli(Options))
