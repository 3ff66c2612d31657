"""Films of a run: one task before and after adaptation, in a single rendered environment."""

import os
import sys
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from metarl.cli.environments import check_id, make_single
from metarl.cli.runs import make_actor, make_sampler
from metarl.core import parameters_of, select
from metarl.report import side_by_side
from metarl.rl import Actor, MAMLLearner
from metarl.runs.config import EnvProblem
from metarl.runs.errors import InputError
from metarl.types import Video

Task = dict[str, NDArray[Any]]

DEFAULT_FPS = 30  # of environments that do not say
NUM_TRAJECTORIES = 20  # a step of adaptation, of the films that are made in training


class Camera:
    """A single environment of a run's family that draws what it does.

    Args:
        config: of the run.
        horizon: longest trajectory.
        option: of the command line that asks for a film; errors name it.

    Raises:
        InputError: if the environment does not draw pictures.
    """

    def __init__(self, config: EnvProblem, horizon: int, option: str) -> None:
        self._option = option
        self._horizon = horizon
        if sys.platform == "linux" and "DISPLAY" not in os.environ:
            os.environ.setdefault("MUJOCO_GL", "egl")  # read when a first picture is drawn
        self._env = self._drawing(config)
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

    def _drawing(self, config: EnvProblem) -> gym.Env[Any, Any]:
        check_id(config.env)
        kwargs: dict[str, Any] = {**config.env_kwargs, "disable_env_checker": True}
        modes = self._try(lambda: gym.make(config.env, **kwargs).metadata)
        if "rgb_array" not in modes.get("render_modes", ()):
            raise InputError(
                f"{self._option}: --env {config.env} draws no pictures: its render_modes are "
                f"{list(modes.get('render_modes', ()))} and lack rgb_array"
            )
        env: gym.Env[Any, Any] = self._try(
            lambda: make_single(
                config.env,
                {"render_mode": "rgb_array", **kwargs},
                show_task=config.algorithm.show_task,
            )
        )
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
                f"{self._option}: the environment cannot be drawn here: {error} (without a screen "
                "MuJoCo needs libEGL, or MUJOCO_GL=osmesa and libOSMesa)"
            ) from error


def film_adaptation(camera: Camera, task: Task, actors: tuple[Actor, Actor], seed: int) -> Video:
    """One task before and after adaptation, from the same start, side by side."""
    (before, first), (after, last) = (camera.film(task, actor, seed) for actor in actors)
    captions = [f"before: return {first:.1f}", f"after: return {last:.1f}"]
    return side_by_side([before, after], captions)


class TrainingFilms:
    """Films of one held-out task, always the same, by the policy of the moment.

    Args:
        config: of the run.
        learner: whose policy is filmed.
        option: of the command line that asks for films.
    """

    def __init__(self, config: EnvProblem, learner: MAMLLearner, option: str, seed: int) -> None:
        self._config = config
        self._seed = seed
        self._learner = learner
        self._sampler = make_sampler(config, num_tasks=1, num_trajectories=NUM_TRAJECTORIES)
        self._camera = Camera(config, self._sampler.horizon, option)

    def __call__(self) -> Video:
        """Adapt with the inner steps of training, then film."""
        seed = self._seed
        rng = np.random.default_rng((seed, 3))
        self._sampler.draw_tasks(rng, "held_out")
        sizes = max(self._learner.num_inner_steps, 1)
        noise = torch.Generator().manual_seed(seed)
        _, adapted = self._learner.adapt(self._sampler, sizes, rng, noise)
        parameters = parameters_of(self._learner.policy), select(adapted, 0)
        before, after = (make_actor(self._config, self._sampler, p) for p in parameters)
        task = self._sampler.env.get_attr("task")[0]
        return film_adaptation(self._camera, task, (before, after), seed)
