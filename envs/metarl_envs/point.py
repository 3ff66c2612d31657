"""Point-mass families in the plane: the state is a position, an action a clipped displacement.

* :class:`PointGoal`: 2-D navigation of the MAML paper, dense reward.
* :class:`PointGoalSparse`: goals on a half circle, reward only near the goal (PEARL).
* :class:`PointCorners`: four corners, reward only outside the start region (ProMP).

None of them shows its goal in the observation: it has to be found from rewards.
"""

from typing import Literal

import numpy as np
from gymnasium import spaces

from metarl_envs.arrays import NUMPY, Array, Arrays
from metarl_envs.family import Outcome
from metarl_envs.rows import Random
from metarl_envs.tasks import Choice, Product, Task, Uniform

POSITION_SPACE = spaces.Box(-np.inf, np.inf, (2,), dtype=np.float32)


def distance(x: Array, y: Array, arrays: Arrays = NUMPY) -> Array:
    """Euclidean distance of positions ``[..., 2]``, ``[...]``."""
    dx, dy = x[..., 0] - y[..., 0], x[..., 1] - y[..., 1]
    return arrays.xp.sqrt(dx * dx + dy * dy)


def _clip(action: Array, limits: tuple[Array, Array], arrays: Arrays) -> Array:
    # .clip costs several times these calls on a single environment's action
    xp, dtype, _ = arrays
    return xp.minimum(xp.maximum(xp.asarray(action, dtype=dtype), limits[0]), limits[1])


def _origin(leading: tuple[int, ...], arrays: Arrays) -> Array:
    return arrays.xp.zeros((*leading, 2), dtype=arrays.dtype, device=arrays.device)


def _nowhere(gap: Array, arrays: Arrays) -> Array:
    """No termination, for each of the distances."""
    return arrays.xp.zeros(gap.shape, dtype=arrays.xp.bool, device=arrays.device)


def _position(state: Array, arrays: Arrays) -> Array:
    return arrays.xp.asarray(state, dtype=arrays.xp.float32, copy=True)


class PointGoal:
    """2-D navigation to an unseen goal (Finn et al. 2017, section 5.3; ``point_env_randgoal``).

    * Observation: position (x, y), float32. Start (0, 0).
    * Action: displacement, each component clipped to ±0.1.
    * Task: ``goal`` uniform over [-0.5, 0.5]².
    * Reward: ``-||x' - goal||``, the plain distance after the move.
    * Ends: terminated when ``|x' - goal| < 0.01`` in both components; time limit 100.
    """

    step_limit = 0.1
    tolerance = 0.01
    observation_space = POSITION_SPACE
    action_space = spaces.Box(-step_limit, step_limit, (2,), dtype=np.float32)

    def __init__(self) -> None:
        self.arrays = NUMPY
        self.low, self.high = np.array(-self.step_limit), np.array(self.step_limit)
        self.task_distribution = Product({"goal": Uniform([-0.5, -0.5], 0.5)})

    def start(self, rng: Random, leading: tuple[int, ...]) -> Array:
        """The origin."""
        return _origin(leading, self.arrays)

    def step(self, state: Array, action: Array, task: Task, rng: Random) -> Outcome:
        """Move, then measure the distance."""
        state = state + _clip(action, (self.low, self.high), self.arrays)
        offset = state - task["goal"]
        close = abs(offset) < self.tolerance
        gap = distance(state, task["goal"], self.arrays)
        return Outcome(state, -gap, close[..., 0] & close[..., 1])

    def observe(self, state: Array, task: Task) -> Array:
        """The position."""
        return _position(state, self.arrays)


