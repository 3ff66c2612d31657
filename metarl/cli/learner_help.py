"""``metarl train LEARNER --help`` on one screen; ``--help-all`` is tyro's, with all that is known.

What an option is called, takes and means stands in the dataclass that declares it, alone: the
groups are those dataclasses, their titles the first lines of their docstrings.
"""

import inspect
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from itertools import chain
from shutil import get_terminal_size
from textwrap import shorten, wrap
from typing import Annotated, Any, Literal, get_args, get_origin

from metarl.cli.option_list import Option, options_of
from metarl.configs import Preset, plain
from metarl.training import Schedule

LINES = 60
"""At most so many are shown: of groups that do not fit only the names."""
COLUMNS = 100
NAMES = 30
"""Columns of what an option is called and takes."""
COMMON = (
    *("env", "env_kwargs", "data", "data_root", "num_ways", "num_shots", "num_queries", "backbone"),
    *("iterations", "time_limit", "meta_batch_size", "num_trajectories", "horizon", "workers"),
    *("seed", "device", "init_from", "eval_tasks", "output", "name", "quiet"),
)
"""Options that come first, where they are not the learner's own."""


def learner_help(command: str, kind: type[Any], preset: Preset) -> list[str]:
    """The help of one learner.

    Args:
        command: ``train`` or ``fewshot``.
        kind: what the command line is parsed to.
        preset: of the learner.
    """
    found = list(options_of(kind, preset.config))
    own = type(preset.config).__mro__
    common = [each for each in found if each.name in COMMON and each.owner not in own]
    common.sort(key=lambda option: COMMON.index(option.name))
    name = f"metarl {command} {preset.config.learner}"
    must = [f"{_invocation(option)} " for option in common if option.default is MISSING]
    head = [f"usage: {name} {''.join(must)}[options]", "", preset.summary, "Common options"]
    head += map(_line, common)
    foot = [f"{name} --help-all describes every option in full."]
    groups = {
        group: [option for option in found if option.owner is group and option not in common]
        for group in _in_order({option.owner for option in found}, kind, preset.config)
    }
    full = [[_title(group), *map(_line, options)] for group, options in groups.items() if options]
    brief = [_names(_title(group), options) for group, options in groups.items() if options]
    shown = len(full)
    while shown and sum(map(len, [head, *full[:shown], *brief[shown:], foot])) > LINES:
        shown -= 1
    return [*head, *chain(*full[:shown], *brief[shown:]), *foot]


def list_of_learners(command: str, kind: type[Any], presets: Mapping[str, Preset]) -> list[str]:
    """The help of ``train`` or ``fewshot`` without a learner."""
    lines = [f"  {name:<17}{preset.summary}" for name, preset in presets.items()]
    head = [f"usage: metarl {command} LEARNER [options]", "", _title(kind), "Learners"]
    return [*head, *lines, f"metarl {command} LEARNER --help shows the options of one."]


def _in_order(owners: set[type[Any]], kind: type[Any], algorithm: Any) -> list[type[Any]]:
    """What declares options, the learner's own first."""
    problem: Any = next(entry.type for entry in fields(kind) if entry.name == "problem")
    parts = [entry.type for entry in fields(problem) if is_dataclass(entry.type)]
    order = [*type(algorithm).__mro__, *parts, problem, Schedule, *kind.__mro__]
    return [owner for owner in order if owner in owners]


def _title(group: type[Any]) -> str:
    return (inspect.getdoc(group) or "").splitlines()[0].rstrip(".")


def _names(title: str, options: list[Option]) -> list[str]:
    """A group that is not described."""
    flags = ", ".join(_flag(option) for option in options)
    return wrap(f"{title}: {flags}", _width(), subsequent_indent="  ", break_on_hyphens=False)


def _line(option: Option) -> str:
    """An option with the first sentence of what is known of it, and its default."""
    left = f"  {_invocation(option):<{NAMES - 3}} "
    default = f" {option.default_in_words}".rstrip() or _shown(option.default)
    return f"{left}{_first(option.text, _width() - len(left) - len(default))}{default}".rstrip()


def _first(text: str, room: int) -> str:
    """The first sentence, or as much of it as there is room for, by clauses if that will do."""
    sentence = re.split(r"\.(?: |$)", plain(text))[0]
    while len(sentence) > room and re.search(r"; [^()]*$", sentence):
        sentence = sentence.rpartition("; ")[0]
    return shorten(sentence, room, placeholder=" …")


def _shown(default: Any) -> str:
    """A default in brackets; nothing where there is none, or the flag tells."""
    if default is MISSING:
        return " (required)"
    if default is True:
        return " [on]"
    if default is False or default in (None, "", (), {}):
        return ""
    values = default if isinstance(default, tuple) else (default,)
    return f" [{' '.join(map(str, values))}]"


def _invocation(option: Option) -> str:
    """What is typed, such as ``--seed INT``."""
    return f"{_flag(option)} {_metavar(option.hint)}".rstrip()


def _flag(option: Option) -> str:
    first, *no = option.flags
    return first.replace("--", "--[no-]", 1) if no else first


def _metavar(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is bool:
        return ""
    if hint is Ellipsis:
        return "..."
    if origin is Annotated:
        return _metavar(arguments[0])
    if origin is Literal:
        return f"{{{','.join(map(str, arguments))}}}"
    if origin is dict:
        return "JSON"
    if origin is tuple:
        return " ".join(map(_metavar, arguments))
    return str(hint.__name__).upper() if origin is None else _metavar(arguments[0])


def _width() -> int:
    return min(get_terminal_size((COLUMNS, LINES)).columns, COLUMNS)
