"""A learner of a few lines, so that the trainer can be seen at work."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from metarl.core import iteration_times
from metarl.types import Metrics


class FakeLearner:
    """Adds up random numbers; ``on_update(iteration)`` may change the metrics or raise.

    Its 10 steps an iteration are said to take 0.5 s to collect.
    """

    def __init__(self, on_update: Callable[[int], Metrics] = lambda iteration: {}) -> None:
        self.rng = np.random.default_rng(0)
        self.total = torch.zeros(1, dtype=torch.float64)
        self.updates = 0
        self.evaluated: list[int] = []
        self.on_update = on_update

    def iterate(self) -> Metrics:
        self.updates += 1
        self.total += self.rng.random()
        return {
            "meta/skipped": 0.0,
            "rollout/steps": 10.0,
            **iteration_times(0.5, 0.25),
            "meta/total": self.total.item(),
            **self.on_update(self.updates),
        }

    def evaluate(self) -> Metrics:
        self.evaluated.append(self.updates)
        return {"eval/return_post": self.total.item()}

    def state_dict(self) -> dict[str, Any]:
        return {
            "rng": self.rng.bit_generator.state,
            "total": self.total,
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rng.bit_generator.state = state["rng"]
        self.total.copy_(state["total"])
        self.updates = state["updates"]
