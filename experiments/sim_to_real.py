"""From a simulator to a robot outside its family: adaptation by recordings and while it runs.

    python experiments/sim_to_real.py [--robots pendulum] [--only rl2] [--seeds 0 1 2]

Meta-trained on randomised robots: gymnasium's Pendulum through ``RandomDynamics`` (masses, lengths,
gravities) and HalfCheetahRandParams (masses, inertias, friction, damping). Adapted to one robot of
``real_robots.py``, which no draw of these gives: other gains of the motors, actions two steps late,
noisy sensors, another friction.

* ``recorded``: an agent acts for k trajectories, by drawn actions; they are saved to a file, and
  ``run.adapt(trajectories=file)`` makes a policy of it. Learners by gradients take one step on all.
* ``online``: an agent acts and adapts at once; learners by gradients take a step after as many
  trajectories as in training.
* ``fine-tuned``: PPO goes on from ``sb3-ppo``, with its value function and statistics, an update
  after each trajectory.
* ``sb3-ppo`` alone is domain randomisation: it does not adapt.

What comes of it is then measured by mean actions over several trajectories, from the same starts
for all: agents each time from the state that they had come to. All of that ten times over, from
other starts and noise: the interval is over these, and over seeds of training where there are
several. Every training is a run that is gone on with, every evaluation a file in its folder that is
not made again; the table is of what there is.
"""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import real_robots
import tyro
from real_robots import NOMINAL, RealHalfCheetah, RealPendulum
from results import NO_REFERENCE, collect, read_rows, save, write_table
from robot_trials import CONTROL_STEP, Protocol, Site, evaluated
from runner import finished, trained

import metarl

RobotName = Literal["pendulum", "half-cheetah"]
Learner = Literal["sb3-ppo", "maml-trpo", "proto-embedding", "rl2"]
NUM_SEEDS = 3
"""Of the whole table."""


class Recipe(NamedTuple):
    """How a learner is trained."""

    iterations: int
    options: str


class Robot(NamedTuple):
    """A family, and the robot outside it."""

    env: str
    real: type[RealPendulum] | type[RealHalfCheetah]
    reality: real_robots.Reality
    options: str
    """Of all learners."""
    recipes: dict[str, Recipe]


PENDULUM = Robot(
    "own_robot:SwingUpDynamics-v0",
    RealPendulum,
    real_robots.PENDULUM,
    "--discount 0.95",
    {
        "sb3-ppo": Recipe(80, "--meta-batch-size 40 --num-trajectories 1 --num-minibatches 16"),
        "maml-trpo": Recipe(
            100,
            "--meta-batch-size 20 --num-trajectories 3 --inner-lr 0.05 --max-kl 0.02 "
            "--initial-log-std -0.5 --min-log-std -1.5",
        ),
        "proto-embedding": Recipe(
            60,
            "--meta-batch-size 40 --num-trajectories 1 --trial-length 2 --num-minibatches 16 "
            "--no-within-trajectory --prototype-noise 0.3",
        ),
        "rl2": Recipe(
            50,
            "--meta-batch-size 40 --num-trajectories 1 --trial-length 2 --num-minibatches 4 "
            "--num-epochs 6",
        ),
    },
)
HALF_CHEETAH = Robot(
    "metarl/HalfCheetahRandParams-v0",
    RealHalfCheetah,
    real_robots.HALF_CHEETAH,
    "--initial-log-std -1.0",
    {
        "sb3-ppo": Recipe(200, "--meta-batch-size 80 --num-trajectories 1 --num-minibatches 16"),
        "maml-trpo": Recipe(
            150,
            "--meta-batch-size 40 --num-trajectories 5 --inner-lr 0.05 --gae-lambda 1.0 "
            "--min-log-std -1.5",
        ),
        "proto-embedding": Recipe(
            200,
            "--meta-batch-size 40 --num-trajectories 1 --trial-length 2 --num-minibatches 16 "
            "--no-within-trajectory --prototype-noise 0.3 --lr-half-life 100 "
            "--encoder-half-life 40",
        ),
        # updates were slow when these rows were made, so there are few, of many trials
        "rl2": Recipe(
            75,
            "--meta-batch-size 40 --num-trajectories 1 --trial-length 2 --num-minibatches 4 "
            "--num-epochs 6",
        ),
    },
)
WAYS = {"sb3-ppo": ("alone", "fine-tuned")}
"""To a policy for the robot; ``recorded`` and ``online`` where a learner is not named."""
ROBOTS = {"pendulum": PENDULUM, "half-cheetah": HALF_CHEETAH}
SCHEDULE = "--eval-tasks 0 --eval-every 50"


