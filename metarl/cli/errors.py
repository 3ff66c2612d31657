"""The user's mistakes: one line, exit status 2."""

import difflib
import json
from collections.abc import Iterable
from typing import Any


class UserError(Exception):
    """Something the user gave is wrong; the message is one line that says what would be right."""


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


def parse_json(option: str, text: str) -> dict[str, Any]:
    """A JSON object given on the command line.

    Raises:
        UserError: if it is not one.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{option} {text!r} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f'{option} {text!r} must be a JSON object such as {{"name": 1.0}}')
    return value
