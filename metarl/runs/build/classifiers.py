"""From a config to data sets with a learner."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import get_args

import torch

from metarl.core import Streams
from metarl.fewshot import ArraySource, Dataset, Source, Split
from metarl.fewshot.configs import AdaptedClassifierConfig, PretrainingConfig
from metarl.fewshot.data.config import SINUSOID
from metarl.fewshot.data.registry import load_data
from metarl.fewshot.episodes import EpisodeSamplers
from metarl.fewshot.episodic_learner import FewShotLearner
from metarl.fewshot.from_config import (
    Problem,
    episode_bytes,
    make_backbone,
    make_learner,
    make_sampler,
    train_episodes,
)
from metarl.fewshot.sources import DeferredSource
from metarl.memory import check_layers, check_memory
from metarl.runs.config import DataProblem, RunConfig
from metarl.runs.dataset import DataSets
from metarl.runs.errors import InputError
from metarl.runs.facts import ClassFacts, DataFacts
from metarl.runs.user_objects import UserObjects, check_installed
from metarl.training import resolve_device

AllClasses = Mapping[str, Mapping[Split, ClassFacts]]
"""By name of the data set and part."""
SPLITS: tuple[Split, ...] = get_args(Split)


def build_classifier(config: RunConfig, given: UserObjects, say: Callable[[str], None]) -> DataSets:
    """Data sets with a learner at its start, on its device; see :data:`BUILDERS`.

    Raises:
        InputError: the parts do not fit together.
    """
    problem = config.problem
    assert isinstance(problem, DataProblem)
    if given.env is not None:
        raise InputError("is for policies; this is a few-shot run", "env")
    _check_backbone(problem.backbone.backbone, given)
    try:
        torch.set_num_threads(config.threads)
        device = resolve_device(config.device, deterministic=config.deterministic)
        read = cache(lambda: _read_datasets(problem, device, say))
        if problem.trained_on is None:
            datasets = read()
            facts = _facts(datasets)
            _check(problem, facts)
            _check_memory(problem, facts.shape)
        else:
            facts = problem.trained_on
            datasets = _deferred(facts, read)
        learner = _learner(config, problem, facts.shape, datasets, given, device)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(str(error)) from error
    return DataSets(
        config=replace(config, problem=replace(problem, trained_on=facts)),
        learner=learner,
        shape=facts.shape,
        scaling=facts.scaling,
        datasets=datasets,
        short_name=_short_name(problem),
    )


def _learner(
    config: RunConfig,
    problem: DataProblem,
    shape: tuple[int, ...],
    datasets: tuple[Dataset, ...],
    given: UserObjects,
    device: torch.device,
) -> FewShotLearner:
    test = problem.episodes
    training = train_episodes(test)
    weights = Streams(config.seed, "training").torch("weights")
    return make_learner(
        problem.algorithm,
        make_backbone(problem.backbone, shape, weights, own=given.backbone),
        Problem(
            shape=shape,
            num_outputs=training.num_ways if datasets else 1,
            regression=not datasets,
            train_source=datasets[0].train if len(datasets) == 1 else None,
        ),
        EpisodeSamplers(
            make_sampler(datasets, "train", training),
            make_sampler(datasets, "validation", test),
            test.num_validation,
            regression=not datasets,
        ),
        iterations=config.schedule.iterations,
        seed=config.seed,
        device=device,
    )


def _short_name(problem: DataProblem) -> str:
    """The data set and the setting, in short."""
    name = Path(problem.data.data.partition(":")[0]).stem
    ways = "" if problem.data.data == SINUSOID else f"{problem.episodes.num_ways}w"
    return f"{name}-{ways}{problem.episodes.num_shots}s"


def _read_datasets(
    problem: DataProblem, device: torch.device, say: Callable[[str], None]
) -> tuple[Dataset, ...]:
    """The run's data, in memory on its device where it fits; none for the sinusoid."""
    try:
        loaded = load_data(problem.data)
    except ValueError as error:
        data = problem.data.data
        named = str(error).startswith(data)  # a file's loader says which file
        raise InputError(str(error) if named else f"{data}: {error}", "data") from error
    for note in loaded.notes:
        say(note)
    facts = problem.trained_on
    if facts is not None and (other := _difference(facts, _facts(loaded.datasets))):
        raise InputError(
            f"{problem.data.data} holds other classes or examples than those that the run was "
            f"trained on: {other}",
            "data",
        )
    return tuple(
        Dataset(
            each.name,
            *(_on_device(each.split(split), device) for split in SPLITS),
            scaling=each.scaling,
            digest=each.digest,
        )
        for each in loaded.datasets
    )


