"""``MujocoVectorEnv``: a family of robots stepped by ``mujoco.batch`` on all cores.

A step is a handful of NumPy calls on whole arrays around one call into MuJoCo. Trajectories are
those of gymnasium's environments bit for bit, at any number of threads.
"""

import os
from typing import Any, Literal

import mujoco
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from mujoco.batch import Batch, SimulationError
from numpy.typing import NDArray

from metarl_envs.mujoco.contacts import ContactForces
from metarl_envs.mujoco.declared import action_bounds, check_declaration
from metarl_envs.mujoco.family import Array, Bools, MujocoFamily, Physics, Step
from metarl_envs.mujoco.models import check_fields
from metarl_envs.mujoco.pictures import Painter
from metarl_envs.tasks import Task
from metarl_envs.vector import TaskVectorEnv

_MAX_STATE = 1e10  # mjMAXVAL: MuJoCo calls a state beyond it unstable
_UNSTABLE = slice(mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQACC + 1)


class MujocoVectorEnv(TaskVectorEnv):
    """A batch of robots, each with its task and, where tasks say so, its own body.

    A simulation that diverges ends its trajectory: ``terminations`` and ``info["diverged"]`` mark
    it, its reward is 0, and it is started anew. The others are not touched. Environments that have
    ended are not simulated until they are reset.

    Args:
        family: what to run.
        num_envs: number of environments.
        max_episode_steps: time limit in steps.
        autoreset_mode: as in gymnasium.
        num_threads: physics threads; 0 for all cores that the process may run on, which those
            of ``torchrun`` on a machine share.
        dtype: of the observations.
        render_mode: ``rgb_array`` for :meth:`render`.
    """

    def __init__(
        self,
        family: MujocoFamily,
        num_envs: int,
        max_episode_steps: int,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        *,
        num_threads: int = 0,
        dtype: Literal["float32", "float64"] = "float32",
        render_mode: Literal["rgb_array"] | None = None,
    ) -> None:
        if dtype not in ("float32", "float64"):
            raise ValueError(f"dtype must be float32 or float64, got {dtype!r}")
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, got {num_envs}")
        if num_threads < 0:
            raise ValueError(f"num_threads must be at least 0, got {num_threads}")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode must be rgb_array or None, got {render_mode!r}")
        self.family = family
        self.render_mode = render_mode
        self._painter: Painter | None = None
        model, robot = family.robot.model, family.robot
        # a batch that persists goes on from the stages that were computed after a step
        persistent = family.with_contacts or family.stage != mujoco.mjtStage.mjSTAGE_NONE
        self.batch = Batch(model, num_envs, num_threads or own_cores(), persistent=persistent)
        self.dt = float(model.opt.timestep) * robot.frame_skip
        self._contacts = ContactForces(self.batch) if family.with_contacts else None
        self.physics = self._views()
        self._ctrl = self.batch.bind("ctrl")
        self._unstable = self.batch.warning[:, _UNSTABLE, 1]
        self._num_unstable = self._unstable.sum(1)
        self._dtype = np.dtype(dtype)
        low, high = action_bounds(model)
        check_declaration(family, self.physics)
        size = self._observe().shape[1]
        super().__init__(
            num_envs,
            observation_space=spaces.Box(-np.inf, np.inf, (size,), dtype=self._dtype.type),
            action_space=spaces.Box(low, high, dtype=np.float32),
            task_distribution=family.task_distribution,
            max_episode_steps=max_episode_steps,
            autoreset_mode=autoreset_mode,
        )
        frames = {"render_modes": ["rgb_array"], "render_fps": round(1 / self.dt)}
        self.metadata = {**self.metadata, **frames}

    def render(self) -> tuple[NDArray[np.uint8], ...]:
        """A picture of every environment, ``[height, width, 3]`` each."""
        if self.render_mode is None:
            raise ValueError("pictures need render_mode='rgb_array' when the environment is made")
        if self._painter is None:
            self._painter = Painter(self.batch.model)
        return tuple(self._painter.draw(qpos) for qpos in self.physics.qpos)

    def close_extras(self, **kwargs: Any) -> None:
        """Close what drew pictures."""
        if self._painter is not None:
            self._painter.close()

    def set_state(self, rows: Bools, qpos: Array, qvel: Array) -> None:
        """Put simulations at rest in a state, as gymnasium's ``reset`` does.

        Args:
            rows: which ones, ``[num_envs]``.
            qpos: positions of those, ``[rows.sum(), nq]``.
            qvel: velocities, ``[rows.sum(), nv]``.
        """
        self.batch.reset(rows, stage=mujoco.mjtStage.mjSTAGE_NONE)
        self.physics.qpos[rows] = qpos
        self.physics.qvel[rows] = qvel
        self.batch.forward(rows)
        if self._contacts is not None:
            self._contacts.values[rows] = 0.0
            if self.family.contacts_of_now:
                self._contacts.compute(rows)

    def _views(self) -> Physics:
        names = [name for name in self.family.derived_fields if name != "cfrc_ext"]
        derived = {name: self.batch.bind(name) for name in names}
        if self._contacts is not None:
            derived["cfrc_ext"] = self._contacts.values
        return Physics(self.batch.bind("qpos"), self.batch.bind("qvel"), derived)

    def _start(self, rows: Bools) -> None:
        self.set_state(rows, *self.family.robot.start(self._random(rows), int(rows.sum())))

    def _change_tasks(self, rows: Bools, tasks: Task) -> None:
        fields = self.family.dynamics(tasks)
        if fields:
            check_fields(self.batch.model, fields)
            for name, values in fields.items():
                self.batch.expand(name)[rows] = values
            self.batch.set_const(rows)

    def _advance(self, actions: NDArray[Any]) -> tuple[Array, Bools, dict[str, Array]]:
        actions = self._checked(actions)
        ids = ~self._finished if self._finished.any() else None
        before = self.family.position(self.physics).copy()
        self._ctrl[...] = actions
        diverged = self._simulate(ids)
        velocity = (self.family.position(self.physics) - before) / self.dt
        rewards = self.family.reward(Step(self.physics, velocity, actions, self._tasks))
        terminated = self.family.terminated(self.physics)
        if diverged.any():
            rewards, terminated = np.where(diverged, 0.0, rewards), terminated | diverged
        return np.asarray(rewards, np.float64), terminated, {"diverged": diverged}

    def _simulate(self, ids: Bools | None) -> Bools:
        """One environment step of the chosen simulations; those that diverged start anew."""
        diverged = np.zeros(self.num_envs, bool)
        try:
            self.batch.step(ids, nstep=self.family.robot.frame_skip, stage=self.family.stage)
        except SimulationError as error:
            diverged[error.ids] = True
        # MuJoCo resets an unstable simulation by itself and counts that in its warnings
        diverged |= self._unstable.sum(1) != self._num_unstable
        if not max(np.abs(part).max() for part in self.physics[:2]) < _MAX_STATE:
            calm = [(np.abs(part) < _MAX_STATE).all(1) for part in self.physics[:2]]
            diverged |= ~(calm[0] & calm[1])
        if diverged.any():
            self._start(diverged)
            self._num_unstable = self._unstable.sum(1)
        if self._contacts is not None:
            self._contacts.compute(~diverged if ids is None else ids & ~diverged)
        return diverged

    def _checked(self, actions: NDArray[Any]) -> NDArray[Any]:
        """The actions as an array of the right shape without NaN or infinity."""
        actions = np.asarray(actions)
        if actions.shape != self._ctrl.shape:
            raise ValueError(f"actions must be {self._ctrl.shape}, got {actions.shape}")
        finite = np.isfinite(actions)
        if not finite.all():
            bad = int(np.argmin(finite.all(1)))
            raise ValueError(f"the action of environment {bad} is {actions[bad].tolist()}")
        return actions

    def _observe(self) -> Array:
        parts = [part.reshape(len(part), -1) for part in self.family.observe(self.physics)]
        return np.concatenate(parts, axis=1, dtype=self._dtype, casting="same_kind")


def own_cores() -> int:
    """The share of this process, among those of ``torchrun``, in the cores of this machine.

    Never more than the process may run on, which a scheduler or ``taskset`` makes fewer; MuJoCo's
    own "all CPUs" are those of the machine.
    """
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    cores = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    return min(max(cores // processes, 1), allowed)
