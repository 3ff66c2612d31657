"""``WarpEnv``: a family of robots whose physics, rewards and observations stay on one device."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from metarl_envs.arrays import Arrays
from metarl_envs.mujoco.declared import action_bounds
from metarl_envs.mujoco.family import MujocoFamily, Step
from metarl_envs.mujoco.warp.graph import recorded
from metarl_envs.mujoco.warp.installed import mujoco_warp as mjw
from metarl_envs.mujoco.warp.physics import WarpPhysics
from metarl_envs.mujoco.warp.sizes import choose_sizes
from metarl_envs.rows import DeviceRowRandom
from metarl_envs.task_spaces import validate_tasks
from metarl_envs.tasks import Task

_OVERFLOW = mjw.OverflowType
_OPTIONS = {
    "njmax": _OVERFLOW.NEFC | _OVERFLOW.NJMAX_NNZ,
    "nconmax": _OVERFLOW.BROADPHASE | _OVERFLOW.NARROWPHASE | _OVERFLOW.CCD,
}
"""Option to what its buffer's overflow is called."""


class WarpEnv:
    """A batch of robots on one device, each with its task and, where tasks say so, its own body.

    Results are written into the same tensors at every step. A simulation that diverges is marked
    in ``diverged`` and ``terminated``, its reward is 0, and it goes on from rest in the model's own
    pose until it is restarted; the others are not touched. A model that asks for the PGS solver
    (the humanoid's) gets Newton's, since Warp has no PGS.

    Args:
        family: what to run.
        num_envs: number of environments.
        max_episode_steps: time limit in steps, which the caller counts.
        arrays: torch as array-api-compat has it, float32, and where everything is.
        name: in messages.
        nconmax: contacts that the buffer holds, a mean over the environments; measured by default.
        njmax: rows of constraints that an environment may have; measured by default.
        ordered: sum up forces in an order that is the same in every run, on a GPU, too.
    """

    capturable = False
    """Whether a step may be recorded as part of a CUDA graph: it launches one of its own."""

    def __init__(
        self,
        family: MujocoFamily,
        num_envs: int,
        max_episode_steps: int,
        arrays: Arrays,
        *,
        name: str = "",
        nconmax: int | None = None,
        njmax: int | None = None,
        ordered: bool = False,
    ) -> None:
        for what, value in (("num_envs", num_envs), ("max_episode_steps", max_episode_steps)):
            if value < 1:
                raise ValueError(f"{what} must be at least 1, got {value}")
        self.family = family
        self.name = name or family.robot.xml_file
        self.num_envs, self.max_episode_steps = num_envs, max_episode_steps
        self.device, self._arrays = arrays.device, arrays
        self.task_distribution = family.task_distribution
        self.task_space = family.task_distribution.space
        self._sizes = choose_sizes(family.robot, num_envs, nconmax, njmax)
        self.physics = WarpPhysics(family, num_envs, arrays, self._sizes, ordered=ordered)
        model = family.robot.model
        self.dt = float(model.opt.timestep) * family.robot.frame_skip
        self._allocate()
        self._finish = recorded(self.device, self.finish)
        size = self.observations.shape[1]
        low, high = action_bounds(model)
        self.single_observation_space = spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.single_action_space = spaces.Box(low, high, dtype=np.float32)

    def _allocate(self) -> None:
        views, device = self.physics.views, self.device
        tasks = self.task_distribution.sample(np.random.default_rng(0), self.num_envs, "train")
        self._tasks: dict[str, Any] = {n: self._tensor(values) for n, values in tasks.items()}
        self.set_tasks(tasks)
        self.rewards = torch.zeros(self.num_envs, device=device)
        self.terminated = torch.zeros(self.num_envs, dtype=torch.bool, device=device)
        self.diverged = torch.zeros_like(self.terminated)
        self._everyone = ~self.diverged
        self._start_qpos = self._tensor(self.family.robot.start_qpos)
        self._overflow = torch.zeros_like(self.physics.overflow)
        self._position = self.family.position(views).clone()
        self.observations = self._observe()

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=self.device)

    def _observe(self) -> Tensor:
        parts = self.family.observe(self.physics.views)
        return torch.cat([part.flatten(1) for part in parts], dim=1)

    def set_tasks(self, tasks: Task) -> None:
        """Give every environment its task and body; all are to be restarted then.

        Args:
            tasks: a batch of ``num_envs``, NumPy arrays.

        Raises:
            ValueError: as :meth:`metarl_envs.TaskVectorEnv.set_tasks`.
        """
        batch = validate_tasks(self.task_space, tasks, self.num_envs)
        self.physics.set_fields(self.family.dynamics(batch))
        for name, values in batch.items():
            self._tasks[name].copy_(self._tensor(values))

    def restart(self, seeds: Tensor, rows: Tensor | None = None) -> None:
        """Start environments anew in their tasks.

        Args:
            seeds: int64 ``[num_envs]``, at least 0, of the start states' random numbers.
            rows: which ones, bool ``[num_envs]``; all by default.
        """
        random = DeviceRowRandom(self._arrays, seeds)
        self.set_state(*self.family.robot.start(random, self.num_envs, self._start_qpos), rows)

    def set_state(self, qpos: Tensor, qvel: Tensor, rows: Tensor | None = None) -> None:
        """Put environments, or those of ``rows``, at rest in a state.

        Args:
            qpos: positions, ``[num_envs, nq]``.
            qvel: velocities, ``[num_envs, nv]``.
            rows: which ones, bool ``[num_envs]``; all by default.
        """
        rows = self._everyone if rows is None else rows
        self.physics.set_state(rows, qpos, qvel)
        self.rewards.masked_fill_(rows, 0.0)
        self.terminated &= ~rows
        self.diverged &= ~rows
        self._note()

    def step(self, actions: Tensor) -> None:
        """Advance every environment; the results are in the tensors of this object.

        Args:
            actions: ``[num_envs, A]``; MuJoCo keeps them within their range.
        """
        self.begin(actions)
        self.simulate()
        self._finish()

    def begin(self, actions: Tensor) -> None:
        """The first part of a step: take the actions; a caller may capture it."""
        self.physics.ctrl.copy_(actions)

    def simulate(self) -> None:
        """The second: physics, in a graph of its own."""
        self.physics.step()

    def finish(self) -> None:
        """The third: results from the state that physics left; a caller may capture it."""
        self.physics.settle(self.diverged)
        self._overflow |= self.physics.overflow
        views = self.physics.views
        velocity = (self.family.position(views) - self._position) / self.dt
        rewards = self.family.reward(Step(views, velocity, self.physics.ctrl, self._tasks))
        self.rewards.copy_(rewards.masked_fill(self.diverged, 0.0))
        self.terminated.copy_(self.family.terminated(views) | self.diverged)
        self._note()

    def _note(self) -> None:
        """Observations, and the position that the next step's velocity is measured from."""
        self.observations.copy_(self._observe())
        self._position.copy_(self.family.position(self.physics.views))

    def check(self) -> None:
        """Look whether the buffers were large enough since the last look; waits for the device.

        Raises:
            ValueError: naming the option that makes the buffer larger.
        """
        bits = self._overflow.cpu().numpy().copy()
        self._overflow.zero_()
        for option, overflow in _OPTIONS.items():
            short = np.flatnonzero(bits & int(overflow))
            if len(short):
                size = getattr(self._sizes, option)
                raise ValueError(
                    f"{self.name}: {len(short)} of {self.num_envs} "
                    f"environments had more contacts than {option}={size} has room for, so their "
                    f"forces are wrong: give a larger {option} (--engine-kwargs), {2 * size} say"
                )
