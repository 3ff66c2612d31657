"""Files: whatever reading one raises is one error; those with weights are whole and checked.

What is written goes to a temporary file, is flushed to disk and renamed, so a file of the right
name is a whole one. Of a file with weights (a checkpoint, a policy, a classifier) the checksums are
compared before anything in it is used, and only tensors and plain data are ever unpickled.
"""

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BufferedWriter
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO, cast
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch

FORMAT_VERSION = 1


class FileError(ValueError):
    """A file is damaged, holds something else than what is read, or is not there."""


class NonFiniteError(ValueError):
    """A number that a model is made of, or that it gives, is infinite or none at all."""


@contextmanager
def one_error(kind: type[Exception], message: str) -> Iterator[None]:
    """Whatever is raised in here is an error of this kind, its reason behind the message.

    For the reading of files alone: no list of what libraries raise when they are given garbage is
    ever complete (one bit of a zip archive is good for ten kinds, a RecursionError among them).

    >>> with one_error(FileError, "numbers.txt is damaged"):
    ...     float("1.o")
    Traceback (most recent call last):
    metarl.files.FileError: numbers.txt is damaged: could not convert string to float: '1.o'
    """
    try:
        yield
    except Exception as error:
        raise kind(f"{message}: {_reason(error)}") from error


@contextmanager
def replacing(path: Path) -> Iterator[BufferedWriter]:
    """A file to write, which takes the place of ``path`` once it is whole and on the disk."""
    # another process may write the same: each has a file of its own, and the last one counts
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with naming(path):
        try:
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync(path.parent)


def drop_unfinished(folder: Path, name: str = "*") -> None:
    """Remove what processes left that were killed in :func:`replacing`; nobody may be in it now.

    Args:
        folder: with the files.
        name: a pattern of theirs.
    """
    for path in folder.glob(f".{name}.*.tmp"):
        path.unlink(missing_ok=True)


class Flushing:
    """Makes what was written to the files of a folder survive a loss of power.

    Args:
        folder: of which the files themselves are meant, not folders in it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._flushed: dict[Path, tuple[int, int]] = {}

    def __call__(self) -> None:
        """Flush what has changed since the last time; a disk takes its time for any other, too."""
        for path in filter(Path.is_file, self._folder.iterdir()):
            with suppress(FileNotFoundError):  # another process has one here for a moment
                state = (path.stat().st_mtime_ns, path.stat().st_size)
                if self._flushed.get(path) != state:
                    _sync(path)
                    self._flushed[path] = state


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """An :class:`OSError` in here names that path: those of a full disk name none."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def save_weights(path: Path, kind: str, content: dict[str, Any]) -> None:
    """Write tensors and plain data as a file that :func:`load_weights` reads.

    Args:
        path: the file.
        kind: what it holds, such as ``policy``.
        content: by names; tensors in dicts within dicts, say.

    Raises:
        NonFiniteError: a tensor has numbers that are not finite; nothing is written.
    """
    try:
        check_finite(content)
    except NonFiniteError as error:
        raise NonFiniteError(f"{path} is not written: {error}") from error
    payload = {"format": f"metarl-{kind}", "format_version": FORMAT_VERSION, **content}
    with replacing(path) as file:
        sink = _Sink(file)
        torch.save(payload, cast(BinaryIO, sink))  # of a file it uses nothing else
        if sink.error is not None:
            raise sink.error


class _Sink:
    """A file for torch, whose writer ends the process if one fails that it calls as it is deleted.

    That is when something else has ended the writing, such as a signal, and the file is closed.
    """

    def __init__(self, file: BufferedWriter) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: bytes | memoryview) -> int:
        """Keep what goes wrong for later."""
        if self.error is None and not self._file.closed:
            try:
                self._file.write(data)
            except OSError as error:
                self.error = error
        return len(data)

    def flush(self) -> None:
        """Left to who opened the file."""


def check_finite(content: Any, name: str = "") -> None:
    """Raise a :class:`NonFiniteError` that names the first tensor that is not finite.

    Args:
        content: tensors in dicts and lists; anything else in them is passed over.
        name: what it is called.

    >>> check_finite({"policy": {"bias": torch.tensor([0.0, torch.nan])}})
    Traceback (most recent call last):
    metarl.files.NonFiniteError: policy.bias is not finite
    """
    if isinstance(content, torch.Tensor) and not torch.isfinite(content).all():
        raise NonFiniteError(f"{name} is not finite")
    if isinstance(content, list | tuple):
        content = dict(enumerate(content))
    for key, value in content.items() if isinstance(content, Mapping) else ():
        check_finite(value, f"{name}.{key}" if name else str(key))


def load_weights(path: Path, kind: str) -> dict[str, Any]:
    """What :func:`save_weights` wrote, on the CPU.

    Raises:
        FileError: if the file is damaged, of another kind, or not ours.
    """
    if not path.exists():
        raise FileError(f"{path}: no such file")
    with one_error(FileError, f"{path} is damaged or not a {kind} of metarl"):
        with opened_archive(path) as archive:
            check_archive(archive)
        content = plain_content(path)
        if not isinstance(content, dict) or content.get("format") != f"metarl-{kind}":
            raise ValueError(_other_kind(content))
        if (version := content.get("format_version")) != FORMAT_VERSION:
            raise ValueError(f"its format is {version}, this version reads {FORMAT_VERSION}")
    return content


def _other_kind(content: Any) -> str:
    """What a file is that was written as something else."""
    written_as = str(content.get("format")) if isinstance(content, dict) else ""
    kind = written_as.removeprefix("metarl-")
    return "it was not written as one" if kind == written_as else f"it is a {kind}"


def opened_archive(path: Path) -> ZipFile:
    """A zip file; :class:`ValueError` if it is none."""
    try:
        return ZipFile(path)
    except BadZipFile as error:
        raise ValueError("it is another kind of file, or not whole") from error


def import_installed(module: str) -> None:
    """Import a module that a file names, if it and what it imports are not in the current folder.

    Raises:
        ImportError: it is not installed, or part of Python itself, which a file has no use for and
            where an import alone can open a browser.
    """
    if module.partition(".")[0] in sys.stdlib_module_names:
        raise ImportError(f"{module} is part of Python")
    here, places = Path.cwd(), sys.path.copy()
    sys.path[:] = [place for place in places if Path(place or ".").resolve() != here]
    try:
        importlib.import_module(module)
    finally:
        sys.path[:] = places


def check_archive(archive: ZipFile) -> None:
    """Compare the checksums of all members; :class:`ValueError` unless they are right.

    Torch's own reader does not. It compresses nothing, so no member is larger than the file.
    """
    if any(member.compress_type != ZIP_STORED for member in archive.infolist()):
        raise ValueError("its content is compressed")
    if (damaged := archive.testzip()) is not None:
        raise ValueError(f"{damaged} fails its checksum")


def plain_content(file: Path | BinaryIO) -> Any:
    """What torch saved; :class:`ValueError` if that is more than tensors and plain data."""
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:  # its text says how to run the code
        raise ValueError("it holds code, or something else than tensors and numbers") from error


def _reason(error: Exception) -> str:
    """What an error says, as one line without the name of a file."""
    text = (isinstance(error, OSError) and error.strerror) or str(error)
    line = " ".join(text.split())[:300]
    return "".join(c if c.isprintable() else "?" for c in line) or type(error).__name__


def _sync(path: Path) -> None:
    """Flush a file to the disk, or a folder, so that a rename in it lasts; if it can be opened."""
    with naming(path), suppress(FileNotFoundError, PermissionError):  # others write here, too
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
