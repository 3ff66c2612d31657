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
        self.policy = policy
        self._ended = {over: torch.full((1, 1), float(over)) for over in (False, True)}
        self._state = policy.start()

    def context(self) -> NDArray[np.float32]:
        """What the policy sees beside the observation now, ``[C]``."""
        seen: NDArray[np.float32] = self.policy.memory.context(self._state)[0].numpy()
        return seen

    def _noise(self) -> NDArray[np.float32]:
        return self.policy.head.noise(self._rng)

    @torch.inference_mode()
    def _act(self, observation: NDArray[np.float32], noise: NDArray[np.float32]) -> Acted:
        given = torch.from_numpy(observation)[None], torch.from_numpy(noise)[None]
        drawn, self._state = self.policy.act(self._state, *given)
        return Acted(*(value.numpy()[0] for value in drawn))

    @torch.inference_mode()
    def _observe(self, step: Step) -> None:
        features = self._features(step)
        ended = self._ended[step.terminated or step.truncated]
        self._state = self.policy.observe(self._state, features, ended)

    def _features(self, step: Step) -> torch.Tensor:
        """As :attr:`metarl.embedding.Transitions.features`, ``[1, F]``."""
        raw = self.policy.head.vectors(torch.from_numpy(step.raw_action)[None])
        rest = np.concatenate([[step.reward], step.next_observation, [step.terminated]])
        parts = torch.from_numpy(step.observation)[None], raw, torch.from_numpy(rest).float()[None]
        return torch.cat(parts, 1)

    def _end_trajectory(self) -> None:
        self._state = self.policy.end_trajectory(self._state)

    def _forget(self) -> None:
        self._state = self.policy.start()

    def _info(self) -> dict[str, Any]:
        return self.policy.memory.info(self._state)

    def _digest(self) -> str:
        return self.policy.digest()

    def _remembered(self) -> dict[str, Any]:
        return {name: value.clone() for name, value in self._state.items()}

    def _remember(self, remembered: dict[str, Any]) -> None:
        self._state = {name: remembered[name] for name in self.policy.state_sizes}
