"""Data sets of torchvision: the splits with a stand-in for it, the reading with itself.

torchvision itself is tried where it can be imported, on small files in the formats it reads.
"""

import hashlib
import importlib
import pickle
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from metarl.fewshot.data.config import DataConfig
from metarl.fewshot.data.registry import load_data
from metarl.fewshot.data.torchvision import RECIPES, load_torchvision

SPLITS = ("train", "validation", "test")

SUPERCLASSES = """
aquatic mammals: beaver dolphin otter seal whale
fish: aquarium_fish flatfish ray shark trout
flowers: orchid poppy rose sunflower tulip
food containers: bottle bowl can cup plate
fruit and vegetables: apple mushroom orange pear sweet_pepper
household electrical devices: clock keyboard lamp telephone television
household furniture: bed chair couch table wardrobe
insects: bee beetle butterfly caterpillar cockroach
large carnivores: bear leopard lion tiger wolf
large man-made outdoor things: bridge castle house road skyscraper
large natural outdoor scenes: cloud forest mountain plain sea
large omnivores and herbivores: camel cattle chimpanzee elephant kangaroo
medium-sized mammals: fox porcupine possum raccoon skunk
non-insect invertebrates: crab lobster snail spider worm
people: baby boy girl man woman
reptiles: crocodile dinosaur lizard snake turtle
small mammals: hamster mouse rabbit shrew squirrel
trees: maple_tree oak_tree palm_tree pine_tree willow_tree
vehicles 1: bicycle bus motorcycle pickup_truck train
vehicles 2: lawn_mower rocket streetcar tank tractor
"""

GROUPS = [line.split(": ")[1].split() for line in SUPERCLASSES.strip().splitlines()]
CIFAR = sorted(name for group in GROUPS for name in group)


def class_names(name):
    """As torchvision has them; where the test needs no more, any name for those of the train."""
    recipe = RECIPES[name]
    if recipe.reader == "CIFAR100":
        return CIFAR
    if name == "flowers":
        return [f"flower {number}" for number in range(1, 103)]
    held_out = f"{recipe.validation}, {recipe.test}".split(", ")
    return sorted([*held_out, *(f"Z{n}" for n in range(recipe.num_classes - len(held_out)))])


def stand_in(recipe, classes, log=None, num_images=2):
    """A reader with so many images of every class in each part, which show their label."""

    class Reader:
        def __init__(self, root, *, download, **part):
            if log is not None:
                log.append((root, download, part))
            if classes is not None:
                self.classes = classes

        def __len__(self):
            return num_images * recipe.num_classes

        def __getitem__(self, index):
            label = index % recipe.num_classes
            return Image.new("RGB", (5, 7), (label, 0, 0)), label

    return SimpleNamespace(**{recipe.reader: Reader})


@pytest.fixture
def datasets(monkeypatch):
    """Puts a stand-in in the place of ``torchvision.datasets``."""

    def put(module):
        monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace())
        monkeypatch.setitem(sys.modules, "torchvision.datasets", module)

    return put


@pytest.mark.parametrize("download", [True, False])
def test_download_is_asked_for_by_its_option(datasets, tmp_path, download):
    log = []
    datasets(stand_in(RECIPES["dtd"], class_names("dtd"), log))
    load_data(DataConfig(data="dtd", data_root=str(tmp_path), image_size=4, download=download))
    assert [asked for _, asked, _ in log] == [download] * 3


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("cifar-fs", [64, 16, 20]),
        ("fc100", [60, 20, 20]),
        ("aircraft", [70, 15, 15]),
        ("dtd", [33, 7, 7]),
        ("flowers", [71, 15, 16]),
        ("gtsrb", [25, 9, 9]),
    ],
)
def test_splits_are_by_class(datasets, tmp_path, name, sizes):
    recipe, log = RECIPES[name], []
    names = None if name == "gtsrb" else class_names(name)
    datasets(stand_in(recipe, names, log))
    dataset = load_torchvision(name, tmp_path, image_size=4)
    sources = [dataset.split(split) for split in SPLITS]
    assert [len(source.class_names) for source in sources] == sizes
    every = sum((source.class_names for source in sources), ())
    known = names or [str(label) for label in range(43)]
    assert sorted(every) == sorted(known)
    for source in sources:
        assert source.shape == (3, 4, 4)
        assert source.counts.tolist() == [2 * len(recipe.parts)] * len(source.class_names)
        shown = source.take(
            torch.arange(len(source.counts)), torch.zeros(len(source.counts)).long()
        )
        assert [known[label] for label in shown[:, 0, 0, 0]] == list(source.class_names)
    assert log == [(tmp_path, False, part) for part in recipe.parts]


