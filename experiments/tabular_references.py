"""What a learner of the bandit or the tabular MDP is to be compared with.

    python experiments/tabular_references.py [--num-tasks 1000]

Bandit: random, UCB1 (Auer et al. 2002), Thompson sampling from Beta(1, 1). Tabular MDP: random,
PSRL (Osband et al. 2013) and the optimal policy of one who knows the task. All tasks are played at
once, on the families' own ``step``.

RL² (Duan et al. 2016) reports 100.1 for random play and 138.1 for PSRL, in 10 episodes. The latter
is what the prior N(0, 1) for means gets, the default of Osband's TabulaRL, which the authors call;
with N(1, 1), from which they are drawn, PSRL gets 134.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tyro
from numpy.typing import NDArray

from metarl_envs import FAMILIES, BernoulliBandit, TabularMDP
from metarl_envs.tasks import Task

Array = NDArray[np.float64]
Rng = np.random.Generator
HORIZON = FAMILIES["metarl/TabularMDP-v0"]


# -- bandit: wins and pulls are [tasks, arms] -----------------------------------------------------


def random_arms(wins: Array, pulls: Array, rng: Rng) -> Array:
    """Scores that know nothing."""
    return rng.random(wins.shape)


def ucb1(wins: Array, pulls: Array, rng: Rng) -> Array:
    """x̄_j + sqrt(2 ln n / n_j), every arm once before (Auer et al. 2002, figure 1)."""
    total = np.maximum(pulls.sum(1, keepdims=True), 1)
    tried = np.maximum(pulls, 1)
    return np.where(pulls > 0, wins / tried + np.sqrt(2 * np.log(total) / tried), np.inf)


def thompson(wins: Array, pulls: Array, rng: Rng) -> Array:
    """A draw of each mean from its posterior Beta(1 + wins, 1 + losses)."""
    return rng.beta(1 + wins, 1 + pulls - wins)


def play_bandit(
    score: Callable[[Array, Array, Rng], Array], tasks: Task, num_pulls: int, rng: Rng
) -> Array:
    """Rewards ``[num_pulls, tasks]`` of pulling the arm of the highest score."""
    num_tasks, num_arms = tasks["means"].shape
    family = BernoulliBandit(num_arms)
    wins, pulls = np.zeros((2, num_tasks, num_arms))
    rewards = np.empty((num_pulls, num_tasks))
    rows, state = np.arange(num_tasks), family.start(rng, (num_tasks,))
    for i in range(num_pulls):
        arms = score(wins, pulls, rng).argmax(1)
        rewards[i] = family.step(state, arms, tasks, rng).reward
        wins[rows, arms] += rewards[i]
        pulls[rows, arms] += 1
    return rewards


# -- tabular MDP: a policy is [HORIZON, tasks, states] --------------------------------------------


@dataclass
class Experience:
    """Counts ``[tasks, S, A, S]`` of transitions, sums ``[tasks, S, A]`` of rewards."""

    counts: Array
    rewards: Array


Policy = Callable[[Task, Experience, Rng], NDArray[Any]]
"""The policy of the next episode. Only :func:`optimal` looks at more of the task than its shape."""


def random_actions(tasks: Task, experience: Experience, rng: Rng) -> NDArray[Any]:
    """Uniform."""
    num_tasks, num_states, num_actions = tasks["reward_means"].shape
    return rng.integers(num_actions, size=(HORIZON, num_tasks, num_states))


def psrl(tasks: Task, experience: Experience, rng: Rng, *, prior_mean: float = 1.0) -> NDArray[Any]:
    """Optimal for a task drawn from the posterior.

    Rows are Dirichlet(1 + counts). A mean with prior N(μ, 1), seen n times with unit noise, is
    N((μ + sum of rewards) / (1 + n), 1 / (1 + n)).
    """
    gammas = rng.standard_gamma(1 + experience.counts)
    precision = 1 + experience.counts.sum(-1)
    means = rng.normal((prior_mean + experience.rewards) / precision, 1 / np.sqrt(precision))
    return plan(gammas / gammas.sum(-1, keepdims=True), means)


def optimal(tasks: Task, experience: Experience, rng: Rng) -> NDArray[Any]:
    """The bound: knows the task."""
    return plan(tasks["transitions"], tasks["reward_means"])


def plan(transitions: Array, reward_means: Array) -> NDArray[Any]:
    """Value iteration backwards from the last step."""
    num_tasks, num_states, _ = reward_means.shape
    value = np.zeros((num_tasks, num_states))
    policy = np.empty((HORIZON, num_tasks, num_states), np.int64)
    for t in reversed(range(HORIZON)):
        q = reward_means + (transitions @ value[:, None, :, None])[..., 0]
        policy[t], value = q.argmax(-1), q.max(-1)
    return policy


def play_mdp(policy: Policy, tasks: Task, num_episodes: int, rng: Rng) -> Array:
    """Returns ``[num_episodes, tasks]``."""
    num_tasks, num_states, num_actions = tasks["reward_means"].shape
    family = TabularMDP(num_states, num_actions)
    seen = Experience(np.zeros(tasks["transitions"].shape), np.zeros(tasks["reward_means"].shape))
    returns = np.zeros((num_episodes, num_tasks))
    rows = np.arange(num_tasks)
    for i in range(num_episodes):
        actions_of = policy(tasks, seen, rng)
        state = family.start(rng, (num_tasks,))
        for t in range(HORIZON):
            action = actions_of[t, rows, state]
            following, reward, _ = family.step(state, action, tasks, rng)
            seen.counts[rows, state, action, following] += 1
            seen.rewards[rows, state, action] += reward
            returns[i] += reward
            state = following
    return returns


# -- the table ------------------------------------------------------------------------------------

SCORES = {"random": random_arms, "UCB1": ucb1, "Thompson": thompson}
POLICIES: dict[str, Policy] = {
    "random": random_actions,
    "PSRL": psrl,
    "PSRL as in RL²": partial(psrl, prior_mean=0.0),
    "optimal": optimal,
}


@dataclass(frozen=True)
class Options:
    """Play every algorithm on held-out tasks."""

    num_tasks: int = 1000
    """Tasks a family."""
    num_arms: int = 5
    """Arms of the bandit."""
    num_pulls: int = 100
    """Pulls a bandit."""
    num_episodes: int = 10
    """Episodes an MDP."""
    seed: int = 0
    """Of tasks and play."""


def line(name: str, returns: Array) -> str:
    """Total of all episodes, its standard error over tasks, and the last episode alone."""
    totals = returns.sum(0)
    error = totals.std(ddof=1) / np.sqrt(len(totals))
    return f"{name:24} {totals.mean():8.2f} ± {error:4.2f} {returns[-1].mean():8.2f}"


def main(options: Options) -> None:
    """Print the table."""
    rng = np.random.default_rng(options.seed)
    arms = BernoulliBandit(options.num_arms).task_distribution
    tasks = arms.sample(rng, options.num_tasks, "held_out")
    print(f"{'':24} {'total':>8} {'':6} {'last':>8}")
    for name, score in SCORES.items():
        rewards = play_bandit(score, tasks, options.num_pulls, rng)
        print(line(f"bandit, {name}", rewards))
    tasks = TabularMDP().task_distribution.sample(rng, options.num_tasks, "held_out")
    for name, policy in POLICIES.items():
        returns = play_mdp(policy, tasks, options.num_episodes, rng)
        print(line(f"MDP, {name}", returns))


if __name__ == "__main__":
    main(tyro.cli(Options))
