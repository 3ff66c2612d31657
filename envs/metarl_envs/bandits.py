"""The Bernoulli bandit: the smallest task there is, with known good algorithms to compare with."""

import numpy as np
from gymnasium import spaces

from metarl_envs.arrays import NUMPY, Array
from metarl_envs.discrete import checked, entries
from metarl_envs.family import Outcome
from metarl_envs.rows import Random
from metarl_envs.tasks import Product, Task, Uniform


class BernoulliBandit:
    """Arms that pay 1 or 0 (Duan et al. 2016, "RL²", section 3.1).

    * Observation: the constant 0, ``[1]``, float32.
    * Action: the arm, 0 to ``num_arms`` - 1.
    * Task: ``means`` ``[num_arms]``, each uniform over [0, 1]: the probabilities that arms pay.
    * Reward: 1 with the probability of the arm, else 0.
    * Ends: never terminated; time limit 1. One pull is one trajectory, so the paper's n pulls are
      n trajectories of a task.

    Args:
        num_arms: k; the paper has 5, 10 and 50.
        hold_out: hold tasks out. Without, all means are of both splits, as in the paper, and a
            Bayes-optimal policy can be learned.
    """

    # the box is wider than its one value because gymnasium warns of one without extent
    observation_space = spaces.Box(0.0, 1.0, (1,), dtype=np.float32)

    def __init__(self, num_arms: int = 5, *, hold_out: bool = True) -> None:
        if num_arms < 2:
            raise ValueError(f"num_arms must be at least 2, got {num_arms}")
        self.arrays = NUMPY
        self.num_arms = num_arms
        self.action_space = spaces.Discrete(num_arms)
        self.task_distribution = Product(
            {"means": Uniform(np.zeros(num_arms), 1.0, hold_out=hold_out)}
        )

    def start(self, rng: Random, leading: tuple[int, ...]) -> Array:
        """The only state."""
        xp, _, device = self.arrays
        return xp.zeros(leading, dtype=xp.int64, device=device)

    def step(self, state: Array, action: Array, task: Task, rng: Random) -> Outcome:
        """Pull an arm."""
        xp, real, device = self.arrays
        arm = checked(action, self.num_arms, state.shape, self.arrays)
        paid = rng.random(state.shape) < entries(task["means"], arm, arrays=self.arrays)
        never = xp.zeros(state.shape, dtype=xp.bool, device=device)
        return Outcome(self.start(rng, state.shape), xp.asarray(paid, dtype=real), never)

    def observe(self, state: Array, task: Task) -> Array:
        """Nothing."""
        xp, _, device = self.arrays
        return xp.zeros((*state.shape, 1), dtype=xp.float32, device=device)
