"""Training from Python: a call is a run from its first iteration to its closing evaluation."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from warnings import warn

from torch import nn

from metarl.fewshot.from_config import OWN_BACKBONE
from metarl.runs import environments
from metarl.runs.config import DataProblem, EnvProblem, config_of
from metarl.runs.run import Run
from metarl.runs.sessions import Session, start
from metarl.runs.user_objects import UserObjects
from metarl.training import Progress, Writer


def train(
    learner: str,
    *,
    env: "environments.EnvSource",
    policy: nn.Module | None = None,
    output: str | Path = "runs",
    name: str | None = None,
    writers: Sequence[Writer] | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] = warn,
    **options: Any,
) -> Run:
    """Meta-train a policy, as ``metarl train`` does.

    Args:
        learner: its name, such as ``maml-trpo``.
        env: a task family: an id, a function that makes an environment of it, or an environment,
            of which copies are made.
        policy: a network of your own from observations to action means or logits.
        output: where the run folder is made.
        name: what its name starts with.
        writers: where metrics go; ``metrics.csv`` and TensorBoard by default.
        progress: called with the number and the metrics of every iteration.
        say: called with one line when something is worth saying.
        options: those of ``metarl train``, such as ``iterations`` and ``inner_lr``.

    Returns:
        The run, evaluated unless ``eval_tasks`` is 0.

    Raises:
        InputError: there is no such option, or the parts do not fit together.
    """
    config = config_of(EnvProblem, learner, env=environments.name_of(env), **options)
    given = UserObjects(env=None if isinstance(env, str) else env, network=policy)
    return _run(
        start(config, given, output=Path(output), name=name, writers=writers, say=say), progress
    )


def train_fewshot(
    learner: str,
    *,
    data: str = "glyphs",
    backbone: str | nn.Module = "auto",
    output: str | Path = "runs",
    name: str | None = None,
    writers: Sequence[Writer] | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] = warn,
    **options: Any,
) -> Run:
    """Train a few-shot classifier, as ``metarl fewshot`` does.

    Args:
        learner: its name, such as ``protonet``.
        data: name of a data set, or a path.
        backbone: its name, or a module of your own from examples to features.
        output: where the run folder is made.
        name: what its name starts with.
        writers: where metrics go; ``metrics.csv`` and TensorBoard by default.
        progress: called with the number and the metrics of every iteration.
        say: called with one line when something is worth saying.
        options: those of ``metarl fewshot``, such as ``iterations`` and ``num_shots``.

    Returns:
        The run, evaluated unless ``eval_tasks`` is 0.

    Raises:
        InputError: there is no such option, or the parts do not fit together.
    """
    named = backbone if isinstance(backbone, str) else OWN_BACKBONE
    config = config_of(DataProblem, learner, data=data, backbone=named, **options)
    given = UserObjects(backbone=None if isinstance(backbone, str) else backbone)
    return _run(
        start(config, given, output=Path(output), name=name, writers=writers, say=say), progress
    )


def _run(session: Session, progress: Progress | None) -> Run:
    session.closing_evaluation(session.train(progress))
    return session.run
