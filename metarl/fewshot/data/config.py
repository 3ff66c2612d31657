"""Which data a few-shot run is about."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from metarl.configs import STRICT, Count, Seed, UnitInterval
from metarl.fewshot.data.arrays import Kind
from metarl.fewshot.data.class_splits import FRACTIONS
from metarl.fewshot.data.tables import Header

ROOT_VARIABLE = "METARL_DATA"
SINUSOID = "sinusoid"  # a regression, drawn and not read
LIGHT_INK = ("glyphs", "omniglot")
"""Ink is 255 on a ground of 0, though Omniglot's own files have it black on white."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DataConfig:
    """Which data, from where, and how its classes are split."""

    data: str = "glyphs"
    """A data set, or the path of your own. There are glyphs (built in), omniglot, sinusoid
    (regression), cifar-fs, fc100, aircraft, dtd, flowers, gtsrb, mini-imagenet, tiered-imagenet,
    cub, meta-dataset[:SOURCE,...], digits, breast-cancer; paths are of a folder with a folder a
    class, a NumPy archive (x and y, or MedMNIST's) or a table."""
    data_root: str | None = None
    """Where data sets are that are not built in; $METARL_DATA by default."""
    download: bool = False
    """Fetch a data set that torchvision reads into the data root, if it is not there."""
    omniglot_split: Literal["vinyals", "random"] = "vinyals"
    """Vinyals: 1028 / 172 / 423 characters by alphabet; random: as many by seed."""
    trainval: bool = False
    """Omniglot: train on the validation characters too, as papers do in their final run."""
    split_seed: Seed = 0
    """Of class splits that are drawn by seed."""
    split: Literal["classes", "examples"] = "classes"
    """Arrays and tables: classes of their own for every split, or the same with other examples."""
    split_fractions: tuple[UnitInterval, UnitInterval, UnitInterval] = FRACTIONS
    """Shares of train, validation and test classes of a folder that says nothing of them."""
    array_kind: Kind = "images-hwc"
    """What x of an archive holds."""
    label: str | None = None
    """Column of a table that holds the class; the last by default."""
    header: Header = "auto"
    """Whether the first line of a table names its columns; auto refuses one that may not."""
    image_size: Count | None = None
    """Height and width to stretch images to."""
    pixel_bits: Annotated[int, Field(ge=8, le=16)] | None = None
    """Bits that images of 16 bits a pixel use, such as 12; all by default, which is refused where
    none of them uses the highest."""
    skip_bad: bool = False
    """Leave out images that cannot be read, and say how many; otherwise they are an error."""

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

    def check_ink(self, images: Tensor) -> None:
        """Raise a :class:`ValueError` if ink is dark where a network was trained on light ink.

        Args:
            images: of a user, uint8 or floats in [0, 1].
        """
        full = 1.0 if images.is_floating_point() else 255.0
        # drawings fill a fifth of an image, at most a third
        if self.data in LIGHT_INK and images.float().mean() > 0.6 * full:
            raise ValueError(
                f"images are dark on light, and {self.data} was trained on as light (255) on dark "
                "(0): invert them"
            )
