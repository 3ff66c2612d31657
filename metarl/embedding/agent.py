"""The agent of policies that adapt with every step, by a prototype or by what they remember."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from metarl.embedding.online_policy import OnlinePolicy
from metarl.rl.acting import Acted
from metarl.rl.agent import Agent, Step


class OnlineAgent(Agent):
    """Adapts with every step, each in the same time however many there were.

    Args:
        policy: which has its own copies of all weights.
        seed: of the action noise.
    """

    def __init__(self, policy: OnlinePolicy, *, seed: int = 0) -> None:
        head = policy.head
        sizes = head.num_outputs, head.choices
        super().__init__(policy.observation_shape, *sizes, head.to_env, seed)
        self.policy = policy.in_numpy()
        self._known = policy.digest()
        self._ended = {over: np.full(1, over, np.float32) for over in (False, True)}
        self._state = self.policy.starts

    def context(self) -> NDArray[np.float32]:
        """What the policy sees beside the observation now, ``[C]``."""
        seen: NDArray[np.float32] = self.policy.memory.context(self._state)
        return seen

    def _noise(self) -> NDArray[np.float32]:
        return self.policy.head.noise(self._rng)

    def _act(self, observation: NDArray[np.float32], noise: NDArray[np.float32]) -> Acted:
        drawn, self._state = self.policy.act(self._state, observation, noise)
        return Acted(*drawn)

    def _observe(self, step: Step) -> None:
        acted, rest = self.policy.head.vectors(step.raw_action), self._ended[step.terminated]
        reward = np.array([step.reward], np.float32)
        features = np.concatenate([step.observation, acted, reward, step.next_observation, rest])
        ended = self._ended[step.terminated or step.truncated]
        self._state = self.policy.observe(self._state, features, ended)

    def _end_trajectory(self) -> None:
        self._state = self.policy.end_trajectory(self._state)

    def _forget(self) -> None:
        self._state = self.policy.starts

    def _info(self) -> dict[str, Any]:
        return self.policy.memory.info(self._state)

    def _digest(self) -> str:
        return self._known

    def _remembered(self) -> dict[str, Any]:
        return {name: torch.from_numpy(value.copy()) for name, value in self._state.items()}

    def _remember(self, remembered: dict[str, Any]) -> None:
        self._state = {name: remembered[name].numpy() for name in self.policy.starts}
