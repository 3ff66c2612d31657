"""Data sets that torchvision reads, with their classes split as few-shot papers split them.

torchvision finds, and on request downloads, the files; all of its own splits are pooled here.

- ``cifar-fs``: CIFAR-100 by Bertinetto et al. 2019, 64/16/20 classes of 600 images.
- ``fc100``: CIFAR-100 by superclass, Oreshkin et al. 2018, 60/20/20 classes.
- ``aircraft``, ``dtd``, ``flowers``: FGVC-Aircraft 70/15/15, Describable Textures 33/7/7 and Oxford
  Flowers 71/15/16, the classes of Meta-Dataset (Triantafillou et al. 2020). Meta-Dataset crops
  aircraft to their bounding box first; this does not.
- ``gtsrb``: traffic signs, 43 classes cut 60/20/20 by the seed; Meta-Dataset tests on all of them
  and trains on none. Its training part only, as there. Thirty images in a row are of one sign, so
  that support and query of an episode may show the same one.
"""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from metarl.fewshot.data.arrays import ClassSplit, dataset_from_arrays
from metarl.fewshot.data.pixels import ImageShape, to_array
from metarl.fewshot.sources import Dataset
from metarl.files import FileError, one_error

TorchvisionName = Literal["cifar-fs", "fc100", "aircraft", "dtd", "flowers", "gtsrb"]


_CIFAR_PARTS = ({"train": True}, {"train": False})
_PARTS = ({"split": "train"}, {"split": "val"}, {"split": "test"})


@dataclass(frozen=True, kw_only=True)
class _Recipe:
    """How to read a data set and split its classes."""

    reader: str
    """Class of ``torchvision.datasets``."""
    num_classes: int
    parts: Sequence[Mapping[str, object]] = _PARTS
    """Arguments that give one of its parts each, which together are all of it."""
    image_size: int = 84
    """Where the user asks for none."""
    validation: str = ""
    """Names of the classes, or numbers from 1, apart by comma; none for a cut by the seed."""
    test: str = ""


RECIPES: dict[TorchvisionName, _Recipe] = {
    "cifar-fs": _Recipe(
        reader="CIFAR100",
        parts=_CIFAR_PARTS,
        image_size=32,
        num_classes=100,
        validation="beaver, beetle, butterfly, camel, cattle, crab, crocodile, flatfish, lamp, "
        "maple_tree, motorcycle, otter, sea, shark, television, tractor",
        test="baby, bed, bicycle, chimpanzee, fox, leopard, man, pickup_truck, plain, poppy, "
        "rocket, rose, snail, sweet_pepper, table, telephone, wardrobe, whale, woman, worm",
    ),
    # validation: large carnivores, large omnivores and herbivores, invertebrates other than
    # insects, small mammals; test: aquatic mammals, insects, medium mammals, people
    "fc100": _Recipe(
        reader="CIFAR100",
        parts=_CIFAR_PARTS,
        image_size=32,
        num_classes=100,
        validation="bear, leopard, lion, tiger, wolf, camel, cattle, chimpanzee, elephant, "
        "kangaroo, crab, lobster, snail, spider, worm, hamster, mouse, rabbit, shrew, squirrel",
        test="beaver, dolphin, otter, seal, whale, bee, beetle, butterfly, caterpillar, "
        "cockroach, fox, porcupine, possum, raccoon, skunk, baby, boy, girl, man, woman",
    ),
    "aircraft": _Recipe(
        reader="FGVCAircraft",
        num_classes=100,
        validation="737-900, 757-300, 767-200, A310, A320, BAE 146-300, CRJ-900, DC-10, DC-8, "
        "DC-9-30, DHC-8-300, Gulfstream V, SR-20, Tornado, Yak-42",
        test="737-400, 737-800, 757-200, 767-400, ATR-42, BAE-125, Beechcraft 1900, Boeing 717, "
        "CRJ-200, CRJ-700, E-170, L-1011, MD-90, Saab 2000, Spitfire",
    ),
    "dtd": _Recipe(
        reader="DTD",
        num_classes=47,
        validation="gauzy, grid, lined, paisley, porous, scaly, spiralled",
        test="banded, bumpy, crosshatched, knitted, sprinkled, stratified, woven",
    ),
    "flowers": _Recipe(
        reader="Flowers102",
        num_classes=102,
        validation="10, 16, 17, 23, 26, 47, 53, 56, 57, 62, 82, 83, 86, 97, 102",
        test="5, 9, 15, 19, 35, 40, 41, 42, 45, 46, 65, 85, 89, 94, 96, 98",
    ),
    "gtsrb": _Recipe(reader="GTSRB", parts=({"split": "train"},), image_size=32, num_classes=43),
}


