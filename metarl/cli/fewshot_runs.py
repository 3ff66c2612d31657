"""Few-shot runs: data, samplers, network and learner from a config; a run read back."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from metarl.cli.session import say
from metarl.fewshot.configs import AdaptedClassifierConfig, EpisodeConfig, NormMode
from metarl.fewshot.data.config import DataConfig
from metarl.fewshot.data.registry import load_data
from metarl.fewshot.episodes import EpisodeSampler
from metarl.fewshot.episodic_learner import EpisodeSamplers, FewShotLearner, generator_of
from metarl.fewshot.from_config import Problem, make_backbone, make_learner
from metarl.fewshot.headed_network import backbone_of
from metarl.fewshot.samplers import FixedSampler, SinusoidSampler
from metarl.fewshot.sources import ArraySource, Dataset, Source, Split
from metarl.fewshot.variable_sampler import MultiSourceSampler, VariableSampler
from metarl.runs.config import DataProblem, RunConfig, read_config
from metarl.runs.errors import InputError
from metarl.train import CheckpointError, DeviceName, load_newest, resolve_device

SINUSOID = "sinusoid"
CLASS_SPLITS = ("omniglot_split", "trainval", "split_seed", "split", "split_fractions")
"""Options of the data that decide which classes are trained on."""


class FewShotRun(NamedTuple):
    """A few-shot run folder's learner at its newest good checkpoint."""

    folder: Path
    config: RunConfig
    learner: FewShotLearner
    datasets: tuple[Dataset, ...]
    checkpoint: dict[str, Any]
    """Content of the checkpoint, the learner's state already loaded."""
    problems: list[str]
    """Newer checkpoints that were damaged."""


def read_datasets(config: DataConfig, device: torch.device) -> tuple[Dataset, ...]:
    """The run's data, in memory on its device where it fits; none for the sinusoid."""
    if config.data == SINUSOID:
        return ()
    try:
        loaded = load_data(config)
    except ValueError as error:
        named = str(error).startswith(config.data)  # a file's loader says which file
        raise InputError(
            f"--data {error}" if named else f"--data {config.data}: {error}"
        ) from error
    for note in loaded.notes:
        say(note)
    return tuple(
        Dataset(
            dataset.name,
            _on_device(dataset.train, device),
            _on_device(dataset.validation, device),
            _on_device(dataset.test, device),
        )
        for dataset in loaded.datasets
    )


def make_sampler(
    datasets: tuple[Dataset, ...], split: Split, episodes: EpisodeConfig
) -> EpisodeSampler:
    """A sampler of a split's episodes; sources without classes in that split are left out.

    Raises:
        InputError: if the split cannot give such episodes.
    """
    shots, queries = episodes.num_shots, episodes.num_queries
    if not datasets:
        return SinusoidSampler(shots, queries)
    sources = [dataset.split(split) for dataset in datasets]
    sources = [source for source in sources if len(source.counts)] or sources[:1]
    try:
        samplers: list[EpisodeSampler] = [
            VariableSampler(source)
            if episodes.sampling == "variable"
            else FixedSampler(
                source, num_ways=episodes.num_ways, num_shots=shots, num_queries=queries
            )
            for source in sources
        ]
    except ValueError as error:
        raise InputError(str(error)) from error
    return samplers[0] if len(samplers) == 1 else MultiSourceSampler(samplers)


def train_episodes(episodes: EpisodeConfig) -> EpisodeConfig:
    """Ways, shots and queries of train episodes."""
    return replace(
        episodes,
        num_ways=episodes.train_ways or episodes.num_ways,
        num_shots=episodes.train_shots or episodes.num_shots,
        num_queries=episodes.train_queries or episodes.num_queries,
    )


def data_problem(config: RunConfig) -> DataProblem:
    """What a few-shot run is about."""
    assert isinstance(config.problem, DataProblem)
    return config.problem


def make_run_learner(run: RunConfig, datasets: tuple[Dataset, ...]) -> FewShotLearner:
    """The run's learner at its start, on its device."""
    device = run_device(run)
    config = data_problem(run)
    training = train_episodes(config.episodes)
    if datasets:
        _check_ways(config, training)
    tasks = EpisodeSamplers(
        make_sampler(datasets, "train", training),
        make_sampler(datasets, "validation", config.episodes),
        config.episodes.num_validation,
    )
    problem = Problem(
        shape=datasets[0].train.shape if datasets else (1,),
        num_outputs=training.num_ways if datasets else 1,
        regression=not datasets,
        train_source=datasets[0].train if len(datasets) == 1 else None,
    )
    if config.algorithm.augmentation != "none" and len(problem.shape) != 3:
        raise InputError(f"--augmentation is for images, these data have shape {problem.shape}")
    try:
        return make_learner(
            config.algorithm,
            make_backbone(config.backbone, problem.shape, generator_of(run.seed, 2)),
            problem,
            tasks,
            iterations=run.schedule.iterations,
            seed=run.seed,
            device=device,
        )
    except ValueError as error:
        raise InputError(str(error)) from error


