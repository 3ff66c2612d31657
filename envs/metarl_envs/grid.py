"""A grid in which the goal has to be searched for."""

from typing import Literal

import numpy as np
from gymnasium import spaces

from metarl_envs.arrays import NUMPY, Array
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
    * Task: ``goal``, uniform over the ``size² - 4`` cells outside the 2 x 2 corner of the start; a
      fixed part, 4 of 21, is held out. Any cell of the grid can be given, in integers.
    * Reward: 1 on the goal after the move, else -0.1.
    * Ends: never terminated; time limit 15.

    Args:
        size: cells a side, at least 3.
        observation: ``position`` or ``image``.
        hold_out: hold goals out. Without, all goals are of both splits, as in the paper, and a
            Bayes-optimal policy can be learned; every 21 held-out tasks have each goal once.
    """

    action_space = spaces.Discrete(5)

    def __init__(
        self,
        size: int = 5,
        observation: Literal["position", "image"] = "position",
        *,
        hold_out: bool = True,
    ) -> None:
        if size < 3:
            raise ValueError(f"size must be at least 3, got {size}")
        if observation not in ("position", "image"):
            raise ValueError(f"observation must be position or image, got {observation!r}")
        self.arrays = NUMPY
        self.moves = np.array([[0, 0], [0, 1], [1, 0], [0, -1], [-1, 0]])
        self.columns, self.rows = np.arange(size), np.arange(size - 1, -1, -1)[:, None]
        self.lowest, self.highest = np.array(0), np.array(size - 1)
        self.reward, self.cost = np.array(1.0), np.array(-0.1)
        self.size = size
        self.observation = observation
        self.observation_space = (
            spaces.Box(0.0, size - 1.0, (2,), dtype=np.float32)
            if observation == "position"
            else spaces.Box(0, 255, (size, size, 1), dtype=np.uint8)
        )
        goals = [(x, y) for x in range(size) for y in range(size) if x > 1 or y > 1]
        # a knight's move apart, so that every held-out goal lies among train goals
        held_out = [i for i, (x, y) in enumerate(goals) if hold_out and (x + 2 * y) % 5 == 1]
        space = Integers(0, size - 1, (2,))
        self.task_distribution = Product({"goal": Choice(goals, held_out, space)})

    def start(self, rng: Random, leading: tuple[int, ...]) -> Array:
        """The corner."""
        xp, _, device = self.arrays
        return xp.zeros((*leading, 2), dtype=xp.int64, device=device)

    def step(self, state: Array, action: Array, task: Task, rng: Random) -> Outcome:
        """Move, then look for the goal."""
        xp, _, device = self.arrays
        move = self.moves[checked(action, len(self.moves), state.shape[:-1], self.arrays)]
        state = xp.minimum(xp.maximum(state + move, self.lowest), self.highest)
        alike = state == task["goal"]
        found = alike[..., 0] & alike[..., 1]
        reward = xp.where(found, self.reward, self.cost)
        return Outcome(state, reward, xp.zeros(found.shape, dtype=xp.bool, device=device))

    def observe(self, state: Array, task: Task) -> Array:
        """The cell, as numbers or as a picture."""
        xp = self.arrays.xp
        if self.observation == "position":
            return xp.asarray(state, dtype=xp.float32, copy=True)
        x, y = state[..., 0, None, None], state[..., 1, None, None]
        here = (x == self.columns) & (y == self.rows)
        return xp.asarray(here, dtype=xp.uint8)[..., None] * 255
