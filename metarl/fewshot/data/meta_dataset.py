"""Meta-Dataset as its conversion tools leave it on disk: specifications and TFRecord files.

Triantafillou et al. 2020. A folder ``<root>/<source>`` holds ``dataset_spec.json``
(:mod:`metarl.fewshot.data.meta_dataset_spec`) and the images of every class in
``<class id>.tfrecords``, or shards of it in ``<class id>_<shard>.tfrecords``
(:mod:`metarl.fewshot.data.tfrecord`). :func:`load_meta_dataset` makes a data set of every source.
"""

import io
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metarl.fewshot.data.meta_dataset_spec import SHARDS, SPLITS, SplitSpec, read_spec
from metarl.fewshot.data.pixels import ImageShape, open_image, to_array
from metarl.fewshot.data.tfrecord import index_records, parse_example, read_record
from metarl.fewshot.sources import DamagedDataError, Dataset
from metarl.files import FileError, one_error

SPEC_FILE = "dataset_spec.json"


class TFRecordSource:
    """The images of one split, decoded from TFRecord files when they are taken.

    Opening looks only whether every class has its files. The records of a class are found, and
    counted, when it is first drawn: finding all 50 million of Quick, Draw! means reading most of
    its files.

    Args:
        folder: where the files are.
        spec: classes of the split.
        image_size: height and width that images are resized to; RGB.
    """

    def __init__(self, folder: Path, spec: SplitSpec, *, image_size: int = 84) -> None:
        if image_size < 1:
            raise ValueError(f"image_size must be at least 1, got {image_size}")
        self.name = spec.name
        self.class_names = spec.class_names
        self.counts = torch.tensor(spec.counts, dtype=torch.int64)
        self.groups = spec.groups
        self._image_shape = ImageShape(3, image_size, image_size)
        self.shape = tuple(self._image_shape)
        self._files = [_class_files(folder, spec, class_id) for class_id in spec.class_ids]
        self._starts: dict[int, list[NDArray[np.int64]]] = {}

    def take(self, classes: Tensor, examples: Tensor) -> Tensor:
        """See :meth:`Source.take`; images are decoded in threads."""
        pairs = list(zip(classes.flatten().tolist(), examples.flatten().tolist(), strict=True))
        images = np.empty((len(pairs), *self.shape), np.uint8)
        try:
            self._index({index for index, _ in pairs})
            with ThreadPoolExecutor() as pool:
                for row, image in enumerate(pool.map(self._image, pairs)):
                    images[row] = image
        except ValueError as error:
            raise DamagedDataError(str(error)) from error
        return torch.from_numpy(images).reshape(*classes.shape, *self.shape)

    def _index(self, classes: Iterable[int]) -> None:
        for index in classes:
            if index in self._starts:
                continue
            starts = [index_records(path) for path in self._files[index]]
            has, needs = sum(map(len, starts)), int(self.counts[index])
            if has != needs:
                paths = ", ".join(map(str, self._files[index]))
                raise ValueError(f"{paths}: has {has} records, but {SPEC_FILE} says {needs}")
            self._starts[index] = starts

    def _image(self, pair: tuple[int, int]) -> NDArray[np.uint8]:
        index, record = pair
        for path, starts in zip(self._files[index], self._starts[index], strict=True):
            if record < len(starts):
                return _read_image(path, record, int(starts[record]), self._image_shape)
            record -= len(starts)
        raise IndexError(f"{self.name}: class {index} has no image {pair[1]}")


def _class_files(folder: Path, spec: SplitSpec, class_id: int) -> list[Path]:
    """One file, or the shards in order."""
    if spec.file_pattern == SHARDS:
        shards = folder.glob(spec.file_pattern.format(class_id, "*"))
        files = sorted(shards, key=lambda path: (len(path.name), path.name))
    else:
        files = [folder / spec.file_pattern.format(class_id)]
    if not files or not files[0].is_file():
        wanted = folder / spec.file_pattern.format(class_id, 0)
        name = spec.class_names[spec.class_ids.index(class_id)]
        raise ValueError(f"{wanted}: no such file; it should hold class {name!r} of {spec.name}")
    return files


def _read_image(path: Path, record: int, start: int, shape: ImageShape) -> NDArray[np.uint8]:
    with one_error(FileError, f"{path}: record {record} cannot be read as an image"):
        with path.open("rb") as file:
            data = parse_example(read_record(file, start)).get("image", [b""])[0]
        if not isinstance(data, bytes) or not data:
            raise ValueError("it has no feature 'image' of bytes")
        with open_image(io.BytesIO(data)) as image:
            # A JPEG is decoded at the eighth, quarter or half of its size that is enough.
            image.draft("RGB", (2 * shape.width, 2 * shape.height))
            return to_array(image, shape)


def load_meta_dataset(
    root: Path, sources: Sequence[str] | None = None, *, image_size: int = 84
) -> dict[str, Dataset]:
    """Open the data sets of Meta-Dataset.

    A split without classes, such as training of ``mscoco``, is a source of 0 classes, which
    samplers refuse.

    Args:
        root: folder with a folder a source.
        sources: their names, such as ``["ilsvrc_2012", "omniglot"]``; without, all there are.
        image_size: height and width that images are resized to.

    Returns:
        Data set of every source, by its name.
    """
    if sources is None:
        sources = sorted(path.parent.name for path in root.glob(f"*/{SPEC_FILE}"))
        if not sources:
            raise ValueError(f"{root}: no folder in it has a {SPEC_FILE}")
    return {name: _load_source(root / name, image_size) for name in sources}


def _load_source(folder: Path, image_size: int) -> Dataset:
    specs = read_spec(folder / SPEC_FILE)
    sources = (TFRecordSource(folder, specs[split], image_size=image_size) for split in SPLITS)
    return Dataset(folder.name, *sources)
