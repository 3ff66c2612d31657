"""HalfCheetahVel: run at a velocity that only the rewards of a few trajectories tell.

    python experiments/half_cheetah_vel.py [--output runs/half_cheetah_vel] [--iterations 250]

As in the MAML paper: velocities from U(0, 2), horizon 200, action scale 1, inner step size 0.1, 20
trajectories a task; 20 tasks a meta-batch, where the authors have 40. The floor of log σ is lower
than by default: noise of the default's costs more than it finds. Evaluated on held-out velocities.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro
from results import collect, save
from runner import evaluated, trained

COMMAND = ["train", "maml-trpo", "--env", "metarl/HalfCheetahVel-v0", "--horizon", "200"]
COMMAND += ["--inner-lr", "0.1", "--gae-lambda", "1.0", "--min-log-std", "-1.5"]
REFERENCE = {
    "source": "MAML authors, cbfinn/maml_rl icml/*.pkl, one seed",
    "mean": [-129.5, -78.6, -66.6, -60.8],
}


@dataclass(frozen=True)
class Options:
    """Train and evaluate one run."""

    output: Path = Path("runs/half_cheetah_vel")
    """Where the run folder goes; a run there is gone on with."""
    iterations: int = 250
    """Meta-iterations, of 160,000 environment steps each."""


def experiment(options: Options) -> None:
    """The run, then its row of the results."""
    run = trained(options.output, COMMAND, options.iterations)
    target = run / "40-tasks.json"
    evaluated(run, ["--tasks", "40", "--steps", "3"], target)
    command = " ".join(["metarl", *COMMAND, "--iterations", str(options.iterations)])
    row = collect(
        [target],
        experiment="half-cheetah-vel",
        learner="maml-trpo",
        command=command,
        reference=REFERENCE,
        training_seeds=[0],
    )
    save([row])


if __name__ == "__main__":
    experiment(tyro.cli(Options))
