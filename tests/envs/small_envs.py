"""Small environments to be wrapped; what they do can be worked out by hand."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces


class Slide(gym.Env[Any, Any]):
    """x' = x + 0.5 a on a line, two entries (x, place of a lamp); its own reward is 0."""

    observation_space = spaces.Box(-10.0, 10.0, (2,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self, *, reuses_arrays: bool = False) -> None:
        self.lamp = 0.0
        self.x = 0.0
        self._array = np.zeros(2, np.float32)
        self._reuses_arrays = reuses_arrays

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.x = float(self.np_random.uniform(-0.1, 0.1))
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.x += 0.5 * float(action[0])
        return self._observe(), 0.0, False, False, {"x": self.x}

    def _observe(self) -> Any:
        self._array[:] = self.x, self.lamp
        return self._array if self._reuses_arrays else self._array.copy()


class Countdown(gym.Env[Any, Any]):
    """Discrete states 3, 2, 1: action 0 goes on by one, action 1 jumps to the end.

    Terminated at 0 where ``terminates``, else truncated there. Rewards are 10, 20, ... by the step
    of the trajectory.
    """

    observation_space = spaces.Discrete(4)
    action_space = spaces.Discrete(2)

    def __init__(self, *, terminates: bool = True) -> None:
        self.terminates = terminates

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.state, self.steps = 3, 0
        return self.state, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.state = 0 if action == 1 else self.state - 1
        self.steps += 1
        ended = self.state == 0
        return (
            self.state,
            10.0 * self.steps,
            ended and self.terminates,
            ended and not self.terminates,
            {},
        )
