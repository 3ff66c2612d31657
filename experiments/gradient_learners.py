"""Learners by gradients on HalfCheetahDir, at equal steps: ten of them, three seeds, one picture.

    python experiments/gradient_learners.py [--only promp maml-trpo] [--seeds 0 1 2]

Gymnasium's half-cheetah, horizon 100 and action scale 10, as ProMP has them; 20 tasks of 20
trajectories for every gradient step, 20 million environment steps for each learner, whatever
number of them one of its iterations takes. Settings are those that a user gets who types
``COMMAND``, with what ``OPTIONS`` says for the learner: twice Adam's step size for ProMP, whose
authors have twice the tasks and 1e-3, by seed 0 (``promp_breakdown.py``, ``outer-lr-2e-3``).
"""

from dataclasses import dataclass

import tyro
from seeded_rows import Budget, Plan, make_row

COMMAND = ["--env", "metarl/HalfCheetahDir-v0", "--action-scale", "10", "--inner-lr", "0.1"]
COMMAND += ["--gae-lambda", "1.0"]
STEPS = 20_000_000
SAMPLED = 20 * 20 * 100
"""Environment steps of an iteration and inner step."""
RARELY = "--eval-every 50"
OPTIONS: dict[str, str] = {
    "maml-trpo": "",
    "promp": "--outer-lr 0.002",
    "maml-ppo": RARELY,
    "maml-vpg": RARELY,
    "e-maml": RARELY,
    "fomaml": RARELY,
    "anil": RARELY,
    "cavia": f"--inner-lr 3 {RARELY}",
    "meta-sgd": RARELY,
    "reptile": RARELY,
}
"""What a learner has besides; evaluation in training, a tenth of the time, changes nothing."""
SAMPLINGS = {"reptile": 3}
"""Of an iteration; two where nothing is said, before and after one inner step."""


@dataclass(frozen=True)
class Options(Budget):
    """Train and evaluate, learner by learner."""

    only: tuple[str, ...] = tuple(OPTIONS)
    """Which learners."""


def plan_of(learner: str) -> Plan:
    """A learner's training and test."""
    return Plan(
        experiment="half-cheetah-dir-equal-steps",
        learner=learner,
        command=["train", learner, *COMMAND, *OPTIONS[learner].split()],
        iterations=round(STEPS / (SAMPLINGS.get(learner, 2) * SAMPLED)),
        test=["--tasks", "40", "--steps", "3"],
        script=f"python experiments/gradient_learners.py --only {learner}",
        threshold=150.0,
    )


def experiment(options: Options) -> None:
    """The rows that were asked for."""
    for learner in options.only:
        if learner not in OPTIONS:
            raise SystemExit(f"--only must be of {', '.join(OPTIONS)}, got {learner}")
        make_row(plan_of(learner), options)


if __name__ == "__main__":
    experiment(tyro.cli(Options))
