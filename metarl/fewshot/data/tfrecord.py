"""TFRecord files and the ``tf.train.Example`` messages in them, without TensorFlow.

A file is a row of records, each: length (uint64), masked CRC-32C of the length (uint32), data,
masked CRC-32C of the data (uint32), all little-endian. :func:`index_records` finds where they
begin from their lengths alone, :func:`read_record` reads one, :func:`parse_example` takes it apart.
"""

import struct
from array import array
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from metarl.files import FileError, one_error

_HEADER = struct.Struct("<QI")
_FOOTER_BYTES = 4
_CASTAGNOLI = 0x82F63B78
"""The polynomial of CRC-32C, its bits reversed."""
_MASK_DELTA = 0xA282EAD8
"""Added by the format, so that a checksum of data with checksums in them stays a good one."""


def index_records(path: Path) -> NDArray[np.int64]:
    """Where the records of a file begin, ``[n]``; reads only their headers.

    Raises:
        FileError: there is no such file, it is cut short, or the checksum of a length is wrong.
    """
    starts = array("q")
    start = 0
    with one_error(FileError, str(path)), path.open("rb") as file:
        size = path.stat().st_size
        while start < size:
            starts.append(start)
            header = file.read(_HEADER.size)
            what = f"record {len(starts) - 1}, which begins at byte {start},"
            if len(header) < _HEADER.size:
                raise ValueError(f"{what} is cut short: the file ends at byte {size}")
            length, checksum = _HEADER.unpack(header)
            if _masked_crc32c(header[:8]) != checksum:
                raise ValueError(f"{what} is damaged: the checksum of its length is wrong")
            start += _HEADER.size + length + _FOOTER_BYTES
            if start > size:
                raise ValueError(f"{what} is cut short at byte {size}: it should end at {start}")
            file.seek(start)
    return np.array(starts, np.int64)


def read_record(file: BinaryIO, start: int) -> bytes:
    """The data of the record that begins at byte ``start``.

    Its checksum is not looked at: in Python that would take longer than decoding the image.
    """
    file.seek(start)
    length, _ = _HEADER.unpack(file.read(_HEADER.size))
    return file.read(length)


def crc32c(data: bytes) -> int:
    """Checksum of the Castagnoli polynomial.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc = 0xFFFFFFFF
    table = _table()
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _table_entry(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (_CASTAGNOLI if byte & 1 else 0)
    return byte


@cache
def _table() -> tuple[int, ...]:
    return tuple(_table_entry(byte) for byte in range(256))


@lru_cache(maxsize=65536)  # many records have the same length
def _masked_crc32c(data: bytes) -> int:
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def parse_example(message: bytes) -> dict[str, list[bytes] | list[int]]:
    """The features of a ``tf.train.Example``: lists of bytes and of int64.

    Lists of floats are left out: Meta-Dataset has none.

    Raises:
        ValueError: it is no such message.

    >>> parse_example(bytes.fromhex("0a0e0a0c0a016c1207") + bytes.fromhex("1a050a03070102"))
    {'l': [7, 1, 2]}
    """
    features: dict[str, list[bytes] | list[int]] = {}
    for of_example in _submessages(message, 1):  # Example.features
        for entry in _submessages(of_example, 1):  # Features.feature, a map
            name = b"".join(_submessages(entry, 1)).decode()
            for feature in _submessages(entry, 2):
                if values := _feature_values(feature):
                    features[name] = values
    return features


def _feature_values(feature: bytes) -> list[bytes] | list[int]:
    """Of ``Feature.bytes_list`` or ``Feature.int64_list``; empty for neither."""
    texts = [value for of in _submessages(feature, 1) for value in _submessages(of, 1)]
    numbers = [number for of in _submessages(feature, 3) for number in _int64s(of)]
    return texts or numbers


def _int64s(int64_list: bytes) -> Iterator[int]:
    """The numbers of an ``Int64List``, packed or one by one."""
    for number, value in _fields(int64_list):
        if number != 1:
            continue
        if isinstance(value, int):
            yield _signed(value)
            continue
        place = 0
        while place < len(value):
            one, place = _varint(value, place)
            yield _signed(one)


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def _submessages(message: bytes, number: int) -> list[bytes]:
    """The fields of that number whose length is given: messages, texts and bytes."""
    return [
        value
        for field_number, value in _fields(message)
        if field_number == number and isinstance(value, bytes)
    ]


def _fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Number and value of every field of a protocol buffer message."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, wire_type = key >> 3, key & 7
        if wire_type == 0:
            value, place = _varint(message, place)
            yield number, value
            continue
        if wire_type == 2:
            length, place = _varint(message, place)
        elif wire_type in _FIXED_BYTES:
            length = _FIXED_BYTES[wire_type]
        else:
            raise ValueError(f"not a tf.train.Example: wire type {wire_type} at byte {place}")
        if place + length > len(message):
            raise ValueError(f"not a tf.train.Example: a field ends past its {len(message)} bytes")
        yield number, message[place : place + length]
        place += length


_FIXED_BYTES = {1: 8, 5: 4}
"""Length of the wire types that always have the same."""


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """A number of 7 bits a byte, the least first, and where it ends."""
    value = shift = 0
    while place < len(message) and shift < 70:
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    raise ValueError(f"not a tf.train.Example: a number has no end at byte {place}")