def _facts(datasets: Sequence[Dataset]) -> DataFacts:
    """What data sets hold; the sinusoid without any is a function of one number."""
    return DataFacts(
        shape=datasets[0].train.shape if datasets else (1,),
        classes={
            dataset.name: {split: _class_facts(dataset.split(split)) for split in SPLITS}
            for dataset in datasets
        },
        scaling=datasets[0].scaling if datasets else None,
        digests={dataset.name: dataset.digest for dataset in datasets},
    )


def _class_facts(source: Source) -> ClassFacts:
    names, counts = tuple(source.class_names), tuple(source.counts.tolist())
    return ClassFacts(names=names, counts=counts, groups=source.groups)


def _deferred(facts: DataFacts, read: Callable[[], tuple[Dataset, ...]]) -> tuple[Dataset, ...]:
    """Data sets as the run saw them, whose examples are read when they are first needed."""

    def source(index: int, name: str, split: Split) -> Source:
        known = facts.classes[name][split]
        counts = torch.tensor(known.counts, dtype=torch.int64)
        return DeferredSource(
            f"{name} {split}",
            known.names,
            counts,
            facts.shape,
            known.groups,
            read=lambda: read()[index].split(split),
        )

    return tuple(
        Dataset(name, *(source(index, name, split) for split in SPLITS))
        for index, name in enumerate(facts.classes)
    )


def _difference(before: DataFacts, now: DataFacts) -> str | None:
    """What is not what it was, if anything."""
    if changed := _changed_classes(before.classes, now.classes):
        return changed
    for name, digest in before.digests.items():
        if digest != now.digests[name]:
            return f"{name} has other examples, or the same in another order"
    if before.scaling and now.scaling and not before.scaling.is_close(now.scaling):
        return "the train split has another mean or scale"
    return None


def _changed_classes(before: AllClasses, now: AllClasses) -> str | None:
    """The first part whose classes are not what they were, if any."""
    for name, parts in before.items():
        if name not in now:
            return f"{name} is not there any more"
        then, found = _class_names(parts), _class_names(now[name])
        if new := sorted(found - then):
            return f"{name} has {', '.join(new[:5])} too"
        if gone := sorted(then - found):
            return f"{name} has no {', '.join(gone[:5])}"
        for split in parts:
            if parts[split] != now[name][split]:
                return f"{name} has other examples or classes in {split}"
    return "a data set was added" if now.keys() > before.keys() else None


def _class_names(parts: Mapping[Split, ClassFacts]) -> set[str]:
    return {name for part in parts.values() for name in part.names}


def _on_device(source: Source, device: torch.device) -> Source:
    return source.to(device) if isinstance(source, ArraySource) else source


def _check(problem: DataProblem, facts: DataFacts) -> None:
    """Raise an :class:`InputError` where data and learner do not fit together."""
    algorithm, episodes, shape = problem.algorithm, problem.episodes, facts.shape
    if algorithm.augmentation != "none" and len(shape) != 3:
        raise InputError(f"is for images, these data have shape {shape}", "augmentation")
    free = isinstance(algorithm, AdaptedClassifierConfig) and algorithm.head == "free"
    ways = train_episodes(episodes).num_ways
    other_ways = episodes.sampling == "variable" or ways != episodes.num_ways
    if free and other_ways and facts.classes:
        raise InputError(
            "--head free has a row for every class, so all episodes need the same number of ways; "
            "use --head shared"
        )


def _check_memory(problem: DataProblem, shape: tuple[int, ...]) -> None:
    """Raise a :class:`ValueError` for numbers that this machine has no memory for."""
    algorithm, backbone = problem.algorithm, problem.backbone
    check_layers("a network of these --hidden-sizes", *backbone.hidden_sizes)
    check_layers(f"--filters {backbone.filters}", backbone.filters, 3 * 9 * backbone.filters)
    train = train_episodes(problem.episodes)
    what = f"{train.num_ways} ways x ({train.num_shots} shots + {train.num_queries} queries)"
    each = episode_bytes(train, shape)
    if isinstance(algorithm, PretrainingConfig):
        what, each = f"--batch-size {algorithm.batch_size}", algorithm.batch_size * math.prod(shape)
    num = algorithm.meta_batch_size
    check_memory(num * each, f"--meta-batch-size {num} x {what}")
    check_memory(episode_bytes(problem.episodes, shape), "a test episode")


def _check_backbone(named: str, given: UserObjects) -> None:
    """Raise an :class:`InputError` if a backbone is another one, or code that only a file names."""
    if given.backbone_name not in (None, named):
        raise InputError(f"{given.backbone_name} is not the run's backbone, {named}", "backbone")
    module, colon, _ = named.partition(":")
    if colon and not given.allow_code and given.backbone_name is None:
        check_installed(module, f"--backbone {named}")
