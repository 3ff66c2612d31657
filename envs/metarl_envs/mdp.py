"""Random tabular MDPs: tasks that take planning as well as exploration."""

import numpy as np
from gymnasium import spaces

from metarl_envs.arrays import NUMPY, Array
from metarl_envs.discrete import checked, entries, first, running_sum
from metarl_envs.family import Outcome
from metarl_envs.rows import Random
from metarl_envs.tasks import Dirichlet, Normal, Product, Task


class TabularMDP:
    """Random transitions and rewards (Duan et al. 2016, "RL²", section 3.2).

    * Observation: the state, one-hot ``[num_states]``, float32. Start in state 0.
    * Action: 0 to ``num_actions`` - 1.
    * Task: ``transitions`` ``[num_states, num_actions, num_states]``, each row ``P(·|s, a)`` drawn
      from Dirichlet(1, ..., 1); ``reward_means`` ``[num_states, num_actions]``, each from N(1, 1).
    * Reward: from N(mean of (s, a), 1).
    * Ends: never terminated; time limit 10.

    Args:
        num_states: at least 2; the paper has 10.
        num_actions: at least 2; the paper has 5.
    """

    def __init__(self, num_states: int = 10, num_actions: int = 5) -> None:
        for name, num in (("num_states", num_states), ("num_actions", num_actions)):
            if num < 2:
                raise ValueError(f"{name} must be at least 2, got {num}")
        self.arrays = NUMPY
        self.states = np.arange(num_states)
        self.num_states = num_states
        self.num_actions = num_actions
        self.observation_space = spaces.Box(0.0, 1.0, (num_states,), dtype=np.float32)
        self.action_space = spaces.Discrete(num_actions)
        self.task_distribution = Product(
            {
                "transitions": Dirichlet((num_states, num_actions, num_states)),
                "reward_means": Normal(np.ones((num_states, num_actions)), 1.0),
            }
        )

    def start(self, rng: Random, leading: tuple[int, ...]) -> Array:
        """State 0."""
        xp, _, device = self.arrays
        return xp.zeros(leading, dtype=xp.int64, device=device)

    def step(self, state: Array, action: Array, task: Task, rng: Random) -> Outcome:
        """Draw the reward, then the next state."""
        xp, _, device = self.arrays
        action = checked(action, self.num_actions, state.shape, self.arrays)
        mean = entries(task["reward_means"], state, action, arrays=self.arrays)
        reward = mean + rng.standard_normal(state.shape)
        chances = entries(task["transitions"], state, action, arrays=self.arrays)
        cumulative = running_sum(chances, self.arrays)
        # scaled by the sum, which need not be 1 to the last digit: no impossible state is drawn
        level = rng.random(state.shape) * cumulative[..., -1]
        following = first(cumulative > level[..., None], self.arrays)
        return Outcome(following, reward, xp.zeros(state.shape, dtype=xp.bool, device=device))

    def observe(self, state: Array, task: Task) -> Array:
        """One-hot."""
        xp = self.arrays.xp
        return xp.asarray(state[..., None] == self.states, dtype=xp.float32)
