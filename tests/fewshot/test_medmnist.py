"""MedMNIST's archives, written small."""

import numpy as np
import pytest
import torch

from metarl.fewshot.data.medmnist import CLASS_NAMES, load_medmnist

SPLITS = ("train", "validation", "test")

DERMA = {
    "train": (5, 6, 9, 2, 9, 20, 1),
    "val": (1, 2, 2, 1, 2, 3, 1),
    "test": (2, 2, 2, 1, 2, 4, 2),
}
"""Images of every class; in all: 8, 10, 13, 4, 13, 27, 4."""


def write(path, counts, axes=(4, 4, 3), labels=1):
    """Every image is filled with its number; classes take turns, as they come."""
    arrays, number = {}, 0
    for part, sizes in counts.items():
        y = np.repeat(np.arange(len(sizes)), sizes)
        y = np.random.default_rng(0).permutation(y).astype(np.uint8)
        fill = np.arange(number, number + len(y), dtype=np.uint8)
        arrays[f"{part}_images"] = np.tile(fill.reshape(-1, *(1 for _ in axes)), (1, *axes))
        arrays[f"{part}_labels"] = np.tile(y[:, None], (1, labels))
        number += len(y)
    np.savez_compressed(path, **arrays)
    return arrays


def test_rare_classes_are_held_out(tmp_path):
    """3 and 6 are the rarest, then 0 and 1."""
    arrays = write(tmp_path / "dermamnist.npz", DERMA)
    dataset = load_medmnist(tmp_path / "dermamnist.npz")
    assert dataset.name == "dermamnist"
    assert dataset.test.class_names == ("dermatofibroma", "vascular lesions")
    assert dataset.validation.class_names[1] == "basal cell carcinoma"
    assert dataset.train.class_names[1:] == ("melanoma", "melanocytic nevi")
    assert [dataset.split(split).counts.tolist() for split in SPLITS] == [
        [13, 13, 27],
        [8, 10],
        [4, 4],
    ]
    assert dataset.train.shape == (3, 4, 4)
    every = np.concatenate([arrays[f"{part}_labels"] for part in DERMA])[:, 0]
    assert dataset.test.examples.dtype == torch.uint8
    assert dataset.test.examples[4:, 0, 0, 0].tolist() == np.flatnonzero(every == 6).tolist()


def test_a_renamed_archive_in_grayscale(tmp_path):
    write(tmp_path / "mine_64.npz", DERMA, axes=(5, 4))
    dataset = load_medmnist(tmp_path / "mine_64.npz")
    assert dataset.test.class_names == ("3", "6")
    assert dataset.test.shape == (1, 5, 4)


def test_larger_images_have_the_same_names(tmp_path):
    write(tmp_path / "dermamnist_64.npz", DERMA)
    assert load_medmnist(tmp_path / "dermamnist_64.npz").test.class_names[0] == "dermatofibroma"


def test_few_classes_keep_the_splits_of_the_archive(tmp_path):
    path = tmp_path / "breastmnist.npz"
    arrays = write(path, {"train": (5, 4), "val": (2, 3), "test": (3, 2)}, axes=(4, 4))
    with pytest.raises(ValueError, match="2 classes are too few to hold some out; --split"):
        load_medmnist(path)
    dataset = load_medmnist(path, split="examples")
    sources = [dataset.split(split) for split in SPLITS]
    assert [source.counts.tolist() for source in sources] == [[5, 4], [2, 3], [3, 2]]
    for source, part in zip(sources, ("train", "val", "test"), strict=True):
        assert source.class_names == ("malignant", "normal or benign")
        fill = arrays[f"{part}_images"][:, 0, 0]
        benign = fill[arrays[f"{part}_labels"][:, 0] == 1]
        assert source.examples[-len(benign) :, 0, 0, 0].tolist() == benign.tolist()


def test_a_class_is_missing_from_a_split(tmp_path):
    path = tmp_path / "breastmnist.npz"
    write(path, {"train": (5, 4), "val": (2, 0), "test": (3, 2)}, axes=(4, 4))
    with pytest.raises(ValueError, match="a class is missing from one of the archive's own splits"):
        load_medmnist(path, split="examples")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": 14}, r"labels of shape \[79, 14\]; one label an image is read"),
        ({"axes": (4, 4, 4)}, r"images of shape \[79, 4, 4, 4\]; \[n, H, W\] and \[n, H, W, 3\]"),
    ],
)
def test_what_is_not_read(tmp_path, options, message):
    write(tmp_path / "chestmnist.npz", DERMA, **options)
    with pytest.raises(ValueError, match=message):
        load_medmnist(tmp_path / "chestmnist.npz")


def test_another_archive(tmp_path):
    np.savez(tmp_path / "other.npz", x=np.zeros(3), y=np.zeros(3))
    with pytest.raises(ValueError, match="has no array train_images; it holds: x, y"):
        load_medmnist(tmp_path / "other.npz")


def test_numbers_of_classes():
    """As published."""
    numbers = {name: len(names.split(", ")) for name, names in CLASS_NAMES.items()}
    assert numbers == {
        "pathmnist": 9,
        "dermamnist": 7,
        "octmnist": 4,
        "pneumoniamnist": 2,
        "breastmnist": 2,
        "bloodmnist": 8,
        "tissuemnist": 8,
        "organamnist": 11,
        "organcmnist": 11,
        "organsmnist": 11,
    }
