"""Arrays, tables and series as data sets, from memory and from files."""

import importlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from metarl.fewshot.data.array_files import load_npz, load_sklearn
from metarl.fewshot.data.arrays import dataset_from_arrays

SPLITS = ("train", "validation", "test")


def sources(dataset):
    return [dataset.split(split) for split in SPLITS]


def labels(num_classes, count=2):
    """Classes in turn, so that those of one class are not next to one another."""
    return np.tile(np.arange(num_classes), count)


def pictures(*shape):
    return np.arange(np.prod(shape), dtype=np.int64).reshape(shape).astype(np.uint8)


@pytest.mark.parametrize(
    ("kind", "axes"),
    [("images-hw", None), ("images-hwc", (0, 2, 3, 1)), ("images-chw", (0, 1, 2, 3))],
)
def test_images_become_channels_first(kind, axes):
    x, y = pictures(12, 3, 5, 4), labels(6)
    given = x[:, 0] if axes is None else x.transpose(axes)
    train = dataset_from_arrays("toy", given, y, kind=kind).train
    expected = x[:, :1] if axes is None else x
    assert train.shape == expected.shape[1:]
    assert train.examples.dtype == torch.uint8
    for index, name in enumerate(train.class_names):
        taken = train.take(torch.tensor([index, index]), torch.tensor([0, 1]))
        assert torch.equal(taken, torch.from_numpy(expected[y == int(name)]))


def test_classes_are_cut_by_seed():
    x, y = pictures(20, 2, 2), labels(10)
    cut = [
        [source.class_names for source in sources(dataset_from_arrays("toy", *xy, **options))]
        for xy in ((x, y), (torch.from_numpy(x), torch.from_numpy(y)))
        for options in ({"kind": "images-hw"}, {"kind": "images-hw", "seed": 1})
    ]
    assert cut[0] == cut[2] != cut[1] == cut[3]
    assert [len(part) for part in cut[0]] == [6, 2, 2]
    assert sorted(int(name) for part in cut[0] for name in part) == list(range(10))


def test_classes_by_label():
    split = ([3], [0], [7])
    x, y = pictures(4, 2, 2), np.array([7, 0, 3, 5])
    names = {3: "three", 7: "seven"}
    dataset = dataset_from_arrays("toy", x, y, kind="images-hw", split=split, class_names=names)
    assert [source.class_names for source in sources(dataset)] == [("three",), ("0",), ("seven",)]
    assert dataset.test.name == "toy test"
    for source, row in zip(sources(dataset), (2, 1, 0), strict=True):
        assert source.examples.tolist() == [[x[row].tolist()]]


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (([0], [1], [0, 2]), "class 0 is in train and in test"),
        (([0], [1], []), "test has no classes"),
        (([0], [1], [9]), "no example has label 9"),
        (([0], [1]), "split must be three lists of labels or 'examples'"),
        ("example", "split must be three lists of labels or 'examples', got example"),
    ],
)
def test_a_bad_split(split, message):
    with pytest.raises(ValueError, match=message):
        dataset_from_arrays("toy", pictures(8, 2, 2), labels(4), kind="images-hw", split=split)


