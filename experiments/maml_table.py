"""The MuJoCo part of the MAML paper's table: MAML beside one policy for all tasks, none, an oracle.

    python experiments/maml_table.py --family half-cheetah-vel [--learner maml-trpo]

As in the authors' scripts (cbfinn/maml_rl): horizon 200, action scale 1, inner step size 0.1, 20
trajectories a task; evaluated on 40 tasks with 4,000 steps of adaptation (20 trajectories) a
gradient step, the step size halved after the first. Their robots have other physics, so their
figures are not to be reached or missed by these; every row says how it differs. The
floor of log σ is lower than by default: on these, noise costs more than it finds. The half-cheetahs
start with log σ = -1 and half the inner step size: from σ = 1, which is cut off at the bounds of
the actions, HalfCheetahVel took four times the steps and HalfCheetahDir found nothing in 180
iterations. ``pretrained`` is evaluated with the 0.02 that the authors chose for it on
HalfCheetahVel.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import tyro
from results import FOLDER, collect, reference, save
from runner import evaluated, trained, training_curve

from metarl.report import draw_lines

Learner = Literal["maml-trpo", "pretrained", "random-init", "oracle"]
FamilyName = Literal["half-cheetah-vel", "half-cheetah-dir-200", "ant-vel", "ant-dir"]
SOURCE = "MAML authors, cbfinn/maml_rl icml/*.pkl, one seed"

CHEETAH = (
    "their half-cheetah has control steps of 0.01 s (200 are 2 s, ours 10 s), 20 observations, and "
    "is rewarded for the speed of its centre of mass; log σ starts at 0, 40 tasks a meta-batch, "
    "two relu layers of 100"
)
ANT = (
    "their ant has control steps of 0.02 s (200 are 4 s, ours 10 s), other joints and contacts, "
    "125 observations and another survival bonus; 40 tasks a meta-batch, two relu layers of 100"
)


class Family(NamedTuple):
    """A row of the authors' table."""

    env: str
    reference: dict[str, list[float]]
    """Their mean returns after 0, 1, ... steps, by learner."""
    differs: str
    """What they did otherwise; read in their files, vendor/mujoco_models and envs/mujoco."""
    options: tuple[str, ...] = ()
    """Of training, of all learners."""
    inner_lr: str = "0.1"
    """In training."""


FAMILIES = {
    "half-cheetah-vel": Family(
        "metarl/HalfCheetahVel-v0",
        {
            "maml-trpo": [-129.5, -78.6, -66.6, -60.8],
            "pretrained": [-158, -135, -129, -134],
            "random-init": [-255, -254, -247, -231],
            "oracle": [-54.5],
        },
        CHEETAH,
        ("--initial-log-std", "-1.0"),
        "0.05",
    ),
    "half-cheetah-dir-200": Family(
        "metarl/HalfCheetahDir-v0",
        {
            "maml-trpo": [-50.7, 293.2, 313.5, 315.7],
            "pretrained": [-43, -25, -13, 20],
            "random-init": [-36, 22, 62, 86],
            "oracle": [442.7],
        },
        CHEETAH,
        ("--initial-log-std", "-1.0"),
        "0.05",
    ),
    "ant-vel": Family(
        "metarl/AntVel-v0",
        {
            "maml-trpo": [30.6, 96.7, 100.1, 101.4],
            "pretrained": [-1.8, 6.1, 8.5, 9.5],
            "random-init": [-79, -63, -49, -36],
            "oracle": [107.9],
        },
        ANT,
    ),
    "ant-dir": Family(
        "metarl/AntDir-v0",
        {
            "maml-trpo": [8.7, 499.1, 500.7, 499.1],
            "pretrained": [3, 1, 6, 7],
            "random-init": [3, 9, 16, 26],
            "oracle": [524.8],
        },
        ANT,
    ),
}
HORIZON = '{"max_episode_steps": 200}'
OPTIONS = ["--gae-lambda", "1.0", "--min-log-std", "-1.5"]
STEP_SIZES = {"pretrained": ["--inner-lr", "0.02", "0.01", "0.01"]}
"""Of evaluation, where they are not those of training."""


@dataclass(frozen=True)
class Table:
    """Train and evaluate one learner on one family."""

    family: FamilyName = "half-cheetah-vel"
    """Row of the table."""
    learner: Learner = "maml-trpo"
    """Column of the table."""
    output: Path = Path("runs/maml_table")
    """Where the run folders go; a run there is gone on with."""
    iterations: int = 625
    """Meta-iterations, of 160,000 environment steps each; half as many where nothing is adapted in
    training."""


def experiment(options: Table) -> None:
    """The run, then its row of the results."""
    family, learner = FAMILIES[options.family], options.learner
    command = ["train", learner, "--env", family.env, "--env-kwargs", HORIZON]
    command += [*OPTIONS, *family.options]
    command += [] if learner == "oracle" else ["--inner-lr", family.inner_lr]
    iterations = 1 if learner == "random-init" else options.iterations
    run = trained(options.output / options.family / learner, command, iterations)
    steps = "0" if learner == "oracle" else "3"
    protocol = ["--tasks", "40", "--trajectories", "20", "--steps", steps]
    protocol += STEP_SIZES.get(learner, [])
    target = run / f"40-tasks-{iterations}.json"
    evaluated(run, protocol, target)
    draw_curves(options.output / options.family, options.family)
    row = collect(
        [target],
        experiment=options.family,
        learner=learner,
        command=f"python experiments/maml_table.py --family {options.family} --learner {learner} "
        f"--iterations {iterations}",
        reference=reference(SOURCE, family.reference[learner], family.differs),
        training_seeds=[0],
    )
    save([row])


def draw_curves(folder: Path, family: FamilyName) -> None:
    """The training curves of all learners that have a run there."""
    runs = {name: sorted((folder / name).glob("*/metrics.csv")) for name in get_args(Learner)}
    draw_lines(
        FOLDER / "pictures" / f"{family.replace('-', '_')}.png",
        {
            name: training_curve(found[-1].parent, "eval/return_post")
            for name, found in runs.items()
            if found and name != "random-init"
        },
        title=family,
        x_label="environment steps, millions",
        y_label="held-out return after training's inner steps",
    )


if __name__ == "__main__":
    experiment(tyro.cli(Table))
