"""Every learner beside the same without adaptation: 2-D navigation, the bandit, the tabular MDP.

    python experiments/learners.py [--family point-goal] [--output runs/learners]

Short runs of one seed: 40 iterations of 2-D navigation, 100 of the discrete families. A learner
improves if the return after one step is above that of ``maml-trpo --inner-lr 0`` trained as long.
The bandit has 5 arms and 20 pulls a step, the tabular MDP is that of RL² (Duan et al. 2016): 10
states, 5 actions, 10 trajectories of 10 steps a step; ``tabular_references.py`` says what others
reach there.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import tyro
from results import NO_REFERENCE, collect, save
from runner import evaluated, trained

FamilyName = Literal["point-goal", "bandit", "tabular-mdp"]
CONTROL = "maml-trpo --inner-lr 0"
LEARNERS = (
    CONTROL, "maml-trpo", "maml-vpg", "maml-ppo", "promp", "e-maml", "fomaml", "reptile", "anil",
    "cavia", "meta-sgd", "pretrained", "random-init", "oracle",
)  # fmt: skip
MANY_PULLS = ["--num-trajectories", "20", "--meta-batch-size", "200"]
INNER_LR = {("bandit", "anil"): "10", ("bandit", "cavia"): "50"}
"""Where only a part is adapted, the step has to be larger."""
BY_ADAM = ("maml-vpg", "maml-ppo", "promp", "reptile")


class Family(NamedTuple):
    """A family, and how long and on how much it is trained."""

    options: list[str]
    iterations: int
    protocol: list[str]
    """Of evaluation."""


FAMILIES = {
    "point-goal": Family(["--env", "metarl/PointGoal-v0"], 40, ["--tasks", "40"]),
    "bandit": Family(
        ["--env", "metarl/BernoulliBandit-v0", *MANY_PULLS],
        100,
        ["--tasks", "1000", "--trajectories", "20"],
    ),
    "tabular-mdp": Family(
        ["--env", "metarl/TabularMDP-v0", "--num-trajectories", "10", "--meta-batch-size", "100"],
        100,
        ["--tasks", "1000", "--trajectories", "10"],
    ),
}


@dataclass(frozen=True)
class Options:
    """Train and evaluate every learner on one family."""

    family: FamilyName = "point-goal"
    """Where."""
    learners: tuple[str, ...] = LEARNERS
    """Which."""
    output: Path = Path("runs/learners")
    """Where the run folders go."""


def experiment(options: Options) -> None:
    """The runs, then their rows of the results."""
    family = FAMILIES[options.family]
    for learner in options.learners:
        name, *extra = learner.split()
        iterations = 1 if name == "random-init" else family.iterations
        if name in BY_ADAM:
            extra += ["--outer-lr", "0.01"]
        if (options.family, name) in INNER_LR:
            extra += ["--inner-lr", INNER_LR[options.family, name]]
        folder = options.output / options.family / learner.replace(" ", "_")
        run = trained(folder, ["train", name, *family.options, *extra], iterations)
        target = run / "held-out.json"
        evaluated(run, [*family.protocol, "--steps", "0" if name == "oracle" else "1"], target)
        row = collect(
            [target],
            experiment=f"{options.family}-learners",
            learner=learner,
            command=" ".join(["metarl", "train", name, *family.options, *extra])
            + f" --iterations {iterations}",
            reference=NO_REFERENCE,
            training_seeds=[0],
        )
        save([row])


if __name__ == "__main__":
    experiment(tyro.cli(Options))
