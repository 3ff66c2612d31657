"""A typo in a choice is an error from Python, as it is on the command line.

Every dataclass of the package with a field that is one of several words (``Literal``) is tried, so
a config that is added is tried, too.
"""

import importlib
import pkgutil
import typing
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from metarl.cli.configs import LEARNERS

import metarl
from metarl.fewshot.build import FEWSHOT_LEARNERS

REQUIRED: dict[Any, Any] = {
    str: "metarl/PointGoal-v0",
    int: 1,
    float: 1.0,
    bool: False,
    dict: {},
    Path: Path("folder"),
}
"""Values for fields without a default, by their type."""


class Choice(NamedTuple):
    """A field of a dataclass that is one of several words."""

    kind: type[Any]
    field: str
    words: tuple[Any, ...]
    several: bool
    """Whether the field is a tuple of such words."""

    def __str__(self) -> str:
        return f"{self.kind.__module__.removeprefix('metarl.')}.{self.kind.__name__}.{self.field}"


def dataclasses_of_the_package() -> list[type[Any]]:
    """All of them that have an instance of their own, in the order of their modules."""
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(metarl.__path__, "metarl.")
        if not found.name.endswith("__main__")
    ]
    classes = [value for module in modules for value in vars(module).values()]
    ours = [c for c in classes if isinstance(c, type) and is_dataclass(c)]
    return list(dict.fromkeys(c for c in ours if c.__module__.startswith("metarl.")))


def parts(hint: Any) -> Iterator[Any]:
    """A type and everything inside it."""
    yield hint
    if typing.get_origin(hint) is not Literal:
        for inner in typing.get_args(hint):
            yield from parts(inner)


def choices_of(kind: type[Any]) -> list[Choice]:
    hints = typing.get_type_hints(kind)
    found = []
    for entry in fields(kind):
        hint = hints[entry.name]
        several = any(typing.get_origin(part) is tuple for part in parts(hint))
        words = [w for p in parts(hint) if typing.get_origin(p) is Literal for w in p.__args__]
        if words:
            found.append(Choice(kind, entry.name, tuple(words), several))
    return found


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


def made(kind: type[Any], **given: Any) -> Any:
    """An instance with the given values, all others by default or, without one, valid."""
    hints = typing.get_type_hints(kind)
    needed = {
        entry.name: some(hints[entry.name])
        for entry in fields(kind)
        if entry.init and entry.default is MISSING and entry.default_factory is MISSING
    }
    return kind(**needed | given)


KINDS = [kind for kind in dataclasses_of_the_package() if choices_of(kind)]
CHOICES = [choice for kind in KINDS for choice in choices_of(kind)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_without_a_typo_it_is_made(kind: type[Any]) -> None:
    assert made(kind)


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_a_typo_is_an_error_that_names_the_field(choice: Choice) -> None:
    typo = f"{choice.words[0]}e"
    assert typo not in choice.words
    with pytest.raises(ValueError, match=choice.field):
        made(choice.kind, **{choice.field: (typo,) if choice.several else typo})


def test_the_configs_of_all_learners_are_among_them() -> None:
    named = {kind for kind, _ in [*LEARNERS.values(), *FEWSHOT_LEARNERS.values()]}
    assert named - set(KINDS) == set()
    assert len(CHOICES) > 100
    names = {kind.__name__ for kind in KINDS}
    assert {"PolicyConfig", "BackboneConfig", "DataConfig", "EpisodeConfig"} <= names
