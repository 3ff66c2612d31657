"""Image files of every kind, as people have them: what is read, and what is said of the rest."""

import os
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from metarl.fewshot.data.folder import load_folder, read_class_folder, read_query_folder
from metarl.fewshot.data.image_files import notes
from metarl.fewshot.data.pixels import ImageShape, open_image, to_array
from metarl.files import FileError

RED = (255, 0, 0)


def save(path, image=None, **settings):
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or Image.new("RGB", (6, 4), RED)).save(path, **settings)
    return path


def classes(root, image=None):
    """Six classes of two images."""
    return [save(root / name / f"{i}.png", image) for name in "abcdef" for i in range(2)]


def read(path, channels=1):
    with open_image(path) as image:
        return to_array(image, ImageShape(channels, *image.size[::-1]))


def test_all_known_formats_count(tmp_path):
    for suffix in ("png", "jpg", "JPEG", "bmp", "gif", "webp", "tif", "TIFF"):
        save(tmp_path / "a" / f"picture.{suffix}")
    (tmp_path / "a" / "notes.txt").write_text("no image")
    (tmp_path / "a" / "._picture.png").write_text("a Mac's")
    images = read_class_folder(tmp_path)
    assert images.counts == [8]
    assert (images.images[:, 0].float() - 255).abs().max() <= 3
    assert images.images[:, 1:].max() <= 3


def test_files_are_known_by_what_they_hold(tmp_path):
    """``.jfif`` is what some browsers call a JPEG."""
    for name in ("a.jfif", "b", "c.dat", "d.JPEG"):
        save(tmp_path / "a" / name, format="JPEG")
    assert read_class_folder(tmp_path).counts == [4]
    assert read_query_folder(tmp_path / "a").images.shape == (4, 3, 4, 6)


def lay_out(root):
    """What people have beside their images."""
    classes(root)
    (root / "a" / "scan.dcm").write_bytes(bytes(128) + b"DICM")
    (root / "a" / "notes.txt").write_text("x")
    (root / "b" / "more").mkdir()
    save(root / "stray.png")
    (root / "README.md").write_text("x")
    (root / "a" / ".DS_Store").write_text("x")
    return [
        root / "a" / "notes.txt",
        root / "a" / "scan.dcm",
        root / "b" / "more",
        root / "stray.png",
    ]


def test_what_is_left_out_is_counted_and_named(tmp_path):
    left_out = lay_out(tmp_path)
    images = read_class_folder(tmp_path)
    assert sorted(images.left_out) == sorted(left_out)
    assert images.counts == [2] * 6
    line = f"left out 4 files, no image of a class: {tmp_path / 'stray.png'}, ..."
    assert notes([images]) == (line,)
    assert load_folder(tmp_path).notes == (line,)
    assert read_query_folder(tmp_path / "a").left_out == tuple(left_out[:2])


def test_what_lies_beside_the_folders_of_splits(tmp_path):
    for split, names in (("train", "ab"), ("val", "cd"), ("test", "ef")):
        for name in names:
            save(tmp_path / split / name / "0.png")
    first, second = save(tmp_path / "stray.png"), save(tmp_path / "val" / "stray.jpg")
    assert load_folder(tmp_path).notes == (f"left out 2 files, no image of a class: {first}, ...",)
    first.unlink()
    assert load_folder(tmp_path).notes == (f"left out 1 file, no image of a class: {second}",)


