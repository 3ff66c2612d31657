"""A task family and a policy that adapts to its tasks: what a run about them does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import gymnasium as gym

from metarl import report, training
from metarl.files import NonFiniteError
from metarl.memory import check_memory
from metarl.rl import (
    Actor,
    Agent,
    DeviceEnvs,
    RecordedTrajectories,
    SimulatedTasks,
    Source,
    TaskEnvs,
    UnknownTask,
)
from metarl.rl.env_faults import EnvironmentFaultError
from metarl.rl.plain_spaces import num_bytes
from metarl.rl.simulation import plain_tasks
from metarl.runs.adapt import AdaptationOptions
from metarl.runs.adapted_policy import AdaptedPolicy
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
)
from metarl.runs.facts import EnvFacts, checked_task
from metarl.runs.films import Camera
from metarl.runs.sources import FOR_CLASSIFIERS, Given, source_of
from metarl.types import Adaptation, Metrics, Task, TasksDone, Video

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
        self, source: Source, steps: int, step_sizes: Sequence[float] = ()
    ) -> Adaptation[Actor | Agent]:
        """Adapt to tasks; with step sizes, of learners by gradients, to one a step."""
        ...

    def actor(self) -> Actor:
        """The unadapted policy."""
        ...


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
    short_name: str
    """Environment or data set, as names of run folders have it."""
    opening: str = ""
    """What is said of it before training; perhaps nothing."""
    films: "training.Films | None" = None
    """To make while training."""

    @property
    def problem(self) -> EnvProblem:
        """What the run is about."""
        assert isinstance(self.config.problem, EnvProblem)
        return self.config.problem

    def test(self, options: EvaluationOptions, progress: TasksDone) -> Test:
        """Adapt to held-out tasks."""
        for name in ("num_ways", "num_shots", "num_queries", *FOR_CLASSIFIERS):
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
                "env_kwargs": self.problem.env_kwargs,
                "env_steps": self.learner.env_steps,
                "tasks": plain_tasks(adaptation.tasks),
                "held_out": adaptation.held_out,
                "trajectories": trajectories,
                **adaptation.figures,
            },
        )

    def adapted(self, source: Source, steps: int | None) -> AdaptedPolicy:
        """The policy that is adapted to the one task of a source.

        Raises:
            InputError: the learner has no policy to keep, or cannot adapt to such a source.
        """
        if not isinstance(source, RecordedTrajectories | UnknownTask):
            self.check_policy()
        num_steps = (source.default_steps or NUM_STEPS) if steps is None else steps
        adaptation = self.adapt(source, num_steps, count="num_trajectories")
        return AdaptedPolicy(
            policy=adaptation.model(0, True),
            task=adaptation.tasks[0],
            adaptation=adaptation,
            record={
                "env": self.config.subject,
                "learner": self.config.learner,
                "task": plain_tasks(adaptation.tasks)[0] or None,
                "steps": list(range(num_steps + 1)),
                "returns": adaptation.values[:, 0].tolist(),
                **source.facts,
                **adaptation.figures,
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
        for name in ("support", "query", "skip_bad", *FOR_CLASSIFIERS):
            if getattr(options, name):
                raise InputError("is for few-shot runs; this is a policy", name)
        given = Given(
            task=options.task,
            env=options.env if options.task is None else None,
            trajectories=options.trajectories or None,
            num_trajectories=options.num_trajectories,
            force=options.force,
            seed=options.seed,
        )
        source = self.source(given)
        if given.task is not None:
            self.check_policy()
        if options.video is not None and options.task is None:
            raise InputError("films a given task: --task", "video")
        film = None if options.video is None else self.camera("video")
        make_folders(output=output, video=None if options.video is None else options.video.parent)
        adapted = self.adapted(source, options.steps)
        lines = adapted.keep(output)
        if film is not None and options.video is not None:
            report.write_mp4(options.video, adapted.film(film, options.seed))
            lines.append(f"video: {options.video}")
        return lines

    def adapt(
        self,
        source: Source,
        steps: int,
        step_sizes: Sequence[float] = (),
        *,
        count: str = "trajectories",
    ) -> Adaptation[Actor | Agent]:
        """To a source; :class:`InputError` for step sizes, trajectories or data it cannot take.

        ``count`` is the option of how many trajectories are collected.
        """
        try:
            return self.learner.adapt(source, steps, step_sizes)
        except (EnvironmentFaultError, InputError, NonFiniteError):
            raise
        except ValueError as error:
            text, option = str(error), "inner_lr" if step_sizes else source.option
            if text.startswith("num_trajectories ") and option != "trajectories":
                text, option = text.removeprefix("num_trajectories "), count
            if option is None:
                raise
            raise InputError(text, option) from error

    def source(self, given: Given) -> Source:
        """What to adapt to; :class:`InputError` if it does not fit."""
        if given.env == self.problem.env:
            # the run's own family by its id: with the run's options, physics perhaps among them
            given = replace(given, env_kwargs=self.problem.env_kwargs)
        return source_of(given, self.facts, self.given_task)

    def tasks(
        self,
        num_tasks: int,
        trajectories: int,
        seed: int,
        given: Sequence[Task] | None = None,
        *,
        count: str = "trajectories",
    ) -> SimulatedTasks:
        """Tasks of the family: held-out ones, or those that are given."""
        self._check_memory(trajectories, count)
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

    def _check_memory(self, trajectories: int, count: str) -> None:
        facts = self.facts
        step = num_bytes(facts.observation_space) + num_bytes(facts.action_space)
        with input_errors(count):
            check_memory(trajectories * facts.horizon * step, str(trajectories))

    def given_task(
        self, task: dict[str, Any], trajectories: int | None, seed: int
    ) -> SimulatedTasks:
        """One task, as the environment has it; :class:`InputError` if it does not fit."""
        checked = checked_task(self.make_env(1), task)
        num = trajectories or NUM_TRAJECTORIES
        return self.tasks(1, num, seed, [checked], count="num_trajectories")

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

    def report(self, metrics: Metrics) -> str:
        """What is said of an iteration with an evaluation; empty of others."""
        if "eval/validation" not in metrics:
            return ""
        return "held-out return {:.2f} -> {:.2f}".format(*ends_of(metrics, "eval"))
