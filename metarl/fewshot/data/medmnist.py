"""MedMNIST's archives to a data set with the rare classes held out.

A rare disease is what few-shot learning is wanted for, so the classes with the fewest images are
the test classes, and the next the validation classes. Archives come from https://medmnist.com.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from metarl.fewshot.data.arrays import (
    Kind,
    Rows,
    checked_examples,
    checked_labels,
    dataset_from_rows,
    rows_by_class,
)
from metarl.fewshot.data.class_splits import FRACTIONS, LEAST, Partition
from metarl.fewshot.sources import Dataset
from metarl.files import FileError, one_error
from metarl.npz import array_names, read_npz

_PARTS = ("train", "val", "test")

_ORGANS = (
    "bladder, femur-left, femur-right, heart, kidney-left, kidney-right, liver, lung-left, "
    "lung-right, pancreas, spleen"
)

CLASS_NAMES: dict[str, str] = {
    "pathmnist": "adipose, background, debris, lymphocytes, mucus, smooth muscle, "
    "normal colon mucosa, cancer-associated stroma, colorectal adenocarcinoma epithelium",
    "dermamnist": "actinic keratoses and intraepithelial carcinoma, basal cell carcinoma, "
    "benign keratosis-like lesions, dermatofibroma, melanoma, melanocytic nevi, vascular lesions",
    "octmnist": "choroidal neovascularization, diabetic macular edema, drusen, normal",
    "pneumoniamnist": "normal, pneumonia",
    "breastmnist": "malignant, normal or benign",
    "bloodmnist": "basophil, eosinophil, erythroblast, immature granulocytes, lymphocyte, "
    "monocyte, neutrophil, platelet",
    "tissuemnist": "collecting duct and connecting tubule, distal convoluted tubule, "
    "glomerular endothelial cells, interstitial endothelial cells, leukocytes, podocytes, "
    "proximal tubule segments, thick ascending limb",
    "organamnist": _ORGANS,
    "organcmnist": _ORGANS,
    "organsmnist": _ORGANS,
}
"""Names of the classes in order of their label, by the name of the archive."""


def is_medmnist(path: Path) -> bool:
    """Whether an archive has arrays as MedMNIST calls them."""
    return "x" not in (names := array_names(path)) and "train_images" in names


def load_medmnist(path: Path, *, split: Literal["examples"] | None = None) -> Dataset:
    """Load an archive such as ``dermamnist.npz`` or ``pathmnist_64.npz``.

    The archive's own splits have the same classes in all three, so they are pooled and the classes
    cut by the number of their images: the rarest fifth, at least two, is the test split, the next
    fifth the validation split, the rest the train split. Of classes of one size the lower label
    counts as rarer. DermaMNIST tests on dermatofibroma and vascular lesions.

    Args:
        path: the archive. Its name gives the classes theirs; in one that was renamed, or has more
            classes than that, they are called by their label.
        split: ``"examples"`` for the archive's own splits, with the same classes in all three,
            which is all that archives of fewer than six classes can have.

    Raises:
        FileError: it is no such archive, its images have three dimensions or several labels, or
            it has too few classes.
    """
    arrays = read_npz(path, [f"{part}_{what}" for part in _PARTS for what in ("images", "labels")])
    with one_error(FileError, str(path)):
        x = np.concatenate([arrays[f"{part}_images"] for part in _PARTS])
        labels = [arrays[f"{part}_labels"] for part in _PARTS]
        y = _labels(np.concatenate(labels), len(x))
        images = checked_examples(path.stem, x, _kind(x))
        rows = _rarest_last(y) if split is None else _own_splits(y, list(map(len, labels)))
        return dataset_from_rows(path.stem, images, rows, _class_names(path, y))


def _class_names(path: Path, y: NDArray[np.int64]) -> dict[int, str]:
    names = CLASS_NAMES.get(path.stem.lower().split("_")[0], "").split(", ")
    return dict(enumerate(names)) if y.max() < len(names) else {}


def _labels(y: NDArray[Any], length: int) -> NDArray[np.int64]:
    if y.ndim != 2 or y.shape[1] != 1:
        raise ValueError(f"labels of shape {list(y.shape)}; one label an image is read, [n, 1]")
    return checked_labels("labels", y[:, 0], length)


def _kind(x: NDArray[Any]) -> Kind:
    if x.ndim == 3:
        return "images-hw"
    if x.ndim == 4 and x.shape[3] == 3:
        return "images-hwc"
    raise ValueError(f"images of shape {list(x.shape)}; [n, H, W] and [n, H, W, 3] are read")


def _rarest_last(y: NDArray[np.int64]) -> Partition[Rows]:
    rows = rows_by_class(y)
    if len(rows) < 3 * LEAST:
        raise ValueError(
            f"{len(rows)} classes are too few to hold some out; --split examples takes the "
            "archive's own splits, with all classes in each"
        )
    rarest = sorted(rows, key=lambda label: (len(rows[label]), label))
    test = max(LEAST, round(FRACTIONS[2] * len(rows)))
    cut = test + max(LEAST, round(FRACTIONS[1] * len(rows)))
    parts = Partition(rarest[cut:], rarest[test:cut], rarest[:test])
    return Partition(*({label: rows[label] for label in sorted(part)} for part in parts))


def _own_splits(y: NDArray[np.int64], sizes: list[int]) -> Partition[Rows]:
    ends = np.cumsum(sizes).tolist()
    parts = (
        {label: rows + end - size for label, rows in rows_by_class(y[end - size : end]).items()}
        for end, size in zip(ends, sizes, strict=True)
    )
    rows = Partition(*parts)
    if not rows.train.keys() == rows.validation.keys() == rows.test.keys():
        raise ValueError("a class is missing from one of the archive's own splits")
    return rows
