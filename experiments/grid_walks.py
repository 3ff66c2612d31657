"""How rare Bayes-optimal exploration is on GridNavi, among ways to explore as much as can be.

    python experiments/grid_walks.py

A first episode of 15 steps can find 14 of the 21 goals, one in each step from the second on. Every
walk that does so has the same return in the first episode, and differs in which 7 goals it leaves
to the second. Whoever leaves them on one shortest path from the corner finds each as early as one
who knows it, and is Bayes-optimal; others lose 1.1 for every step that a goal is found later than
that. Printed is how many walks lose how much, over all 21 goals.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from bayes_optimal import COST, HORIZON, REWARD, goals_of

from metarl_envs import GridNavi

Cell = tuple[int, int]
STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))
GOALS = frozenset((int(x), int(y)) for x, y in goals_of(GridNavi(hold_out=False)))


def beside(cell: Cell) -> Iterator[Cell]:
    """Cells one move away, on the grid of 5 x 5."""
    for dx, dy in STEPS:
        x, y = cell[0] + dx, cell[1] + dy
        if 0 <= x < 5 and 0 <= y < 5:
            yield x, y


def left_over(walk: tuple[Cell, ...]) -> Iterator[frozenset[Cell]]:
    """Goals that a first episode leaves, of all walks that begin so and find one in every step."""
    if len(walk) == HORIZON - 1:
        yield GOALS - set(walk)
        return
    for cell in beside(walk[-1]):
        if cell in GOALS and cell not in walk:
            yield from left_over((*walk, cell))


def delay(goals: frozenset[Cell]) -> int:
    """Least sum over goals of how many steps later a second episode finds them than is possible.

    By dynamic programming over cells and what is found; a goal that is not found at all counts as
    found after the last step.
    """
    states: dict[tuple[Cell, frozenset[Cell]], int] = {((0, 0), frozenset()): 0}
    for step in range(1, HORIZON + 1):
        reached: dict[tuple[Cell, frozenset[Cell]], int] = {}
        for (cell, found), late in states.items():
            for after in beside(cell):
                new = after in goals and after not in found
                state = after, found | {after} if new else found
                total = late + (step - sum(after)) * new
                reached[state] = min(total, reached.get(state, total))
        states = reached
    return min(
        late + sum(HORIZON + 1 - sum(goal) for goal in goals - found)
        for (_, found), late in states.items()
    )


def losses() -> Counter[float]:
    """What all the walks that begin to the right lose, beside how many they are.

    Those that begin upwards are the same, mirrored.
    """
    walks = Counter(left_over(((2, 0),)))
    found: Counter[float] = Counter()
    for goals, number in walks.items():
        found[round(delay(goals) * (REWARD - COST) / len(GOALS), 4)] += number
    return found


def main() -> None:
    """Print them."""
    found = losses()
    total, counted = sum(found.values()), 0
    values = np.array(sorted(found.elements()))
    print(f"{total} walks, the median loses {np.median(values):.2f}")
    for loss in sorted(found)[:12]:
        counted += found[loss]
        print(f"{loss:.2f}: {found[loss]} walks, {100 * counted / total:.1f} % lose no more")


if __name__ == "__main__":
    main()
