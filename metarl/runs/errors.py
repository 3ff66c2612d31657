"""Mistakes in what a user gave."""

import difflib
from collections.abc import Iterable

from metarl.fewshot.sources import DamagedDataError

__all__ = ["DamagedDataError", "InputError", "nearest"]


class InputError(ValueError):
    """Something the user gave is wrong; the message is one line that says what would be right.

    Args:
        message: what is wrong; where an option is, what follows its name.
        option: the one that it is about, by its name in Python.
    """

    def __init__(self, message: str, option: str | None = None) -> None:
        super().__init__(f"{option} {message}" if option else message)
        self.message = message
        self.option = option


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
