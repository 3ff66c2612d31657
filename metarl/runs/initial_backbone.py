"""A new classifier that starts from the trained backbone of another run."""

import copy
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import get_args

import torch

from metarl.fewshot import Split
from metarl.fewshot.headed_network import backbone_of, backbone_state
from metarl.runs.config import DataProblem, RunConfig
from metarl.runs.dataset import DataSets
from metarl.runs.errors import InputError
from metarl.runs.loading import load
from metarl.runs.user_objects import UserObjects


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
            on classes or examples that this run is to be tested on.
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
        weights = backbone_state(other.learner.network)
        backbone_of(built.learner.network).load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(
            f"{folder} has another backbone: {_shape_of(other.config)} there, "
            f"{_shape_of(config)} here",
            "init_from",
        ) from error


def _check_classes(ours: DataProblem, theirs: DataProblem, folder: Path) -> None:
    assert ours.trained_on is not None
    assert theirs.trained_on is not None
    for name in ours.trained_on.classes.keys() & theirs.trained_on.classes.keys():
        here, there = (facts.classes[name] for facts in (ours.trained_on, theirs.trained_on))
        train, *held_out = (set(here[split].names) for split in get_args(Split))
        seen = sorted(set.union(*held_out) & set(there["train"].names) - train)
        same_cut = here == there and ours.data.split_seed == theirs.data.split_seed
        digest, other = (facts.digests.get(name) for facts in (ours.trained_on, theirs.trained_on))
        same_cut = same_cut and digest == other
        # classes in several parts have other examples in each
        if seen or (set.union(*held_out) & train and not same_cut):
            what = f"class {seen[0]}" if seen else "examples"
            raise InputError(
                f"{folder} was trained on {what} of {name} that this run is to be tested on: "
                "train both on the same split",
                "init_from",
            )


def _shape_of(config: RunConfig) -> str:
    assert isinstance(config.problem, DataProblem)
    return f"{json.dumps(asdict(config.problem.backbone))} of {config.subject}"