def test_few_classes_share_the_splits_with_other_examples():
    x, y = np.arange(24.0)[:, None], labels(2, 12)
    with pytest.raises(ValueError, match=r"toy: 2 classes are too few .* --split examples"):
        dataset_from_arrays("toy", x, y, kind="table")
    dataset = dataset_from_arrays("toy", x, y, kind="table", split="examples")
    for source in sources(dataset):
        assert source.class_names == ("0", "1")
    assert [source.counts.tolist() for source in sources(dataset)] == [[8, 8], [2, 2], [2, 2]]
    values = torch.cat([source.examples for source in sources(dataset)]).flatten()
    assert len(set(values.tolist())) == 24
    # standardising keeps the order, so ranks are the rows; a class is every second of them
    ranks = [source.examples.flatten() for source in sources(dataset)]
    rows = [torch.searchsorted(values.sort().values, rank) for rank in ranks]
    assert all(
        torch.equal(row % 2, torch.arange(2).repeat_interleave(len(row) // 2)) for row in rows
    )
    with pytest.raises(ValueError, match="examples of class 0: 5 are too few"):
        dataset_from_arrays("toy", x[:10], y[:10], kind="table", split="examples")


def test_tables_are_standardised_by_the_train_split():
    """Train values 0, 3 and 6: mean 3, variance 6; the second feature is the constant 0.1.

    The mean of three times 0.1 is not 0.1 in floating point.
    """
    x = np.array([[0, 0.1], [3, 0.1], [6, 0.1], [9, 0.1], [3, 5]])
    y = np.array([0, 0, 0, 1, 2])
    dataset = dataset_from_arrays("toy", x, y, kind="table", split=([0], [1], [2]))
    assert dataset.train.examples.dtype == torch.float32
    far = 6**0.5
    expected = ([[-far / 2, 0], [0, 0], [far / 2, 0]], [[far, 0]], [[0, 4.9]])
    for source, values in zip(sources(dataset), expected, strict=True):
        torch.testing.assert_close(source.examples, torch.tensor(values).float())


@pytest.mark.parametrize(
    "x", [[0, 1, 1e300, 0], [0, 1, 0, -1e100], [-1e308, 1e308, 0, 0], [1e200, 2e200, 0, 0]]
)
def test_numbers_that_single_precision_cannot_hold(x):
    """They would be infinite, and a network gives no more than NaN for them."""
    x, y = np.array(x, dtype=float)[:, None], np.array([0, 0, 1, 2])
    with pytest.raises(ValueError, match="toy: some features are too large to be scaled"):
        dataset_from_arrays("toy", x, y, kind="table", split=([0], [1], [2]))


def test_labels_are_never_taken_for_others():
    y = np.array([0, 1, 2**63], np.uint64)
    with pytest.raises(ValueError, match="labels must be at most 9223372036854775807, got 92233"):
        dataset_from_arrays("toy", np.eye(3), y, kind="table")


def test_series_are_standardised_by_channel():
    """Train: channel 0 holds 0, 4 and channel 1 holds 10, 30, over time."""
    x = np.array([[[0, 4], [10, 30]], [[2, 6], [20, 40]], [[0, 0], [0, 0]]])
    split = ([0], [1], [2])
    dataset = dataset_from_arrays("toy", x, np.arange(3), kind="series", split=split)
    assert dataset.train.examples.tolist() == [[[-1, 1], [-1, 1]]]
    assert dataset.validation.examples.tolist() == [[[0, 2], [0, 2]]]
    flat = dataset_from_arrays("toy", x[:, 0], np.arange(3), kind="series", split=split)
    assert flat.train.shape == (1, 2)
    assert flat.validation.examples.tolist() == [[[0, 2]]]


@pytest.mark.parametrize("dtype", [bool, float, str, object])
def test_labels_are_integers(dtype):
    y = labels(6).astype(dtype)
    with pytest.raises(ValueError, match="labels must be integers, got"):
        dataset_from_arrays("toy", pictures(12, 2, 2), y, kind="images-hw")


@pytest.mark.parametrize(
    ("x", "y", "kind", "message"),
    [
        (
            pictures(12, 2, 2),
            labels(6)[:, None],
            "images-hw",
            r"must be \[n\], got shape \[12, 1\]",
        ),
        (pictures(12, 2, 2), labels(7), "images-hw", "14 labels for 12 examples"),
        (pictures(12, 2, 2), labels(6), "pictures", "kind must be one of images-hw, .*'pictures'"),
        (pictures(12, 2, 2), labels(6), "images-hwc", r"\[n, H, W, C\], got shape \[12, 2, 2\]"),
        (pictures(12, 8, 8, 3), labels(6), "images-chw", "looks like images-hwc"),
        (pictures(12, 1, 8, 8), labels(6), "images-hwc", "looks like images-chw"),
        (np.zeros((12, 2, 2)), labels(6), "images-hw", "must be uint8 in .0, 255., got float64"),
        (np.zeros((12, 2, 2)), labels(6), "table", r"\[n, D\], got shape \[12, 2, 2\]"),
        (np.zeros((12, 0)), labels(6), "table", r"\[n, D\], got shape \[12, 0\]"),
        (np.full((12, 2), "a"), labels(6), "table", "features must be numbers, got <U1"),
        (
            np.diag([1, np.nan, np.inf]),
            np.arange(3),
            "table",
            r"2 features .* the first at x\[1, 1\]",
        ),
    ],
)
def test_what_cannot_be_a_data_set(x, y, kind, message):
    with pytest.raises(ValueError, match=message):
        dataset_from_arrays("toy", x, y, kind=kind)


def test_bfloat16_tensors():
    x = torch.arange(12, dtype=torch.bfloat16)[:, None]
    assert dataset_from_arrays("toy", x, torch.arange(12) % 6, kind="table").train.shape == (1,)


def test_npz(tmp_path):
    path = tmp_path / "waves.npz"
    x = np.random.default_rng(0).normal(size=(12, 3, 7))
    np.savez_compressed(path, x=x, y=labels(6))
    dataset = load_npz(path, kind="series")
    assert (dataset.name, dataset.train.shape) == ("waves", (3, 7))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "waves.npz: No such file"),
        ("text", "waves.npz: not a whole archive"),
        ("half", "waves.npz: not a whole archive"),
        ("npy", "waves.npz: not a whole archive"),
        ("damaged", "waves.npz: Bad CRC-32"),
        ("keys", "waves.npz: has no array x; it holds: data, y"),
        ("objects", "waves.npz: .*allow_pickle"),
    ],
)
def test_a_bad_npz(tmp_path, content, message):
    path = tmp_path / "waves.npz"
    x = np.array([{}]) if content == "objects" else np.zeros((12, 2))
    if content == "text":
        path.write_text("x,y")
    elif content == "npy":
        with path.open("wb") as file:
            np.save(file, x)
    elif content is not None:
        np.savez(path, **{"data" if content == "keys" else "x": x, "y": labels(6)})
    if content == "half":
        path.write_bytes(path.read_bytes()[:200])
    elif content == "damaged":
        # in the zeros of x
        path.write_bytes(path.read_bytes().replace(bytes(100), bytes(99) + b"1", 1))
    with pytest.raises(ValueError, match=message):
        load_npz(path, kind="table")


