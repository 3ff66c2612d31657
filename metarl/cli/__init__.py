"""The ``metarl`` command: options in, one call of :mod:`metarl.runs`, text out.

Exit status: 0 done, 2 the user's input is wrong, 130 training interrupted with a checkpoint
written, 130 or 143 something else ended by a signal, 1 a defect of ours, the processes of a run
have lost one another, or a run of a sweep has failed.
"""

import contextlib
import difflib
import io
import re
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal

import tyro
from pydantic import ValidationError
from rich.console import Console

from metarl.cli.adapt import Adapt, adapt
from metarl.cli.check_env import CheckEnv, check_env
from metarl.cli.compare import Compare, compare
from metarl.cli.completion import Completion, completion_script
from metarl.cli.envs import Envs, envs
from metarl.cli.evaluate import Evaluate, evaluate
from metarl.cli.export import Export, export
from metarl.cli.learner_help import learner_help, list_of_learners
from metarl.cli.option_list import choices, options_of, wanted
from metarl.cli.progress import say_warning
from metarl.cli.push import Push, push
from metarl.cli.resume import Resume, resume
from metarl.cli.run_list import Runs, list_runs
from metarl.cli.sweep import Sweep, sweep
from metarl.cli.train import FewShot, Train, train
from metarl.configs import Preset, complaint, plain
from metarl.files import NonFiniteError
from metarl.runs.config import CLASSIFIER_LEARNERS, POLICY_LEARNERS, refused
from metarl.runs.errors import (
    DamagedDataError,
    EnvironmentFaultError,
    InputError,
    RanksError,
    nearest,
)
from metarl.training import first_to_say, keep_freed_memory

