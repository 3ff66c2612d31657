"""A run: its folder, config, learner and newest checkpoint, and what can be done with it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

from torch import Tensor

from metarl import sb3, training
from metarl.fewshot.configs import NormMode
from metarl.fewshot.episodic_learner import FewShotLearner
from metarl.fewshot.heads.configs import HeadName
from metarl.files import replacing
from metarl.report.curves import AdaptationCurve, adaptation_curve
from metarl.rl import Actor, Agent
from metarl.runs.adapt import AdaptationOptions
from metarl.runs.adapted_classifier import AdaptedClassifier
from metarl.runs.adapted_policy import AdaptedPolicy
from metarl.runs.agents import make_agent
from metarl.runs.build import Built
from metarl.runs.commands import settings_of
from metarl.runs.config import RunConfig, validated
from metarl.runs.dataset import DataSets
from metarl.runs.deployed import Format, export_policy
from metarl.runs.errors import InputError, input_errors, written
from metarl.runs.evaluate import (
    Evaluation,
    EvaluationOptions,
    draw,
    figures_of,
    final_scores,
    snapshot_of,
    write_json,
)
from metarl.runs.policy_files import read_policy
from metarl.runs.simulated import PolicyLearner, Simulated
from metarl.runs.sources import FOR_CLASSIFIERS, FOR_POLICIES, Environment, Given, Recordings
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

    def __repr__(self) -> str:
        return f"<Run {self.folder}, after {self.iteration} iterations>"

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
        snapshot = snapshot_of(test, curve)
        training.write_final(
            self.folder,
            self.iteration,
            snapshot,
            options=settings_of(self.config)
            | {"iterations": max(self.config.schedule.iterations, self.iteration)},
            scores=final_scores(curve, test.adaptation.measure, self.built.learner.num_steps),
            curve={
                "mean": curve.mean.tolist(),
                "ci95_low": curve.ci95[:, 0].tolist(),
                "ci95_high": curve.ci95[:, 1].tolist(),
                "iqm": curve.iqm.tolist(),
            },
        )
        pictures = draw(self.folder, self.iteration, test, snapshot)
        return Evaluation(test=test, curve=curve, record=record, pictures=pictures)

    @overload
    def adapt(
        self,
        *,
        task: dict[str, Any] | None = None,
        env: "Environment | None" = None,
        trajectories: Recordings | None = None,
        steps: int | None = None,
        num_trajectories: int | None = None,
        force: bool = False,
        seed: int = 0,
    ) -> AdaptedPolicy: ...

    @overload
    def adapt(
        self,
        *,
        support: tuple[Tensor, Sequence[str]],
        steps: int | None = None,
        norm: NormMode | None = None,
        head: HeadName | None = None,
        head_options: dict[str, Any] | None = None,
    ) -> AdaptedClassifier: ...

    def adapt(self, **options: Any) -> AdaptedPolicy | AdaptedClassifier:
        """Adapt to one task: a given one, that of an environment, or one that data are of.

        Args:
            **options: one of ``task``, ``env``, ``trajectories`` and ``support``, and what goes
                with it:

        Policies:

        - ``task``: entries that fit the task space, such as ``{"goal": [0.3, -0.4]}``.
        - ``env``: an id, a function, or a single or vector environment that there is, whose task
          nobody knows. The policy collects in it; one that was given stays open.
        - ``trajectories``: recorded ones (:class:`metarl.Trajectories`) or their file. Of several
          each is for one gradient step; the last also serves all later steps.
        - ``steps``: gradient steps, or trajectories where adaptation is without: 3 by default, and
          one a file of recorded ones.
        - ``num_trajectories``: that are collected a step, or trials; 40 by default.
        - ``force``: take recorded trajectories even where they are another policy's.
        - ``seed``: draws the noise.

        Classifiers:

        - ``support``: examples and the class of each. Images ``[S, C, H, W]`` uint8 or in [0, 1];
          rows ``[S, D]``, series ``[S, channels, time]`` as the file has them.
        - ``steps``: gradient steps, the classifier's own by default.
        - ``norm``: batch statistics of a query set; inductive by default.
        - ``head``: classify by this head on the run's features, such as ``simpleshot``, instead of
          the learner's own rule; ``head_options`` are its options.

        Raises:
            InputError: what is given does not fit the run.
        """
        given = Given(**options)
        plain = ("steps", "num_trajectories", "force", "seed", *FOR_CLASSIFIERS)
        validated(AdaptationOptions, {name: getattr(given, name) for name in plain})
        others = FOR_CLASSIFIERS if given.support is None else FOR_POLICIES
        for name in others:
            if getattr(given, name) not in (None, False):
                whom = "few-shot runs" if given.support is None else "policies"
                raise InputError(f"is for {whom}", name)
        if given.support is not None:
            chosen = {name: getattr(given, name) for name in ("steps", *FOR_CLASSIFIERS)}
            return self.classifiers.adapt_to(given.support, **chosen)
        return self.policies.adapted(self.policies.source(given), given.steps)

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

    def export_onnx(self, path: str | Path, *, policy: str | Path | None = None) -> list[Path]:
        """Write a policy as an ONNX graph of one step; its state, where it adapts, is in and out.

        Args:
            path: the .onnx file.
            policy: a policy.pt adapted from this run, instead of the run's own.

        Returns:
            The files that were written.

        Raises:
            InputError: the file cannot be written, or not hold the policy.
        """
        return self._deployed(path, policy, "onnx")

    def export_numpy(self, path: str | Path, *, policy: str | Path | None = None) -> list[Path]:
        """Write a policy as arrays, and ``numpy_agent.py``, which reads them and needs NumPy alone.

        The same but for the file, a .npz.
        """
        return self._deployed(path, policy, "numpy")

    def _deployed(self, path: str | Path, policy: str | Path | None, kind: Format) -> list[Path]:
        learner = self.policies.learner
        return export_policy(learner if policy is None else self._actor(Path(policy)), path, kind)

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
