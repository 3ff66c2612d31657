"""Recorded trajectories as a data set of Minari, the Farama Foundation's standard of offline data.

A data set has an episode for each trajectory; what Minari has no place for is in the infos of the
steps: ``raw_action`` ``[T + 1, A]`` and ``log_prob`` ``[T + 1, 1]``, whose last row says nothing.
"""

import importlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from metarl.files import FileError, one_error
from metarl.rl.observations import view_of
from metarl.rl.trajectories import Trajectories

RAW_ACTION, LOG_PROB = "raw_action", "log_prob"


def read_minari(path: str | Path) -> Trajectories:
    """The trajectories of a data set in a folder, as ``~/.minari/datasets/NAME`` is.

    Observations of a Dict, Tuple or discrete space become vectors, as policies see them.

    Raises:
        FileError: it is no data set of Minari, or no trajectories of vectors or images.
        ModuleNotFoundError: Minari is not installed; the message says how to.
    """
    folder = Path(path)
    inner = folder / "data"
    minari = _minari()
    with one_error(FileError, f"{folder} is no data set of Minari"):
        dataset = minari.MinariDataset(inner if inner.is_dir() else folder)
        episodes = list(dataset.iterate_episodes())
    with one_error(FileError, str(folder)):
        return Trajectories(**_arrays(episodes, dataset.observation_space))


def write_minari(
    trajectories: Trajectories,
    dataset_id: str,
    observation_space: spaces.Space[Any],
    action_space: spaces.Space[Any],
    **described: Any,
) -> Path:
    """Write a data set to where Minari has its own (``MINARI_DATASETS_PATH``); its folder.

    Args:
        trajectories: with environment actions.
        dataset_id: ``namespace/name-v0``, of which there is none yet.
        observation_space: of the environment.
        action_space: likewise.
        described: of ``minari.create_dataset_from_buffers``: ``author``, ``description`` and so on.

    Raises:
        ValueError: the trajectories do not fit the spaces or have no environment actions; or Minari
            cannot make a data set of that name.
        ModuleNotFoundError: Minari is not installed; the message says how to.
    """
    minari = _minari()
    if trajectories.actions is None:
        raise ValueError("a data set of Minari has the environment's actions, these have raw ones")
    trajectories.check_spaces(observation_space, action_space)
    kind = importlib.import_module("minari.data_collector").EpisodeBuffer
    numbers = range(len(trajectories))
    episodes = [kind(id=index, **_episode(trajectories, index)) for index in numbers]
    with warnings.catch_warnings():  # that nobody is named as the author, that there is no env
        warnings.simplefilter("ignore", UserWarning)
        dataset = minari.create_dataset_from_buffers(
            dataset_id,
            episodes,
            observation_space=observation_space,
            action_space=action_space,
            jpeg_encoding=False,  # which loses
            **described,
        )
    return Path(dataset.storage.data_path).parent


def _minari() -> Any:
    try:
        importlib.import_module("h5py")  # without it a data set cannot be opened
        return importlib.import_module("minari")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"data sets of Minari need it ({error.name} is missing): "
            "pip install 'metarl-toolkit[offline]'"
        ) from error


def _arrays(episodes: list[Any], seen: spaces.Space[Any]) -> dict[str, Any]:
    """Of all episodes, one behind the other."""
    if not episodes:
        raise ValueError("it has no episodes")
    view = view_of(seen)

    def joined(values: list[Any]) -> NDArray[Any]:
        return np.concatenate([np.asarray(value) for value in values])

    lengths = [len(episode.rewards) for episode in episodes]
    arrays = {
        "lengths": np.array(lengths),
        "observations": joined(
            [e.observations if view is None else view(e.observations) for e in episodes]
        ),
        "rewards": joined([e.rewards for e in episodes]),
        "actions": joined([e.actions for e in episodes]),
        "terminated": np.array([bool(e.terminations[-1]) for e in episodes]),
        "truncated": np.array([bool(e.truncations[-1]) for e in episodes]),
    }
    infos = [e.infos or {} for e in episodes]
    for name, key in (("raw_actions", RAW_ACTION), ("log_probs", LOG_PROB)):
        if all(key in info for info in infos):
            rows = [np.asarray(i[key])[:n] for i, n in zip(infos, lengths, strict=True)]
            arrays[name] = joined([row.ravel() if name == "log_probs" else row for row in rows])
    return arrays


def _episode(trajectories: Trajectories, index: int) -> dict[str, Any]:
    """One of them as Minari has it."""
    length = int(trajectories.lengths[index])
    start = int(trajectories.lengths[:index].sum())
    steps, rows = slice(start, start + length), start + index
    last = np.arange(length) == length - 1
    known = {RAW_ACTION: trajectories.raw_actions, LOG_PROB: trajectories.log_probs}
    infos = {
        name: _with_reset(value[steps].reshape(length, -1))
        for name, value in known.items()
        if value is not None
    }
    assert trajectories.actions is not None
    return {
        "observations": trajectories.observations[rows : rows + length + 1],
        "actions": trajectories.actions[steps],
        "rewards": trajectories.rewards[steps],
        "terminations": last & trajectories.terminated[index],
        "truncations": last & ~trajectories.terminated[index],
        "infos": infos or None,
    }


def _with_reset(values: NDArray[Any]) -> NDArray[Any]:
    """One row more, as Minari's infos have."""
    return np.concatenate([values, np.zeros_like(values[:1])])