def _check_ways(config: DataProblem, training: EpisodeConfig) -> None:
    algorithm, episodes = config.algorithm, config.episodes
    if not isinstance(algorithm, AdaptedClassifierConfig) or algorithm.head != "free":
        return
    if episodes.sampling == "variable" or training.num_ways != episodes.num_ways:
        raise InputError(
            "--head free has a row for every class, so all episodes need the same number of ways; "
            "use --head shared"
        )


def run_device(config: RunConfig) -> torch.device:
    """The run's device; also sets torch's threads."""
    torch.set_num_threads(config.threads)
    try:
        return resolve_device(config.device)
    except ValueError as error:
        raise InputError(f"--device {config.device}: {error}") from error


def load_fewshot_run(
    folder: Path, device: DeviceName | None = None, norm: NormMode | None = None
) -> FewShotRun:
    """A run's data and learner, with the state of its newest good checkpoint.

    Args:
        folder: the run folder.
        device: instead of the run's own.
        norm: batch statistics of query sets, instead of the run's own.

    Raises:
        InputError: if it is no few-shot run folder or has no usable checkpoint.
    """
    config = read_config(folder)
    if device is not None:
        config = replace(config, device=device)
    datasets = read_datasets(data_problem(config).data, run_device(config))
    learner = make_run_learner(config, datasets)
    try:
        checkpoint, problems = load_newest(folder / "checkpoints")
        learner.load_state_dict(checkpoint["learner"])
    except CheckpointError as error:
        raise InputError(str(error)) from error
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"the checkpoint of {folder} does not fit its config.json: {str(error).splitlines()[0]}"
        ) from error
    kept, now = (
        {"seed": plain["seed"], **plain["problem"]}
        for plain in map(json.loads, (checkpoint["config"], config.to_json()))
    )
    for name in ("seed", "algorithm", "episodes", "backbone"):
        if not _agree(kept[name], now[name]):
            raise InputError(
                f"{folder / 'config.json'} says {name} {json.dumps(now[name])}, but its checkpoint "
                f"was trained with {json.dumps(kept[name])}"
            )
    if norm is not None:
        learner.config = replace(learner.config, norm=norm)
        config = replace(config, problem=replace(data_problem(config), algorithm=learner.config))
    return FewShotRun(folder, config, learner, datasets, checkpoint, problems)


def start_from(learner: FewShotLearner, config: RunConfig, folder: Path) -> None:
    """Give a new run's learner the trained backbone of another run.

    Args:
        learner: at its start.
        config: the new run's.
        folder: the other run's folder.

    Raises:
        InputError: if that is no few-shot run folder, its backbone is another one, or it was trained
            on other classes of the same data, so perhaps on test classes of these.
    """
    other = load_fewshot_run(folder, config.device)
    ours, theirs = (data_problem(c).data for c in (config, other.config))
    if ours.data == theirs.data:
        for name in CLASS_SPLITS:
            if getattr(ours, name) != getattr(theirs, name):
                raise InputError(
                    f"--init-from {folder} was trained on other classes of {ours.data}: {name} "
                    f"{getattr(theirs, name)} there, {getattr(ours, name)} here"
                )
    torch.set_num_threads(config.threads)  # reading the other run has set them as it wants
    weights = backbone_of(other.learner.network).state_dict()
    try:
        backbone_of(learner.network).load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(
            f"--init-from {folder} has another backbone: {_shape_of(other.config)} there, "
            f"{_shape_of(config)} here"
        ) from error


def _shape_of(config: RunConfig) -> str:
    return f"{json.dumps(asdict(data_problem(config).backbone))} of {config.subject}"


def _agree(kept: Any, now: Any) -> bool:
    """Whether what a checkpoint was trained with still holds; newer options have their defaults."""
    if not isinstance(kept, dict):
        return bool(kept == now)
    return all(now.get(name) == value for name, value in kept.items())


def _on_device(source: Source, device: torch.device) -> Source:
    return source.to(device) if isinstance(source, ArraySource) else source
