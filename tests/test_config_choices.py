"""A typo in a choice is an error from Python, as it is on the command line.

Every config of the package (a pydantic dataclass) with a field that is one of several words
(``Literal``) is tried, so a config that is added is tried, too.
"""

import importlib
import pkgutil
import typing
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from inspect import isabstract
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from pydantic import ValidationError
from pydantic.dataclasses import is_pydantic_dataclass

import metarl
from metarl.configs import STRICT, complaint
from metarl.rl import Adam, OuterStep
from metarl.runs.config import CLASSIFIER_LEARNERS, POLICY_LEARNERS

REQUIRED: dict[Any, Any] = {
    str: "metarl/PointGoal-v0",
    int: 1,
    float: 1.0,
    bool: False,
    dict: {},
    tuple: (),
    Path: Path("file.zip"),
    OuterStep: Adam(),
}
"""Values for fields without a default, by their type."""
TOGETHER: dict[str, dict[str, Any]] = {"Export": {"sb3": Path("file.zip")}}
"""Values for fields with a default of which one has to be given, by the name of the class."""
NO_CONFIGS = {"metarl.core.streams.Streams", "metarl.runs.sources.Given", "metarl.types.Adaptation"}
"""Dataclasses with such a field that we fill in, no user."""


class Choice(NamedTuple):
    """A field of a config that is one of several words, or holds such words."""

    kind: type[Any]
    field: str
    hint: Any
    words: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{name_of(self.kind).removeprefix('metarl.')}.{self.field}"


def name_of(kind: type[Any]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def dataclasses_of_the_package() -> list[type[Any]]:
    """All of them that have an instance of their own, in the order of their modules."""
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(metarl.__path__, "metarl.")
        if not found.name.endswith("__main__")
    ]
    classes = [value for module in modules for value in vars(module).values()]
    ours = [c for c in classes if isinstance(c, type) and is_dataclass(c) and not isabstract(c)]
    return list(dict.fromkeys(c for c in ours if c.__module__.startswith("metarl.")))


def parts(hint: Any) -> Iterator[Any]:
    """A type and everything inside it."""
    yield hint
    if typing.get_origin(hint) is not Literal:
        for inner in typing.get_args(hint):
            yield from parts(inner)


def words_of(hint: Any) -> tuple[Any, ...]:
    return tuple(w for p in parts(hint) if typing.get_origin(p) is Literal for w in p.__args__)


def choices_of(kind: type[Any]) -> list[Choice]:
    hints = typing.get_type_hints(kind)
    each = [Choice(kind, e.name, hints[e.name], words_of(hints[e.name])) for e in fields(kind)]
    return [choice for choice in each if choice.words]


def some(hint: Any) -> Any:
    """A valid value of a type."""
    for part in parts(hint):
        if typing.get_origin(part) is Literal:
            return typing.get_args(part)[0]
        if is_dataclass(part) and isinstance(part, type):
            return made(part)
        if part in REQUIRED:
            return REQUIRED[part]
        if typing.get_origin(part) in REQUIRED:
            return REQUIRED[typing.get_origin(part)]
    raise TypeError(f"no value of {hint} is known: add one to REQUIRED")


def mistyped(hint: Any, typo: str) -> Any:
    """A value of a type, but for a typo where a word belongs."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return typo
    if origin is tuple:
        return (mistyped(inner[0], typo),)
    if origin is dict:
        key, value = (mistyped(part, typo) if words_of(part) else some(part) for part in inner)
        return {key: value}
    return mistyped(next(part for part in inner if words_of(part)), typo)


def made(kind: type[Any], /, **given: Any) -> Any:
    """An instance with the given values, all others by default or, without one, valid."""
    hints = typing.get_type_hints(kind)
    needed = {
        entry.name: some(hints[entry.name])
        for entry in fields(kind)
        if entry.init and entry.default is MISSING and entry.default_factory is MISSING
    }
    return kind(**needed | TOGETHER.get(kind.__name__, {}) | given)


DATACLASSES = dataclasses_of_the_package()
CONFIGS = [kind for kind in DATACLASSES if is_pydantic_dataclass(kind)]
CHOICES = [choice for kind in CONFIGS for choice in choices_of(kind)]


@pytest.mark.parametrize("kind", CONFIGS, ids=name_of)
def test_without_a_typo_it_is_made(kind: type[Any]) -> None:
    assert made(kind)


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_a_typo_is_an_error_that_names_the_field(choice: Choice) -> None:
    typo = f"{choice.words[0]}e"
    assert typo not in choice.words
    with pytest.raises(ValidationError) as error:
        made(choice.kind, **{choice.field: mistyped(choice.hint, typo)})
    assert choice.field in [part for one in error.value.errors() for part in one["loc"]]
    line = complaint(error.value)
    assert repr(typo) in line
    assert "\n" not in line


@pytest.mark.parametrize("kind", CONFIGS, ids=name_of)
def test_a_misspelt_option_is_an_error(kind: type[Any]) -> None:
    assert kind.__pydantic_config__ == STRICT
    with pytest.raises(ValidationError) as error:
        made(kind, itertions=3)
    assert complaint(error.value) == "itertions is no option here"


def test_what_has_choices_and_is_no_config_is_known() -> None:
    """So that no config escapes by being made with the standard library's decorator."""
    others = {name_of(kind) for kind in DATACLASSES if choices_of(kind) and kind not in CONFIGS}
    assert others == NO_CONFIGS


def test_the_configs_of_all_learners_are_among_them() -> None:
    presets = [*POLICY_LEARNERS.values(), *CLASSIFIER_LEARNERS.values()]
    assert {type(preset.config) for preset in presets} <= {choice.kind for choice in CHOICES}
    assert len(CHOICES) > 100
    names = {choice.kind.__name__ for choice in CHOICES}
    assert {"PolicyConfig", "BackboneConfig", "DataConfig", "EpisodeConfig"} <= names
    assert {"EnvProblem", "DataProblem", "RunConfig", "EvaluationOptions"} <= names
