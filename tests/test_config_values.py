"""Every number of every config has a range, and every config comes back from JSON as it was."""

import math
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from test_config_choices import CONFIGS, made, parts

from metarl.configs import complaint
from metarl.runs.config import CODEC, RunConfig

WRONG: dict[Any, list[Any]] = {
    float: [math.nan, math.inf, -math.inf, 1e39, -1e39, 1e308, True, "1", None],
    int: [2**63, -(2**63), 10**30, -(10**5000), 1.5, 1e300, True, "1", None],
}
"""Values that no field of such a number takes."""


def number_in(hint: Any) -> Any:
    """int, float or nothing, if a field is that or a tuple of such."""
    plain = [part for part in parts(hint) if part in (int, float)]
    return plain[0] if plain and not has_words(hint) else None


def has_words(hint: Any) -> bool:
    return any(typing.get_origin(part) in (Literal, dict) for part in parts(hint))


NUMBERS = [
    (kind, entry.name, hint)
    for kind in CONFIGS
    for entry in fields(kind)
    if number_in(hint := typing.get_type_hints(kind, include_extras=True)[entry.name])
]


@pytest.mark.parametrize(("kind", "name", "hint"), NUMBERS, ids=lambda given: str(given)[:40])
def test_no_number_takes_what_is_none_or_out_of_range(
    kind: type[Any], name: str, hint: Any
) -> None:
    for value in WRONG[number_in(hint)]:
        if value is None and type(None) in parts(hint):
            continue
        wrong = (value,) * 3 if tuple in map(typing.get_origin, parts(hint)) else value
        with pytest.raises(ValidationError) as error:
            made(kind, **{name: wrong})
        assert name in error.value.errors()[0]["loc"], value
        line = complaint(error.value)
        assert len(line) < 250
        assert "\n" not in line


def test_all_learners_have_numbers_among_them() -> None:
    assert len(NUMBERS) > 150
    assert {"initial_log_std", "threads", "horizon", "lr", "inner_lr", "split_seed"} <= {
        name for _, name, _ in NUMBERS
    }


LIMITS = ("ge", "gt", "le", "lt", "min_length")


def bounds(metadata: tuple[Any, ...]) -> dict[str, Any]:
    """What limits a value, by names; what comes later counts."""
    each = [limit for field in metadata for limit in getattr(field, "metadata", ())]
    return {name: getattr(one, name) for one in each for name in LIMITS if hasattr(one, name)}


def valid(hint: Any, limits: Mapping[str, Any] | None = None) -> st.SearchStrategy[Any]:
    """Values that fit a type."""
    limits, origin, inner = limits or {}, typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return valid(inner[0], {**limits, **bounds(hint.__metadata__)})
    if origin is Literal:
        return st.sampled_from(inner)
    if origin is tuple and inner[-1] is not Ellipsis:
        return st.tuples(*map(valid, inner))
    if origin is tuple:
        return st.lists(valid(inner[0]), min_size=limits.get("min_length", 0), max_size=3).map(
            tuple
        )
    if origin is dict:
        return st.dictionaries(valid(inner[0]), valid(inner[1]), max_size=2)
    if inner:  # a union
        return st.one_of([valid(part, limits) for part in inner])
    if is_dataclass(hint):
        return config(typing.cast("type[Any]", hint))
    return plain(hint, limits)


def plain(hint: Any, limits: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    if isinstance(hint, type) and issubclass(hint, tuple):  # with names
        named = typing.get_type_hints(hint)
        return st.builds(hint, **{name: valid(kind) for name, kind in named.items()})
    low, high = limits.get("ge", limits.get("gt")), limits.get("le", limits.get("lt"))
    if hint is int:
        return st.integers(low, high)
    if hint is float:
        found = st.floats(low, high, allow_nan=False, allow_infinity=False)
        return found.filter(lambda x: x != limits.get("gt") and x != limits.get("lt"))
    simple: dict[Any, st.SearchStrategy[Any]] = {
        str: st.text(max_size=5),
        bool: st.booleans(),
        type(None): st.none(),
        Any: st.text(max_size=3) | st.integers(-9, 9) | st.booleans() | st.none(),
        Path: st.just(Path("a")),
    }
    return simple[hint]


@cache
def strategies_of(kind: type[Any]) -> dict[str, st.SearchStrategy[Any]]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return {entry.name: valid(hints[entry.name]) for entry in fields(kind)}


@st.composite
def config(draw: st.DrawFn, kind: type[Any]) -> Any:
    """A config of any valid values, all but three by default."""
    strategies = strategies_of(kind)
    needed = [entry.name for entry in fields(kind) if entry.default is entry.default_factory]
    chosen = draw(st.lists(st.sampled_from(sorted(strategies)), max_size=3, unique=True))
    drawn = {name: draw(strategies[name]) for name in [*needed, *set(chosen) - set(needed)]}
    try:
        return made(kind, **drawn)
    except ValidationError as error:  # fields that do not fit together
        assume(error.errors()[0]["type"] != "value_error")
        raise


@given(config(RunConfig))
def test_a_config_comes_back_from_json(before: RunConfig) -> None:
    text = CODEC.dump_json(before)
    assert CODEC.validate_json(text) == before
    assert CODEC.dump_json(CODEC.validate_json(text)) == text


@pytest.mark.parametrize("kind", [k for k in CONFIGS if k.__name__ != "ClippedEpochs"])
def test_defaults_come_back_from_json(kind: type[Any]) -> None:
    codec, before = TypeAdapter(kind), made(kind)
    assert codec.validate_json(codec.dump_json(before)) == before
