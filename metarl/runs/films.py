"""Films of a run: one task before and after adaptation, in a single rendered environment."""

import os
import sys
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from metarl import report
from metarl.rl import Actor
from metarl.runs.errors import InputError
from metarl.types import Task, Video

DEFAULT_FPS = 30  # of environments that do not say


class Camera:
    """A single environment of a run's family that draws what it does.

    Args:
        make: makes the environment; options go to it.
        name: of the environment.
        horizon: longest trajectory.
        option: that asks for a film; errors name it.

    Raises:
        InputError: if the environment does not draw pictures.
    """

    def __init__(
        self, make: Callable[..., gym.Env[Any, Any]], name: str, horizon: int, option: str
    ) -> None:
        self._name = name
        self._option = option
        self._horizon = horizon
        if sys.platform == "linux" and "DISPLAY" not in os.environ:
            os.environ.setdefault("MUJOCO_GL", "egl")  # read when a first picture is drawn
        self._env = self._drawing(make)
        self.fps = float(self._env.metadata.get("render_fps", DEFAULT_FPS))

    def film(self, task: Task, actor: Actor, seed: int) -> tuple[Video, float]:
        """One trajectory of the actor's mean actions; also its return."""
        self._env.set_wrapper_attr("task", task)
        observation, _ = self._env.reset(seed=seed)
        frames, total = [self._picture()], 0.0
        for _ in range(self._horizon):
            action, _ = actor.predict(observation, deterministic=True)
            observation, reward, terminated, truncated, _ = self._env.step(action)
            frames.append(self._picture())
            total += float(reward)
            if terminated or truncated:
                break
        return Video(np.stack(frames), self.fps), total

    def start(self, task: Task, seed: int) -> NDArray[np.uint8]:
        """How a task looks at the start of a trajectory."""
        self._env.set_wrapper_attr("task", task)
        self._env.reset(seed=seed)
        return self._picture()

    def both(self, task: Task, actors: tuple[Actor, Actor], seed: int) -> Video:
        """A task before and after adaptation, from the same start, side by side."""
        (before, first), (after, last) = (self.film(task, actor, seed) for actor in actors)
        captions = [f"before: return {first:.1f}", f"after: return {last:.1f}"]
        return report.side_by_side([before, after], captions)

    def _drawing(self, make: Callable[..., gym.Env[Any, Any]]) -> gym.Env[Any, Any]:
        modes = self._try(lambda: make().metadata)
        if "rgb_array" not in modes.get("render_modes", ()):
            raise InputError(
                f"--{self._option}: --env {self._name} draws no pictures: its render_modes are "
                f"{list(modes.get('render_modes', ()))} and lack rgb_array"
            )
        env: gym.Env[Any, Any] = self._try(lambda: make(render_mode="rgb_array"))
        return env

    def _picture(self) -> NDArray[np.uint8]:
        picture = self._try(self._env.render)
        return np.asarray(picture, np.uint8)

    def _try(self, action: Callable[[], Any]) -> Any:
        # what a missing OpenGL raises depends on the platform and the library
        try:
            return action()
        except (AttributeError, ImportError, RuntimeError, TypeError, gym.error.Error) as error:
            raise InputError(
                f"--{self._option}: --env {self._name} cannot be drawn here: {error} (without a "
                "screen MuJoCo needs libEGL, or MUJOCO_GL=osmesa and libOSMesa)"
            ) from error
