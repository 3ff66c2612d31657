"""A toy family on a device, whose every number is known, and draws that both samplers share."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from metarl.core import Streams
from metarl.core.rows import row_uniforms
from metarl.nn import CategoricalPolicy, GaussianPolicy
from metarl.rl import DeviceEnvs, DeviceSampler

NEVER = 10**6


class DeviceCounters:
    """Environment i observes (i, its step); its reward is 10 i + step. What has ended goes on."""

    name = "Counters"
    max_episode_steps = 1000
    capturable = True
    task_distribution = None

    def __init__(
        self,
        terminate: Sequence[int],
        diverge: Sequence[int] | None = None,
        nan_at: Sequence[int] | None = None,
        device: str = "cpu",
    ) -> None:
        self.num_envs = len(terminate)
        never = [NEVER] * self.num_envs
        self.terminate, self.diverge, self.nan_at = (
            torch.tensor(steps, device=device)
            for steps in (terminate, diverge or never, nan_at or never)
        )
        self.observations = torch.zeros(self.num_envs, 2, device=device)
        self.observations[:, 0] = torch.arange(self.num_envs)
        self.rewards = torch.zeros(self.num_envs, device=device)
        self.terminated = torch.zeros(self.num_envs, dtype=torch.bool, device=device)
        self.diverged = torch.zeros_like(self.terminated)
        self.count = torch.zeros_like(self.terminate)
        self.given: list[Tensor] = []
        self.tasks: dict[str, Any] = {}
        self.num_checks = 0

    def set_tasks(self, tasks: dict[str, Any]) -> None:
        self.tasks = tasks

    def restart(self, seeds: Tensor, rows: Tensor | None = None) -> None:
        assert seeds.shape == (self.num_envs,)
        assert rows is None
        self.count.zero_()
        self._observe()

    def _observe(self) -> None:
        broken = self.count == self.nan_at
        self.observations[:, 1] = self.count.float().masked_fill(broken, torch.nan)

    def step(self, actions: Tensor) -> None:
        self.given.append(actions.clone())
        self.count += 1
        self._observe()
        self.rewards.copy_(10 * self.observations[:, 0] + self.count)
        self.terminated.copy_(self.count == self.terminate)
        self.diverged.copy_(self.count == self.diverge)

    def check(self) -> None:
        self.num_checks += 1


def device_envs(env: Any, space: spaces.Box | None = None) -> DeviceEnvs:
    """A handle of counters."""
    wide = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    bounds = (np.array([-1.0, 0.0], np.float32), np.array([1.0, 4.0], np.float32))
    return DeviceEnvs(lambda num: env, env.num_envs, space or wide, spaces.Box(*bounds))


def device_sampler(
    env: Any, *, num_tasks: int = 2, horizon: int = 5, scale: float = 1.0
) -> DeviceSampler:
    """In environments, or in the handle of some."""
    envs = env if isinstance(env, DeviceEnvs) else device_envs(env)
    numbers: dict[str, Any] = {"horizon": horizon, "discount": 0.9, "action_scale": scale}
    return DeviceSampler(envs, num_tasks=num_tasks, **numbers)


class RowStreams(Streams):
    """Streams of which the sampler on the cores draws what the one on a device does."""

    def numpy(self, stream: Any, *index: int) -> Any:
        return self, index[0]

    def seeds(self, stream: Any, num: int, *index: int) -> list[int]:
        (m,) = index
        seeds: list[int] = self.rows(stream, range(m, m + 1), range(num))[0].tolist()
        return seeds


def _noise(policy: Any, shape: Sequence[int], drawn: Any) -> Tensor:
    streams, m = drawn
    num, horizon = shape
    seeds = streams.rows("actions", range(m, m + 1), range(num))[0]
    numbers = row_uniforms(seeds, 0, horizon * policy.num_outputs)
    return policy.noise_of(numbers.reshape(horizon, -1, num).permute(2, 0, 1))


class RowGaussianPolicy(GaussianPolicy):
    """Draws from :class:`RowStreams`."""

    def noise(self, shape: Sequence[int], rng: Any) -> Tensor:
        return _noise(self, shape, rng)


class RowCategoricalPolicy(CategoricalPolicy):
    """Draws from :class:`RowStreams`."""

    def noise(self, shape: Sequence[int], rng: Any) -> Tensor:
        return _noise(self, shape, rng)


class InParts:
    """An environment whose steps have physics with a graph of their own, as robots have."""

    capturable = False

    def __init__(self, env: Any) -> None:
        self.env, self._actions = env, None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.env, name)

    def begin(self, actions: Tensor) -> None:
        self._actions = actions.clone()

    def simulate(self) -> None:
        self.env.step(self._actions)

    def finish(self) -> None:
        assert self._actions is not None
        self._actions = None
