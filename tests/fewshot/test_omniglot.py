"""Omniglot from each of its forms on disk. The true data, where they are, in the last tests."""

import itertools
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from metarl.fewshot import ArraySource, Source
from metarl.fewshot.data.omniglot import load_omniglot, read_omniglot, vinyals_names

DATA = Path(os.environ.get("METARL_DATA", Path(__file__).parents[3] / "shared" / "data"))
COUNTS = {"train": 1028, "validation": 172, "test": 423}


def write_npz(root: Path, names: list[str]) -> None:
    """The file's format, with one-coloured drawings: the first pixel tells the character."""
    codes = np.arange(len(names))
    x = np.zeros((len(names), 20, 28, 28), np.uint8)
    x[:, :, 0, 0], x[:, :, 0, 1] = (codes % 256)[:, None], (codes // 256)[:, None]
    x[:, :, 0, 2] = np.arange(20)
    classes = np.array([f"images_background/{name}" for name in names])
    np.savez(root / "omniglot_28x28_u8.npz", x=x, classes=classes)


@pytest.fixture(scope="module")
def names() -> list[str]:
    return sorted(itertools.chain.from_iterable(vinyals_names().values()))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> Path:
    folder = tmp_path_factory.mktemp("omniglot")
    write_npz(folder, names)
    return folder


def characters_of(source: Source) -> set[str]:
    return {name.partition(" ")[0] for name in source.class_names}


def drawing_of(source: Source, index: int, example: int = 0) -> NDArray[np.uint8]:
    return np.asarray(source.take(torch.tensor(index), torch.tensor(example))[0])


def test_every_class_of_the_vinyals_split_gets_its_own_drawings(
    root: Path, names: list[str]
) -> None:
    dataset = load_omniglot(root, rotations=False)
    for split, expected in vinyals_names().items():
        source = dataset.split(split)
        assert list(source.class_names) == expected
        assert len(expected) == COUNTS[split]
        assert source.shape == (1, 28, 28)
        assert source.counts.tolist() == [20] * len(expected)
        classes = torch.arange(len(expected))
        pixels = source.take(classes, torch.full_like(classes, 7))[:, 0, 0].long()
        codes = pixels[:, 0] + 256 * pixels[:, 1]
        assert [names[code] for code in codes.tolist()] == expected
        assert pixels[:, 2].unique().tolist() == [7]
        assert source.take(classes[:1], classes[:1]).dtype == torch.uint8


def test_rotations_are_classes_of_their_own(root: Path) -> None:
    upright, turned = load_omniglot(root, rotations=False), load_omniglot(root)
    for split, count in COUNTS.items():
        assert len(getattr(turned, split).class_names) == 4 * count
        assert len(set(getattr(turned, split).class_names)) == 4 * count
    index = upright.test.class_names.index("Tengwar/character03")
    original = drawing_of(upright.test, index, 4)
    for quarters, name in enumerate(["", " rot90", " rot180", " rot270"]):
        index = turned.test.class_names.index(f"Tengwar/character03{name}")
        np.testing.assert_array_equal(
            drawing_of(turned.test, index, 4), np.rot90(original, quarters)
        )


def test_the_splits_share_no_character(root: Path) -> None:
    for split in ("vinyals", "random"):
        dataset = load_omniglot(root, split=split)
        parts = [characters_of(s) for s in (dataset.train, dataset.validation, dataset.test)]
        assert [len(part) for part in parts] == list(COUNTS.values())
        assert len(set.union(*parts)) == 1623


def test_the_random_split_depends_on_its_seed_alone(root: Path) -> None:
    first, same, other = (
        load_omniglot(root, split="random", seed=seed, rotations=False) for seed in (3, 3, 4)
    )
    assert first.test.class_names == same.test.class_names
    assert characters_of(first.test) != characters_of(other.test)
    assert characters_of(first.test) != set(vinyals_names()["test"])


@pytest.mark.parametrize("split", ["vinyals", "random"])
def test_trainval_adds_the_validation_characters(root: Path, split: str) -> None:
    apart = load_omniglot(root, split=split)
    joined = load_omniglot(root, split=split, trainval=True)
    assert len(joined.train.class_names) == 4800
    assert characters_of(joined.train) == characters_of(apart.train) | characters_of(
        apart.validation
    )
    assert joined.validation.class_names == apart.validation.class_names
    assert joined.test.class_names == apart.test.class_names


def test_groups_are_the_alphabets_of_each_angle(root: Path) -> None:
    for rotations, num_alphabets in ((False, [33, 5, 13]), (True, [132, 20, 52])):
        dataset = load_omniglot(root, rotations=rotations)
        for source, count in zip(
            (dataset.train, dataset.validation, dataset.test), num_alphabets, strict=True
        ):
            assert source.groups is not None
            assert source.groups.rule == "bilevel"
            assert len(source.groups.members) == count
            assert sorted(itertools.chain(*source.groups.members)) == list(
                range(len(source.class_names))
            )
            for group in source.groups.members:
                of = [source.class_names[i] for i in group]
                assert len({(n.split("/")[0], n.partition(" ")[2]) for n in of}) == 1


def write_folders(root: Path, characters: dict[str, list[str]]) -> None:
    """As distributed: 105 x 105, 1 bit, ink black; drawing d has a bar over its top d + 5 rows."""
    for folder, names in characters.items():
        for name in names:
            (root / folder / name).mkdir(parents=True)
            for drawing in range(20):
                paper = np.ones((105, 105), bool)
                paper[: drawing + 5] = False
                path = root / folder / name / f"{len(name):04d}_{drawing + 1:02d}.png"
                Image.fromarray(paper).save(path)


FEW = {
    "images_background": ["Latin/character01", "Latin/character02"],
    "images_evaluation": ["Tengwar/character25"],
}


@pytest.mark.parametrize("place", ["", "omniglot-py"])
def test_folders_are_read_resized_and_inverted(tmp_path: Path, place: str) -> None:
    write_folders(tmp_path / place, FEW)
    (tmp_path / place / "images_background" / ".DS_Store").touch()
    (tmp_path / place / "images_background/Latin/character01/._0017_01.png").touch()
    characters = read_omniglot(tmp_path)
    assert list(characters) == [*FEW["images_background"], *FEW["images_evaluation"]]
    x = characters["Tengwar/character25"]
    assert x.shape == (20, 28, 28)
    assert x.dtype == np.uint8
    # Lanczos overshoots beyond an edge, so that ink two rows off is not quite 255.
    np.testing.assert_allclose(x[:, 0, 14], 255, atol=5)
    np.testing.assert_array_equal(x[:, -1, 14], 0)
    # Ink in drawing d: d + 5 of 105 rows; the order is that of the file names.
    np.testing.assert_allclose(x.mean((1, 2)) / 255, (np.arange(20) + 5) / 105, atol=0.01)


def test_nothing_at_root_says_what_was_looked_for(tmp_path: Path) -> None:
    for part in ("omniglot_28x28_u8.npz", "images_background", "omniglot-py", str(tmp_path)):
        with pytest.raises(ValueError, match=re.escape(part)):
            load_omniglot(tmp_path)


def test_a_missing_class_is_named(tmp_path: Path, names: list[str]) -> None:
    write_npz(tmp_path, [name for name in names if name != "Latin/character05"])
    with pytest.raises(ValueError, match=r"lacks 1 of .* Latin/character05"):
        load_omniglot(tmp_path)
    with pytest.raises(ValueError, match="all 1623 characters, found 1622"):
        load_omniglot(tmp_path, split="random")


def test_half_a_download_is_refused(tmp_path: Path) -> None:
    write_folders(tmp_path, FEW)
    with pytest.raises(ValueError, match=r"lacks 1620 .*images_evaluation are needed"):
        load_omniglot(tmp_path)
    next((tmp_path / "images_background/Latin/character02").glob("*_20.png")).unlink()
    with pytest.raises(ValueError, match=r"character02 must hold 20 drawings .*found 19"):
        load_omniglot(tmp_path)


@pytest.mark.parametrize("broken", ["text", "truncated", "empty"])
def test_a_corrupt_image_is_named(tmp_path: Path, broken: str) -> None:
    write_folders(tmp_path, FEW)
    path = next((tmp_path / "images_evaluation/Tengwar/character25").glob("*_03.png"))
    content = path.read_bytes()
    # Cut within the chunk of pixels, whose length PIL only meets when it decodes them.
    cut = content[: content.index(b"IDAT") + 8]
    path.write_bytes({"text": b"not an image", "truncated": cut, "empty": b""}[broken])
    with pytest.raises(ValueError, match=re.escape(f"{path} cannot be read as an image")):
        load_omniglot(tmp_path)


def test_a_corrupt_npz_is_named(tmp_path: Path, names: list[str]) -> None:
    path = tmp_path / "omniglot_28x28_u8.npz"
    np.savez(path, x=np.zeros((2, 20, 105, 105), np.uint8), classes=np.array(names[:2]))
    with pytest.raises(ValueError, match=r"28x28_u8.npz: x must be uint8 \[2, 20, 28, 28\]"):
        load_omniglot(tmp_path)
    np.savez(path, y=np.zeros(3))
    with pytest.raises(ValueError, match=r"28x28_u8.npz: has no array x"):
        load_omniglot(tmp_path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match=r"28x28_u8.npz: not a whole archive"):
        load_omniglot(tmp_path)
    write_npz(tmp_path, names[:3])
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"28x28_u8.npz: not a whole archive"):
        load_omniglot(tmp_path)


