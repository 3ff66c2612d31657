"""NumPy archives to a data set, and scikit-learn's two examples."""

import importlib
from pathlib import Path
from typing import Literal

import numpy as np

from metarl.fewshot.data.arrays import ClassSplit, Kind, dataset_from_arrays
from metarl.fewshot.sources import Dataset
from metarl.files import FileError, one_error
from metarl.npz import read_npz

SklearnName = Literal["digits", "breast-cancer"]


def load_npz(
    path: Path,
    *,
    kind: Kind,
    split: ClassSplit | Literal["examples"] | None = None,
    seed: int = 0,
) -> Dataset:
    """Load a NumPy archive with arrays ``x`` and ``y``, see :func:`dataset_from_arrays`."""
    arrays = read_npz(path, ("x", "y"))
    with one_error(FileError, str(path)):
        return dataset_from_arrays(
            path.stem, arrays["x"], arrays["y"], kind=kind, split=split, seed=seed
        )


def load_sklearn(name: SklearnName, *, seed: int = 0) -> Dataset:
    """Scikit-learn's handwritten digits, or its table of breast tumours.

    ``digits``: 1797 images of 1x8x8, ten classes cut by the seed. ``breast-cancer``: 569 rows of 30
    features, of two classes, so all splits have both, with other examples.

    Raises:
        ValueError: there is no such set, or scikit-learn is not installed.
    """
    if name not in ("digits", "breast-cancer"):
        raise ValueError(f"scikit-learn sets are digits and breast-cancer, got {name!r}")
    try:
        datasets = importlib.import_module("sklearn.datasets")
    except ImportError as error:
        raise ValueError(f"{name} needs scikit-learn: pip install scikit-learn") from error
    if name == "digits":
        digits = datasets.load_digits()
        # ink from 0 to 16
        images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        return dataset_from_arrays(name, images, digits.target, kind="images-hw", seed=seed)
    tumours = datasets.load_breast_cancer()
    names = dict(enumerate(map(str, tumours.target_names)))
    return dataset_from_arrays(
        name,
        tumours.data,
        tumours.target,
        kind="table",
        split="examples",
        seed=seed,
        class_names=names,
    )