def test_fc100_is_by_superclass(datasets, tmp_path):
    """Numbers of the superclasses in order of name, from the paper."""
    datasets(stand_in(RECIPES["fc100"], CIFAR))
    dataset = load_torchvision("fc100", tmp_path, image_size=1)
    for split, numbers in (("validation", (8, 11, 13, 16)), ("test", (0, 7, 12, 14))):
        expected = sorted(name for number in numbers for name in GROUPS[number])
        assert list(dataset.split(split).class_names) == expected


def test_flowers_count_from_one(datasets, tmp_path):
    for names in (class_names("flowers"), None):
        datasets(stand_in(RECIPES["flowers"], names))
        test = load_torchvision("flowers", tmp_path, image_size=1).test
        assert test.class_names[0] == ("flower 5" if names else "4")
        assert test.examples[0, 0].item() == 4


def test_only_the_cut_of_traffic_signs_depends_on_the_seed(datasets, tmp_path):
    for name, depends in (("gtsrb", True), ("dtd", False)):
        datasets(stand_in(RECIPES[name], None if depends else class_names(name)))
        cuts = [load_torchvision(name, tmp_path, image_size=1, seed=seed).test for seed in (0, 1)]
        assert (cuts[0].class_names != cuts[1].class_names) == depends


@pytest.mark.parametrize(("name", "size"), [("cifar-fs", 32), ("dtd", 84)])
def test_default_size(datasets, tmp_path, name, size):
    datasets(stand_in(RECIPES[name], class_names(name), num_images=1))
    assert load_torchvision(name, tmp_path).test.shape == (3, size, size)


def test_other_classes_than_the_split_names(datasets, tmp_path):
    datasets(stand_in(RECIPES["dtd"], [f"Z{index}" for index in range(47)]))
    with pytest.raises(ValueError, match="dtd: torchvision's data has no class gauzy"):
        load_torchvision("dtd", tmp_path)
    datasets(stand_in(RECIPES["dtd"], ["a", "b"]))
    with pytest.raises(ValueError, match="dtd: 2 classes found, not 47"):
        load_torchvision("dtd", tmp_path)


def test_an_unknown_set(tmp_path):
    with pytest.raises(ValueError, match=r"torchvision sets are cifar-fs, .*gtsrb; got 'mnist'"):
        load_torchvision("mnist", tmp_path)


def test_torchvision_is_absent(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(ValueError, match=r"dtd needs torchvision.*: pip install torchvision"):
        load_torchvision("dtd", tmp_path)


def test_torchvision_is_for_another_torch(monkeypatch, tmp_path):
    (tmp_path / "torchvision").mkdir()
    text = "raise RuntimeError('operator torchvision::nms does not exist')\n"
    (tmp_path / "torchvision" / "__init__.py").write_text(text)
    for module in ("torchvision", "torchvision.datasets"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"dtd needs torchvision.*nms does not exist"):
        load_torchvision("dtd", tmp_path)


# From here on with torchvision itself.


@pytest.fixture
def torchvision():
    try:
        return importlib.import_module("torchvision.datasets")
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision does not import here: {error}")


def save(path, red):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, 6), (red, 0, 0)).save(path, **({} if path.suffix == ".ppm" else QUALITY))


QUALITY = {"quality": 100, "subsampling": 0}