def test_an_unknown_split_is_refused(root: Path) -> None:
    with pytest.raises(ValueError, match="vinyals or random, got 'finn'"):
        load_omniglot(root, split="finn")


@pytest.fixture
def data() -> Path:
    if not (DATA / "omniglot_28x28_u8.npz").is_file():
        pytest.skip(f"no omniglot_28x28_u8.npz in {DATA}: set METARL_DATA to its folder")
    return DATA


def test_the_package_holds_the_published_split(data: Path) -> None:
    for split, file in (("train", "train"), ("validation", "val"), ("test", "test")):
        path = data / "omniglot_vinyals" / f"{file}.txt"
        if not path.is_file():
            pytest.skip(f"no {path}")
        assert vinyals_names()[split] == path.read_text().split()


def test_the_true_drawings_have_white_ink_and_differ_by_class(data: Path) -> None:
    dataset = load_omniglot(data, rotations=False)
    assert isinstance(dataset.test, ArraySource)
    images = dataset.test.examples.float().reshape(423, 20, -1) / 255
    assert 0.03 < float(images.mean()) < 0.2
    # Means of half the drawings tell the other half apart far above chance, which is 0.002.
    means = images[:, :10].mean(1)
    nearest = torch.cdist(images[:, 10:].flatten(0, 1), means).argmin(1).reshape(423, 10)
    assert float((nearest == torch.arange(423)[:, None]).float().mean()) > 0.1
