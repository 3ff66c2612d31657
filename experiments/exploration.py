"""Exploration against the Bayes-optimal policy: GridNavi, four episodes of a task.

    python experiments/exploration.py [--only proto-embedding] [--seeds 0 1 2] [--time-limit 900]

All 21 goals of the VariBAD paper, none held out. A trained agent plays every goal by its likeliest
actions; whatever goals are equally likely, its mean return is then exact, and so is the best that
there is (``bayes_optimal.py``). A seed is Bayes-optimal where the two are equal. Zintgraf et al.
(2020, appendix) found 4 of 20 seeds so for VariBAD, and 0 of 20 for RL².
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import tyro
from bayes_optimal import goals_of, grid_optimum
from numpy.typing import NDArray
from results import commit, read_rows, save, write_table
from runner import finished, trained

import metarl
from metarl.files import replacing
from metarl.rl import Agent
from metarl_envs import GridNavi

Array = NDArray[np.float64]
EPISODES, NUM_SEEDS = 4, 10
GOALS = goals_of(GridNavi(hold_out=False))
LEARNERS = {
    "proto-embedding": ("--meta-batch-size 128 --num-minibatches 8", 600),
    "rl2": ("--meta-batch-size 128 --num-minibatches 4 --num-epochs 4", 600),
}
"""Options and iterations, each of 7,680 environment steps."""
COMMAND = (
    "--env metarl/GridNavi-v0 --trial-length 4 --num-trajectories 1 --entropy-coefficient 0.01 "
    "--eval-every 50 --eval-tasks 0"
)
HOLD_OUT_NONE = ["--env-kwargs", '{"hold_out": false}']


@dataclass(frozen=True)
class Options:
    """Train, play every goal, and set beside the best."""

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


def played(agent: Agent, goals: NDArray[Any], episodes: int) -> Array:
    """Returns ``[goals, episodes]`` of the likeliest actions, from nothing known of each goal."""
    env = gym.make("metarl/GridNavi-v0", hold_out=False)
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


def measured(run: Path, iterations: int) -> dict[str, Any]:
    """What a run's agent comes to, kept in a file of its folder."""
    target = run / f"grid-{iterations}.json"
    if not target.exists():
        loaded = metarl.load_run(run)
        figures = {
            "returns": played(loaded.agent(), GOALS, EPISODES).mean(0).tolist(),
            "env_steps": loaded.learner.env_steps,
            "hours": loaded.seconds / 3600,
        }
        with replacing(target) as file:
            file.write(json.dumps(figures).encode())
    found: dict[str, Any] = json.loads(target.read_text())
    return found


def row_of(learner: str, seeds: list[int], found: list[dict[str, Any]]) -> dict[str, Any]:
    """A row of the results."""
    returns = np.array([one["returns"] for one in found])
    optimum = grid_optimum(GOALS, 5, EPISODES)
    return {
        "experiment": "exploration-grid",
        "learner": learner,
        "env": "metarl/GridNavi-v0",
        "seeds": seeds,
        "env_steps": round(float(np.mean([one["env_steps"] for one in found]))),
        "hours": round(float(np.mean([one["hours"] for one in found])), 3),
        "mean": returns.mean(0).round(4).tolist(),
        "totals": returns.sum(1).round(4).tolist(),
        "optimum": round(optimum, 4),
        "optimal_seeds": int(np.isclose(returns.sum(1), optimum).sum()),
        "command": f"python experiments/exploration.py --only {learner}",
        "commit": commit(),
    }


def table() -> str:
    """All rows there are, as Markdown."""
    head = ("learner", "seeds", "Bayes-optimal", "worst, median, best seed", "the best there is")
    lines = [f"| {' | '.join([*head, 'env steps', 'commit'])} |", "|---" * (len(head) + 2) + "|"]
    for row in read_rows():
        if "optimum" in row:
            totals = np.percentile(row["totals"], [0, 50, 100])
            cells = [row["learner"], f"{len(row['seeds'])} of {NUM_SEEDS}"]
            cells += [str(row["optimal_seeds"]), ", ".join(f"{total:.2f}" for total in totals)]
            cells += [f"{row['optimum']:.2f}", f"{row['env_steps'] / 1e6:.1f} M", row["commit"]]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def experiment(options: Options) -> None:
    """The runs, seed by seed, with the table after each."""
    for seed in options.seeds:
        for learner in options.only:
            own, iterations = LEARNERS[learner]
            iterations = options.iterations or iterations
            command = ["train", learner, *COMMAND.split(), *HOLD_OUT_NONE, *own.split()]
            folder = options.output / learner
            run = trained(
                folder / str(seed), [*command, "--seed", str(seed)], iterations, options.time_limit
            )
            if not finished(run, iterations):
                print(f"{run}: not over after this call's time; the next one goes on")
                continue
            measured(run, iterations)
            done = sorted(folder.glob(f"*/*/grid-{iterations}.json"))
            found = [json.loads(path.read_text()) for path in done]
            save([row_of(learner, [int(path.parents[1].name) for path in done], found)])
    write_table("exploration", table())


if __name__ == "__main__":
    experiment(tyro.cli(Options))