ABOUT = (
    "Meta-reinforcement learning and few-shot adaptation. `metarl COMMAND --help` shows what a "
    "command takes, `metarl --version` the version, `metarl completion bash` helps to type."
)
COMMANDS: dict[str, tuple[type[Any], Callable[[Any], int]]] = {
    "train": (Train, train),
    "fewshot": (FewShot, train),
    "resume": (Resume, resume),
    "sweep": (Sweep, sweep),
    "evaluate": (Evaluate, evaluate),
    "adapt": (Adapt, adapt),
    "export": (Export, export),
    "compare": (Compare, compare),
    "check-env": (CheckEnv, check_env),
    "envs": (Envs, envs),
    "runs": (Runs, list_runs),
    "push": (Push, push),
    "completion": (Completion, lambda options: _print_completion(options.shell)),
}
LEARNERS: dict[str, Mapping[str, Preset]] = {
    "train": POLICY_LEARNERS,
    "fewshot": CLASSIFIER_LEARNERS,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of classes may not be in its encoding
            stream.reconfigure(errors="backslashreplace")
    try:
        options = _parse(given)
        keep_freed_memory()
        if "" not in sys.path:  # like python -m, look for modules in the current folder too
            sys.path.insert(0, "")
        with warnings.catch_warnings():
            warnings.showwarning = say_warning
            return COMMANDS[given[0]][1](options)
    except InputError as error:
        by_place = error.option in _by_place(given[0])
        return _complain(error.message if by_place else error.on_command_line)
    except NonFiniteError as error:
        return _complain(f"{error}; a smaller step size may help")
    except (DamagedDataError, EnvironmentFaultError, RanksError) as error:
        return _complain(str(error), status=1 if isinstance(error, RanksError) else 2)
    except OSError as error:  # a full disk, a file that may not be read: not ours to mend
        return _complain(f"{error.filename or 'file'}: {error.strerror or error}")


def _complain(line: str, status: int = 2) -> int:
    """Say what is wrong, unless another process of the run has said why all end."""
    if first_to_say("error"):
        sys.stderr.write(f"metarl: error: {line}\n")
    return status


def _parse(given: list[str]) -> Any:
    """The options; tyro's boxed complaints become one line."""
    _check_names(given)
    if lines := _own_help(given):
        for line in lines:
            style = None if line.startswith(" ") else "bold"
            Console(soft_wrap=True, markup=False, highlight=False).print(line, style=style)
        raise SystemExit(0)
    box = io.StringIO()
    kinds: list[Any] = [
        Annotated[kind, tyro.conf.subcommand(name)] for name, (kind, _) in COMMANDS.items()
    ]
    try:
        with contextlib.redirect_stderr(box):
            return tyro.cli(
                reduce(or_, kinds),
                prog="metarl",
                description=ABOUT,
                args=["--help" if word == "--help-all" else word for word in given],
                config=(
                    tyro.conf.OmitArgPrefixes,
                    tyro.conf.OmitSubcommandPrefixes,
                    tyro.conf.CascadeSubcommandArgs,
                    tyro.conf.PositionalMetavarFromFieldName,
                ),
            )
    except SystemExit as leaving:
        if leaving.code in (0, None):
            raise
        wrong = _wrong_value(leaving, _by_place(given[0]) if given else ())
        line = _one_line(box.getvalue())
        raise InputError(wrong or _no_number(line, given) or line) from leaving


def _own_help(given: list[str]) -> list[str]:
    """The help of one learner, or the list of them, where that is asked for."""
    command, *words = given or [""]
    if command not in LEARNERS or not {"-h", "--help"} & set(words):
        return []
    kind, presets = COMMANDS[command][0], LEARNERS[command]
    if words[0] in presets:
        return learner_help(command, kind, presets[words[0]])
    return list_of_learners(command, kind, presets)


def _print_completion(shell: Literal["bash", "zsh"]) -> int:
    kinds = {name: kind for name, (kind, _) in COMMANDS.items()}
    sys.stdout.write(completion_script(shell, kinds, LEARNERS))
    return 0


def _by_place(command: str) -> list[str]:
    """What a command knows by its place, by its names in Python."""
    if command not in COMMANDS or command in LEARNERS:
        return []
    return [option.name for option in options_of(COMMANDS[command][0]) if option.is_positional]


def _wrong_value(leaving: BaseException | None, by_place: Sequence[str]) -> str:
    """What a config says of a value, its field spelt as the option; empty where it was not that."""
    while leaving is not None and not isinstance(leaving, ValidationError):
        leaving = leaving.__context__
    if leaving is None:
        return ""

    def spelt(name: re.Match[str]) -> str:
        return name[0].upper() if name[0] in by_place else f"--{name[0].replace('_', '-')}"

    return re.sub(r"^[a-z_0-9]+", spelt, complaint(leaving))


def _check_names(given: list[str]) -> None:
    """Suggest the nearest command, learner and option, which tyro does not."""
    if not given or given[0].startswith("-"):
        return
    command, *words = given
    if command not in COMMANDS:
        raise InputError(f"unknown command {command!r}; {nearest(command, COMMANDS)}")
    if {"-h", "--help", "--help-all"} & set(words):
        return
    known = LEARNERS.get(command)
    if known is None:
        _check_options(command, COMMANDS[command][0], words)
    elif words and not words[0].startswith("-"):
        _check_learner(command, words[0])
        _check_fixed(known[words[0]], words)
        _check_options(f"{command} {words[0]}", COMMANDS[command][0], words, known[words[0]].config)
    elif not known.keys() & set(words):
        raise InputError(
            f"metarl {command} needs a learner before its options: {', '.join(known)}; "
            f"metarl {command} --help tells of each"
        )


def _check_learner(command: str, learner: str) -> None:
    known = LEARNERS[command]
    if learner in known:
        return
    for other, learners in LEARNERS.items():
        if learner in learners:
            raise InputError(f"{learner} is a learner of metarl {other}")
    raise InputError(f"unknown learner {learner!r}; {nearest(learner, known)}")


def _check_fixed(preset: Preset, words: list[str]) -> None:
    """Refuse what a learner has no choice about."""
    for entry in fields(preset.config):
        only, flag = choices(entry.type), f"--{entry.name.replace('_', '-')}"
        if len(only) == 1 and flag in words:
            learner = preset.config.learner
            raise InputError(f"is always {only[0]} with {learner}: leave it out", entry.name)


def _check_options(what: str, kind: type[Any], words: list[str], algorithm: Any = None) -> None:
    """Refuse an option that is not there, and say which would be, or whose it is."""
    given = [word.partition("=")[0].replace("_", "-") for word in words if word.startswith("--")]
    known = _spellings(kind, algorithm)
    for flag in given:
        if flag not in known:
            close = difflib.get_close_matches(flag, known, n=1, cutoff=0.75)
            hint = f"did you mean {close[0]}?" if close else _owners(flag)
            raise InputError(
                f"{flag} is no option of metarl {what}; {hint or f'see metarl {what} --help'}"
            )


def _owners(flag: str) -> str:
    """The learners that take an option, in words; empty where there are none."""
    for command, learners in LEARNERS.items():
        kind = COMMANDS[command][0]
        names = [n for n, each in learners.items() if flag in _spellings(kind, each.config)]
        if names:
            rest = " and others" if len(names) > 3 else ""
            return f"{', '.join(names[:3])}{rest} of metarl {command} take it"
    return ""


def _spellings(kind: type[Any], algorithm: Any) -> set[str]:
    found = {flag for option in options_of(kind, algorithm) for flag in option.spellings}
    return found | {f"--{name.replace('_', '-')}" for name in refused(algorithm)}


def _no_number(line: str, given: list[str]) -> str:
    """What an option wants that was given no number; empty where the line is about others."""
    if not (about := re.match(r"Error parsing (--[\w-]+).*?: ", line)):
        return ""
    command, *words = given
    algorithm = LEARNERS[command][words[0]].config if command in LEARNERS else None
    known = options_of(COMMANDS[command][0], algorithm)
    number = next(wanted(option.hint) for option in known if about[1] in option.spellings)
    got = re.findall(r"'([^']*)'", line[about.end() :])
    return number and f"{about[1]} must be {number}, got {' '.join(got)!r}"


def _one_line(box: str) -> str:
    """The text of tyro's error box without its frame; of its pointers to help a learner's own."""
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
    message = " ".join(kept).partition(" Argument helptext: ")[0]
    # of what may be left out: why it is no None, and why it is not what it may be
    message = re.sub(r"no type matching .* Got errors: .*[\]>]: ", "", message)
    message = plain(message).replace(" (required)", "")
    if help_of := re.search(r"run (metarl \w+ \S+ --help)", box):
        message = f"{message.rstrip('.')}; see {help_of[1]}"
    return message