def test_a_link_is_what_it_leads_to(tmp_path):
    classes(tmp_path / "photos")
    (tmp_path / "photos" / "a" / "2.png").symlink_to(tmp_path / "photos" / "a" / "1.png")
    assert read_class_folder(tmp_path / "photos").counts == [3, 2, 2, 2, 2, 2]
    (tmp_path / "photos" / "a" / "3.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(FileError, match=r"a/3\.png: not a readable image .*: No such file"):
        read_class_folder(tmp_path / "photos")


def test_a_pipe_is_not_waited_for(tmp_path):
    classes(tmp_path)
    os.mkfifo(tmp_path / "a" / "pipe.png")
    assert read_class_folder(tmp_path).left_out == (tmp_path / "a" / "pipe.png",)


@pytest.mark.parametrize("suffix", ["tif", "gif", "webp", "png"])
def test_further_pages_are_counted(tmp_path, suffix):
    page = Image.new("RGB", (6, 4), (0, 255, 0))
    path = save(tmp_path / "a" / f"0.{suffix}", save_all=True, append_images=[page])
    images = read_class_folder(tmp_path)
    assert notes([images]) == (f"only the first page was read of 1 file: {path}",)
    assert images.images[0, 0].min() > 250
    save(path)
    assert notes([read_class_folder(tmp_path)]) == ()


def deep(values, kind="png"):
    return Image.fromarray(np.array([values], dtype=np.uint16))


def test_twelve_bits_in_sixteen(tmp_path):
    """Taken for 16 bits, 0 to 4095 would be 0 to 15."""
    classes(tmp_path, deep([0, 1024, 4095]))
    with pytest.raises(ValueError, match=r"none of their values is above 4095.* --pixel-bits 12 s"):
        load_folder(tmp_path)
    dataset = load_folder(tmp_path, pixel_bits=12).dataset
    assert dataset.train.examples[0].tolist() == [[[0, 64, 255]]]
    assert load_folder(tmp_path, pixel_bits=16).dataset.train.examples[0].tolist() == [[[0, 4, 15]]]
    save(tmp_path / "f" / "1.png", deep([0, 0, 4096]))
    with pytest.raises(FileError, match=r"f/1\.png: .*a pixel is 4096, over the 12 bits"):
        load_folder(tmp_path, pixel_bits=12)


def test_one_image_that_uses_sixteen_bits_is_enough(tmp_path):
    """Their brightness relative to one another is kept."""
    classes(tmp_path, deep([0, 1024, 4095]))
    save(tmp_path / "f" / "1.png", deep([0, 256, 65535]))
    dataset = load_folder(tmp_path).dataset
    seen = {tuple(image.flatten().tolist()) for image in every_image(dataset)}
    assert seen == {(0, 4, 15), (0, 1, 255)}


def every_image(dataset):
    return torch.cat([dataset.train.examples, dataset.validation.examples, dataset.test.examples])


def png(mode, rows, bits=16, colour=2):
    """A PNG file written by hand, since Pillow writes no colours of 16 bits."""
    height, width = len(rows), len(rows[0])

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    lines = b"".join(b"\0" + b"".join(struct.pack(">3H", *pixel) for pixel in row) for row in rows)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )


def test_colours_of_sixteen_bits(tmp_path):
    """Pillow keeps the upper eight, of which twelve bits use four."""
    for path in classes(tmp_path):
        path.write_bytes(png("RGB", [[(0, 1024, 4095)]]))
    with pytest.raises(
        ValueError, match=r"16 bits a pixel, but none of their values is above 4095"
    ):
        load_folder(tmp_path)
    with pytest.raises(FileError, match="colours of 16 bits are read at 16: write them with 8"):
        load_folder(tmp_path, pixel_bits=12)
    (tmp_path / "f" / "1.png").write_bytes(png("RGB", [[(0, 0x8000, 0xFFFF)]]))
    assert every_image(load_folder(tmp_path).dataset).max() == 255


