"""Exploration against the Bayes-optimal policy: GridNavi, and a bandit of five arms.

    python experiments/exploration.py [--world grid] [--only proto-embedding] [--seeds 0 1 2]

Nothing is held out, so that the best for what is trained on is the best for what is played. A
trained agent plays by its likeliest actions, and what it comes to is computed, not sampled: on the
grid of the VariBAD paper, four episodes, by playing each of the 21 goals, and on the bandit, ten
pulls, by following every history of payments with its probability under U(0, 1). The best there is
is exact, too (``bayes_optimal.py``). A seed is Bayes-optimal where the two are equal. Zintgraf et
al. (2020, appendix) found 4 of 20 seeds so for VariBAD on the grid, and 0 of 20 for RL².
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import gymnasium as gym
import numpy as np
import tyro
from bayes_optimal import bandit_optimum, goals_of, grid_optimum
from numpy.typing import NDArray
from results import NO_REFERENCE, commit, read_rows, save, write_table
from runner import finished, trained

import metarl
from metarl.files import replacing
from metarl.rl import Agent
from metarl_envs import GridNavi

Array = NDArray[np.float64]
SIZE, EPISODES, ARMS, PULLS, NUM_SEEDS = 5, 4, 5, 10, 10
GOALS = goals_of(GridNavi(hold_out=False))


def played(agent: Agent, goals: NDArray[Any], episodes: int, size: int = SIZE) -> Array:
    """Returns ``[goals, episodes]`` of the likeliest actions, from nothing known of each goal."""
    env = gym.make("metarl/GridNavi-v0", size=size, hold_out=False)
    returns = np.zeros((len(goals), episodes))
    likeliest = np.zeros(agent.noise_size)
    for index, goal in enumerate(goals):
        agent.reset()
        env.unwrapped.task = {"goal": goal}  # type: ignore[attr-defined]
        for episode in range(episodes):
            observation, ended = env.reset(seed=0)[0], False
            while not ended:
                acted = agent.act(observation, likeliest)
                after, reward, terminated, truncated, _ = env.step(acted.action)
                agent.observe(observation, acted, float(reward), after, terminated, truncated)
                returns[index, episode] += float(reward)
                observation, ended = after, terminated or truncated
    return returns


def on_grid(agent: Agent) -> list[float]:
    """Mean returns of one episode after the other."""
    found: list[float] = played(agent, GOALS, EPISODES).mean(0).tolist()
    return found


def on_bandit(agent: Agent, num_arms: int = ARMS, pulls: int = PULLS) -> list[float]:
    """Mean reward of one pull after the other."""
    rewards = np.zeros(pulls)
    nothing, likeliest = np.zeros(1, np.float32), np.zeros(agent.noise_size)

    def follow(counts: Array, pull: int, probability: float) -> None:
        """What is left of a history; ``counts`` are one more than wins and losses of each arm."""
        acted = agent.act(nothing, likeliest)
        arm = int(acted.action)
        pays = counts[arm, 0] / counts[arm].sum()
        rewards[pull] += probability * pays
        if pull + 1 == pulls:
            return
        here = agent.state()
        for paid, p in ((1, pays), (0, 1 - pays)):
            agent.load_state(here)
            agent.observe(nothing, acted, float(paid), nothing, False, True)
            then = counts.copy()
            then[arm, 1 - paid] += 1
            follow(then, pull + 1, probability * p)

    agent.reset()
    follow(np.ones((num_arms, 2)), 0, 1.0)
    return rewards.tolist()


class World(NamedTuple):
    """What is explored."""

    env: str
    options: str
    """Of all learners."""
    learners: dict[str, tuple[str, int]]
    """Options and iterations."""
    play: Callable[[Agent], list[float]]
    optimum: Callable[[], float]


WORLDS = {
    "grid": World(
        "metarl/GridNavi-v0",
        f"--trial-length {EPISODES}",
        {
            "proto-embedding": (
                "--finite-horizon --meta-batch-size 128 --num-minibatches 8 --gae-lambda 0.85 "
                "--entropy-coefficient 0.06 --entropy-half-life 150 --encoder-half-life 60",
                800,
            ),
            "rl2": (
                "--finite-horizon --meta-batch-size 128 --num-minibatches 4 --num-epochs 4 "
                "--discount 1.0 --gae-lambda 0.8 --entropy-coefficient 0.15 "
                "--entropy-half-life 150",
                900,
            ),
        },
        on_grid,
        lambda: grid_optimum(GOALS, SIZE, EPISODES),
    ),
    "bandit": World(
        "metarl/BernoulliBandit-v0",
        f"--trial-length {PULLS}",
        {
            "proto-embedding": (
                "--finite-horizon --meta-batch-size 512 --num-minibatches 4 --discount 1.0 "
                "--gae-lambda 0.8 --entropy-coefficient 0.05 "
                "--entropy-half-life 80 --encoder-half-life 60",
                400,
            ),
            "rl2": (
                "--finite-horizon --meta-batch-size 512 --num-minibatches 4 --num-epochs 4 "
                "--discount 1.0 --gae-lambda 0.8 --entropy-coefficient 0.05 "
                "--entropy-half-life 80 --lr-half-life 150",
                400,
            ),
        },
        on_bandit,
        lambda: bandit_optimum(ARMS, PULLS),
    ),
}
LARGE = "--meta-batch-size 512 --num-minibatches 16"
NOW = WORLDS["grid"].learners["proto-embedding"][0]
TRIED = {
    "128 tasks, 8 mini-batches, entropy 0.01": (
        "--meta-batch-size 128 --num-minibatches 8 --entropy-coefficient 0.01",
        600,
    ),
    "entropy 0.02": (f"{LARGE} --entropy-coefficient 0.02", 300),
    "entropy 0.03, half every 75": (
        f"{LARGE} --entropy-coefficient 0.03 --entropy-half-life 75 --encoder-half-life 60",
        300,
    ),
    "entropy 0.02, half every 100, λ 0.99, step size half every 150": (
        f"{LARGE} --entropy-coefficient 0.02 --entropy-half-life 100 --gae-lambda 0.99 "
        "--encoder-half-life 60 --lr-half-life 150",
        300,
    ),
    "entropy 0.06, half every 100, step size half every 300": (
        f"{LARGE} --entropy-coefficient 0.06 --entropy-half-life 100 --encoder-half-life 100 "
        "--lr-half-life 300",
        600,
    ),
    "4 epochs, 8 mini-batches, γ 1, entropy 0.01": (
        "--meta-batch-size 512 --num-minibatches 8 --num-epochs 4 --discount 1.0 "
        "--entropy-coefficient 0.01",
        400,
    ),
    "as in the table, without --finite-horizon": (NOW.replace("--finite-horizon ", ""), 800),
    "as in the table, γ 1, λ 0.8, entropy 0.08": (
        f"{NOW} --discount 1.0 --gae-lambda 0.8 --entropy-coefficient 0.08",
        800,
    ),
    "as in the table, recurrent encoder": (f"{NOW} --encoder recurrent", 800),
}
"""Settings of ``proto-embedding`` on the grid that were tried, by seed 0: options, iterations."""
COMMON = "--num-trajectories 1 --eval-every 50 --eval-tasks 0"
HOLD_OUT_NONE = ["--env-kwargs", '{"hold_out": false}']


@dataclass(frozen=True)
class Options:
    """Train, play, and set beside the best."""

    world: Literal["grid", "bandit"] = "grid"
    """Where."""
    only: tuple[Literal["proto-embedding", "rl2"], ...] = ("proto-embedding", "rl2")
    """Which learners."""
    seeds: tuple[int, ...] = tuple(range(NUM_SEEDS))
    """Of training."""
    iterations: int | None = None
    """Instead of those of the script."""
    time_limit: float | None = None
    """Seconds of each training in this call; one that is not over is gone on with in the next."""
    output: Path = Path("runs/exploration")
    """Where the run folders go."""
    tried: bool = False
    """The settings of ``proto-embedding`` that were tried on the grid, instead of the learners."""


def command_of(world: World, learner: str, own: str) -> list[str]:
    """Of a training, without seed, iterations and folder."""
    options = [*COMMON.split(), *world.options.split(), *own.split()]
    return ["train", learner, "--env", world.env, *HOLD_OUT_NONE, *options]


def measured(run: Path, world: World, iterations: int) -> dict[str, Any]:
    """What a run's agent comes to, kept in a file of its folder."""
    target = run / f"exact-{iterations}.json"
    if not target.exists():
        loaded = metarl.load_run(run)
        figures = {
            "returns": world.play(loaded.agent()),
            "env_steps": loaded.learner.env_steps,
            "hours": loaded.seconds / 3600,
        }
        with replacing(target) as file:
            file.write(json.dumps(figures).encode())
    found: dict[str, Any] = json.loads(target.read_text())
    return found


