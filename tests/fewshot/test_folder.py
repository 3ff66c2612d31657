"""Folders of images in the layouts people have them in, written small."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from metarl.fewshot.data.folder import load_folder, read_class_folder, read_query_folder

RED = (255, 0, 0)
SPLITS = ("train", "validation", "test")


def save(path, colour=RED, size=(6, 4), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)
    return path


def write_class(folder, count=2, **image):
    return [save(folder / f"{index}.png", **image) for index in range(count)]


def write_classes(root, names, **image):
    return {name: write_class(root / name, **image) for name in names}


def write_splits(root, validation="val", **image):
    write_classes(root / "train", ["ant", "bee"], **image)
    write_classes(root / validation, ["cat", "dog"], **image)
    write_classes(root / "test", ["eel", "fox"], **image)


def names(dataset):
    return tuple(dataset.split(split).class_names for split in SPLITS)


@pytest.mark.parametrize("validation", ["val", "validation", "valid"])
def test_folders_of_splits(tmp_path, validation):
    write_splits(tmp_path / "birds", validation)
    dataset, notes = load_folder(tmp_path / "birds")
    assert names(dataset) == (("ant", "bee"), ("cat", "dog"), ("eel", "fox"))
    assert notes == ()
    assert dataset.name == "birds"
    assert dataset.test.name == "birds test"
    assert dataset.train.shape == (3, 4, 6)
    assert dataset.train.counts.tolist() == [2, 2]


def test_an_image_keeps_its_class_and_its_axes(tmp_path):
    """A colour for every image, with one white pixel at row 1, column 5."""
    for index, name in enumerate("abcdef"):
        for example in range(3):
            path = save(tmp_path / name / f"{example}.png", colour=(index, example, 0))
            with Image.open(path) as image:
                image.putpixel((5, 1), (255, 255, 255))
                image.save(path)
    images = read_class_folder(tmp_path)
    assert images.images.dtype == torch.uint8
    for position, (name, path) in enumerate(zip(images.labels, images.paths, strict=True)):
        pixels = images.images[position]
        assert pixels[:, 1, 5].tolist() == [255, 255, 255]
        assert pixels[:, 0, 0].tolist() == ["abcdef".index(name), int(path.stem), 0]
        assert path.parent.name == name
    dataset = load_folder(tmp_path).dataset
    source = dataset.train
    taken = source.take(torch.tensor([1]), torch.tensor([2]))[0]
    assert taken[:, 0, 0].tolist() == ["abcdef".index(source.class_names[1]), 2, 0]


def test_a_folder_without_splits_is_cut_by_seed(tmp_path):
    letters = "abcdefghij"
    write_classes(tmp_path, letters)
    first, again, other = (names(load_folder(tmp_path, seed=s).dataset) for s in (0, 0, 1))
    assert first == again != other
    assert [len(part) for part in first] == [6, 2, 2]
    assert sorted(name for part in first for name in part) == list(letters)
    wide = load_folder(tmp_path, fractions=(0.4, 0.2, 0.4)).dataset
    assert [len(part) for part in names(wide)] == [4, 2, 4]


def test_csv_lists_beside_the_images(tmp_path):
    """miniImageNet by the lists of Ravi and Larochelle."""
    for split, classes in zip(("train", "val", "test"), ("ab", "cd", "ef"), strict=True):
        rows = ["filename,label"]
        for name in classes:
            rows += [f"{name}{index}.jpg,n{name}" for index in range(2)]
            for index in range(2):
                save(tmp_path / "images" / f"{name}{index}.jpg")
        (tmp_path / f"{split}.csv").write_text("\n".join(rows) + "\n")
    dataset = load_folder(tmp_path).dataset
    assert names(dataset) == (("na", "nb"), ("nc", "nd"), ("ne", "nf"))
    (tmp_path / "images" / "a1.jpg").unlink()
    with pytest.raises(ValueError, match=r"a1\.jpg: not a readable image .*No such file"):
        load_folder(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,label\na,b\n", "needs columns filename and label, has .'file', 'label'"),
        ("filename,label\na.png\n", "line 2 lacks a filename or a label"),
        ("filename,label\nx.png,p\nx.png,q\n", "x.png: listed twice"),
        ("", "needs columns filename and label, has .."),
    ],
)
def test_a_bad_list(tmp_path, content, message):
    (tmp_path / "train.csv").write_text(content)
    (tmp_path / "val.csv").write_text("filename,label\ny.png,r\n")
    (tmp_path / "test.csv").write_text("filename,label\nz.png,s\n")
    with pytest.raises(ValueError, match=message):
        load_folder(tmp_path)


def test_cub_as_it_is_published(tmp_path):
    birds = [f"{number:03d}.Bird_{number}" for number in range(1, 11)]
    write_classes(tmp_path / "images", birds)
    (tmp_path / "attributes").mkdir()
    (tmp_path / "images.txt").write_text("1 001.Bird_1/0.png\n")
    assert sorted(sum(names(load_folder(tmp_path).dataset), ())) == birds


def test_sizes_differ(tmp_path):
    write_splits(tmp_path)
    save(tmp_path / "test" / "fox" / "9.png", size=(7, 4))
    with pytest.raises(ValueError, match=r"0\.png is 6x4 and .*fox/9\.png is 7x4; --image-size"):
        load_folder(tmp_path)
    dataset = load_folder(tmp_path, image_size=5).dataset
    assert [dataset.split(split).shape for split in SPLITS] == [(3, 5, 5)] * 3


def test_grayscale_only_if_all_are(tmp_path):
    write_splits(tmp_path, mode="L", colour=7)
    assert load_folder(tmp_path).dataset.train.shape == (1, 4, 6)
    assert load_folder(tmp_path, channels=3).dataset.train.shape == (3, 4, 6)
    save(tmp_path / "test" / "eel" / "9.png")
    for options in ({}, {"image_size": 4}):
        assert load_folder(tmp_path, **options).dataset.train.shape[0] == 3
    assert load_folder(tmp_path, channels=1).dataset.train.shape == (1, 4, 6)


@pytest.mark.parametrize("damage", ["no image at all", "half an image"])
@pytest.mark.parametrize("options", [{}, {"image_size": 4}, {"image_size": 4, "channels": 3}])
def test_a_corrupt_image(tmp_path, damage, options):
    write_splits(tmp_path)
    bad = save(tmp_path / "val" / "cat" / "1.png", size=(64, 64) if options else (6, 4))
    whole = bad.read_bytes()
    bad.write_bytes(b"text" if damage == "no image at all" else whole[: len(whole) * 2 // 3])
    with pytest.raises(ValueError, match=r"val/cat/1\.png: not a readable image \(.*--skip-bad"):
        load_folder(tmp_path, **options)
    loaded = load_folder(tmp_path, skip_bad=True, **options)
    assert loaded.notes == (f"skipped 1 file that cannot be read: {bad}",)
    assert loaded.dataset.validation.counts.tolist() == [1, 2]
    (bad.parent / "0.png").write_bytes(bad.read_bytes())
    with pytest.raises(ValueError, match="class cat: 0 images can be read, 1 are needed"):
        load_folder(tmp_path, skip_bad=True, **options)


def test_a_turned_image_has_the_size_it_is_seen_in(tmp_path):
    save(tmp_path / "a" / "0.png", size=(4, 6))
    turned = Image.new("RGB", (6, 4))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "a" / "1.png", exif=exif)
    assert read_class_folder(tmp_path).images.shape == (2, 3, 6, 4)


def broken(root, case):
    if case == "no such folder":
        return root / "nowhere"
    if case == "not a folder":
        return save(root / "image.png")
    write_splits(root)
    if case == "no test":
        (root / "test").rename(root / "unseen")
    elif case == "empty split":
        (root / "test").rename(root / "unseen")
        (root / "test").mkdir()
    elif case == "empty class":
        (root / "test" / "gnu").mkdir()
    elif case == "class in two splits":
        write_class(root / "test" / "ant")
    return root


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("no such folder", "nowhere: no such folder"),
        ("not a folder", r"image\.png: not a folder"),
        ("no test", "has train and val, but nothing called test"),
        ("empty split", "test: no folders in it; it takes one for every class"),
        ("empty class", "gnu: no images in it; a class is a folder of png, jpg"),
        ("class in two splits", "class ant is in train and in test; a class must be in one split"),
    ],
)
def test_a_folder_of_no_layout(tmp_path, case, message):
    with pytest.raises(ValueError, match=message):
        load_folder(broken(tmp_path, case))


def test_too_few_classes_to_cut(tmp_path):
    write_classes(tmp_path, "abcde")
    with pytest.raises(ValueError, match=r"class folders: 5 are too few to cut .* takes 6"):
        load_folder(tmp_path)


@pytest.mark.parametrize("fractions", [(0.5, 0.5, 0.5), (1.0, 0.0, 0.0)])
def test_fractions_are_a_cut_in_three(tmp_path, fractions):
    write_classes(tmp_path, "abcdefgh")
    with pytest.raises(ValueError, match="fractions must be three above 0 that add up to 1"):
        load_folder(tmp_path, fractions=fractions)


def test_one_folder_called_train_is_a_class(tmp_path):
    write_classes(tmp_path, ["train", *"abcde"])
    assert "train" in sum(names(load_folder(tmp_path).dataset), ())


def test_queries_are_flat_or_by_class(tmp_path):
    write_class(tmp_path / "flat", count=3)
    flat = read_query_folder(tmp_path / "flat", image_size=8, channels=1)
    assert flat.images.shape == (3, 1, 8, 8)
    assert flat.labels == ()
    assert [path.name for path in flat.paths] == ["0.png", "1.png", "2.png"]
    write_classes(tmp_path / "classes", "ab")
    assert read_query_folder(tmp_path / "classes").labels == ("a", "a", "b", "b")
    write_class(tmp_path / "flat" / "a")
    with pytest.raises(ValueError, match="images both in it and in a/"):
        read_query_folder(tmp_path / "flat")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: no images in it"):
        read_query_folder(tmp_path / "empty")


def test_no_image_can_be_read(tmp_path):
    (tmp_path / "0.png").write_text("no image")
    for options in ({}, {"image_size": 4}):
        with pytest.raises(ValueError, match="none of its 1 images can be read"):
            read_query_folder(Path(tmp_path), skip_bad=True, **options)
