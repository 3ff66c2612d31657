"""What every config is made of: strict dataclasses of pydantic, ranges of numbers, presets.

Type, range, choices, default and documentation of an option are declared once, in a dataclass with
``config=STRICT``. The command line, Python and JSON then go through the same checks.
"""

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import ConfigDict, Field, ValidationError

STRICT = ConfigDict(
    extra="forbid", strict=True, allow_inf_nan=False, validate_default=True, defer_build=True
)

Count = Annotated[int, Field(ge=1)]
"""1, 2, ..."""
Natural = Annotated[int, Field(ge=0)]
"""0, 1, 2, ..."""
Positive = Annotated[float, Field(gt=0)]
"""Finite and above 0."""
NonNegative = Annotated[float, Field(ge=0)]
"""Finite and at least 0."""
UnitInterval = Annotated[float, Field(ge=0, le=1)]
"""Within [0, 1]."""
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
"""What a torch generator takes."""
Widths = Annotated[tuple[Count, ...], Field(min_length=1)]
"""Of one hidden layer or more."""


class Preset(NamedTuple):
    """A named learner: the settings of a config, no code."""

    config: Any
    """A config; its ``learner`` is the name."""
    summary: str
    """One line for the help."""


def presets(*each: Preset) -> dict[str, Preset]:
    """Presets by their names."""
    return {preset.config.learner: preset for preset in each}


_PHRASES = {
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be finite",
    "literal_error": "must be one of {expected}",
    "too_short": "must have at least {min_length} entries",
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
    phrase = _PHRASES.get(first["type"])
    if phrase is None:
        wanted = first["msg"][0].lower() + first["msg"][1:]
        phrase = wanted.replace("input should be", "must be")
    got = "" if first["type"] in ("missing", "unexpected_keyword_argument") else _got(first)
    line = f"{field} {phrase.format(**context)}{got}"
    return line if " or " in line else line.replace("must be one of", "must be")


def _got(first: Mapping[str, Any]) -> str:
    return f", got {first['input']!r}"