def test_a_tiff_that_says_twelve_bits(tmp_path):
    """Two pixels in three bytes."""
    path = save(tmp_path / "a.tif", Image.new("L", (2, 1)))
    content = bytearray(path.read_bytes())
    with Image.open(path) as image:
        (start,) = image.tag_v2[273]
    place = content.index(struct.pack("<HHI", 258, 3, 1))
    content[place + 8 : place + 10] = struct.pack("<H", 12)
    content[start : start + 3] = bytes.fromhex("fff400")
    content += bytes(3)
    path.write_bytes(content)
    assert read(path).tolist() == [[[255, 64]]]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.fromarray(np.array([[0, 1]], np.uint8) == 1), [0, 255]),
        (Image.fromarray(np.array([[0, 200]], np.uint8)).convert("P"), [0, 200]),
        (Image.new("CMYK", (2, 1), (0, 0, 0, 55)), [200, 200]),
        (Image.fromarray(np.array([[0, 0x80FF]], np.uint16)), [0, 0x80]),
        (Image.new("RGBA", (2, 1), (0, 0, 0, 51)), [204, 204]),
        (Image.new("LA", (2, 1), (100, 255)), [100, 100]),
    ],
    ids=["1", "P", "CMYK", "I;16", "RGBA", "LA"],
)
def test_no_mode_loses_its_range(tmp_path, image, expected):
    path = (
        save(tmp_path / "a.tif", image) if image.mode == "CMYK" else save(tmp_path / "a.png", image)
    )
    assert read(path).tolist() == [[expected]]


@pytest.mark.parametrize(
    "image",
    [Image.new("F", (2, 2), 0.5), Image.fromarray(np.array([[-5, 5]], np.int32))],
    ids=["float", "signed"],
)
def test_what_has_no_range_is_refused(tmp_path, image):
    save(tmp_path / "a" / "0.tif", image)
    with pytest.raises(FileError, match=r"a/0.tif: not a readable .*: pixels with a sign or of 32"):
        read_class_folder(tmp_path)


def test_white_as_zero_in_sixteen_bits(tmp_path):
    """Pillow would show a negative."""
    path = save(tmp_path / "a" / "0.tif", deep([0, 65535]), tiffinfo={262: 0})
    with Image.open(path) as image:
        assert image.tag_v2[262] == 0
    with pytest.raises(FileError, match="16 bits a pixel with 0 for white"):
        read_class_folder(tmp_path)


def test_sixteen_bits_transparency_and_the_way_the_camera_was_held(tmp_path):
    Image.fromarray(np.full((4, 6), 0x8000, dtype=np.uint16)).save(tmp_path / "deep.png")
    with Image.open(tmp_path / "deep.png") as image:
        assert to_array(image, ImageShape(1, 4, 6)).max() == 128
    clear = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    clear.putpixel((0, 0), (9, 9, 9, 255))
    assert to_array(clear, ImageShape(1, 1, 2)).tolist() == [[[9, 255]]]
    palette = clear.convert("PA").convert("RGBA").quantize(4)
    palette.save(tmp_path / "clear.gif", transparency=palette.getpixel((1, 0)))
    with Image.open(tmp_path / "clear.gif") as image:
        assert to_array(image, ImageShape(3, 1, 2))[:, 0, 1].tolist() == [255, 255, 255]
    # orientation 6: the left column as stored is the top row as seen
    turned = Image.fromarray(np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as image:
        assert to_array(image, ImageShape(1, 3, 2)).tolist() == [[[4, 1], [5, 2], [6, 3]]]


@pytest.mark.parametrize("size", [(8000, 7000), (40_000, 40_000)])
def test_a_bomb_is_not_decoded(tmp_path, size):
    """A header that claims more pixels than any image of a data set has."""
    content = png("RGB", [[(0, 0, 0)]])
    header = content[16:29].replace(struct.pack(">II", 1, 1), struct.pack(">II", *size))
    bomb = content[:16] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + content[33:]
    for path in classes(tmp_path):
        path.write_bytes(bomb)
    with pytest.raises(FileError, match=r"0\.png: not a readable image .*(pixels|exceeds limit)"):
        load_folder(tmp_path, image_size=8, channels=3)


def test_a_size_that_no_memory_holds(tmp_path):
    classes(tmp_path)
    with pytest.raises(ValueError, match="12 images of 1000000 x 1000000 needs at least"):
        load_folder(tmp_path, image_size=1_000_000)