@pytest.fixture
def scikit_learn(monkeypatch):
    """Scikit-learn's two functions with arrays of their shapes and types, but few."""
    generator = np.random.default_rng(0)
    digits = SimpleNamespace(
        images=generator.integers(0, 17, (40, 8, 8)).astype(float), target=labels(10, 4)
    )
    tumours = SimpleNamespace(
        data=generator.normal(size=(40, 30)),
        target=labels(2, 20),
        target_names=np.array(["malignant", "benign"]),
    )
    functions = {"load_digits": lambda: digits, "load_breast_cancer": lambda: tumours}
    monkeypatch.setitem(sys.modules, "sklearn", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "sklearn.datasets", SimpleNamespace(**functions))
    return digits


def test_scikit_learn_digits(scikit_learn):
    dataset = load_sklearn("digits")
    assert [len(source.class_names) for source in sources(dataset)] == [6, 2, 2]
    assert dataset.train.shape == (1, 8, 8)
    assert (dataset.train.examples.min(), dataset.train.examples.max()) == (0, 255)
    first = scikit_learn.images[scikit_learn.target == int(dataset.test.class_names[0])][0]
    assert dataset.test.examples[0, 0].tolist() == np.rint(first * 255 / 16).tolist()


def test_scikit_learn_tumours(scikit_learn):
    dataset = load_sklearn("breast-cancer")
    for source in sources(dataset):
        assert source.class_names == ("malignant", "benign")
        assert source.shape == (30,)


def test_scikit_learn_is_absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ValueError, match="digits needs scikit-learn: pip install scikit-learn"):
        load_sklearn("digits")
    with pytest.raises(ValueError, match="digits and breast-cancer, got 'iris'"):
        load_sklearn("iris")


def test_scikit_learn_itself():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    importlib.import_module("sklearn.datasets")
    digits, tumours = load_sklearn("digits"), load_sklearn("breast-cancer")
    assert sum(int(source.counts.sum()) for source in sources(digits)) == 1797
    assert digits.train.examples.max() == 255
    assert sum(int(source.counts.sum()) for source in sources(tumours)) == 569
    assert tumours.train.class_names == ("malignant", "benign")