def digest(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def check(dataset, names, images_per_class):
    """Every class shows its label, to what JPEG leaves of it."""
    for source in map(dataset.split, SPLITS):
        assert set(source.counts.tolist()) == {images_per_class}
        for index, name in enumerate(source.class_names):
            every = torch.arange(images_per_class)
            shown = source.take(torch.full_like(every, index), every)
            assert (shown[:, 0].float() - 2 * names.index(name)).abs().max() <= 2
            assert shown[:, 1:].max() <= 2


@pytest.mark.parametrize("name", ["cifar-fs", "fc100"])
def test_cifar_files(torchvision, tmp_path, monkeypatch, name):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for part, seed in (("train", 0), ("test", 1)):
        labels = np.random.default_rng(seed).permutation(np.arange(100))
        data = np.zeros((100, 3, 32, 32), dtype=np.uint8)
        data[:, 0] = 2 * labels[:, None, None]
        content = {"data": data.reshape(100, -1), "fine_labels": labels.tolist()}
        (folder / part).write_bytes(pickle.dumps(content))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": CIFAR}))
    reader = torchvision.CIFAR100
    # the digests of the published files, which these are not
    monkeypatch.setattr(reader, "train_list", [["train", digest(folder / "train")]])
    monkeypatch.setattr(reader, "test_list", [["test", digest(folder / "test")]])
    monkeypatch.setattr(reader, "meta", {**reader.meta, "md5": digest(folder / "meta")})
    check(load_torchvision(name, tmp_path), CIFAR, 2)
    (folder / "test").write_bytes(b"")
    with pytest.raises(ValueError, match=r"cannot open CIFAR100 in .* .--download fetches it."):
        load_torchvision(name, tmp_path)


def test_aircraft_files(torchvision, tmp_path):
    names, data = class_names("aircraft"), tmp_path / "fgvc-aircraft-2013b" / "data"
    for part, split in enumerate(("train", "val", "test")):
        lines = []
        for label, name in enumerate(names):
            number = f"{part}{label:06d}"
            save(data / "images" / f"{number}.jpg", 2 * label)
            lines.append(f"{number} {name}\n")
        (data / f"images_variant_{split}.txt").write_text("".join(lines))
    (data / "variants.txt").write_text("".join(f"{name}\n" for name in names))
    check(load_torchvision("aircraft", tmp_path, image_size=8), names, 3)
    (data / "images" / "0000000.jpg").unlink()
    with pytest.raises(ValueError, match=r"aircraft: image 0 cannot be read .*No such file"):
        load_torchvision("aircraft", tmp_path)


def test_dtd_files(torchvision, tmp_path):
    names, root = class_names("dtd"), tmp_path / "dtd" / "dtd"
    (root / "labels").mkdir(parents=True)
    for split in ("train", "val", "test"):
        for label, name in enumerate(names):
            save(root / "images" / name / f"{name}_{split}.jpg", 2 * label)
        lines = "".join(f"{name}/{name}_{split}.jpg\n" for name in names)
        (root / "labels" / f"{split}1.txt").write_text(lines)
    check(load_torchvision("dtd", tmp_path, image_size=8), names, 3)


def test_flowers_files(torchvision, tmp_path, monkeypatch):
    savemat = pytest.importorskip("scipy.io").savemat
    folder = tmp_path / "flowers-102"
    labels = np.tile(np.arange(1, 103), 3)
    for number, label in enumerate(labels, start=1):
        save(folder / "jpg" / f"image_{number:05d}.jpg", 2 * (label - 1))
    savemat(folder / "imagelabels.mat", {"labels": labels[None]})
    thirds = np.arange(1, 307).reshape(3, 1, 102)
    savemat(folder / "setid.mat", dict(zip(("trnid", "valid", "tstid"), thirds, strict=True)))
    reader = torchvision.Flowers102
    files = {
        key: (name, digest(folder / name) if name.endswith("mat") else md5)
        for key, (name, md5) in reader._file_dict.items()
    }
    monkeypatch.setattr(reader, "_file_dict", files)
    names = getattr(reader, "classes", [str(label) for label in range(102)])
    dataset = load_torchvision("flowers", tmp_path, image_size=8)
    check(dataset, names, 3)
    if hasattr(reader, "classes"):
        assert {"english marigold", "watercress"} <= set(dataset.test.class_names)


def test_gtsrb_files(torchvision, tmp_path):
    for label in range(43):
        for index in range(2):
            folder = tmp_path / "gtsrb" / "GTSRB" / "Training" / f"{label:05d}"
            save(folder / f"00000_{index:05d}.ppm", 2 * label)
    check(load_torchvision("gtsrb", tmp_path), [str(label) for label in range(43)], 2)
