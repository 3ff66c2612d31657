"""Agents: policies that act and adapt at once, one environment step at a time.

Nothing in here knows an environment: whoever has a robot tells the agent what happened.
"""

import math
import operator
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metarl.files import FileError, NonFiniteError, load_weights, one_error, save_weights
from metarl.rl.acting import Acted, checked_rows
from metarl.rl.actions import ActionMap
from metarl.rl.observations import ObservationView


class Step(NamedTuple):
    """What an agent was told of one step, checked."""

    observation: NDArray[np.float32]
    """Flattened, ``[D]``."""
    raw_action: NDArray[np.float32]
    """As the policy emitted it, ``[A]``; the index of a discrete one, ``[1]``."""
    reward: float
    next_observation: NDArray[np.float32]
    """``[D]``."""
    terminated: bool
    truncated: bool


class Agent(ABC):
    """Acts, is told what came of it, and adapts.

    A loop with one real robot, whose task stays the same from one trajectory to the next::

        agent.reset()                                    # a task that is not known yet
        for _ in range(trajectories):
            observation = robot.reset()
            while True:
                acted = agent.act(observation)
                after, reward, terminated, truncated = robot.step(acted.action)
                agent.observe(observation, acted, reward, after, terminated, truncated)
                observation = after
                if terminated or truncated:              # the agent knows: the next is a new one
                    break

    Args:
        observation_shape: of one observation.
        noise_size: A, numbers that an action is drawn by.
        choices: how many each of the actions is of; empty where they are continuous.
        to_env: from the policy's actions to the environment's.
        seed: of the action noise.
    """

    def __init__(
        self,
        observation_shape: tuple[int, ...],
        noise_size: int,
        choices: tuple[int, ...],
        to_env: ActionMap,
        seed: int,
    ) -> None:
        self.observation_shape = observation_shape
        self.noise_size = noise_size
        self.choices = choices
        self.to_env = to_env
        self.num_transitions = 0
        """Observed since the task began."""
        self.num_trajectories = 0
        """Ended since the task began."""
        self.view: ObservationView | None = None
        """From what the environment gives, where policies see that as a vector or otherwise."""
        self._rng = np.random.default_rng(seed)
        self._under_way = False

    def reset(self) -> None:
        """Begin with a task that nothing is known of, and a new trajectory."""
        self.num_transitions = self.num_trajectories = 0
        self._under_way = False
        self._forget()

    def act(self, observation: Any, noise: Any = None) -> Acted:
        """An action for an observation; see :meth:`metarl.Actor.act`.

        Once a step: agents that remember take the observation in here.

        Args:
            observation: as the environment gives it, one.
            noise: ``[A]``; drawn from the agent's seed by default, zeros for the likeliest action.

        Raises:
            ValueError: observation or noise has another shape.
            NonFiniteError: a number is not finite, the action's included.
        """
        row = self._row(observation, "observation")
        if noise is None:
            given = self._noise()
        else:
            given = checked_rows(noise, (self.noise_size,), "noise")[0]
        acted = self._act(row, given)
        if not np.isfinite(acted.raw_action).all():
            raise NonFiniteError("the policy's action is not finite")
        return acted

    def observe(
        self,
        observation: Any,
        action: Any,
        reward: Any,
        next_observation: Any,
        terminated: Any,
        truncated: Any,
    ) -> None:
        """Take in one step, and adapt where the agent does so now.

        A step that ends a trajectory, by ``terminated`` or ``truncated``, makes the next one the
        first of another trajectory of the same task.

        Args:
            observation: that was acted on.
            action: what :meth:`act` gave, or the environment's action where somebody else acted.
            reward: of the step.
            next_observation: its true successor, also where the trajectory ended.
            terminated: whether the task ended the trajectory.
            truncated: whether a time limit or somebody else ended it.

        Raises:
            ValueError: something has another shape or is outside the environment's bounds.
            NonFiniteError: a number is not finite. Nothing is taken in then.
        """
        step = Step(
            self._row(observation, "observation"),
            action.raw_action if isinstance(action, Acted) else self._raw(action),
            _number(reward, "reward"),
            self._row(next_observation, "next_observation"),
            bool(terminated),
            bool(truncated),
        )
        self.num_transitions += 1
        self._under_way = not (step.terminated or step.truncated)
        self.num_trajectories += not self._under_way
        self._observe(step)

    def start_trajectory(self) -> None:
        """Say that the robot was put back without a step that said so; the task stays.

        As if the last step had been truncated. Where that had ended a trajectory, it does nothing.
        """
        if self._under_way:
            self._under_way = False
            self.num_trajectories += 1
            self._end_trajectory()

    def info(self) -> dict[str, Any]:
        """What the agent has seen and believes of the task, as plain data."""
        return {
            "num_transitions": self.num_transitions,
            "num_trajectories": self.num_trajectories,
            **self._info(),
        }

    def state(self) -> dict[str, Any]:
        """Everything that decides what it does next, as tensors and plain data."""
        return {
            "policy": self._digest(),
            "num_transitions": self.num_transitions,
            "num_trajectories": self.num_trajectories,
            "under_way": self._under_way,
            "noise": self._rng.bit_generator.state,
            "remembered": self._remembered(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`state` gave; :class:`ValueError` if another policy's agent did."""
        if state["policy"] != self._digest():
            raise ValueError("the state is of an agent with another policy")
        self._remember(state["remembered"])
        self.num_transitions = state["num_transitions"]
        self.num_trajectories = state["num_trajectories"]
        self._under_way = state["under_way"]
        self._rng.bit_generator.state = state["noise"]

    def save(self, path: str | Path) -> None:
        """Write :meth:`state` to a file."""
        save_weights(Path(path), "agent", self.state())

    def load(self, path: str | Path) -> None:
        """Take up what :meth:`save` wrote.

        Raises:
            FileError: it is damaged, something else, or of an agent with another policy.
        """
        content = load_weights(Path(path), "agent")
        with one_error(FileError, str(path)):
            self.load_state(content)

    def _row(self, values: Any, what: str) -> NDArray[np.float32]:
        if self.view is not None and not self.view.is_seen(values):
            values = self.view(values)
        rows = checked_rows(values, self.observation_shape, what)
        if len(rows) != 1 or np.ndim(values) > len(self.observation_shape):
            raise ValueError(f"{what} must be a single one, of shape {self.observation_shape}")
        row: NDArray[np.float32] = rows[0]
        return row

    def _raw(self, action: Any) -> NDArray[np.float32]:
        """The policy's action, of one that somebody else chose for the environment."""
        raw: NDArray[np.float32] = self.to_env.raw(action)
        if self.choices and not all(map(operator.contains, map(range, self.choices), raw)):
            raise ValueError(f"action must be one of {self.choices}, got {action}")
        return raw

    @abstractmethod
    def _noise(self) -> NDArray[np.float32]:
        """Of one action, from the agent's generator, ``[A]``."""

    @abstractmethod
    def _act(self, observation: NDArray[np.float32], noise: NDArray[np.float32]) -> Acted:
        """For ``[D]`` and ``[A]``."""

    @abstractmethod
    def _observe(self, step: Step) -> None:
        """Take it in."""

    @abstractmethod
    def _end_trajectory(self) -> None:
        """The step before was the last of its trajectory, after all."""

    @abstractmethod
    def _forget(self) -> None:
        """Everything about the task."""

    @abstractmethod
    def _info(self) -> dict[str, Any]:
        """What it believes."""

    @abstractmethod
    def _digest(self) -> str:
        """Of the weights that it begins with."""

    @abstractmethod
    def _remembered(self) -> dict[str, Any]:
        """What is known about the task."""

    @abstractmethod
    def _remember(self, remembered: dict[str, Any]) -> None:
        """Take that back."""


def _number(value: Any, what: str) -> float:
    """One finite number."""
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} must be a number, got {value!r}") from error
    if not math.isfinite(number):
        raise NonFiniteError(f"{what} is not finite: {number}")
    return number
