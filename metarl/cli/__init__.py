"""The ``metarl`` command: options to config objects, one function a command, one line an error.

Exit status: 0 done, 2 the user's input is wrong, 130 interrupted with a checkpoint written,
1 a defect of ours.
"""

import contextlib
import io
import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import tyro
from pydantic import ValidationError
from rich.console import Console

from metarl.cli.adapt import Adapt, adapt
from metarl.cli.environments import print_families
from metarl.cli.evaluate import Evaluate, evaluate
from metarl.cli.export import Export, export, export_fewshot
from metarl.cli.fewshot import FewShot, fewshot, resume_fewshot
from metarl.cli.fewshot_adapt import adapt_fewshot
from metarl.cli.fewshot_evaluate import evaluate_fewshot
from metarl.cli.train import Resume, Train, resume, train
from metarl.configs import complaint
from metarl.fewshot.sources import DamagedDataError
from metarl.runs.config import CLASSIFIER_LEARNERS, POLICY_LEARNERS, DataProblem, read_config
from metarl.runs.errors import InputError, nearest
from metarl.train import keep_freed_memory


@dataclass(frozen=True, kw_only=True)
class Envs:
    """Table of the task families."""


Command = (
    Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[FewShot, tyro.conf.subcommand("fewshot")]
    | Annotated[Resume, tyro.conf.subcommand("resume")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Adapt, tyro.conf.subcommand("adapt")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Envs, tyro.conf.subcommand("envs")]
)

COMMANDS = ("train", "fewshot", "resume", "evaluate", "adapt", "export", "envs")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(_parse(given))
    except (InputError, DamagedDataError) as error:
        sys.stderr.write(f"metarl: error: {error}\n")
        return 2
    except OSError as error:  # a full disk, a file that may not be read: not ours to mend
        sys.stderr.write(f"metarl: error: {error.filename or 'file'}: {error.strerror}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("metarl: interrupted; the newest checkpoint is what was saved before\n")
        return 130


def _run(command: Any) -> int:
    if isinstance(command, Envs):
        print_families(Console(width=None if Console().is_terminal else 140))
        return 0
    keep_freed_memory()
    starts: dict[type[Any], Any] = {Train: train, FewShot: fewshot}
    on_runs: dict[type[Any], tuple[Any, Any]] = {
        Resume: (resume, resume_fewshot),
        Evaluate: (evaluate, evaluate_fewshot),
        Adapt: (adapt, adapt_fewshot),
        Export: (export, export_fewshot),
    }
    if type(command) in starts:
        action = starts[type(command)]
    else:
        action = on_runs[type(command)][isinstance(read_config(command.run).problem, DataProblem)]
    status: int = action(command)
    return status


def _parse(given: list[str]) -> Any:
    """The command; tyro's boxed complaints become one line."""
    _check_names(given)
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            return tyro.cli(
                Command,
                prog="metarl",
                args=given,
                config=(
                    tyro.conf.OmitArgPrefixes,
                    tyro.conf.OmitSubcommandPrefixes,
                    tyro.conf.CascadeSubcommandArgs,
                ),
            )
    except SystemExit as leaving:
        if leaving.code in (0, None):
            raise
        raise InputError(_wrong_value(leaving) or _one_line(box.getvalue())) from leaving


def _wrong_value(leaving: BaseException | None) -> str:
    """What a config says of a value, its field spelt as the option; empty where it was not that."""
    while leaving is not None and not isinstance(leaving, ValidationError):
        leaving = leaving.__context__
    if leaving is None:
        return ""
    return re.sub(r"^[a-z_0-9]+", lambda f: f"--{f[0].replace('_', '-')}", complaint(leaving))


def _check_names(given: list[str]) -> None:
    """Suggest the nearest command and learner, which tyro does not."""
    if not given or given[0].startswith("-"):
        return
    if given[0] not in COMMANDS:
        raise InputError(f"unknown command {given[0]!r}; {nearest(given[0], COMMANDS)}")
    learners: dict[str, Collection[str]] = {
        "train": POLICY_LEARNERS,
        "fewshot": CLASSIFIER_LEARNERS,
    }
    known = learners.get(given[0])
    learner = given[1] if known and len(given) > 1 else "-"
    if known and not learner.startswith("-") and learner not in known:
        raise InputError(f"unknown learner {learner!r}; {nearest(learner, known)}")


def _one_line(box: str) -> str:
    """The text of tyro's error box, without its frame and its pointers to the help.

    A config's own complaint loses tyro's prefix, and its field is spelt as the option.
    """
    texts = [line.strip("│| ") for line in box.splitlines()]
    if "╭" not in box:
        texts = texts[1:]  # without box characters the title is a line of its own
    kept = [
        text
        for text in texts
        if text
        and text[0] not in "╭╰"
        and not set(text) <= {"─", "-"}
        and not text.startswith(("For full help", "in metarl ", "metarl "))
    ]
    message = " ".join(kept)
    return re.sub(
        r"^Error parsing (?!--)[\w.-]+: ([a-z_0-9]+) ",
        lambda found: f"--{found[1].replace('_', '-')} ",
        message,
    )
