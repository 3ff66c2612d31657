"""Damage to files that is the same for the same seed: blind, and aware of what a format checks.

Bytes changed blindly mostly fail a checksum, which shields what lies behind it. So zip archives,
PNG files and TFRecord files are also taken apart, damaged inside and put together with checksums
that fit, and JSON gets values of other types, sizes and depths.
"""

import contextlib
import io
import json
import re
import struct
import zipfile
import zlib
from random import Random
from typing import Any

from metarl.fewshot.data.tfrecord import crc32c
from metarl.files import FileError, one_error

NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 10**12, 2**63 - 1)
TOKENS = (
    *(b"\x00", b"\xff\xfe", b'"', b"'", b",", b"\n", b"\r", b";", b"(", b"{}", b"null", b"-1"),
    *(b"NaN", b"1e999", b"True", b"10000000000", b"9" * 5000, b"[" * 3000, b"(" * 300, b"O"),
    *("é".encode(), "\u2028".encode(), b"../../x", b"|O8", b"<U9", b"<f8"),
)
ODD: tuple[Any, ...] = (
    *(None, True, "", "x", -1, 0, 2.5, 10**6, 10**10, 10**30, 1e308, float("nan"), float("inf")),
    *([], {}, [[]], ["x"], [1, 2], {"a": 1}, "\ud800", "x" * 10000),
)
PNG = b"\x89PNG\r\n\x1a\n"


def mutated(content: bytes, rng: Random) -> bytes:
    """One to three kinds of damage."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        content = _once(content, rng)
    return content


def _once(content: bytes, rng: Random) -> bytes:
    if rng.random() < 0.6:
        with contextlib.suppress(FileError), one_error(FileError, "an earlier damage broke it"):
            if content[:2] == b"PK":
                return _in_archive(content, rng)
            if content[:8] == PNG:
                return _in_png(content, rng)
            if content[:1] == b"{":
                return _in_json(content, rng)
            if len(content) > 16 and _is_framed(content):
                return _in_records(content, rng)
    return _blind(content, rng)


def _blind(content: bytes, rng: Random) -> bytes:
    return rng.choice((_flip, _cut, _drop, _repeat, _move, _number, _token, _digits, _digits))(
        content, rng
    )


def _span(content: bytes, rng: Random) -> tuple[int, int]:
    start = rng.randrange(len(content) + 1)
    return start, min(len(content), start + rng.choice((1, 2, 4, 16, 64, 1000)))


def _flip(content: bytes, rng: Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 1, 4, 16)) if content else 0):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _cut(content: bytes, rng: Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _drop(content: bytes, rng: Random) -> bytes:
    start, stop = _span(content, rng)
    return content[:start] + content[stop:]


def _repeat(content: bytes, rng: Random) -> bytes:
    start, stop = _span(content, rng)
    return content[:stop] + content[start:stop] * rng.choice((1, 2, 50)) + content[stop:]


def _move(content: bytes, rng: Random) -> bytes:
    """A splice: a piece over another place."""
    start, stop = _span(content, rng)
    place = rng.randrange(len(content) + 1)
    return content[:place] + content[start:stop] + content[place + stop - start :]


def _number(content: bytes, rng: Random) -> bytes:
    """An integer of a header."""
    code = rng.choice(("<B", "<H", ">H", "<I", ">I", "<Q", ">Q"))
    value = struct.pack(code, rng.choice(NUMBERS) % 2 ** (8 * struct.calcsize(code)))
    place = rng.randrange(min(len(content), rng.choice((32, 200, 10**9))) + 1)
    return content[:place] + value + content[place + len(value) :]


def _token(content: bytes, rng: Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.choice(TOKENS) + content[place + rng.choice((0, 1)) :]


def _digits(content: bytes, rng: Random) -> bytes:
    """Another number where one is written out, as in a header of NumPy or in a table."""
    places = list(re.finditer(rb"\d+", content[:100_000]))
    if not places:
        return _flip(content, rng)
    place = rng.choice(places)
    value = rng.choice((b"-1", b"0", b"1e9", b"nan", b"", b"%d" % rng.choice(NUMBERS)))
    return content[: place.start()] + value + content[place.end() :]


def _in_archive(content: bytes, rng: Random) -> bytes:
    """Damage one member; lengths and checksums fit. Sometimes it is compressed another way."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    chosen = rng.randrange(len(members))
    name, data = members[chosen]
    kind = rng.random()
    if kind < 0.1:
        del members[chosen]
    elif kind < 0.2:
        members[chosen] = (_blind(name.encode(), rng).decode("latin-1") or "x", data)
    elif kind < 0.3:
        members[chosen] = (name, rng.choice(members)[1])
    else:
        members[chosen] = (name, _in_json(data, rng) if data[:1] == b"{" else _blind(data, rng))
    buffer = io.BytesIO()
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name.replace("\x00", "")), data, method)
    return buffer.getvalue()


def _in_png(content: bytes, rng: Random) -> bytes:
    """Damage one chunk; its checksum fits."""
    chunks, place = [], len(PNG)
    while place < len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        chunks.append(content[place + 4 : place + 8 + length])
        place += 12 + length
    chosen = rng.randrange(len(chunks))
    chunks[chosen] = chunks[chosen][:4] + _blind(chunks[chosen][4:], rng)
    return PNG + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in chunks
    )


def _is_framed(content: bytes) -> bool:
    return content[8:12] == _masked(content[:8])


def _in_records(content: bytes, rng: Random) -> bytes:
    """Damage one record of a TFRecord file; its checksums fit."""
    records, place = [], 0
    while place < len(content):
        (length,) = struct.unpack("<Q", content[place : place + 8])
        records.append(content[place + 12 : place + 12 + length])
        place += 16 + length
    chosen = rng.randrange(len(records))
    records[chosen] = _blind(records[chosen], rng)
    return b"".join(
        (length := struct.pack("<Q", len(record))) + _masked(length) + record + _masked(record)
        for record in records
    )


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)


def _in_json(content: bytes, rng: Random) -> bytes:
    """Another value in one place, or none, or one beside it, or a lot of nesting."""
    whole = json.loads(content)
    places = list(_places(whole))
    if not places:
        return _blind(content, rng)
    holder, key = rng.choice(places)
    kind = rng.random()
    if kind < 0.15:
        del holder[key]
    elif kind < 0.25 and isinstance(holder, dict):
        holder["surplus"] = rng.choice(ODD)
    elif kind < 0.3:
        depth = rng.choice((50, 500, 100_000))
        holder[key] = "HERE"
        text = json.dumps(whole, allow_nan=True)
        return text.replace('"HERE"', "[" * depth + "]" * depth).encode()
    else:
        holder[key] = rng.choice(ODD)
    return json.dumps(whole, allow_nan=True).encode()


def _places(value: Any) -> Any:
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])
