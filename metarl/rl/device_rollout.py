"""The steps of a rollout on one device, and what was recorded of them as a :class:`Rollout`.

Between the first step and the last nothing waits for the device and nothing is copied from it. What
happens in a step is only written down; ends, masks and faults are read from the record afterwards,
for all steps at once. On CUDA the steps are captured in graphs.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import torch
from numpy.typing import NDArray
from torch import Tensor

from metarl.nn import Policy
from metarl.rl.device_envs import DeviceEnv, PhysicsEnv, captured
from metarl.rl.rollout import Rollout
from metarl.types import Params

MOST_CAPTURED = 25
"""Steps in one graph: launching it costs little beside them, and it is captured in no time."""


class Fault(NamedTuple):
    """What an environment gave that is no number."""

    row: int
    """Of the environment."""
    step: int
    """Of its trajectory, from 1; 0 is the start."""
    observation: NDArray[Any]
    """That it gave, ``[D]``."""
    reward: float
    """Likewise."""


class DeviceSteps:
    """Steps of a policy in environments, with the tensors that record them.

    Args:
        env: the environments, M·E of them.
        policy: maps parameters, observations and noise to actions.
        params: task-batched parameters like those of the rollouts.
        to_env: policy actions to the environments'.
        num_trajectories: E.
        horizon: T.
    """

    def __init__(
        self,
        env: DeviceEnv,
        policy: Policy,
        params: Params,
        to_env: Callable[[Tensor], Tensor],
        num_trajectories: int,
        horizon: int,
    ) -> None:
        self.env, self.policy, self.horizon = env, policy, horizon
        self._physics = None if env.capturable else cast("PhysicsEnv", env)
        self._to_env = to_env
        self._params = {name: value.detach().clone() for name, value in params.items()}
        like = self._observed()
        m, e = env.num_envs // num_trajectories, num_trajectories
        self._observations = like.new_zeros(m, horizon + 1, e, like.shape[-1])
        # of a step after the last one, too, which is never taken
        self._actions = like.new_zeros(m, horizon + 1, e, policy.action_width)
        self._rewards = like.new_zeros(m, horizon, e)
        self._terminated = torch.zeros_like(self._rewards, dtype=torch.bool)
        self._diverged = torch.zeros_like(self._terminated)
        self._noise = like.new_zeros(horizon + 1, m, e, policy.num_outputs)
        self._time = torch.zeros(1, dtype=torch.int64, device=like.device)
        self._given = self._act()  # where the environments find their actions
        self._run: Callable[[], None] | None = None

    @property
    def noise(self) -> Tensor:
        """Of the next rollout, ``[T, M, E, ...]``; whoever runs it fills it."""
        return self._noise[: self.horizon]

    def fits(self, policy: Policy, params: Params) -> bool:
        """Whether rollouts of such parameters are these steps."""
        shapes = {name: (value.shape, value.dtype) for name, value in params.items()}
        own = {name: (value.shape, value.dtype) for name, value in self._params.items()}
        return policy is self.policy and shapes == own

    def run(self, params: Params, seeds: Tensor) -> None:
        """A rollout by these parameters from starts of these seeds, int64 ``[M·E]``."""
        for name, value in self._params.items():
            value.copy_(params[name])
        if self._run is None:
            self._run = self._prepared(seeds)
        self._start(seeds)
        self._run()

    def _start(self, seeds: Tensor) -> None:
        self._time.zero_()
        self.env.restart(seeds)
        self._write_actions()
        if self._physics is not None:
            self._physics.begin(self._given)

    def _observed(self) -> Tensor:
        """By the environments, float32 ``[M·E, D]``; pictures are made so."""
        return self.env.observations.flatten(1).float()

    def _prepared(self, seeds: Tensor) -> Callable[[], None]:
        """All steps; on CUDA after a trial of one, which makes what the first call makes.

        What is made here refers to no steps: graphs go when the steps are dropped.
        """
        physics, device = self._physics, self._time.device
        if device.type == "cuda":
            self._start(seeds)
            if physics is not None:
                physics.simulate()
            self._step()
        if physics is None:
            at_once = max(n for n in range(1, MOST_CAPTURED + 1) if self.horizon % n == 0)
            steps = captured(lambda: _repeat(self._step, at_once), device)
            return partial(_repeat, steps, self.horizon // at_once)
        around = captured(self._step, device)

        def step() -> None:
            physics.simulate()
            around()

        return partial(_repeat, step, self.horizon)

    def _step(self) -> None:
        """All of a step that can be captured, and the actions of the next."""
        if self._physics is None:
            self.env.step(self._given)
        else:
            self._physics.finish()
        self._write_step()
        self._write_actions()
        if self._physics is not None:
            self._physics.begin(self._given)

    def _write_actions(self) -> None:
        self._given.copy_(self._act())

    def _act(self) -> Tensor:
        """The environments' next actions; of a policy that has diverged nothing reaches them."""
        observed = self._observed()
        self._record("observations", observed)
        by_task = observed.reshape(*self._noise.shape[1:3], -1).nan_to_num(0.0, 0.0, 0.0)
        noise = self._noise.index_select(0, self._time)[0]
        actions = self.policy.act(self._params, by_task, noise)
        self._record("actions", actions)
        return self._to_env(actions.nan_to_num(0.0, 0.0, 0.0).flatten(0, 1))

    def _write_step(self) -> None:
        for name in ("rewards", "terminated", "diverged"):
            self._record(name, getattr(self.env, name))
        self._time += 1

    def _record(self, name: str, values: Tensor) -> None:
        """Write values of all environments at the step that it is."""
        record: Tensor = getattr(self, f"_{name}")
        record.index_copy_(1, self._time, values.reshape(len(record), 1, *record.shape[2:]))

    def recorded(self, discount: float) -> tuple[Rollout, list[Fault]]:
        """The rollout that was run last, as long as its longest trajectory; waits for the device.

        And the first of the trajectories that are left out, if any are.
        """
        observations = self._observations
        numbers = torch.isfinite(observations).all(-1)
        started = numbers[:, 0]
        bad = ~(numbers[:, 1:] & torch.isfinite(self._rewards))
        ended = self._terminated | self._diverged
        over = (ended | bad).long()
        happened = (over.cumsum(1) == over) & started[:, None]
        steps = happened.sum(1)  # [M, E]
        left_out = (bad & happened).any(1) | ~started
        mask = happened & ~left_out[:, None]
        last = steps[:, None, :, None].expand(-1, 1, -1, observations.shape[-1])
        actions = self._actions[:, :-1]
        acted = torch.isfinite(actions).all(-1)  # no number is earned where none was acted
        length, num_faults = torch.stack([steps.max(), left_out.sum()]).tolist()
        kept = slice(max(length, 1))
        rollout = Rollout(
            observations=observations[:, kept].clone(memory_format=torch.contiguous_format),
            actions=actions[:, kept].clone(memory_format=torch.contiguous_format),
            rewards=torch.where(acted, self._rewards, torch.nan)[:, kept].contiguous(),
            discounts=torch.where(ended, 0.0, discount)[:, kept].contiguous(),
            mask=mask[:, kept].contiguous(),
            final_observations=torch.where(
                left_out[..., None], 0.0, observations.gather(1, last)[:, 0]
            ),
            diverged=(self._diverged & mask).any(1),
        )
        return rollout, [self._fault(left_out, steps)] if num_faults else []

    def _fault(self, left_out: Tensor, steps: Tensor) -> Fault:
        m, e = left_out.nonzero()[0].tolist()
        step = int(steps[m, e])
        observation = self._observations[m, step, e].cpu().numpy()
        return Fault(
            row=m * left_out.shape[1] + e,
            step=step,
            observation=observation,
            reward=float(self._rewards[m, step - 1, e]) if step else 0.0,
        )


def _repeat(work: Callable[[], None], times: int) -> None:
    for _ in range(times):
        work()
