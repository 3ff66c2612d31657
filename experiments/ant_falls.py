"""Why AntVel teaches nothing from σ = 1: what falling early is worth beside standing still.

    python experiments/ant_falls.py [--tasks 100] [--repeats 4]

Actions of mean 0 and standard deviation σ, as an untrained policy has them, clipped to the bounds,
200 steps, in gymnasium's physics (0.05 s a step, torso from 0.75 m) and that of the authors of MAML
(0.02 s, bent legs on the ground). A step on which the ant stands gives 1.05 - v*, which goals of
U(0, 3) make -0.45 on average: whoever falls sooner has less of it. The bonus a step that would make
up for that, so that standing (σ = 0) is worth as much as falling, is (R_σ - R_0) / (T_0 - T_σ), of
returns R and lengths T.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import tyro
from gymnasium.vector import AutoresetMode
from matplotlib.figure import Figure
from numpy.typing import NDArray
from results import FOLDER, write_table

import metarl_envs  # noqa: F401  # registers the ids

PHYSICS = {"gymnasium": "0.05 s a step", "maml": "0.02 s a step"}
SIGMAS = (0.0, 0.1, 0.2, 0.37, 0.5, 0.61, 0.8, 1.0)
HORIZON = 200
PICTURE = FOLDER / "pictures" / "ant_falls.png"


class Fallen(NamedTuple):
    """Of untrained policies of one σ."""

    returns: NDArray[np.float64]
    """Of every trajectory."""
    lengths: NDArray[np.float64]
    """Steps until it fell, or all."""


@dataclass(frozen=True)
class Options:
    """Simulate, then the table and the picture."""

    tasks: int = 100
    """Goals, held out."""
    repeats: int = 4
    """Trajectories of each."""
    picture: Path = PICTURE
    """Where that goes."""


def untrained(physics: str, sigma: float, tasks: int, repeats: int) -> Fallen:
    """Trajectories of a policy that knows nothing."""
    num = tasks * repeats
    env: Any = gym.make_vec(
        "metarl/AntVel-v0",
        num_envs=num,
        physics=physics,
        max_episode_steps=HORIZON,
        autoreset_mode=AutoresetMode.DISABLED,
    )
    rng = np.random.default_rng(0)
    goals = env.unwrapped.task_distribution.sample(np.random.default_rng(1), tasks, "held_out")
    env.set_tasks({name: np.repeat(value, repeats, axis=0) for name, value in goals.items()})
    env.reset(seed=0)
    returns, lengths, alive = np.zeros(num), np.zeros(num), np.ones(num, bool)
    for _ in range(HORIZON):
        actions = np.clip(sigma * rng.standard_normal((num, 8)), -1, 1).astype(np.float32)
        _, rewards, terminated, _, _ = env.step(actions)
        returns += alive * rewards
        lengths += alive
        alive &= ~terminated
    env.close()
    return Fallen(returns, lengths)


def bonus(fallen: Fallen, standing: Fallen) -> float:
    """Reward a step that would make standing worth as much; NaN where hardly anything falls."""
    sooner = standing.lengths.mean() - fallen.lengths.mean()
    worse = fallen.returns.mean() - standing.returns.mean()
    return float(worse / sooner) if sooner > HORIZON / 20 else float("nan")


def table(found: dict[str, dict[float, Fallen]]) -> str:
    """All of it as Markdown."""
    head = ["physics", "σ", "fell", "steps", "return", "a step", "bonus that standing needs"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for physics, by_sigma in found.items():
        for sigma, fallen in by_sigma.items():
            needed = bonus(fallen, by_sigma[0.0])
            cells = [f"{physics}, {PHYSICS[physics]}", f"{sigma:g}"]
            cells += [f"{100 * (fallen.lengths < HORIZON).mean():.0f} %"]
            cells += [f"{fallen.lengths.mean():.0f}", f"{fallen.returns.mean():.1f}"]
            cells += [f"{fallen.returns.sum() / fallen.lengths.sum():.2f}"]
            cells += ["-" if np.isnan(needed) or needed <= 0 else f"{needed:.2f}"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw(found: dict[str, dict[float, Fallen]], path: Path) -> None:
    """Returns and lengths over σ."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for physics, by_sigma in found.items():
        label = f"{physics}, {PHYSICS[physics]}"
        sigmas = list(by_sigma)
        left.plot(sigmas, [f.returns.mean() for f in by_sigma.values()], marker="o", label=label)
        right.plot(sigmas, [f.lengths.mean() for f in by_sigma.values()], marker="o", label=label)
    left.set(title="AntVel, untrained", xlabel="σ of the actions", ylabel="return")
    right.set(title="until it falls", xlabel="σ of the actions", ylabel="steps")
    left.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def experiment(options: Options) -> None:
    """Both physics, every σ."""
    found = {
        physics: {s: untrained(physics, s, options.tasks, options.repeats) for s in SIGMAS}
        for physics in PHYSICS
    }
    print(table(found))
    draw(found, options.picture)
    if options.picture == PICTURE:
        write_table("ant-falls", table(found))


if __name__ == "__main__":
    experiment(tyro.cli(Options))
