"""A grid in which the goal has to be searched for."""

from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from metarl_envs.discrete import checked
from metarl_envs.family import Outcome
from metarl_envs.rows import Random
from metarl_envs.task_spaces import Integers
from metarl_envs.tasks import Choice, Product, Task


class GridNavi:
    """Find the goal cell and stay there (Zintgraf et al. 2020, "VariBAD"; ``gridworld.py``).

    * Observation: ``position``: cell (x, y), float32. ``image``: uint8 ``[size, size, 1]``, 255 at
      the agent's cell, else 0; the first row is y = ``size`` - 1, the first column x = 0. The goal
      is not shown. Start (0, 0).
    * Action: 0 stay, 1 up (y + 1), 2 right (x + 1), 3 down, 4 left; off the grid is to stay.
    * Task: ``goal``, uniform over the ``size``² - 4 cells outside the 2 x 2 corner of the start; a
      fixed part, 4 of 21, is held out. Any cell of the grid can be given, in integers.
    * Reward: 1 on the goal after the move, else -0.1.
    * Ends: never terminated; time limit 15.

    Args:
        size: cells a side, at least 3.
        observation: ``position`` or ``image``.
    """

    moves = np.array([[0, 0], [0, 1], [1, 0], [0, -1], [-1, 0]])
    action_space = spaces.Discrete(len(moves))

    def __init__(
        self, size: int = 5, observation: Literal["position", "image"] = "position"
    ) -> None:
        if size < 3:
            raise ValueError(f"size must be at least 3, got {size}")
        if observation not in ("position", "image"):
            raise ValueError(f"observation must be position or image, got {observation!r}")
        self.size = size
        self.observation = observation
        self.observation_space = (
            spaces.Box(0.0, size - 1.0, (2,), dtype=np.float32)
            if observation == "position"
            else spaces.Box(0, 255, (size, size, 1), dtype=np.uint8)
        )
        goals = [(x, y) for x in range(size) for y in range(size) if x > 1 or y > 1]
        # a knight's move apart, so that every held-out goal lies among train goals
        held_out = [i for i, (x, y) in enumerate(goals) if (x + 2 * y) % 5 == 1]
        space = Integers(0, size - 1, (2,))
        self.task_distribution = Product({"goal": Choice(goals, held_out, space)})

    def start(self, rng: Random, leading: tuple[int, ...]) -> NDArray[np.int64]:
        """The corner."""
        return np.zeros((*leading, 2), np.int64)

    def step(self, state: NDArray[Any], action: NDArray[Any], task: Task, rng: Random) -> Outcome:
        """Move, then look for the goal."""
        move = self.moves[checked(action, len(self.moves), state.shape[:-1])]
        state = np.minimum(np.maximum(state + move, 0), self.size - 1)
        found = (state == task["goal"]).all(-1)
        return Outcome(state, np.where(found, 1.0, -0.1), np.zeros(found.shape, bool))

    def observe(self, state: NDArray[Any], task: Task) -> NDArray[Any]:
        """The cell, as numbers or as a picture."""
        if self.observation == "position":
            return state.astype(np.float32)
        x, y = state[..., 0, None, None], state[..., 1, None, None]
        columns = np.arange(self.size)
        rows = columns[::-1, None]
        here = (x == columns) & (y == rows)
        return np.where(here, 255, 0).astype(np.uint8)[..., None]
