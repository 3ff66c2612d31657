"""Omniglot: 1623 handwritten characters of 50 alphabets, each drawn by 20 people.

Lake, Salakhutdinov and Tenenbaum 2015. :func:`read_omniglot` reads the drawings,
:func:`load_omniglot` splits the characters as few-shot papers do. ``vinyals_split.json`` beside
this file holds the split of Vinyals et al. 2016, as the first and last character that each split
takes of an alphabet: only Gurmukhi is cut in two.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from metarl.fewshot.data.pixels import open_image
from metarl.fewshot.sources import ArraySource, ClassGroups, Dataset, Split
from metarl.files import FileError, one_error
from metarl.npz import read_npz

NPZ = "omniglot_28x28_u8.npz"
FOLDERS = ("images_background", "images_evaluation")
SIZE = 28
NUM_DRAWINGS = 20
NUM_CHARACTERS = {"train": 1028, "validation": 172, "test": 423}
"""Of both splits, so that their results compare."""

Names = dict[Split, list[str]]


def load_omniglot(
    root: Path,
    *,
    split: Literal["vinyals", "random"] = "vinyals",
    seed: int = 0,
    rotations: bool = True,
    trainval: bool = False,
) -> Dataset:
    """Load Omniglot, images ``[1, 28, 28]`` uint8 with ink 255.

    The groups of a source are its alphabets, for the sampler of Meta-Dataset; with rotations, the
    alphabets turned by each angle.

    Args:
        root: folder with the drawings, see :func:`read_omniglot`.
        split: ``vinyals``, 1028 / 172 / 423 characters, nearly all alphabets whole; ``random``, as
            many characters of each, whatever their alphabet.
        seed: of the ``random`` split.
        rotations: every character turned by 90, 180 and 270 degrees counterclockwise is a class
            of its own too (4112 / 688 / 1692 classes), as in most papers.
        trainval: train on the validation characters too, as for a final run once everything has
            been chosen; the validation source is then a part of the training source.
    """
    characters = read_omniglot(root)
    names = _split_names(sorted(characters), split, seed)
    _check_complete(characters, names, root)
    if trainval:
        names["train"] = names["train"] + names["validation"]
    angles = (0, 90, 180, 270) if rotations else (0,)
    sources = {part: _source(part, of, characters, angles) for part, of in names.items()}
    return Dataset("omniglot", sources["train"], sources["validation"], sources["test"])


def read_omniglot(root: Path) -> dict[str, NDArray[np.uint8]]:
    """Read the drawings of every character found in ``root``.

    The folder holds one of:

    - ``omniglot_28x28_u8.npz``: ``x`` uint8 ``[characters, 20, 28, 28]`` with ink 255, and
      ``classes``, such as ``images_background/Latin/character05``;
    - ``images_background`` and ``images_evaluation``, as they are distributed: PNG files with black
      ink in ``<alphabet>/<character>/``, which are resized to 28 x 28 with Lanczos (some seconds);
    - ``omniglot-py`` with these two folders, as torchvision leaves them.

    Returns:
        ``<alphabet>/<character>`` to uint8 ``[20, 28, 28]``.
    """
    if (root / NPZ).is_file():
        return _read_npz(root / NPZ)
    for place in (root, root / "omniglot-py"):
        folders = [place / name for name in FOLDERS if (place / name).is_dir()]
        if folders:
            return _read_folders(folders)
    raise ValueError(
        f"no Omniglot in {root}: looked for {NPZ}, {FOLDERS[0]}/ and {FOLDERS[1]}/, "
        "omniglot-py/ with these two"
    )


def vinyals_names() -> Names:
    """The split of Vinyals et al. 2016: ``<alphabet>/<character>`` of every split.

    >>> {split: len(names) for split, names in vinyals_names().items()}
    {'train': 1028, 'validation': 172, 'test': 423}
    """
    ranges: dict[Split, dict[str, tuple[int, int]]] = json.loads(
        Path(__file__).with_name("vinyals_split.json").read_text(encoding="utf-8")
    )
    return {
        split: [
            f"{alphabet}/character{number:02d}"
            for alphabet, (first, last) in alphabets.items()
            for number in range(first, last + 1)
        ]
        for split, alphabets in ranges.items()
    }


def _split_names(found: Sequence[str], split: str, seed: int) -> Names:
    """Names of every split; ``found`` is sorted."""
    if split == "vinyals":
        return vinyals_names()
    if split != "random":
        raise ValueError(f"split must be vinyals or random, got {split!r}")
    total = sum(NUM_CHARACTERS.values())
    if len(found) != total:
        raise ValueError(f"the random split is of all {total} characters, found {len(found)}")
    order = np.random.default_rng(seed).permutation(total)
    held_out, test = NUM_CHARACTERS["train"], total - NUM_CHARACTERS["test"]
    return {
        "train": [found[i] for i in order[:held_out]],
        "validation": [found[i] for i in order[held_out:test]],
        "test": [found[i] for i in order[test:]],
    }


def _check_complete(characters: Mapping[str, NDArray[np.uint8]], names: Names, root: Path) -> None:
    missing = [name for of in names.values() for name in of if name not in characters]
    if missing:
        raise ValueError(
            f"Omniglot in {root} lacks {len(missing)} of the characters of the split, such as "
            f"{missing[0]}: {FOLDERS[0]} and {FOLDERS[1]} are needed, both complete"
        )


def _source(
    part: Split,
    names: Sequence[str],
    characters: Mapping[str, NDArray[np.uint8]],
    angles: Sequence[int],
) -> ArraySource:
    """All characters upright, then all of them turned by the next angle, and so on."""
    upright = torch.from_numpy(np.concatenate([characters[name] for name in names]))[:, None]
    turned: list[Tensor] = [torch.rot90(upright, angle // 90, (2, 3)) for angle in angles]
    class_names = [f"{name} rot{angle}" if angle else name for angle in angles for name in names]
    groups: dict[tuple[int, str], list[int]] = {}
    for i in range(len(class_names)):
        angle, name = angles[i // len(names)], names[i % len(names)]
        groups.setdefault((angle, name.partition("/")[0]), []).append(i)
    members = tuple(tuple(group) for group in groups.values())
    return ArraySource(
        f"omniglot {part}",
        torch.cat(turned),
        [NUM_DRAWINGS] * len(class_names),
        class_names,
        ClassGroups("bilevel", members),
    )


def _read_npz(path: Path) -> dict[str, NDArray[np.uint8]]:
    x, classes = read_npz(path, ("x", "classes")).values()
    wanted = (classes.size, NUM_DRAWINGS, SIZE, SIZE)
    if x.dtype != np.uint8 or x.shape != wanted or classes.shape != wanted[:1]:
        raise FileError(
            f"{path}: x must be uint8 {list(wanted)} and classes [{classes.size}], "
            f"got {x.dtype} {list(x.shape)} and {list(classes.shape)}"
        )
    return {str(name).partition("/")[2]: x[i] for i, name in enumerate(classes)}


def _read_folders(folders: Sequence[Path]) -> dict[str, NDArray[np.uint8]]:
    characters = {}
    for folder in folders:
        for character in sorted(path for path in folder.glob("*/*") if path.is_dir()):
            # macOS leaves hidden ._*.png files beside the images when it unpacks.
            paths = sorted(p for p in character.glob("*.png") if not p.name.startswith("."))
            if len(paths) != NUM_DRAWINGS:
                raise ValueError(
                    f"{character} must hold {NUM_DRAWINGS} drawings (*.png), found {len(paths)}"
                )
            name = f"{character.parent.name}/{character.name}"
            characters[name] = np.stack([_read_drawing(path) for path in paths])
    return characters


def _read_drawing(path: Path) -> NDArray[np.uint8]:
    with one_error(FileError, f"{path} cannot be read as an image"), open_image(path) as image:
        small = image.convert("L").resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    return 255 - np.asarray(small, dtype=np.uint8)
