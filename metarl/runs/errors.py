"""Mistakes in what a user gave."""

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from metarl.core.collectives import RanksError
from metarl.fewshot.sources import DamagedDataError
from metarl.rl.env_faults import EnvironmentFaultError

__all__ = [
    "DamagedDataError",
    "EnvironmentFaultError",
    "InputError",
    "RanksError",
    "input_errors",
    "nearest",
    "written",
]


_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z0-9-]*)")


class InputError(ValueError):
    """Something the user gave is wrong; the message is one line that says what would be right.

    Options in it are spelt as keywords of Python; :attr:`on_command_line` has their other spelling.

    Args:
        message: what is wrong, options spelt as on the command line; where there is an option, what
            follows its name.
        option: the one that it is about, by its name in Python.

    >>> error = InputError("is not for rl2, use --init-from", "min_log_std")
    >>> str(error), error.on_command_line
    ('min_log_std is not for rl2, use init_from', '--min-log-std is not for rl2, use --init-from')
    """

    def __init__(self, message: str, option: str | None = None) -> None:
        message = message.removeprefix(f"{option} ")  # as what raises it without an option says
        spelt = f"--{option.replace('_', '-')} {message}" if option else message
        super().__init__(_OPTION.sub(lambda found: found[1].replace("-", "_"), spelt))
        self.message = message
        self.option = option
        self.on_command_line = spelt


@contextmanager
def input_errors(option: str | None = None, prefix: str = "") -> Iterator[None]:
    """A :class:`ValueError` in here is the user's: an :class:`InputError` about that option."""
    try:
        yield
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{prefix}{error}", option) from error


@contextmanager
def written(path: Path | str, option: str | None = None) -> Iterator[None]:
    """An :class:`OSError` in here is an :class:`InputError`: that path cannot be written."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}", option) from error


def nearest(name: str, known: Iterable[str]) -> str:
    """A suggestion for a misspelt name: "did you mean X?" or the list of what there is.

    >>> nearest("maml-trop", ["maml-trpo", "promp"])
    'did you mean maml-trpo?'
    >>> nearest("dqn", ["maml-trpo", "promp"])
    'there are: maml-trpo, promp'
    """
    choices = sorted(known)
    close = difflib.get_close_matches(name, choices, n=1)
    return f"did you mean {close[0]}?" if close else f"there are: {', '.join(choices)}"