class PointGoalSparse:
    """Goals on the unit half circle with a reward that really is sparse (Rakelly et al. 2019).

    * Observation: position (x, y), float32. Start (0, 0).
    * Action: displacement, each component clipped to ±0.1.
    * Task: ``goal``, one of 100 at angles linspace(0, π) on the unit circle; a fixed fifth of them
      is held out. Any goal of [-1, 1]² can be given.
    * Reward: ``1 - ||x' - goal||`` within 0.2 of the goal, else 0. The released PEARL environment
      returns the dense distance from ``step`` and uses the sparse reward for context only; here
      ``step`` returns the sparse reward and nothing else.
    * Ends: never terminated; time limit 20.
    """

    step_limit = 0.1
    goal_radius = 0.2
    num_goals = 100
    observation_space = POSITION_SPACE
    action_space = spaces.Box(-step_limit, step_limit, (2,), dtype=np.float32)

    def __init__(self) -> None:
        self.arrays = NUMPY
        self.low, self.high = np.array(-self.step_limit), np.array(self.step_limit)
        self.nothing = np.array(0.0)
        angles = np.linspace(0.0, np.pi, self.num_goals)
        goals = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        space = spaces.Box(-1.0, 1.0, (2,), dtype=np.float64)
        held_out = range(2, self.num_goals, 5)  # 20 goals, none at the ends of the arc
        self.task_distribution = Product({"goal": Choice(goals, held_out, space)})

    def start(self, rng: Random, leading: tuple[int, ...]) -> Array:
        """The origin."""
        return _origin(leading, self.arrays)

    def step(self, state: Array, action: Array, task: Task, rng: Random) -> Outcome:
        """Move; reward only near the goal."""
        state = state + _clip(action, (self.low, self.high), self.arrays)
        gap = distance(state, task["goal"], self.arrays)
        reward = self.arrays.xp.where(gap <= self.goal_radius, 1.0 - gap, self.nothing)
        return Outcome(state, reward, _nowhere(gap, self.arrays))

    def observe(self, state: Array, task: Task) -> Array:
        """The position."""
        return _position(state, self.arrays)


class PointCorners:
    """Four corners, one of them the goal (Rothfuss et al. 2019; ``point_env_2d_corner``).

    * Observation: position (x, y), float32. Start uniform over [-0.2, 0.2]².
    * Action: displacement, each component clipped to ±0.2.
    * Task: ``goal`` uniform over {(±2, ±2)}. These four are all the tasks there are, so none is
      held out: training and evaluation share them (``task_distribution.disjoint`` is False).
    * Reward: ``sparse``: 0 within ||x'||₁ < 0.5; else, where the goal is the nearest corner, the
      progress ||x - goal|| - ||x' - goal||; else 0. ``dense``: -||x' - goal||; ``dense_squared``:
      its negated square.
    * Ends: never terminated; time limit 100.

    Args:
        reward: ``sparse``, ``dense`` or ``dense_squared``.
    """

    step_limit = 0.2
    corners = np.array([[-2.0, -2.0], [-2.0, 2.0], [2.0, -2.0], [2.0, 2.0]])
    observation_space = POSITION_SPACE
    action_space = spaces.Box(-step_limit, step_limit, (2,), dtype=np.float32)

    def __init__(self, reward: Literal["sparse", "dense", "dense_squared"] = "sparse") -> None:
        if reward not in ("sparse", "dense", "dense_squared"):
            raise ValueError(f"reward must be sparse, dense or dense_squared, got {reward!r}")
        self.arrays = NUMPY
        self.low, self.high = np.array(-self.step_limit), np.array(self.step_limit)
        self.nothing = np.array(0.0)
        self.reward = reward
        self.task_distribution = Product({"goal": Choice(self.corners)})

    def start(self, rng: Random, leading: tuple[int, ...]) -> Array:
        """Uniform in the start square."""
        return rng.uniform(-0.2, 0.2, (*leading, 2))

    def step(self, state: Array, action: Array, task: Task, rng: Random) -> Outcome:
        """Move; the reward depends on the variant."""
        moved = state + _clip(action, (self.low, self.high), self.arrays)
        goal = task["goal"]
        gap = distance(moved, goal, self.arrays)
        if self.reward == "sparse":
            # the nearest corner has the signs of the position; on an axis two are equally near
            alike, size = moved * goal >= 0, abs(moved)
            nearest = alike[..., 0] & alike[..., 1]
            outside = size[..., 0] + size[..., 1] >= 0.5
            progress = distance(state, goal, self.arrays) - gap
            reward = self.arrays.xp.where(nearest & outside, progress, self.nothing)
        else:
            reward = -gap if self.reward == "dense" else -(gap * gap)
        return Outcome(moved, reward, _nowhere(gap, self.arrays))

    def observe(self, state: Array, task: Task) -> Array:
        """The position."""
        return _position(state, self.arrays)
