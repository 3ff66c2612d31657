"""Data sets by the names of the command line."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, cast, get_args

from metarl.fewshot.data.array_files import SklearnName, load_csv, load_npz, load_sklearn
from metarl.fewshot.data.arrays import Kind
from metarl.fewshot.data.class_splits import FRACTIONS
from metarl.fewshot.data.folder import load_folder
from metarl.fewshot.data.glyphs import load_glyphs
from metarl.fewshot.data.medmnist import load_medmnist
from metarl.fewshot.data.meta_dataset import load_meta_dataset
from metarl.fewshot.data.omniglot import load_omniglot
from metarl.fewshot.data.torchvision import TorchvisionName, load_torchvision
from metarl.fewshot.source import Dataset

ROOT_VARIABLE = "METARL_DATA"
FOLDERS = ("mini-imagenet", "tiered-imagenet", "cub")
META_DATASET = "meta-dataset"


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which data, from where, and how its classes are split."""

    data: str = "glyphs"
    """glyphs (built in), omniglot, sinusoid (regression), cifar-fs, fc100, aircraft, dtd, flowers,
    gtsrb, mini-imagenet, tiered-imagenet, cub, meta-dataset[:SOURCE,...], digits, breast-cancer; or
    a path: a folder with a folder a class, an .npz (x and y, or MedMNIST's) or a .csv."""
    data_root: str | None = None
    """Folder of the data sets that are not built in; the environment's METARL_DATA by default."""
    omniglot_split: Literal["vinyals", "random"] = "vinyals"
    """Vinyals: 1028 / 172 / 423 characters by alphabet; random: as many by seed."""
    trainval: bool = False
    """Omniglot: train on the validation characters too, as papers do in their final run."""
    split_seed: int = 0
    """Of class splits that are drawn by seed."""
    split: Literal["classes", "examples"] = "classes"
    """Arrays and tables: classes of their own for every split, or the same with other examples."""
    split_fractions: tuple[float, float, float] = FRACTIONS
    """Shares of train, validation and test classes of a folder that says nothing of them."""
    array_kind: Kind = "images-hwc"
    """What x of an .npz holds."""
    label: str | None = None
    """Column of a .csv that holds the class; the last by default."""
    image_size: int | None = None
    """Height and width to stretch images to."""
    skip_bad: bool = False
    """Leave out images that cannot be read, and say how many; otherwise they are an error."""

    def __post_init__(self) -> None:
        if self.image_size is not None and self.image_size < 1:
            raise ValueError(f"image_size must be at least 1, got {self.image_size}")

    def root(self) -> Path:
        """The folder of the data sets that are not built in.

        Raises:
            ValueError: if there is none.
        """
        root = self.data_root or os.environ.get(ROOT_VARIABLE)
        if not root:
            raise ValueError(
                f"data {self.data} is read from a folder: give --data-root, or set {ROOT_VARIABLE}"
            )
        return Path(root)


class LoadedData(NamedTuple):
    """Data sets, several for Meta-Dataset, and what the user should know about them."""

    datasets: tuple[Dataset, ...]
    notes: tuple[str, ...] = ()


def load_data(config: DataConfig) -> LoadedData:
    """Load what the config names.

    Raises:
        ValueError: there is no such data set, or its files are missing or damaged.
    """
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
    if path.is_file() and path.suffix in (".npz", ".csv"):
        return LoadedData((_file(config, path),))
    raise ValueError(
        f"data {config.data!r} is neither a folder, an .npz or .csv file, nor one of: "
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
        name, config.root(), image_size=config.image_size, seed=config.split_seed
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
        seed=config.split_seed,
        skip_bad=config.skip_bad,
        min_examples=1,  # too few for an episode is an error that names the class
        fractions=config.split_fractions,
    )
    notes = [
        f"skipped {len(loaded.skipped)} images that cannot be read: {first} ..."
        for first in loaded.skipped[:1]
    ]
    return LoadedData((loaded.dataset,), tuple(notes))


def _file(config: DataConfig, path: Path) -> Dataset:
    split: Literal["examples"] | None = "examples" if config.split == "examples" else None
    if path.suffix == ".csv":
        return load_csv(path, label=config.label, split=split, seed=config.split_seed)
    if path.name.endswith("mnist.npz") or "mnist_" in path.name:
        return load_medmnist(path, split=split)
    return load_npz(path, kind=config.array_kind, split=split, seed=config.split_seed)


LOADERS: dict[str, Callable[[DataConfig], LoadedData]] = {
    "glyphs": _glyphs,
    "omniglot": _omniglot,
    **dict.fromkeys(get_args(TorchvisionName), _torchvision),
    **dict.fromkeys(FOLDERS, _named_folder),
    **dict.fromkeys(get_args(SklearnName), _sklearn),
}
