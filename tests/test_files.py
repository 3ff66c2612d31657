"""Reading of files: one error, whatever is raised."""

import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metarl.files import FileError, one_error, replacing


def missing() -> Any:
    return Path("no such file").read_bytes()


@pytest.mark.parametrize(
    ("read", "reason"),
    [
        (missing, "No such file or directory"),
        (lambda: b"\xff".decode(), "'utf-8' codec can't decode byte 0xff"),
        (lambda: json.loads("[" * 100_000), "maximum recursion depth exceeded"),
        (lambda: json.loads("1" * 5_000), "Exceeds the limit (4300 digits)"),
        (lambda: zlib.decompress(b"x"), "Error -5 while decompressing data"),
        (lambda: bytearray(2**62), "MemoryError"),
        (lambda: {}["key"], "'key'"),
        (lambda: [][0], "list index out of range"),
        (lambda: int("\x1b[31m\nred"), "invalid literal"),
    ],
)
def test_whatever_is_raised_is_the_one_error(read: Callable[[], Any], reason: str) -> None:
    message = f"^x.npz is damaged: {re.escape(reason)}"
    with (
        pytest.raises(FileError, match=message) as error,
        one_error(FileError, "x.npz is damaged"),
    ):
        read()
    assert str(error.value).isprintable()


def test_an_interrupt_is_none() -> None:
    with pytest.raises(KeyboardInterrupt), one_error(FileError, "x"):
        raise KeyboardInterrupt


def fail(path: Path) -> None:
    with replacing(path) as file:
        file.write(b"half")
        raise ZeroDivisionError


def test_what_is_not_written_whole_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"first", b"second"):
        with replacing(path) as file:
            file.write(content)
    with pytest.raises(ZeroDivisionError):
        fail(path)
    assert path.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [path]
