"""A run onto the hub."""

import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from metarl.files import FileError
from metarl.runs.commands import command_on
from metarl.runs.config import Checkpoint
from metarl.runs.errors import InputError, input_errors
from metarl.runs.hub.addresses import COPIED, local_folder
from metarl.runs.hub.card import model_card
from metarl.runs.hub.library import hub_errors, hub_library
from metarl.runs.hub.plain_files import write_plain
from metarl.runs.run_figures import RunFigures, read_figures
from metarl.training.checkpoint import BEST, load_checkpoint, load_newest


def push_run(
    folder: str | Path,
    repo: str,
    *,
    checkpoint: Checkpoint = "latest",
    private: bool = False,
) -> str:
    """Upload a run: weights and plain data, with a model card of its evaluation.

    Args:
        folder: the run folder, evaluated at that checkpoint.
        repo: ``OWNER/NAME`` on the hub; made if it is not there.
        checkpoint: the newest good one, or the one that did best in validation.
        private: make the repository a private one.

    Returns:
        The address, ``hf://OWNER/NAME``, which every command takes for a run folder.

    Raises:
        InputError: the run cannot be read, or the hub refuses.
    """
    name = repo.removeprefix("hf://")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise InputError(f"repo must be OWNER/NAME, got {repo!r}")
    address = f"hf://{name}"
    library = hub_library(address)
    figures = read_figures(local_folder(folder))
    if library.get_token() is None:
        raise InputError(f"{address}: there is no token: `hf auth login`, or set HF_TOKEN")
    with TemporaryDirectory() as temporary:
        _gather(figures, checkpoint, Path(temporary), name, library)
        with hub_errors(address):
            library.create_repo(name, private=private, exist_ok=True)
            library.upload_folder(
                repo_id=name,
                folder_path=temporary,
                commit_message=f"{figures.config.learner} on {figures.config.subject}",
            )
    return address


def _gather(figures: RunFigures, which: Checkpoint, target: Path, repo: str, library: Any) -> None:
    """Put what is uploaded into a folder."""
    folder, evaluated = figures.folder, figures.evaluation["iteration"]
    checkpoints = folder / "checkpoints"
    try:
        content = load_checkpoint(checkpoints / BEST) if which == "best" else None
        content = content or load_newest(checkpoints)[0]
    except FileError as error:
        raise InputError(str(error)) from error
    if content["iteration"] != evaluated:
        command = command_on(folder, "evaluate", figures.config)
        raise InputError(
            f"{folder / 'evaluation.json'} is of iteration {evaluated}, the checkpoint of "
            f"{content['iteration']}: `{command} --checkpoint {which}` makes it anew"
        )
    with input_errors(prefix=f"{folder}: "):
        write_plain(target, content)
    for name in ("config.json", *COPIED):
        if (folder / name).is_file():
            shutil.copy(folder / name, target / name)
    card = model_card(figures, repo, library, picture=(target / "adaptation.png").is_file())
    (target / "README.md").write_text(card, encoding="utf-8")
