"""A data set and a classifier that adapts to its classes: what a run about them does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from metarl.core import Streams
from metarl.fewshot import Classifier, Dataset, Scaling
from metarl.fewshot.classifier import checked_examples
from metarl.fewshot.configs import EpisodeConfig, NormMode
from metarl.fewshot.data.config import SINUSOID
from metarl.fewshot.data.folder import read_class_folder, read_query_folder
from metarl.fewshot.data.image_files import FolderImages, notes
from metarl.fewshot.episodes import EpisodeStream, Support
from metarl.fewshot.episodic_learner import FewShotLearner
from metarl.fewshot.from_config import episode_bytes, make_sampler
from metarl.fewshot.heads.configs import HeadConfig, HeadName
from metarl.fewshot.heads.learner import with_head
from metarl.fewshot.heads.rules import check_queries
from metarl.memory import check_memory
from metarl.nn.backbones import FixedStatistics
from metarl.runs.adapt import AdaptationOptions
from metarl.runs.adapted_classifier import AdaptedClassifier
from metarl.runs.config import DataProblem, RunConfig
from metarl.runs.errors import InputError, input_errors
from metarl.runs.evaluate import NUM_EPISODES, EvaluationOptions, Test, make_folders
from metarl.runs.heads import asked_head, rule_of
from metarl.types import Metrics, TasksDone


@dataclass(frozen=True, kw_only=True)
class DataSets:
    """One data set or several, and the learner of a classifier on them."""

    config: RunConfig
    """Of the run."""
    learner: FewShotLearner
    """Adapts to episodes and support sets."""
    shape: tuple[int, ...]
    """Of one example."""
    scaling: Scaling | None
    """Of the train split of a table or of series."""
    datasets: tuple[Dataset, ...]
    """None for the sinusoid. Of a run that is not new, examples are read when they are needed."""
    short_name: str
    """Environment or data set, as names of run folders have it."""
    opening: str = ""
    """There is nothing to say before training."""
    films: None = None
    """There is nothing to film."""

    @property
    def problem(self) -> DataProblem:
        """What the run is about."""
        assert isinstance(self.config.problem, DataProblem)
        return self.config.problem

    @property
    def is_regression(self) -> bool:
        """Whether targets are numbers."""
        return self.problem.data.data == SINUSOID

    def test(self, options: EvaluationOptions, progress: TasksDone) -> Test:
        """Adapt to test episodes."""
        for name in ("inner_lr", "trajectories"):
            if getattr(options, name):
                raise InputError("is for policies", name)
        episodes = self._episodes(options)
        head = asked_head(options.head, options.head_options, is_regression=self.is_regression)
        num_steps = self._steps(head, options.steps)
        learner = self._in_mode(options.norm, self.learner.config.norm)
        if head is not None:
            learner = self._with_head(learner, head)
        with input_errors():
            check_memory(episode_bytes(episodes, self.shape), "a test episode")
            stream = EpisodeStream(
                make_sampler(self.datasets, "test", episodes),
                options.tasks or NUM_EPISODES,
                Streams(options.seed, "test"),
                regression=self.is_regression,
                progress=progress,
            )
            adaptation = learner.adapt(stream, num_steps)
        return Test(
            adaptation=adaptation,
            title=(
                f"{self.config.learner} on {self.config.subject}, {self._setting(episodes)}: "
                f"{adaptation.values.shape[1]} test episodes, batch norm {learner.norm}, "
                f"{'' if head is None else f'head {head.title}, '}seeds "
                f"{self.config.seed} (training) and {options.seed} (test)"
            ),
            record={
                "env_steps": 0,
                "num_ways": None if self.is_regression else episodes.num_ways,
                "num_shots": episodes.num_shots,
                "num_queries": episodes.num_queries,
                "sampling": episodes.sampling,
                "norm": learner.norm,
                **rule_of(head),
                "training_seed": self.config.seed,
            },
        )

    def adapt_to(
        self,
        support: tuple[Tensor, Sequence[str]],
        *,
        steps: int | None = None,
        norm: NormMode | None = None,
        head: HeadName | None = None,
        head_options: dict[str, Any] | None = None,
        query: FolderImages | None = None,
    ) -> AdaptedClassifier:
        """Fit the classifier to labelled examples.

        Args:
            support: examples, see :func:`checked_examples`, and the class of each.
            steps: of adaptation; the run's own by default.
            norm: batch statistics of a query set; inductive by default.
            head: instead of the learner's own rule.
            head_options: of the head.
            query: images to classify.

        Raises:
            InputError: they do not fit the run.
        """
        if self.is_regression:
            raise InputError("is for classifiers, and this run is a regression", "support")
        examples, labels = support
        names = tuple(dict.fromkeys(labels))
        if len(names) < 2:
            raise InputError(f"needs two classes, has {list(names)}", "support")
        if len(labels) != len(examples):
            raise InputError(f"has {len(examples)} examples and {len(labels)} labels", "support")
        indices = torch.tensor([names.index(label) for label in labels])
        rule = asked_head(head, head_options, is_regression=False)
        if rule is not None and query is not None:
            with input_errors("query"):
                check_queries(rule, len(query.images))
        num_steps = self._steps(rule, steps)
        # in this mode, so that the classifier can be switched to any
        fitting = self._in_mode(None, "inductive")
        if rule is not None:
            fitting = self._with_head(fitting, rule, get_args(NormMode))
        with input_errors("norm"):
            learner = fitting if norm is None else fitting.with_norm(norm)
        with input_errors("support"):
            x = checked_examples(examples, self.shape, self.scaling)
            self.problem.data.check_ink(x)
            labelled = Support(x[None], indices[None], len(names))
            fitted = fitting.adapt(labelled, num_steps).model(0, True)
        backbone = self.problem.backbone
        classifier = Classifier(learner, fitted, names, self.shape, backbone, self.scaling)
        return AdaptedClassifier(
            classifier=classifier,
            query=query,
            record={
                "data": self.config.subject,
                "learner": self.config.learner,
                "norm": learner.norm,
                **rule_of(rule),
                "classes": list(names),
                "support": len(labels),
                "steps": num_steps,
            },
        )

    def adapt_and_keep(
        self, options: AdaptationOptions, output: Path, say: Callable[[str], None]
    ) -> list[str]:
        """Adapt to images, write what comes of it to a folder; lines that say what that was."""
        support, query = self._read_folders(options, say)
        try:
            labelled = (support.images, support.labels)
            adapted = self.adapt_to(
                labelled,
                steps=options.steps,
                norm=options.norm,
                head=options.head,
                head_options=options.head_options,
                query=query,
            )
        except InputError as error:
            if error.option != "support":
                raise
            raise InputError(f"{options.support}: {error.message}", "support") from error
        make_folders(output=output)
        return adapted.keep(output)

    def _read_folders(
        self, options: AdaptationOptions, say: Callable[[str], None]
    ) -> tuple[FolderImages, FolderImages | None]:
        """Images to adapt to, and those to classify, if any."""
        for name in ("task", "trajectories", "num_trajectories", "video"):
            if getattr(options, name) not in (None, ()):
                raise InputError("is for policies; classifiers take --support", name)
        if options.support is None:
            raise InputError("is missing: a folder with a folder of images a class", "support")
        support = self.read_images(options.support, "support", options.skip_bad)
        folder, skip_bad = options.query, options.skip_bad
        query = self.read_images(folder, "query", skip_bad) if folder else None
        for name, images in (("support", support), ("query", query)):
            for note in notes([images]) if images else ():
                say(f"--{name}: {note}")
        unknown = sorted(set(query.labels if query else ()) - set(support.class_names))
        if unknown:
            raise InputError(
                f"{options.query}: classes {unknown} are not in {options.support}", "query"
            )
        return support, query

    def read_images(self, folder: Path, option: str, skip_bad: bool) -> FolderImages:
        """Images of a folder in the size and with the channels that the run was trained on.

        Args:
            folder: for the option ``support`` a folder a class; for ``query`` flat or such.
            option: which of the two.
            skip_bad: leave out what cannot be read.

        Raises:
            InputError: they cannot be read, or the run was not trained on images.
        """
        if len(self.shape) != 3 or self.is_regression:
            raise InputError("is for images; this run's data go to Run.adapt in Python", option)
        reader = read_query_folder if option == "query" else read_class_folder
        depth, height, width = self.shape
        if height != width:
            raise InputError(f"the run's images are {height}x{width}, not square", option)
        with input_errors(option):
            images = reader(
                folder,
                image_size=height,
                channels=1 if depth == 1 else 3,
                pixel_bits=self.problem.data.pixel_bits,
                skip_bad=skip_bad,
            )
            self.problem.data.check_ink(images.images)
        return images

    def report(self, metrics: Metrics) -> str:
        """What is said of an iteration with an evaluation; empty of others."""
        return f"validation score {metrics['eval/score']:.4f}" if "eval/score" in metrics else ""

    def _in_mode(self, norm: NormMode | None, default: NormMode) -> FewShotLearner:
        """The learner in the mode that is asked for, or that is the default if it has modes."""
        if norm is None and self.learner.norm in get_args(FixedStatistics):
            return self.learner
        with input_errors("norm"):
            return self.learner.with_norm(norm or default)

    def _with_head(
        self, learner: FewShotLearner, head: HeadConfig, norms: Sequence[NormMode] = ()
    ) -> FewShotLearner:
        """The learner with a head that can be asked for scores in these modes."""
        if learner.norm in get_args(FixedStatistics):
            norms = ()
        with input_errors("head"):
            return with_head(learner, head, [each.train for each in self.datasets], norms=norms)

    def _steps(self, head: HeadConfig | None, asked: int | None) -> int:
        """Steps of adaptation: those that are asked for, or the learner's own."""
        own = self.learner.num_steps if head is None else 0
        if asked and not own:
            rule = self.config.learner if head is None else f"head {head.head}"
            raise InputError(f"{asked}: {rule} does not adapt by steps", "steps")
        return own if asked is None else asked

    def _episodes(self, options: EvaluationOptions) -> EpisodeConfig:
        """The run's test episodes, as the options change them."""
        names = ("num_ways", "num_shots", "num_queries")
        given: dict[str, Any] = {n: v for n in names if (v := getattr(options, n)) is not None}
        if given and self.problem.episodes.sampling == "variable":
            raise InputError(
                "this run draws it anew for every episode (--sampling variable)", next(iter(given))
            )
        return replace(self.problem.episodes, **given)

    def _setting(self, episodes: EpisodeConfig) -> str:
        if self.is_regression:
            return f"{episodes.num_shots}-shot"
        if episodes.sampling == "variable":
            return "variable-way variable-shot"
        return f"{episodes.num_ways}-way {episodes.num_shots}-shot"
