"""``hf://OWNER/NAME`` and ``hf://OWNER/NAME@REVISION``: run folders that are on the hub."""

import re
import shutil
from pathlib import Path

from metarl.files import replacing
from metarl.runs.errors import InputError
from metarl.runs.hub.library import hub_errors, hub_library
from metarl.runs.hub.plain_files import STATE, WEIGHTS, read_plain
from metarl.training.checkpoint import save_checkpoint

_ADDRESS = re.compile(r"hf:/+([^/@]+/[^/@]+)(?:@(.+))?")  # of a path, in which // is /
COPIED = ("evaluation.json", "metrics.csv", "adaptation.png", "embedding.png")
"""Files that are the same on the hub and in a run folder, beside ``config.json``."""


def is_address(folder: Path | str) -> bool:
    """Whether a run is on the hub."""
    return str(folder).startswith("hf:")


def local_folder(folder: Path | str) -> Path:
    """The folder of a run; of one on the hub a copy in the hub's cache, fetched if need be.

    Raises:
        InputError: there is no such run, or it cannot be fetched.
    """
    if not is_address(folder):
        return Path(folder)
    parts = _ADDRESS.fullmatch(str(folder))
    if parts is None:
        raise InputError(f"{folder} is no address of a run such as hf://OWNER/NAME")
    repo, revision = parts.groups()
    address = f"hf://{repo}" + (f"@{revision}" if revision else "")
    library = hub_library(address)
    with hub_errors(address):
        names = ["config.json", WEIGHTS, STATE, *COPIED]
        fetched = Path(library.snapshot_download(repo, revision=revision, allow_patterns=names))
        copy = Path(library.cached_assets_path("metarl", repo.replace("/", "--"), fetched.name))
    if not (copy / "config.json").exists():  # it is written last
        _copy(fetched, copy, address)
    return copy


def own_copy(folder: Path, output: Path) -> Path:
    """A run folder to train in: of a run on the hub a copy, or that of before.

    Args:
        folder: of the run.
        output: where the copy is made.
    """
    if not is_address(folder):
        return folder
    local = local_folder(folder)
    copy = output / f"{folder.name.partition('@')[0]}_{local.name[:7]}"
    if not copy.exists():
        shutil.copytree(local, copy)
    return copy


def _copy(fetched: Path, copy: Path, address: str) -> None:
    """Make a run folder of a snapshot."""
    if not (fetched / "config.json").is_file() or not (fetched / STATE).is_file():
        raise InputError(f"{address} holds no run of metarl: config.json and {STATE}")
    try:
        content = read_plain(fetched)
        save_checkpoint(copy / "checkpoints", int(content["iteration"]), content)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{address}: {error}") from error
    for name in (*COPIED, "config.json"):
        if (fetched / name).is_file():
            with replacing(copy / name) as file:
                file.write((fetched / name).read_bytes())
