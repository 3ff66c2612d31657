"""A run: its folder, config, learner and newest checkpoint, and what can be done with it."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, overload
from warnings import warn

from torch import Tensor, nn

from metarl import sb3
from metarl.fewshot.configs import NormMode
from metarl.fewshot.episodic_learner import FewShotLearner
from metarl.files import FileError, replacing
from metarl.report.curves import AdaptationCurve, adaptation_curve
from metarl.rl import Actor, Agent
from metarl.runs import environments
from metarl.runs.adapt import AdaptationOptions
from metarl.runs.adapted_classifier import AdaptedClassifier
from metarl.runs.agents import make_agent
from metarl.runs.build import BUILDERS, Built
from metarl.runs.config import CODEC, Checkpoint, RunConfig, read_config, validated
from metarl.runs.dataset import DataSets
from metarl.runs.errors import InputError, input_errors, written
from metarl.runs.evaluate import (
    NUM_STEPS,
    Evaluation,
    EvaluationOptions,
    draw,
    figures_of,
    write_json,
)
from metarl.runs.policy_files import read_policy
from metarl.runs.same_run import check_same_run
from metarl.runs.simulated import AdaptedPolicy, PolicyLearner, Simulated
from metarl.runs.user_objects import UserObjects, with_workers
from metarl.training import DeviceName
from metarl.training.checkpoint import BEST, load_checkpoint, load_newest
from metarl.types import TasksDone, unwatched


class Run:
    """A run folder's learner, at one of its checkpoints.

    Args:
        folder: the run folder.
        built: the problem with its learner, whose state is that of the checkpoint.
        iteration: of the checkpoint.
        seconds: of training until then.
    """

    def __init__(self, folder: Path, built: Built, iteration: int, seconds: float) -> None:
        self.folder = folder
        self.built = built
        self.iteration = iteration
        self.seconds = seconds

    @property
    def config(self) -> RunConfig:
        """Everything that decides the run."""
        return self.built.config

    @property
    def learner(self) -> PolicyLearner | FewShotLearner:
        """What was trained."""
        return self.built.learner

    def evaluate(self, *, progress: TasksDone = unwatched, **options: Any) -> AdaptationCurve:
        """The adaptation curve on held-out tasks, which is written to ``evaluation.json``, too.

        Args:
            progress: called with how many tasks are done, and of how many.
            options: of ``metarl evaluate``: ``tasks``, ``steps``, ``seed`` and so on.

        Raises:
            InputError: an option does not fit.
        """
        return self.measure(validated(EvaluationOptions, options), progress).curve

    def measure(self, options: EvaluationOptions, progress: TasksDone = unwatched) -> Evaluation:
        """:meth:`evaluate`, with all that is known of the curve."""
        test = self.built.test(options, progress)
        with input_errors():
            curve = adaptation_curve(test.adaptation.values, seed=options.seed)
        record = {
            "env": self.config.subject,
            "learner": self.config.learner,
            **figures_of(curve, test.adaptation, options.seed),
            **test.record,
            "iteration": self.iteration,
            "hours": self.seconds / 3600,
        }
        write_json(self.folder / "evaluation.json", record)
        return Evaluation(
            test=test,
            curve=curve,
            record=record,
            pictures=draw(self.folder, self.iteration, test, curve),
        )

    @overload
    def adapt(
        self,
        *,
        task: dict[str, Any],
        steps: int | None = None,
        trajectories: int | None = None,
        seed: int = 0,
    ) -> AdaptedPolicy: ...

    @overload
    def adapt(
        self,
        *,
        support: tuple[Tensor, Sequence[str]],
        steps: int | None = None,
        norm: NormMode | None = None,
    ) -> AdaptedClassifier: ...

    def adapt(
        self,
        *,
        task: dict[str, Any] | None = None,
        support: tuple[Tensor, Sequence[str]] | None = None,
        steps: int | None = None,
        trajectories: int | None = None,
        norm: NormMode | None = None,
        seed: int = 0,
    ) -> AdaptedPolicy | AdaptedClassifier:
        """Adapt to one task.

        Args:
            task: of policies: entries that fit the task space, such as ``{"goal": [0.3, -0.4]}``.
            support: of classifiers: examples and the class of each. Images ``[S, C, H, W]`` uint8
                or in [0, 1]; rows ``[S, D]``, series ``[S, channels, time]`` as the file has them.
            steps: gradient steps, or trajectories where adaptation is without; 3, and a
                classifier's own, by default.
            trajectories: policies: a step, or trials; 40 by default.
            norm: classifiers: batch statistics of a query set; inductive by default.
            seed: policies: draws the noise.

        Raises:
            InputError: what is given does not fit the run.
        """
        plain = {"steps": steps, "trajectories": trajectories, "norm": norm, "seed": seed}
        validated(AdaptationOptions, plain)
        policies = {"task": task, "trajectories": trajectories}
        for name, value in ({"norm": norm} if support is None else policies).items():
            if value is not None:
                whom = "few-shot runs" if support is None else "policies"
                raise InputError(f"is for {whom}", name)
        if support is not None:
            return self.classifiers.adapt_to(support, steps=steps, norm=norm)
        if task is None:
            raise InputError("is missing: the task to adapt to", "task")
        source = self.policies.given_task(task, trajectories, seed)
        return self.policies.adapted(source, steps or NUM_STEPS)

    def agent(self, *, trajectories: int | None = None, seed: int = 0) -> Agent:
        """An agent that acts and adapts while it acts, without any environment.

        It has copies of all weights, on the CPU. ``proto-embedding`` and ``rl2`` adapt with every
        step, learners by gradients after every ``trajectories``; what does not adapt only acts.

        Args:
            trajectories: of learners by gradients: a step; as many as in training by default.
            seed: of the action noise.

        Raises:
            InputError: the run has no such agent.
        """
        return make_agent(self.policies, trajectories, seed)

    def export(self, path: str | Path, *, policy: str | Path | None = None) -> None:
        """Write a policy as a PPO model that stable-baselines3 loads and goes on training.

        Args:
            path: the .zip file.
            policy: a policy.pt adapted from this run, instead of the meta-learned policy.

        Raises:
            InputError: the run has no such policy, or the file cannot be written.
        """
        env = self.policies.make_single()
        with input_errors(prefix=f"{self.folder}: "), written(path, "sb3"):
            actor = self._actor(None if policy is None else Path(policy))
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with replacing(Path(path)) as file:
                sb3.to_sb3(actor, env).save(file)

    def _actor(self, adapted: Path | None) -> Actor:
        """The policy to export: the run's own, or an adapted one of its shape."""
        actor = self.policies.learner.actor()
        if adapted is None:
            return actor
        other = read_policy("policy", adapted, 1.0)
        if other.spec != actor.spec:
            raise InputError(f"{adapted} has not the shape of {self.folder}'s policy", "policy")
        return other

    @property
    def policies(self) -> Simulated:
        """The task family; :class:`InputError` if the run is about a data set."""
        if not isinstance(self.built, Simulated):
            raise InputError(f"{self.folder} is a few-shot run, and that is for policies")
        return self.built

    @property
    def classifiers(self) -> DataSets:
        """The data sets; :class:`InputError` if the run is about a task family."""
        if not isinstance(self.built, DataSets):
            raise InputError(f"{self.folder} is a policy, and that is for few-shot runs")
        return self.built


