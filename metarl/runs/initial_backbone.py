"""A new classifier that starts from the trained backbone of another run."""

import copy
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch

from metarl.fewshot.headed_network import backbone_of
from metarl.runs.config import DataProblem, RunConfig
from metarl.runs.dataset import DataSets
from metarl.runs.errors import InputError
from metarl.runs.run import load
from metarl.runs.user_objects import UserObjects

CLASS_SPLITS = ("omniglot_split", "trainval", "split_seed", "split", "split_fractions")
"""Options of the data that decide which classes are trained on."""


def take_backbone(
    built: DataSets, folder: Path, given: UserObjects, say: Callable[[str], None]
) -> None:
    """Give the learner of a new run the trained backbone of another run.

    Args:
        built: the new run's data and learner.
        folder: the other run's folder.
        given: what the new run's config cannot hold.
        say: called with one line when something is worth saying.

    Raises:
        InputError: that is no few-shot run folder, its backbone is another one, or it was trained
            on other classes of the same data, so perhaps on test classes of these.
    """
    config = built.config
    # code that only the other run's config names is not the user's
    objects = replace(given, backbone=copy.deepcopy(given.backbone), allow_code=False)
    try:
        run, _ = load(folder, config.device, objects, say)
        other = run.classifiers
    except InputError as error:
        raise InputError(error.on_command_line, "init_from") from error
    torch.set_num_threads(config.threads)  # reading the other run has set them as it wants
    _check_classes(built.problem, other.problem, folder)
    try:
        weights = backbone_of(other.learner.network).state_dict()
        backbone_of(built.learner.network).load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(
            f"{folder} has another backbone: {_shape_of(other.config)} there, "
            f"{_shape_of(config)} here",
            "init_from",
        ) from error


def _check_classes(ours: DataProblem, theirs: DataProblem, folder: Path) -> None:
    if ours.data.data != theirs.data.data:
        return
    for name in CLASS_SPLITS:
        there, here = getattr(theirs.data, name), getattr(ours.data, name)
        if there != here:
            raise InputError(
                f"{folder} was trained on other classes of {ours.data.data}: {name} {there} there, "
                f"{here} here",
                "init_from",
            )


def _shape_of(config: RunConfig) -> str:
    assert isinstance(config.problem, DataProblem)
    return f"{json.dumps(asdict(config.problem.backbone))} of {config.subject}"
