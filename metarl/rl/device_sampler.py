"""Collection where the environments are tensors of the device that the policy is on."""

from collections.abc import Sequence

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from metarl.core import Streams
from metarl.core.rows import row_uniforms
from metarl.nn import Policy
from metarl.rl.device_envs import DeviceEnvs
from metarl.rl.device_rollout import DeviceSteps
from metarl.rl.env_faults import EnvironmentFaultError, described, note, note_outside
from metarl.rl.rollout import Rollout
from metarl.rl.task_sampler import TaskSampler
from metarl.types import Params, Task

MOST_DRAWN = 2**24
"""Random numbers at once: what they are hashed from takes 8 bytes and more each."""


class DeviceSampler(TaskSampler[DeviceEnvs]):
    """Rolls out task-batched policies in environments on the policy's device.

    Nothing waits for the device, nor is copied from it, between the first step of a rollout and the
    last, and on CUDA they are graphs. Trajectories that all end early are stepped on to the
    horizon, since to see that would be to wait.

    The random numbers of a trajectory follow from seed, iteration, inner step, task and trajectory,
    but are others than :class:`Sampler`'s. For the arguments see :class:`TaskSampler`.
    """

    _steps: DeviceSteps | None = None

    def close(self) -> None:
        """Let go of the environments, the record of their steps and the graphs."""
        self._steps = None
        super().close()

    def _set_tasks(self, tasks: Sequence[Task]) -> None:
        self.env.set_tasks(tasks, self.num_trajectories)

    @torch.no_grad()
    def _collect(
        self,
        policy: Policy,
        params: Params,
        streams: Streams,
        first_task: int,
        first_trajectory: int,
    ) -> Rollout:
        if self.info_keys:
            raise ValueError("environments on a device have no info, of which info_keys asks")
        steps = self._steps_of(policy, params)
        drawn = (
            range(first_task, first_task + self.num_tasks),
            range(first_trajectory, first_trajectory + self.num_trajectories),
        )
        device = steps.noise.device
        noise, starts = (
            streams.rows(stream, *drawn, device) for stream in ("actions", "environments")
        )
        draw_noise(policy, noise, steps.noise)
        steps.run(params, starts.flatten())
        rollout, faults = steps.recorded(self.discount)
        try:
            steps.env.check()
        except ValueError as error:
            raise EnvironmentFaultError(str(error)) from error
        for fault in faults:
            note(self.faults, described(self.env, *fault))
        self._note_outside(rollout)
        return rollout

    def _steps_of(self, policy: Policy, params: Params) -> DeviceSteps:
        """Those of the last rollout, unless something else about this one has changed."""
        env, given = self.env.env, next(iter(params.values())).device
        if env.observations.device != given:
            raise ValueError(
                f"the policy is on {given}, the environments on {env.observations.device}"
            )
        if (
            self._steps is None
            or self._steps.env is not env
            or not self._steps.fits(policy, params)
        ):
            self._steps = DeviceSteps(
                env, policy, params, self.to_env.on(given), self.num_trajectories, self.horizon
            )
        return self._steps

    def _note_outside(self, rollout: Rollout) -> None:
        space = self.env.single_observation_space
        assert isinstance(space, spaces.Box)
        bounds = space.low.ravel(), space.high.ravel()
        if self._outside or not np.isfinite(bounds).any():
            return
        low, high = (torch.as_tensor(b).to(rollout.observations) for b in bounds)
        seen = rollout.observations
        outside = ((seen < low) | (seen > high)).any(-1) & rollout.mask
        if outside.any():
            note_outside(self._outside, self.env, seen.cpu().numpy(), rollout.mask.cpu().numpy())


def draw_noise(policy: Policy, seeds: Tensor, noise: Tensor) -> None:
    """Fill what a policy draws its actions with.

    Args:
        policy: that acts.
        seeds: of the trajectories, int64 ``[M, E]``.
        noise: to be filled, ``[T, M, E, A]``.
    """
    each = noise.shape[-1]
    at_once = max(MOST_DRAWN // noise[0].numel(), 1)
    for first in range(0, len(noise), at_once):
        part = noise[first : first + at_once]
        numbers = row_uniforms(seeds, first * each, len(part) * each)  # [T'·A, M, E]
        shaped = numbers.reshape(len(part), each, *seeds.shape).permute(0, 2, 3, 1)
        part.copy_(policy.noise_of(shaped))
