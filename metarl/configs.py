"""What every config is made of: strict dataclasses of pydantic, ranges of numbers, presets.

Type, range, choices, default and documentation of an option are declared once, in a dataclass with
``config=STRICT``. The command line, Python and JSON then go through the same checks.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import ConfigDict, Field, ValidationError

STRICT = ConfigDict(
    extra="forbid", strict=True, allow_inf_nan=False, validate_default=True, defer_build=True
)

LARGEST_INT = 2**31 - 1  # of 32 bits, in which libraries count
LARGEST_WIDTH = 2**16  # two such layers have 17 GB
LARGEST_FLOAT = 1e30  # what is made of it, such as a step of Adam, stays within float32

Count = Annotated[int, Field(ge=1, le=LARGEST_INT)]
"""1, 2, ..."""
Several = Annotated[int, Field(ge=2, le=LARGEST_INT)]
"""2, 3, ..."""
Natural = Annotated[int, Field(ge=0, le=LARGEST_INT)]
"""0, 1, 2, ..."""
Positive = Annotated[float, Field(gt=0, le=LARGEST_FLOAT)]
"""Finite and above 0."""
NonNegative = Annotated[float, Field(ge=0, le=LARGEST_FLOAT)]
"""Finite and at least 0."""
Number = Annotated[float, Field(ge=-LARGEST_FLOAT, le=LARGEST_FLOAT)]
"""Finite, of any sign."""
LogStd = Annotated[float, Field(ge=-20, le=20)]
"""log σ. Beyond these, densities leave the range of float32."""
UnitInterval = Annotated[float, Field(ge=0, le=1)]
"""Within [0, 1]."""
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
"""What a torch generator takes."""
Width = Annotated[int, Field(ge=1, le=LARGEST_WIDTH)]
"""Of a layer."""
Widths = Annotated[tuple[Width, ...], Field(min_length=1, max_length=1000)]
"""Of one hidden layer or more."""
NumTasks = Annotated[int, Field(ge=2, le=1_000_000)]
"""Of an evaluation: an interval is computed of all of them."""
NumTasksOrNone = Annotated[int, Field(ge=0, le=1_000_000)]
"""The same, 0 for no evaluation."""


class Preset(NamedTuple):
    """A named learner: the settings of a config, no code."""

    config: Any
    """A config; its ``learner`` is the name."""
    summary: str
    """One line for the help."""


def presets(*each: Preset) -> dict[str, Preset]:
    """Presets by their names."""
    return {preset.config.learner: preset for preset in each}


def plain(text: str) -> str:
    """A docstring, as it is read in a terminal: without the marks of reStructuredText.

    >>> plain("``joints`` of :func:`~metarl.envs.cheetah`")
    'joints of cheetah'
    """
    without_roles = re.sub(r":\w+:`(?:~[\w.]*\.)?([^`]+)`", r"\1", text)
    return without_roles.replace("``", "")


_PHRASES = {
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be finite",
    "literal_error": "must be one of {expected}",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "unexpected_keyword_argument": "is no option here",
    "missing": "is missing",
}
"""Kinds of pydantic's errors as phrases after the name of a field."""


def complaint(error: ValidationError) -> str:
    """The first thing that is wrong, as one line that starts with the name of the field.

    >>> from pydantic import TypeAdapter
    >>> try:
    ...     TypeAdapter(dict[str, Count]).validate_python({"num_tasks": 0})
    ... except ValidationError as error:
    ...     complaint(error)
    'num_tasks must be at least 1, got 0'
    """
    first = error.errors(include_url=False)[0]
    context: Mapping[str, Any] = first.get("ctx", {})
    if first["type"] == "value_error":  # a config's own
        return str(context["error"])
    names = [str(part) for part in first["loc"]]
    field = next((name for name in reversed(names) if name.isidentifier()), "the config")
    known = _PHRASES.get(first["type"])
    wanted = first["msg"][0].lower() + first["msg"][1:]
    phrase = known.format(**context) if known else wanted.replace("input should be", "must be")
    got = "" if first["type"] in ("missing", "unexpected_keyword_argument") else _got(first)
    line = f"{field} {phrase}{got}"
    return line if " or " in line else line.replace("must be one of", "must be")


def _got(first: Mapping[str, Any]) -> str:
    try:
        value = repr(first["input"])
    except ValueError:  # Python shows no integer of more than 4300 digits
        value = "a number of thousands of digits"
    return f", got {value if len(value) <= 100 else value[:97] + '...'}"
