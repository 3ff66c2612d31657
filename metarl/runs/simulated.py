"""A task family and a policy that adapts to its tasks: what a run about them does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import gymnasium as gym
from numpy.typing import NDArray

from metarl import report, training
from metarl.memory import check_memory
from metarl.rl import Actor, DeviceEnvs, SimulatedTasks, TaskEnvs
from metarl.rl.plain_spaces import num_bytes
from metarl.rl.simulation import plain_tasks
from metarl.runs.adapt import AdaptationOptions
from metarl.runs.config import EnvProblem, RunConfig
from metarl.runs.errors import InputError, input_errors
from metarl.runs.evaluate import (
    NUM_STEPS,
    NUM_TASKS,
    NUM_TRAJECTORIES,
    EvaluationOptions,
    Test,
    ends_of,
    make_folders,
    planar_paths,
    write_json,
)
from metarl.runs.facts import EnvFacts, checked_task
from metarl.runs.films import Camera
from metarl.types import ActionArray, Adaptation, Metrics, Task, TasksDone, Video

NUM_ROWS = 400
"""Environments of an evaluation that are rows of one, however few training has."""
NUM_FILM_TRAJECTORIES = 20  # a step of adaptation, of the films that are made in training
NONE_HELD_OUT = "tasks (this family holds none out)"


class PolicyLearner(training.Learner, Protocol):
    """What learns a policy."""

    @property
    def env_steps(self) -> int:
        """Environment steps of training."""
        ...

    @property
    def num_steps(self) -> int:
        """Steps after which an evaluation in training looks."""
        ...

    def adapt(
        self, source: SimulatedTasks, steps: int, step_sizes: Sequence[float] = ()
    ) -> Adaptation[Actor]:
        """Adapt to tasks; with step sizes, of learners by gradients, to one a step."""
        ...

    def actor(self) -> Actor:
        """The unadapted policy."""
        ...


@dataclass(frozen=True, kw_only=True)
class AdaptedPolicy:
    """A policy that was adapted to one task."""

    policy: Actor
    """After adaptation."""
    task: Task
    adaptation: Adaptation[Actor]
    record: dict[str, Any]
    """The content of ``adaptation.json``."""

    @property
    def returns(self) -> list[float]:
        """Mean return after 0..K steps."""
        values: list[float] = self.adaptation.values[:, 0].tolist()
        return values

    def act(self, observation: NDArray[Any], *, deterministic: bool = True) -> ActionArray:
        """The environment's action for one observation; the mean action unless told otherwise."""
        action, _ = self.policy.predict(observation, deterministic=deterministic)
        return action

    def save(self, path: str | Path) -> None:
        """Write the policy to a file that :func:`metarl.load_policy` reads."""
        self.policy.save(Path(path))

    def film(self, camera: Camera, seed: int = 0) -> Video:
        """The task before and after adaptation, mean actions."""
        return camera.both(self.task, (self.adaptation.model(0, False), self.policy), seed)

    def keep(self, folder: Path) -> list[str]:
        """Write policy, figures and, in the plane, a picture; lines that say what came of it."""
        self.save(folder / "policy.pt")
        write_json(folder / "adaptation.json", self.record)
        paths = planar_paths(self.adaptation)
        if paths is not None:
            report.draw_paths(folder / "adaptation.png", paths[0])
        steps = len(self.returns) - 1
        unit = self.adaptation.unit.split()[-1]
        return [
            f"return before adaptation: {self.returns[0]:.2f}",
            f"return after {steps} {unit}: {self.returns[-1]:.2f}",
            f"adapted policy: {folder / 'policy.pt'}",
        ]


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """A task family, and the learner of a policy on it."""

    config: RunConfig
    """Of the run."""
    learner: PolicyLearner
    """Adapts to simulated tasks."""
    make_env: Callable[[int], TaskEnvs]
    """From a number of environments to a vector environment with tasks."""
    make_sampled: Callable[[int], TaskEnvs] | Callable[[int], DeviceEnvs]
    """The same as the learner's sampler takes them: perhaps on the device of the policy."""
    make_single: Callable[..., gym.Env[Any, Any]]
    """One environment of the family; options go to it."""
    only_tasks: Sequence[Task] | None = None
    """The one task of a run that has no others."""
    stem: str
    """What the name of a run folder starts with."""
    films: "training.Films | None" = None
    """To make while training."""

    @property
    def problem(self) -> EnvProblem:
        """What the run is about."""
        assert isinstance(self.config.problem, EnvProblem)
        return self.config.problem

    def test(self, options: EvaluationOptions, progress: TasksDone) -> Test:
        """Adapt to held-out tasks."""
        for name in ("num_ways", "num_shots", "num_queries", "norm"):
            if getattr(options, name) is not None:
                raise InputError("is for few-shot runs", name)
        trajectories = options.trajectories or NUM_TRAJECTORIES
        adaptation: Adaptation[Any] = self.adapt(
            replace(
                self.tasks(options.tasks or NUM_TASKS, trajectories, options.seed),
                progress=progress,
            ),
            NUM_STEPS if options.steps is None else options.steps,
            options.inner_lr,
        )
        kind = "held-out tasks" if adaptation.held_out else NONE_HELD_OUT
        num = len(adaptation.tasks)
        about = f"its one task, {num} times" if self.only_tasks else f"{num} {kind}"
        return Test(
            adaptation=adaptation,
            title=f"{self.config.learner} on {self.config.subject}: {about}",
            record={
                "env_steps": self.learner.env_steps,
                "tasks": plain_tasks(adaptation.tasks),
                "held_out": adaptation.held_out,
                "trajectories": trajectories,
                **adaptation.figures,
            },
        )

    def adapted(self, source: SimulatedTasks, steps: int) -> AdaptedPolicy:
        """The policy that is adapted to the one task of a source.

        Raises:
            InputError: the learner has no policy to keep.
        """
        self.check_policy()
        adaptation = self.adapt(source, steps)
        return AdaptedPolicy(
            policy=adaptation.model(0, True),
            task=adaptation.tasks[0],
            adaptation=adaptation,
            record={
                "env": self.config.subject,
                "learner": self.config.learner,
                "seed": source.seed,
                "task": plain_tasks(adaptation.tasks)[0],
                "steps": list(range(steps + 1)),
                "returns": adaptation.values[:, 0].tolist(),
                "trajectories": source.num_trajectories,
            },
        )

    def check_policy(self, prefix: str = "") -> None:
        """Raise an :class:`InputError`, with that prefix, if the learner has no policy to keep."""
        about = f"{prefix}{self.config.learner} adapts, but has no policy to keep: "
        with input_errors(prefix=about):
            self.learner.actor()

    def adapt_and_keep(
        self, options: AdaptationOptions, output: Path, say: Callable[[str], None]
    ) -> list[str]:
        """Adapt to a task, write what comes of it to a folder; lines that say what that was."""
        if options.support or options.query or options.skip_bad or options.norm:
            raise InputError(
                "--support, --query, --skip-bad and --norm are for few-shot runs; this is a policy"
            )
        if options.task is None:
            raise InputError("is missing: the task to adapt to, as JSON", "task")
        source = self.given_task(options.task, options.trajectories, options.seed)
        self.check_policy()
        film = None if options.video is None else self.camera("video")
        make_folders(output=output, video=None if options.video is None else options.video.parent)
        adapted = self.adapted(source, options.steps or NUM_STEPS)
        lines = adapted.keep(output)
        if film is not None and options.video is not None:
            report.write_mp4(options.video, adapted.film(film, options.seed))
            lines.append(f"video: {options.video}")
        return lines

    def adapt(
        self, source: SimulatedTasks, steps: int, step_sizes: Sequence[float] = ()
    ) -> Adaptation[Actor]:
        """To simulated tasks; :class:`InputError` for step sizes or trajectories it cannot take."""
        try:
            return self.learner.adapt(source, steps, step_sizes)
        except ValueError as error:
            name = "trajectories" if str(error).startswith("num_trajectories ") else "inner_lr"
            if name == "inner_lr" and not step_sizes:
                raise
            raise InputError(
                str(error).removeprefix("num_").removeprefix(f"{name} "), name
            ) from error

    def tasks(
        self, num_tasks: int, trajectories: int, seed: int, given: Sequence[Task] | None = None
    ) -> SimulatedTasks:
        """Tasks of the family: held-out ones, or those that are given."""
        self._check_memory(trajectories)
        if given is None and self.only_tasks is not None:
            given = [self.only_tasks[0]] * num_tasks
        return SimulatedTasks(
            make_env=self.make_sampled,
            num_tasks=num_tasks,
            num_trajectories=trajectories,
            seed=seed,
            tasks=given,
            num_envs=NUM_ROWS if self.facts.batched else None,
        )

    def _check_memory(self, trajectories: int) -> None:
        facts = self.facts
        step = num_bytes(facts.observation_space) + num_bytes(facts.action_space)
        with input_errors("trajectories"):
            check_memory(trajectories * facts.horizon * step, str(trajectories))

    def given_task(
        self, task: dict[str, Any], trajectories: int | None, seed: int
    ) -> SimulatedTasks:
        """One task, as the environment has it; :class:`InputError` if it does not fit."""
        checked = checked_task(self.make_env(1), task)
        return self.tasks(1, trajectories or NUM_TRAJECTORIES, seed, [checked])

    def camera(self, option: str) -> Camera:
        """What films an environment of the family, for an option that asks for it."""
        return Camera(self.make_single, self.problem.env, self.horizon, option)

    def training_films(self) -> "training.Films":
        """Films of one held-out task, always the same, by the policy of the moment."""
        self.check_policy("--video-every: ")
        camera, seed = self.camera("video-every"), self.config.seed

        def film() -> Video:
            source = self.tasks(1, NUM_FILM_TRAJECTORIES, seed)
            return self.adapted(source, self.learner.num_steps).film(camera, seed)

        film()  # fails early where no picture can be drawn
        return training.Films(self.problem.video_every, film)

    @property
    def horizon(self) -> int:
        """Longest trajectory, in steps."""
        return self.facts.horizon

    @property
    def facts(self) -> EnvFacts:
        """What the run was trained on."""
        assert self.problem.trained_on is not None
        return self.problem.trained_on

    def headline(self, metrics: Metrics) -> str:
        """What a progress bar says of an iteration."""
        return "return {:.1f} -> {:.1f}".format(*ends_of(metrics, "rollout"))

    def report(self, metrics: Metrics) -> str:
        """What is printed of an iteration with an evaluation, where there is no terminal."""
        if "eval/validation" not in metrics:
            return ""
        return "held-out return {:.2f} -> {:.2f}".format(*ends_of(metrics, "eval"))