def load_torchvision(
    name: TorchvisionName,
    root: Path,
    *,
    image_size: int | None = None,
    seed: int = 0,
    download: bool = False,
) -> Dataset:
    """Load one of the data sets above.

    Args:
        name: of the data set.
        root: folder in which torchvision finds it or puts it.
        image_size: height and width; without, 32 for CIFAR and traffic signs and 84 for others.
        seed: of the cut of ``gtsrb``; the other splits are fixed.
        download: fetch the files if they are not there.

    Raises:
        ValueError: there is no such data set, torchvision cannot be imported or does not find it.
    """
    if name not in RECIPES:
        raise ValueError(f"torchvision sets are {', '.join(RECIPES)}; got {name!r}")
    recipe = RECIPES[name]
    parts = _open(name, recipe, root, download)
    size = image_size or recipe.image_size
    images, labels = _read(name, parts, ImageShape(3, size, size))
    # old versions have no names for the flowers, and none has for the signs
    names = [str(each) for each in getattr(parts[0], "classes", ())]
    return dataset_from_arrays(
        name,
        images,
        labels,
        kind="images-chw",
        split=_class_split(name, recipe, names),
        seed=seed,
        class_names=dict(enumerate(names)),
    )


def _open(name: str, recipe: _Recipe, root: Path, download: bool) -> list[Any]:
    try:
        datasets = importlib.import_module("torchvision.datasets")
    # RuntimeError is what a torchvision built for another torch dies of
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        raise ValueError(
            f"{name} needs torchvision, in the version that goes with this torch: "
            f"pip install torchvision ({error})"
        ) from error
    reader = getattr(datasets, recipe.reader)
    remedy = "" if download else " (--download fetches it)"
    with one_error(FileError, f"{name}: torchvision cannot open {recipe.reader} in {root}{remedy}"):
        return [reader(root, download=download, **part) for part in recipe.parts]


def _read(
    name: str, parts: Sequence[Any], shape: ImageShape
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images = np.empty((sum(map(len, parts)), *shape), dtype=np.uint8)
    labels = np.empty(len(images), dtype=np.int64)
    places = ((part, index) for part in parts for index in range(len(part)))
    for row, (part, index) in enumerate(places):
        with one_error(FileError, f"{name}: image {index} cannot be read"):
            image, labels[row] = part[index]
            images[row] = to_array(image, shape)
    return images, labels


def _class_split(name: str, recipe: _Recipe, names: Sequence[str]) -> ClassSplit | None:
    if not recipe.test:
        return None
    if names and len(names) != recipe.num_classes:
        raise ValueError(f"{name}: {len(names)} classes found, not {recipe.num_classes}")
    validation, test = (
        sorted(_label(name, each, names) for each in part.split(", "))
        for part in (recipe.validation, recipe.test)
    )
    held_out = {*validation, *test}
    return [each for each in range(recipe.num_classes) if each not in held_out], validation, test


def _label(name: str, listed: str, names: Sequence[str]) -> int:
    if listed.isdigit():
        return int(listed) - 1
    if listed not in names:
        raise ValueError(f"{name}: torchvision's data has no class {listed}, which its split names")
    return names.index(listed)