def load_run(  # noqa: PLR0913  # the options of opening a run
    folder: str | Path,
    *,
    device: DeviceName | None = None,
    env: "environments.EnvSource | None" = None,
    policy: nn.Module | None = None,
    backbone: nn.Module | None = None,
    allow_code: bool = False,
    checkpoint: Checkpoint = "latest",
    workers: int | None = None,
    say: Callable[[str], None] = warn,
) -> Run:
    """A run with the state of one of its checkpoints.

    No environment is made and no data set read before they are needed.

    Args:
        folder: the run folder.
        device: instead of the run's own.
        env: where the run's environment was an object; or another one with the same spaces.
        policy: where the policy's network was the user's own: another of its kind.
        backbone: the same of a classifier.
        allow_code: import modules that the run's config names from the current folder, too;
            without it only what is installed.
        checkpoint: the newest good one, or the one that did best in validation.
        workers: processes of environments, instead of the run's own number.
        say: called with one line when something is worth saying.

    Raises:
        InputError: it is no run folder, or has no usable checkpoint.
    """
    run, _ = load(
        Path(folder),
        device,
        UserObjects(
            env=env, network=policy, backbone=backbone, allow_code=allow_code, workers=workers
        ),
        say,
        which=checkpoint,
    )
    return run


def load(
    folder: Path,
    device: DeviceName | None,
    given: UserObjects,
    say: Callable[[str], None],
    iterations: int | None = None,
    *,
    which: Checkpoint = "latest",
) -> tuple[Run, dict[str, Any]]:
    """:func:`load_run`, perhaps to go on to more iterations, and the content of the checkpoint."""
    config = read_config(folder)
    # beyond the run's own number a step size that decays would be 0
    num_iterations = max(iterations or 0, config.schedule.iterations)
    # its weights are in the checkpoint: what it started from may be gone; so may its processors
    used = replace(
        config,
        problem=with_workers(config.problem, given),
        init_from=None,
        device=device or config.device,
        schedule=replace(config.schedule, iterations=num_iterations),
        threads=min(config.threads, os.cpu_count() or 1),
    )
    if used.threads < config.threads:
        say(f"threads: {used.threads} of {config.threads}, there are no more processors here")
    built = BUILDERS[type(used.problem)](used, given, say)
    path, best = folder / "checkpoints", which == "best"
    try:
        checkpoint, problems = (load_checkpoint(path / BEST), []) if best else load_newest(path)
        built.learner.load_state_dict(checkpoint["learner"])
        check_same_run(CODEC.validate_json(checkpoint["config"]), config, folder)
    except FileError as error:
        raise InputError(str(error)) from error
    except InputError:
        raise
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"the checkpoint of {folder} does not fit its config.json: {str(error).splitlines()[0]}"
        ) from error
    for problem in problems:
        say(f"skipped: {problem}")
    return Run(folder, built, checkpoint["iteration"], checkpoint["seconds"]), checkpoint
