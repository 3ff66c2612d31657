"""Options that are JSON objects."""

import json
from typing import Annotated, Any

import tyro

from metarl.files import one_error

JsonObject = Annotated[
    dict[str, Any],
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="JSON",
        instance_from_str=lambda given: json_object(given[0]),
        is_instance=lambda value: isinstance(value, dict),
        str_from_instance=lambda value: [json.dumps(value)],
    ),
]
"""On the command line a JSON object."""


def json_object(text: str) -> dict[str, Any]:
    """A JSON object given as text; :class:`ValueError` if it is not one."""
    with one_error(ValueError, f"{text[:200]!r} is not JSON"):
        value = json.loads(text, parse_constant=_no_number)
    if not isinstance(value, dict):
        raise ValueError(f'{text!r} must be a JSON object such as {{"name": 1.0}}')
    return value


def _no_number(name: str) -> None:
    raise ValueError(f"JSON has no {name}")
