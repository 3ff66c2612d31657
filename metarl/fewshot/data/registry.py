"""Data sets by the names of the command line."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

from metarl.fewshot.data.array_files import SklearnName, load_npz, load_sklearn
from metarl.fewshot.data.config import SINUSOID, DataConfig
from metarl.fewshot.data.folder import load_folder
from metarl.fewshot.data.glyphs import load_glyphs
from metarl.fewshot.data.medmnist import is_medmnist, load_medmnist
from metarl.fewshot.data.meta_dataset import load_meta_dataset
from metarl.fewshot.data.omniglot import load_omniglot
from metarl.fewshot.data.tables import load_csv
from metarl.fewshot.data.torchvision import TorchvisionName, load_torchvision
from metarl.fewshot.sources import Dataset
from metarl.files import FileError, one_error

FOLDERS = ("mini-imagenet", "tiered-imagenet", "cub")
META_DATASET = "meta-dataset"


class LoadedData(NamedTuple):
    """Data sets, several for Meta-Dataset, and what the user should know about them."""

    datasets: tuple[Dataset, ...]
    notes: tuple[str, ...] = ()


class _Read:
    """A config that knows which of its options were looked at."""

    def __init__(self, config: DataConfig) -> None:
        self.config = config
        self.names = {"data", "data_root"}  # where others would lie is no statement about this one

    def __getattr__(self, name: str) -> Any:
        self.names.add(name)
        return getattr(self.config, name)


def load_data(config: DataConfig) -> LoadedData:
    """Load what the config names; none for the sinusoid, which is drawn.

    Raises:
        ValueError: there is no such data set, its files are missing or damaged, or an option was
            given that says nothing of it.
    """
    read = _Read(config)
    loaded = LoadedData(()) if config.data == SINUSOID else _load(cast(DataConfig, read))
    for option in fields(config):
        if option.name not in read.names and getattr(config, option.name) != option.default:
            name = option.name.replace("_", "-")
            raise ValueError(f"--{name} has no effect on data {config.data}: leave it out")
    return loaded


def _load(config: DataConfig) -> LoadedData:
    name, _, rest = config.data.partition(":")
    if name == META_DATASET:
        sources = rest.split(",") if rest else None
        loaded = load_meta_dataset(config.root(), sources, image_size=config.image_size or 84)
        return LoadedData(tuple(loaded.values()))
    if name in LOADERS:
        return LOADERS[name](config)
    path = Path(config.data)
    if path.is_dir():
        return _folder(config, path)
    if path.is_file():
        return _file(config, path)
    raise ValueError(
        f"data {config.data!r} is neither a folder, a file of arrays or a table, nor one of: "
        f"{', '.join([*LOADERS, META_DATASET, 'sinusoid'])}"
    )


def _glyphs(config: DataConfig) -> LoadedData:
    return LoadedData((load_glyphs(),))


def _omniglot(config: DataConfig) -> LoadedData:
    dataset = load_omniglot(
        config.root(),
        split=config.omniglot_split,
        seed=config.split_seed,
        trainval=config.trainval,
    )
    return LoadedData((dataset,))


def _torchvision(config: DataConfig) -> LoadedData:
    name = cast(TorchvisionName, config.data)
    dataset = load_torchvision(
        name,
        config.root(),
        image_size=config.image_size,
        seed=config.split_seed,
        download=config.download,
    )
    return LoadedData((dataset,))


def _sklearn(config: DataConfig) -> LoadedData:
    return LoadedData((load_sklearn(cast(SklearnName, config.data), seed=config.split_seed),))


def _named_folder(config: DataConfig) -> LoadedData:
    return _folder(config, config.root() / config.data)


def _folder(config: DataConfig, path: Path) -> LoadedData:
    loaded = load_folder(
        path,
        image_size=config.image_size,
        pixel_bits=config.pixel_bits,
        seed=config.split_seed,
        skip_bad=config.skip_bad,
        fractions=config.split_fractions,
    )
    return LoadedData((loaded.dataset,), loaded.notes)


def _file(config: DataConfig, path: Path) -> LoadedData:
    """By what it holds: its name may be anything."""
    split: Literal["examples"] | None = "examples" if config.split == "examples" else None
    seed = config.split_seed
    if not _is_archive(path):
        dataset, notes = load_csv(
            path, label=config.label, header=config.header, split=split, seed=seed
        )
        return LoadedData((dataset,), notes)
    if is_medmnist(path):
        return LoadedData((load_medmnist(path, split=split),))
    return LoadedData((load_npz(path, kind=config.array_kind, split=split, seed=seed),))


def _is_archive(path: Path) -> bool:
    with one_error(FileError, str(path)), path.open("rb") as file:
        return file.read(2) == b"PK"


LOADERS: dict[str, Callable[[DataConfig], LoadedData]] = {
    "glyphs": _glyphs,
    "omniglot": _omniglot,
    **dict.fromkeys(get_args(TorchvisionName), _torchvision),
    **dict.fromkeys(FOLDERS, _named_folder),
    **dict.fromkeys(get_args(SklearnName), _sklearn),
}
