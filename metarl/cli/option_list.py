"""The options that commands and learners take, read from the dataclasses that declare them."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from inspect import get_annotations, getsource
from itertools import chain, pairwise
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from tyro.conf import Positional, Suppress

from metarl.runs.config import refused


class Option(NamedTuple):
    """One option, as its dataclass declares it."""

    owner: type[Any]
    """The dataclass."""
    name: str
    """As in Python."""
    hint: Any
    default: Any
    """That of the learner; MISSING where it has to be given."""

    @property
    def text(self) -> str:
        """Its docstring."""
        owner: Any = self.owner
        return _documented(owner)[self.name]

    @property
    def default_in_words(self) -> str:
        """What is so by default where None stands for it; empty where that is not told."""
        hints = (getattr(note, "help_behavior_hint", None) for note in _markers(self.hint))
        return next(filter(None, hints), "")

    @property
    def is_positional(self) -> bool:
        """Whether it is known by its place."""
        return Positional in _markers(self.hint)

    @property
    def flags(self) -> list[str]:
        """What it is called on the command line; nothing where it is known by its place."""
        name = self.name.replace("_", "-")
        if self.is_positional:
            return []
        return [f"--{name}", f"--no-{name}"] if self.default is True else [f"--{name}"]

    @property
    def spellings(self) -> list[str]:
        """All flags that are taken for it."""
        negated = [f"--no-{self.name.replace('_', '-')}"] if self.hint is bool else []
        notes = (getattr(note, "aliases", None) or () for note in _markers(self.hint))
        return [*self.flags, *negated, *chain.from_iterable(notes)]


def options_of(
    kind: type[Any], algorithm: Any = None, values: Mapping[str, Any] | None = None
) -> Iterator[Option]:
    """Options, those of dataclasses in a dataclass included.

    Args:
        kind: what a command line is parsed to, or a part of it.
        algorithm: config of the learner, which decides what there is; none of other commands.
        values: of the fields, where they are not the defaults.
    """
    left_out = refused(algorithm)
    for entry in fields(kind):
        hint: Any = entry.type
        default = entry.default
        if entry.default_factory is not MISSING:
            default = entry.default_factory()
        if values is not None:
            default = values[entry.name]
        if entry.name == "algorithm":
            yield from options_of(type(algorithm), algorithm, vars(algorithm))
        elif is_dataclass(hint):
            inner: type[Any] = hint  # type: ignore[assignment]  # no instance of one
            yield from options_of(inner, algorithm, None if default is MISSING else vars(default))
        elif Suppress not in _markers(hint) and entry.name not in left_out:
            owner = next(base for base in kind.__mro__ if entry.name in get_annotations(base))
            yield Option(owner, entry.name, hint, default)


@cache
def _documented(kind: Any) -> dict[str, str]:
    """The docstrings of a dataclass's own fields."""
    (tree,) = ast.parse(getsource(kind)).body
    assert isinstance(tree, ast.ClassDef)
    return {
        entry.target.id: " ".join(ast.literal_eval(after.value).split())
        for entry, after in pairwise(tree.body)
        if isinstance(entry, ast.AnnAssign)
        and isinstance(entry.target, ast.Name)
        and isinstance(after, ast.Expr)
    }


def choices(hint: Any) -> tuple[Any, ...]:
    """The values that an option may have, where there are so few that its type lists them."""
    if get_origin(hint) in (Annotated, Union, UnionType):
        return choices(get_args(hint)[0])
    return get_args(hint) if get_origin(hint) is Literal else ()


def wanted(hint: Any) -> str:
    """What numbers an option takes, as a phrase after "must be"; empty where it takes others."""
    bounds = [bound for each in _markers(hint) for bound in getattr(each, "metadata", ())]
    least = [f" of at least {bound.ge}" for bound in bounds if hasattr(bound, "ge")]
    above = [f" above {bound.gt}" for bound in bounds if hasattr(bound, "gt")]
    if hint in (int, float):
        return "a whole number" if hint is int else "a number"
    if get_origin(hint) is tuple:
        first, *rest = wanted(get_args(hint)[0]).removeprefix("a ").split("number")
        return f"{first}numbers{''.join(rest)}" if rest else ""
    if get_origin(hint) in (Annotated, Union, UnionType):
        inner = wanted(get_args(hint)[0])
        return inner and "".join([inner, *least[-1:], *above])  # the last is the narrowest
    return ""


def _markers(hint: Any) -> tuple[Any, ...]:
    """What is annotated, those of tyro included."""
    return getattr(hint, "__metadata__", ())
