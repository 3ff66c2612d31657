"""A checkpoint as two files without code: tensors by safetensors, all else as JSON.

``state.json`` has the checksum of ``model.safetensors``, whose own format has none.
"""

import importlib
import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from torch import Tensor

from metarl.files import FileError, one_error, replacing

WEIGHTS, STATE = "model.safetensors", "state.json"
FORMAT_VERSION = 1


def write_plain(folder: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint's content.

    Args:
        folder: of the files.
        content: tensors and plain data, by names.

    Raises:
        ValueError: something else is in it.
    """
    tensors: dict[str, Tensor] = {}
    plain = _without(content, "", tensors)
    weights: bytes = _safetensors().save(tensors, metadata={"format": "pt"})
    state = {
        "format": "metarl-state",
        "format_version": FORMAT_VERSION,
        "sha256": sha256(weights).hexdigest(),
        "content": plain,
    }
    for name, data in ((WEIGHTS, weights), (STATE, json.dumps(state).encode())):
        with replacing(folder / name) as file:
            file.write(data)


def read_plain(folder: Path) -> dict[str, Any]:
    """What :func:`write_plain` wrote.

    Raises:
        FileError: a file is not there, damaged or something else.
    """
    with one_error(FileError, f"{STATE} or {WEIGHTS} is damaged"):
        state, weights = json.loads((folder / STATE).read_bytes()), (folder / WEIGHTS).read_bytes()
        if (version := state["format_version"]) != FORMAT_VERSION:
            raise ValueError(f"its format is {version}, this version reads {FORMAT_VERSION}")
        if sha256(weights).hexdigest() != state["sha256"]:
            raise ValueError("the weights fail their checksum")
        content = _with(state["content"], _safetensors().load(weights))
        if not isinstance(content, dict):
            raise TypeError("it holds no names")
        return content


def _safetensors() -> Any:
    return importlib.import_module("safetensors.torch")


def _without(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """A value as JSON, its tensors put among the others under names that say where they are."""
    if isinstance(value, Tensor):
        while name in tensors:
            name += "_"
        tensors[name] = value.detach().cpu().contiguous().clone()  # it takes no shared memory
        return {"tensor": name}
    if isinstance(value, Mapping):
        inner = f"{name}." if name else ""
        return {"dict": [[k, _without(v, f"{inner}{k}", tensors)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_without(v, f"{name}.{i}", tensors) for i, v in enumerate(value)]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"{name} is of {type(value).__name__}, which is no plain data")


def _with(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The value that :func:`_without` was given."""
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "tensor":
        return tensors[inner]
    if kind == "dict":
        return {key: _with(entry, tensors) for key, entry in inner}
    entries = [_with(entry, tensors) for entry in inner]
    return tuple(entries) if kind == "tuple" else entries