def row_of(
    name: str, learner: str, seeds: list[int], found: list[dict[str, Any]]
) -> dict[str, Any]:
    """A row of the results."""
    returns = np.array([one["returns"] for one in found])
    optimum = WORLDS[name].optimum()
    return {
        "experiment": f"exploration-{name}",
        "learner": learner,
        "env": WORLDS[name].env,
        "seeds": seeds,
        "env_steps": round(float(np.mean([one["env_steps"] for one in found]))),
        "hours": round(float(np.mean([one["hours"] for one in found])), 3),
        "mean": returns.mean(0).round(4).tolist(),
        "totals": returns.sum(1).round(4).tolist(),
        "optimum": round(optimum, 4),
        "optimal_seeds": int(np.isclose(returns.sum(1), optimum).sum()),
        "reference": NO_REFERENCE,
        "command": f"python experiments/exploration.py --world {name} --only {learner}",
        "commit": commit(),
    }


def table() -> str:
    """All rows there are, as Markdown."""
    head = ["world", "learner", "seeds", "Bayes-optimal", "worst, median, best seed"]
    head += ["the best there is", "env steps", "hours", "commit"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in read_rows():
        if "optimum" in row and row["experiment"] != "exploration-grid-tried":
            totals = np.percentile(row["totals"], [0, 50, 100])
            cells = [row["experiment"].removeprefix("exploration-"), row["learner"]]
            cells += [f"{len(row['seeds'])} of {NUM_SEEDS}", str(row["optimal_seeds"])]
            cells += [", ".join(f"{total:.2f}" for total in totals), f"{row['optimum']:.2f}"]
            cells += [f"{row['env_steps'] / 1e6:.1f} M", f"{row['hours']:.2f}", row["commit"]]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def tried_table() -> str:
    """What the settings came to."""
    head = ["setting", "return of all episodes", "of each", "env steps", "hours", "commit"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in read_rows():
        if row["experiment"] == "exploration-grid-tried":
            cells = [row["learner"], f"{row['totals'][0]:.2f} of {row['optimum']:.2f}"]
            cells += [", ".join(f"{mean:.2f}" for mean in row["mean"])]
            cells += [f"{row['env_steps'] / 1e6:.1f} M", f"{row['hours']:.2f}", row["commit"]]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def experiment(options: Options) -> None:
    """The runs, seed by seed, with the table after each."""
    world = WORLDS[options.world]
    if options.tried:
        if options.world != "grid":
            raise SystemExit("--tried is of the grid alone")
        for name, (own, iterations) in TRIED.items():
            make(options, "proto-embedding", name, own, iterations, 0)
    else:
        for seed in options.seeds:
            for learner in options.only:
                make(options, learner, learner, *world.learners[learner], seed)
    write_table("exploration", table())
    write_table("exploration-tried", tried_table())


def make(options: Options, learner: str, name: str, own: str, iterations: int, seed: int) -> None:
    """Train and measure one seed, or go on with it; the row of those that there are."""
    world, iterations = WORLDS[options.world], options.iterations or iterations
    folder = options.output / options.world / name.replace(" ", "_")
    command = [*command_of(world, learner, own), "--seed", str(seed)]
    run = trained(folder / str(seed), command, iterations, options.time_limit)
    if not finished(run, iterations):
        print(f"{run}: not over after this call's time; the next one goes on")
        return
    measured(run, world, iterations)
    done = sorted(folder.glob(f"*/*/exact-{iterations}.json"))
    found = [json.loads(path.read_text()) for path in done]
    seeds = [int(path.parents[1].name) for path in done]
    row = row_of(options.world, name, seeds, found)
    if options.tried:
        command_line = "python experiments/exploration.py --tried"
        row |= {"experiment": "exploration-grid-tried", "command": command_line}
    save([row])


if __name__ == "__main__":
    experiment(tyro.cli(Options))