SMALL = Protocol((0, 1, 2), repeats=2, episodes=1, horizon=8)
SMALL_TRAINING = "--meta-batch-size 2 --num-trajectories 1 --horizon 8"
SMALL_LEARNING = {"maml-trpo": "", "proto-embedding": "--num-epochs 1 --encoder-warmup 2"}


@dataclass(frozen=True)
class Options:
    """Train, adapt and measure, seed by seed; then the table of all that there is."""

    robots: tuple[RobotName, ...] = ("pendulum", "half-cheetah")
    """Which."""
    only: tuple[Learner, ...] = ("sb3-ppo", "maml-trpo", "proto-embedding", "rl2")
    """Which learners."""
    seeds: tuple[int, ...] = tuple(range(NUM_SEEDS))
    """Of training."""
    iterations: int | None = None
    """Instead of those of the recipes."""
    time_limit: float | None = None
    """Seconds of each training in this call; one that is not over is gone on with in the next."""
    output: Path = Path("runs/sim_to_real")
    """Where the run folders go."""
    small: bool = False
    """Next to nothing of everything, for tests."""


def experiment(options: Options) -> None:
    """The runs and their evaluations, seed by seed, with the table after each."""
    for seed in options.seeds:
        for robot in options.robots:
            for learner in options.only:
                one_run(options, robot, learner, seed)


def one_run(options: Options, name: RobotName, learner: Learner, seed: int) -> None:
    """Train and measure one learner on one robot, or go on with that; then its rows."""
    robot = ROBOTS[name]
    recipe = robot.recipes[learner]
    iterations = options.iterations or recipe.iterations
    command = ["train", learner, "--env", robot.env, *SCHEDULE.split(), *robot.options.split()]
    command += [*recipe.options.split(), "--seed", str(seed)]
    small = SMALL_LEARNING.get(learner, "--num-epochs 1")
    command += [*SMALL_TRAINING.split(), *small.split()] if options.small else []
    folder = options.output / name / learner
    path = trained(folder / str(seed), command, iterations, options.time_limit)
    if not finished(path, iterations):
        print(f"{path}: not over after this call's time; the next one goes on")
        return
    protocol = SMALL if options.small else Protocol()
    reality, nominal = (
        partial(robot.real, each, horizon=protocol.horizon) for each in (robot.reality, NOMINAL)
    )
    site = Site(reality, nominal, protocol)
    run = metarl.load_run(path, allow_code=True)
    for how in WAYS.get(learner, ("recorded", "online")):
        file = f"real-{how}-{iterations}.json"
        evaluated(run, how, site, path / file)
        save([row_of(name, learner, how, sorted(folder.glob(f"*/*/{file}")), command)])
    write_table("sim-to-real", table())


def row_of(
    name: RobotName, learner: Learner, how: str, targets: list[Path], command: list[str]
) -> dict[str, Any]:
    """A row of the results, of the seeds that there are."""
    row = collect(
        targets,
        experiment=f"sim-to-real-{name}",
        learner=f"{learner}, {how}",
        command=f"python experiments/sim_to_real.py --robots {name} --only {learner}",
        reference=NO_REFERENCE,
        training_seeds=[int(target.parents[1].name) for target in targets],
    )
    figures = [json.loads(target.read_text()) for target in targets]
    nominal = round(float(np.mean([one["nominal"] for one in figures])), 2)
    minutes = np.round(figures[0]["robot_minutes"], 2).tolist()
    return {**row, "nominal": nominal, "robot_minutes": minutes, "training": " ".join(command)}


def table() -> str:
    """All rows there are, as Markdown."""
    rows = [row for row in read_rows() if "robot_minutes" in row]
    lines = []
    for row in rows:
        figures = [
            f"{mean:.0f} [{low:.0f}, {high:.0f}]"
            for mean, (low, high) in zip(row["mean"], row["ci95"], strict=True)
        ]
        figures += ["does not adapt"] * (len(Protocol().counts) - len(figures))
        seeds = f"{len(row['seeds'])} of {NUM_SEEDS}"
        steps = f"{row['env_steps'] / 1e6:.1f} M"
        robot = row["experiment"].removeprefix("sim-to-real-")
        cells = [robot, row["learner"], f"{row['nominal']:.0f}", *figures, seeds, steps]
        lines.append(f"| {' | '.join([*cells, row['commit']])} |")
    counts = Protocol().counts[1:]
    minutes = [count * Protocol().horizon * CONTROL_STEP / 60 for count in counts]
    after = [f"after {k} ({m:.1f} min)" for k, m in zip(counts, minutes, strict=True)]
    head = ["robot", "learner", "its simulator, before", "before", *after, "seeds", "env steps"]
    head = [f"| {' | '.join([*head, 'commit'])} |", "|---" * (len(head) + 1) + "|"]
    return "\n".join([*head, *lines]) + "\n"


if __name__ == "__main__":
    experiment(tyro.cli(Options))
