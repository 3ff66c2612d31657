"""Fine-tuning by stable-baselines3 on single held-out goals: from the meta-learned start, or not.

    python experiments/finetuning.py RUN [--output runs/finetuning]

RUN is a run of 2-D navigation by gradients, such as those of ``point_goal.py``. Its policy is
exported, then PPO has 20,000 steps on each of ten held-out goals (``sb3-finetune``), from there and
from scratch, with the same settings. Returns are those of 40 trajectories after the last update,
actions drawn; the interval resamples goals.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro
from results import collect, save
from runner import called, evaluated, trained

GOALS = range(10)
COMMAND = ["--env", "metarl/PointGoal-v0", "--meta-batch-size", "1", "--num-trajectories", "20"]
ITERATIONS = 10  # of 2,000 steps


@dataclass(frozen=True)
class Options:
    """Fine-tune on ten goals, twice."""

    run: tyro.conf.Positional[Path]
    """The run folder that was meta-trained."""
    output: Path = Path("runs/finetuning")
    """Where the run folders go; a finished run there is not repeated."""


def experiment(options: Options) -> None:
    """The runs, then their rows of the results."""
    options.output.mkdir(parents=True, exist_ok=True)
    model = options.output / "start.zip"
    called(["export", str(options.run), "--sb3", str(model)])
    starts = {
        "sb3-finetune": [],
        "sb3-finetune, meta-learned start": ["--init-from", str(model)],
    }
    rows = []
    for name, start in starts.items():
        targets = []
        for goal in GOALS:
            command = ["train", "sb3-finetune", *COMMAND, *start, "--seed", str(goal)]
            folder = options.output / ("start" if start else "scratch") / str(goal)
            run = trained(folder, command, ITERATIONS)
            targets.append(run / "goal.json")
            evaluated(run, ["--tasks", "2", "--trajectories", "20", "--steps", "0"], targets[-1])
        shown = ["--init-from", "MODEL.zip"] if start else []
        row = collect(
            targets,
            experiment="point-goal-finetuning",
            learner=name,
            command=" ".join(["metarl", "train", "sb3-finetune", *COMMAND, *shown]),
            reference={"source": "none", "mean": []},
            training_seeds=list(GOALS),
            one_task_a_run=True,
        )
        rows.append(row)
    save(rows)


if __name__ == "__main__":
    experiment(tyro.cli(Options))
