"""NumPy archives: what one claims is checked before memory is taken for it."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any
from zipfile import ZipFile, is_zipfile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from metarl.files import FileError, one_error
from metarl.memory import check_memory

MODEST = 64 << 20
"""Bytes of an array that any file may expand to; beyond, it must be no bomb:"""
MOST_COMPRESSED = 200
"""bytes that a larger one may expand a byte of the file to. Images are at 1 to 20."""


def read_npz(path: Path, keys: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The arrays of these names in a NumPy archive.

    Raises:
        FileError: there is no such file, it is no archive, it lacks one of the arrays, or one is
            larger than the file can hold.
    """
    with one_error(FileError, str(path)), _opened(path) as archive:
        members = _members(archive)
        for key in keys:
            if key not in members:
                raise ValueError(f"has no array {key}; it holds: {', '.join(members)}")
        return {key: _read_array(archive, members[key], path) for key in keys}


def array_names(path: Path) -> list[str]:
    """Names of the arrays in a NumPy archive."""
    with one_error(FileError, str(path)), _opened(path) as archive:
        return list(_members(archive))


def _opened(path: Path) -> ZipFile:
    if path.is_file() and not is_zipfile(path):
        raise ValueError("not a whole archive of arrays, as numpy.savez writes it")
    return ZipFile(path)


def _members(archive: ZipFile) -> dict[str, str]:
    """Names of the files in it by those of the arrays."""
    return {name.removesuffix(".npy"): name for name in archive.namelist()}


def _read_array(archive: ZipFile, member: str, path: Path) -> NDArray[Any]:
    size = archive.getinfo(member).file_size
    if size > max(MODEST, MOST_COMPRESSED * path.stat().st_size):
        raise ValueError(
            f"{member} claims {size} bytes, over {MOST_COMPRESSED} times those of the file; if it "
            "does hold them, write it with numpy.savez, which does not compress"
        )
    with archive.open(member) as file:
        claimed = _claimed_bytes(file)
    if claimed > size:
        raise ValueError(f"{member} claims {claimed} bytes of numbers, but holds {size}")
    check_memory(claimed, member)
    with archive.open(member) as file:
        array: NDArray[Any] = npy.read_array(file, allow_pickle=False)
        if file.read(1):  # the checksum is compared at the end
            raise ValueError(f"{member} holds more than the {claimed} bytes that it claims")
    return array


def _claimed_bytes(file: IO[bytes]) -> int:
    """Of the numbers, by the header."""
    headers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(file)
    if version not in headers:
        raise ValueError("arrays of records are not read")
    shape, _, dtype = headers[version](file)
    return math.prod(shape) * int(np.dtype(dtype).itemsize)
