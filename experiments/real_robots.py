"""Robots that stand for real ones: gymnasium and MuJoCo's C simulation alone, nothing of ours.

Double precision, one robot, one step at a time. As they are made by default they are gymnasium's
HalfCheetah-v5 (with the control cost of ours) and Pendulum-v1; a :class:`Reality` is how a robot
differs from that: other gains of its motors, actions that arrive late, sensors with noise, another
friction. ``HALF_CHEETAH`` and ``PENDULUM`` are those of ``sim_to_real.py``, outside the families
that is trained on. (A weaker motor alone would be a heavier pole of the pendulum's family; late
actions, noise and friction are in neither.)
"""

from abc import ABC, abstractmethod
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import mujoco
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ASSETS = Path(gym.__file__).parent / "envs" / "mujoco" / "assets"
PENDULUM_XML = """
<mujoco model="pendulum">
  <option timestep="0.05" gravity="0 0 -10"/>
  <worldbody>
    <body name="pole">
      <inertial pos="0 0 0.5" mass="1" diaginertia="0.08333333333333333 0.08333333333333333 0.001"/>
      <joint name="hinge" type="hinge" axis="0 1 0"/>
    </body>
  </worldbody>
  <actuator>
    <motor name="hinge" joint="hinge" ctrllimited="true" ctrlrange="-2 2"/>
  </actuator>
</mujoco>
"""
"""A thin rod, upright at angle 0."""


class Reality(NamedTuple):
    """How a robot differs from its simulator; by default in nothing."""

    gains: tuple[float, ...] = (1.0,)
    """Of the motors: multiples of the torque that they say they give; one for all, or each."""
    delay: int = 0
    """Steps that an action is under way to them; until the first arrives they rest."""
    angle_noise: float = 0.0
    """Standard deviation of what sensors of positions and angles add, m or rad."""
    speed_noise: float = 0.0
    """The same of speeds, m/s or rad/s."""
    elliptic: bool = False
    """Friction of contacts: an elliptic cone instead of a pyramid."""
    dry_friction: float = 0.0
    """Of hinges: the torque that moves them at all, N m."""
    damping: float = 0.0
    """Of hinges besides, N m s/rad."""


NOMINAL = Reality()
HALF_CHEETAH = Reality(
    gains=(0.7, 0.9, 0.6, 0.8, 1.1, 0.7),
    delay=2,
    angle_noise=0.01,
    speed_noise=0.1,
    elliptic=True,
)
PENDULUM = Reality(
    gains=(0.7,), delay=2, angle_noise=0.02, speed_noise=0.1, dry_friction=0.05, damping=0.05
)


