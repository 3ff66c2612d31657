"""Fine-tuning by stable-baselines3 on single held-out goals: from the meta-learned start, or not.

    python experiments/finetuning.py RUN [--output runs/finetuning]

RUN is a run of 2-D navigation by gradients, such as those of ``point_goal.py``. On each of ten
held-out goals there are 20,000 environment steps, for PPO from scratch (``sb3-finetune``), for PPO
from the meta-learned policy as it is, and for three gradient steps of 20 trajectories from there,
as it was meta-trained for, with PPO on what is left. All PPO has the same settings. Returns are
those of 40 trajectories after the last update, actions drawn; the interval resamples goals.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import tyro
from results import NO_REFERENCE, collect, save
from runner import called, evaluated, trained

import metarl_envs  # noqa: F401  (registers the ids)

ENV = "metarl/PointGoal-v0"
NUM_GOALS = 10
COMMAND = ["train", "sb3-finetune", "--env", ENV, "--meta-batch-size", "1"]
COMMAND += ["--num-trajectories", "20"]
ITERATIONS = 10  # of 2,000 steps
ADAPTATION = ["--steps", "3", "--trajectories", "20"]  # as many steps as three of them


@dataclass(frozen=True)
class Options:
    """Fine-tune on ten goals, from each start."""

    run: tyro.conf.Positional[Path]
    """The run folder that was meta-trained."""
    output: Path = Path("runs/finetuning")
    """Where the run folders go; a finished run there is not repeated."""


def goals() -> list[str]:
    """Held-out goals, as JSON."""
    env = gym.make(ENV)
    distribution: Any = env.get_wrapper_attr("task_distribution")
    env.close()
    drawn = distribution.sample(np.random.default_rng(0), NUM_GOALS, "held_out")["goal"]
    return [json.dumps({"goal": goal.tolist()}) for goal in drawn]


def experiment(options: Options) -> None:
    """The runs, then their rows of the results."""
    options.output.mkdir(parents=True, exist_ok=True)
    model = options.output / "start.zip"
    called(["export", str(options.run), "--sb3", str(model)])

    def adapted(number: int, goal: str) -> Path:
        folder = options.output / "adapted-policies" / str(number)
        if not folder.exists():
            where = ["--task", goal, "--output", str(folder)]
            called(["adapt", str(options.run), *where, *ADAPTATION])
        return folder / "policy.pt"

    fine_tuned(options, "sb3-finetune", "scratch", None)
    fine_tuned(options, "sb3-finetune, meta-learned start", "start", lambda number, goal: model)
    name = "maml-trpo, 3 steps, then sb3-finetune"
    fine_tuned(options, name, "adapted", adapted, iterations=ITERATIONS - 3)


def fine_tuned(
    options: Options,
    name: str,
    folder: str,
    start: Callable[[int, str], Path] | None,
    iterations: int = ITERATIONS,
) -> None:
    """One row of the results, from a run on every goal."""
    targets = []
    for number, goal in enumerate(goals()):
        command = [*COMMAND, "--task", goal, "--seed", str(number)]
        if start is not None:
            command += ["--init-from", str(start(number, goal))]
        run = trained(options.output / folder / str(number), command, iterations)
        targets.append(run / "goal.json")
        evaluated(run, ["--tasks", "2", "--trajectories", "20", "--steps", "0"], targets[-1])
    row = collect(
        targets,
        experiment="point-goal-finetuning",
        learner=name,
        command="python experiments/finetuning.py RUN",
        reference=NO_REFERENCE,
        training_seeds=list(range(NUM_GOALS)),
        one_task_a_run=True,
    )
    save([row])


if __name__ == "__main__":
    experiment(tyro.cli(Options))
