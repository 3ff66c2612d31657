"""What a Bayes-optimal policy reaches on GridNavi and the Bernoulli bandit, exactly.

    python experiments/bayes_optimal.py

GridNavi: whoever does not know the goal walks until it is found, then goes straight to it in every
later episode. A walk gives a task what its goal's first visit is worth, so the best walk visits all
goals early: dynamic programming over cells and goals not yet visited. States that even the earliest
visits of everything left could not bring above a known walk are left out.

Bandit: dynamic programming over wins and losses of all arms, in any order, since means are
independent draws from U(0, 1). Beside it the index policy of Gittins (1979), with the index of so
many pulls left (Kaufmann 2018, "finite-horizon Gittins"): it is Bayes-optimal for one arm against a
known one, and nearly so for several.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarl_envs import FAMILIES, GridNavi

Array = NDArray[Any]
Arms = tuple[tuple[int, int], ...]
"""Wins and losses of every arm, sorted."""
HORIZON = FAMILIES["metarl/GridNavi-v0"]
REWARD, COST = 1.0, -0.1
"""Of a step that ends on the goal, and of one that does not."""


# -- GridNavi -------------------------------------------------------------------------------------


def goals_of(family: GridNavi) -> Array:
    """Cells that tasks of training have, ``[G, 2]``: those of a thousand draws."""
    drawn = family.task_distribution.sample(np.random.default_rng(0), 1000)["goal"]
    return np.unique(drawn.astype(np.int64), axis=0)


def worth(first: int, distance: int, episodes: int, horizon: int = HORIZON) -> float:
    """Return of all episodes from a goal that is found at a step.

    Args:
        first: step of the first visit, from 1; beyond all steps: never.
        distance: steps from the start to the goal.
        episodes: of the trial.
        horizon: steps of an episode.

    >>> round(worth(1, 1, episodes=2, horizon=3), 9)  # there all the time
    6.0
    >>> round(worth(6, 1, episodes=2, horizon=3), 9)  # in the last step alone
    0.5
    """
    if first > episodes * horizon:
        return COST * episodes * horizon
    later = episodes - 1 - (first - 1) // horizon
    again = COST * (distance - 1) + REWARD * (horizon - distance + 1)
    within = horizon - (first - 1) % horizon
    return COST * (first - 1) + REWARD * within + later * again


def grid_optimum(goals: Array, size: int, episodes: int, horizon: int = HORIZON) -> float:
    """Mean return of a trial of the Bayes-optimal policy, goals being equally likely.

    Args:
        goals: cells ``[G, 2]`` that are possible, none of them the start.
        size: cells a side.
        episodes: of the trial, each from (0, 0).
        horizon: steps of an episode.
    """
    cells = np.array([(x, y) for x in range(size) for y in range(size)])
    number = {tuple(cell): i for i, cell in enumerate(cells.tolist())}
    moves = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))
    following = np.array(
        [[number.get((x + a, y + b), number[x, y]) for a, b in moves] for x, y in cells.tolist()]
    )
    bit = np.zeros(len(cells), np.int64)
    bit[[number[x, y] for x, y in goals.tolist()]] = 1 << np.arange(len(goals))
    far = np.abs(cells[:, None] - goals[None]).sum(-1)  # [cells, G]
    steps = episodes * horizon
    value = np.array(
        [[worth(t, int(d), episodes, horizon) for d in far[0]] for t in range(steps + 2)]
    )
    reward_of = np.zeros((steps + 2, len(cells)))
    reward_of[:, bit > 0] = value[:, np.log2(bit[bit > 0]).astype(int)]
    bounds = [_bound(t, far, value, steps, horizon) for t in range(steps + 1)]

    def members(left: Array) -> Array:
        """1 where a goal is in a set, ``[sets, G]``."""
        return (left[:, None] >> np.arange(len(goals))) & 1

    def walked(width: int | None, least: float) -> float:
        """The best walk; of ``width`` states a step at most, or all that may exceed ``least``."""
        cell, left, gained = np.array([0]), np.array([(1 << len(goals)) - 1]), np.array([0.0])
        for t in range(1, steps + 1):
            if (t - 1) % horizon == 0:
                cell = np.zeros_like(cell)
            source = np.repeat(np.arange(len(cell)), len(moves))
            cell = following[cell].ravel()
            found = (left[source] & bit[cell]) > 0
            gained = gained[source] + np.where(found, reward_of[t, cell], 0.0)
            left = left[source] & ~bit[cell]
            cell, left, gained = _best(cell, left, gained)
            hoped = gained + (members(left) * bounds[t][cell]).sum(1)
            kept = hoped >= least - 1e-9
            if width is not None:
                kept &= hoped >= np.sort(hoped)[-width:][0]
            cell, left, gained = cell[kept], left[kept], gained[kept]
        return float((gained + (members(left) * value[steps + 1]).sum(1)).max())

    return walked(None, walked(2000, -np.inf)) / len(goals)


def _bound(t: int, far: Array, value: Array, steps: int, horizon: int) -> Array:
    """The most that each goal can still give after step t, ``[cells, G]``: the nearest visit."""
    start = -(-t // horizon) * horizon  # where the next episode begins
    here = t + np.maximum(far, 1)
    inside = t % horizon + np.maximum(far, 1) <= horizon
    inside &= t % horizon != 0
    anew = np.minimum(start + far[0], steps + 1)
    first = np.where(inside, np.minimum(here, anew), anew)
    return value[np.minimum(first, steps + 1), np.arange(far.shape[1])]


def _best(cell: Array, left: Array, gained: Array) -> tuple[Array, Array, Array]:
    """Of every pair of cell and goals left, once, with the most that it was reached with."""
    order = np.lexsort((-gained, cell, left))
    cell, left, gained = cell[order], left[order], gained[order]
    first = np.ones(len(cell), bool)
    first[1:] = (cell[1:] != cell[:-1]) | (left[1:] != left[:-1])
    return cell[first], left[first], gained[first]


# -- bandit ---------------------------------------------------------------------------------------


def bandit_optimum(num_arms: int, num_pulls: int) -> float:
    """Mean total reward of the Bayes-optimal policy; arms pay with means from U(0, 1)."""

    @cache
    def best(arms: Arms, pulls: int) -> float:
        if not pulls:
            return 0.0
        return max(_pull(arms, i, pulls, best) for i in _distinct(arms))

    return best(((0, 0),) * num_arms, num_pulls)


def gittins_value(num_arms: int, num_pulls: int) -> float:
    """Mean total reward of pulling the arm of the largest index."""

    @cache
    def value(arms: Arms, pulls: int) -> float:
        if not pulls:
            return 0.0
        best = max(_distinct(arms), key=lambda i: gittins_index(*arms[i], pulls))
        return _pull(arms, best, pulls, value)

    return value(((0, 0),) * num_arms, num_pulls)


@cache
def gittins_index(wins: int, losses: int, pulls: int) -> float:
    """The index of an arm that has paid so often and not, with so many pulls left.

    It is the known reward a pull at which going on with the arm, until one likes, is worth as much
    as never pulling it again, found by bisection.

    >>> round(gittins_index(0, 0, 1), 6), round(gittins_index(0, 0, 2), 6)
    (0.5, 0.555556)
    """
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        if _advantage(wins, losses, pulls, middle) > 0:
            low = middle
        else:
            high = middle
    return low


def _advantage(wins: int, losses: int, pulls: int, known: float) -> float:
    """Of pulling an arm and stopping when one likes, over a known reward for each of its pulls."""
    after: list[float] = [0.0] * (pulls + 1)
    for done in reversed(range(pulls)):
        here = []
        for won in range(done + 1):
            p = (1 + wins + won) / (2 + wins + losses + done)
            on = p - known + p * after[won + 1] + (1 - p) * after[won]
            here.append(max(on, 0.0) if done else on)
        after = here
    return after[0]


def _distinct(arms: Arms) -> list[int]:
    return [i for i, arm in enumerate(arms) if arm not in arms[:i]]


def _pull(arms: Arms, i: int, pulls: int, then: Any) -> float:
    """Mean reward of pulling an arm, and then so on."""
    wins, losses = arms[i]
    p = (1 + wins) / (2 + wins + losses)
    others = arms[:i] + arms[i + 1 :]
    won, lost = (tuple(sorted((*others, arm))) for arm in ((wins + 1, losses), (wins, losses + 1)))
    return p * (1 + float(then(won, pulls - 1))) + (1 - p) * float(then(lost, pulls - 1))


def main() -> None:
    """Print both."""
    for name, family in (("all 21", GridNavi(hold_out=False)), ("17 of training", GridNavi())):
        print(f"GridNavi, 4 episodes, {name} goals: {grid_optimum(goals_of(family), 5, 4):.4f}")
    for pulls in (10, 20):
        told = f"{bandit_optimum(5, pulls):.4f}, Gittins {gittins_value(5, pulls):.4f}"
        print(f"bandit of 5 arms, {pulls} pulls: {told}")


if __name__ == "__main__":
    main()