class RealRobot(gym.Env[Array, NDArray[np.float32]], ABC):
    """A robot with a time limit of its own; rewards are measured from outside, without noise.

    Args:
        model: of the robot, its own.
        reality: how it differs.
        frame_skip: steps of the simulation to one of control.
        horizon: steps after which it is put back.
    """

    def __init__(
        self, model: mujoco.MjModel, reality: Reality, *, frame_skip: int, horizon: int
    ) -> None:
        model.actuator_gear[:, 0] *= reality.gains
        model.dof_frictionloss += reality.dry_friction
        model.dof_damping += reality.damping
        if reality.elliptic:
            model.opt.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
        mujoco.mj_setConst(model, mujoco.MjData(model))
        self.reality = reality
        self.horizon = horizon
        self.data = mujoco.MjData(model)
        self._model, self._frame_skip = model, frame_skip
        low, high = model.actuator_ctrlrange.T.astype(np.float32)
        self.action_space = gym.spaces.Box(low, high)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Put it back, with no action under way."""
        super().reset(seed=seed)
        mujoco.mj_resetData(self._model, self.data)
        self.data.qpos[:], self.data.qvel[:] = self._start()
        mujoco.mj_forward(self._model, self.data)
        self._time = 0
        self._under_way = deque([np.zeros(self._model.nu)] * self.reality.delay)
        return self._sensed(), {}

    def step(self, action: NDArray[np.float32]) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """One step of control; it never ends by itself."""
        before = self.data.qpos.copy(), self.data.qvel.copy()
        self._under_way.append(np.asarray(action, np.float64))
        self.data.ctrl[:] = self._under_way.popleft()
        mujoco.mj_step(self._model, self.data, nstep=self._frame_skip)
        self._time += 1
        reward = self._reward(*before, np.asarray(action, np.float64))
        return self._sensed(), reward, False, self._time >= self.horizon, {}

    def _sensed(self) -> Array:
        """What the sensors say."""
        angles, speeds = map(self.np_random.standard_normal, (self._model.nq, self._model.nv))
        return self._observation(
            self.data.qpos + self.reality.angle_noise * angles,
            self.data.qvel + self.reality.speed_noise * speeds,
        )

    @abstractmethod
    def _start(self) -> tuple[Array, Array]:
        """Positions and velocities to begin with, drawn."""

    @abstractmethod
    def _observation(self, qpos: Array, qvel: Array) -> Array:
        """Of sensed positions and velocities."""

    @abstractmethod
    def _reward(self, qpos: Array, qvel: Array, action: Array) -> float:
        """Of the step from there, by the action as it was commanded."""


class RealHalfCheetah(RealRobot):
    """dx/dt - 0.05 ||a||²; control steps of 0.05 s."""

    def __init__(self, reality: Reality = NOMINAL, *, horizon: int = 200) -> None:
        model = without_warning(ASSETS / "half_cheetah.xml")
        super().__init__(model, reality, frame_skip=5, horizon=horizon)
        self.observation_space = gym.spaces.Box(
            -np.inf, np.inf, (model.nq - 1 + model.nv,), np.float64
        )

    def _start(self) -> tuple[Array, Array]:
        qpos = self._model.qpos0 + self.np_random.uniform(-0.1, 0.1, self._model.nq)
        return qpos, 0.1 * self.np_random.standard_normal(self._model.nv)

    def _observation(self, qpos: Array, qvel: Array) -> Array:
        return np.concatenate([qpos[1:], qvel])

    def _reward(self, qpos: Array, qvel: Array, action: Array) -> float:
        velocity = (self.data.qpos[0] - qpos[0]) / (self._frame_skip * self._model.opt.timestep)
        return float(velocity - 0.05 * np.sum(action**2))


class RealPendulum(RealRobot):
    """-(θ² + 0.1 θ'² + 0.001 a²) before the step; control steps of 0.05 s.

    Pendulum-v1 stops at 8 rad/s. Here only the sensor does.
    """

    def __init__(self, reality: Reality = NOMINAL, *, horizon: int = 200) -> None:
        model = mujoco.MjModel.from_xml_string(PENDULUM_XML)
        super().__init__(model, reality, frame_skip=1, horizon=horizon)
        high = np.array([1.0, 1.0, 8.0])
        self.observation_space = gym.spaces.Box(-high, high, dtype=np.float64)

    def _start(self) -> tuple[Array, Array]:
        angle, speed = self.np_random.uniform([-np.pi, -1.0], [np.pi, 1.0])
        return np.array([angle]), np.array([speed])

    def _observation(self, qpos: Array, qvel: Array) -> Array:
        return np.concatenate([np.cos(qpos), np.sin(qpos), np.clip(qvel, -8.0, 8.0)])

    def _reward(self, qpos: Array, qvel: Array, action: Array) -> float:
        angle = (qpos[0] + np.pi) % (2 * np.pi) - np.pi
        return float(-(angle**2 + 0.1 * qvel[0] ** 2 + 0.001 * action[0] ** 2))


def without_warning(path: Path) -> mujoco.MjModel:
    """Of a file, without the complaint about an attribute that nobody here can change."""
    previous = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda message: None)
    try:
        return mujoco.MjModel.from_xml_path(str(path))
    finally:
        mujoco.set_mju_user_warning(previous)
