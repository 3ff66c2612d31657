"""Tables of every option, from the dataclasses that declare them; :mod:`conf` has them built."""

import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from sphinx.pycode import ModuleAnalyzer
from tyro.conf import Suppress

from metarl import rl, sb3
from metarl.cli.option_list import Option
from metarl.configs import LARGEST_WIDTH, Preset
from metarl.fewshot.configs import BackboneConfig, EpisodeConfig
from metarl.fewshot.data.config import DataConfig
from metarl.fewshot.heads.configs import HEADS
from metarl.runs.config import (
    CLASSIFIER_LEARNERS,
    EnvProblem,
    RunOptions,
)
from metarl.runs.policy_config import PolicyConfig, SamplingConfig
from metarl.training import Schedule

HEAD = ["| option | values | default | what |", "|---|---|---|---|"]
PLAIN = {int: "integer", float: "number", bool: "yes or no", str: "text", Path: "path"}


def tables() -> dict[str, str]:
    """All tables in Markdown, by name."""
    kinds = {
        "run_options": [RunOptions, Schedule],
        "env_options": [EnvProblem],
        "policy_options": [PolicyConfig, SamplingConfig],
        "data_options": [DataConfig],
        "episode_options": [EpisodeConfig],
        "backbone_options": [BackboneConfig],
    }
    plain = {name: "\n".join([*HEAD, *_rows(each)]) for name, each in kinds.items()}
    return plain | {
        "gradient_learners": _learners(rl.PRESETS),
        "trial_learners": _learners(sb3.PRESETS),
        "classifier_learners": _learners(CLASSIFIER_LEARNERS),
        "heads": "\n".join(
            ["| head | entry | values | default | what |", "|---" * 5 + "|", *_heads()]
        ),
    }


def _rows(kinds: Sequence[type[Any]]) -> Iterator[str]:
    for kind in kinds:
        for entry, hint in _options(kind):
            if is_dataclass(entry.type):
                continue
            given = entry.default if entry.default is not MISSING else None
            if entry.default_factory is not MISSING:
                given = entry.default_factory()
            missing = entry.default is MISSING and entry.default_factory is MISSING
            told = Option(kind, entry.name, hint, given).default_in_words.strip("[]")
            default = "" if missing else told or _value(given)
            yield _row(entry.name, _values(hint), default, _text(kind, entry.name))


def _heads() -> Iterator[str]:
    for name, kind in HEADS.items():
        for entry, hint in _options(kind):
            told = _values(hint), _value(entry.default), _text(kind, entry.name)
            yield f"| `{name}` | `{entry.name}` | {' | '.join(told)} |".replace("||", r"\|\|")


def _learners(presets: Mapping[str, Preset]) -> str:
    """A row an option; where defaults differ, all of them."""
    found: dict[str, dict[str, tuple[str, str, str]]] = {}
    for learner, (config, _) in presets.items():
        for entry, hint in _options(type(config)):
            told = (
                _values(hint),
                _value(getattr(config, entry.name)),
                _text(type(config), entry.name),
            )
            found.setdefault(entry.name, {})[learner] = told
    return "\n".join([*HEAD, *(_shared(name, by, presets) for name, by in found.items())])


def _shared(name: str, by: Mapping[str, tuple[str, str, str]], known: Iterable[str]) -> str:
    """The row of an option that several learners have."""
    learners: dict[str, list[str]] = {}
    for learner, (_, default, _) in by.items():
        learners.setdefault(default, []).append(f"`{learner}`")
    common = max(learners, key=lambda default: len(learners[default]))
    others = [f"{', '.join(of)}: {d}" for d, of in learners.items() if d != common]
    values, _, text = next(iter(by.values()))
    without = [learner for learner in known if learner not in by]
    if without:
        whose = f"all but {', '.join(without)}" if len(without) < len(by) else ", ".join(by)
        text = f"{text} *{whose}*"
    return _row(name, values, "; ".join([common, *others]), text)


def _row(name: str, *cells: str) -> str:
    escaped = [cell.replace("\n", " ").replace("|", "\\|") for cell in cells]
    return f"| `--{name.replace('_', '-')}` | {' | '.join(escaped)} |"


def _options(kind: type[Any]) -> Iterator[tuple[Field[Any], Any]]:
    """The fields that a user may set."""
    hints = get_type_hints(kind, include_extras=True)
    suppressed = get_args(Suppress[int])[1]
    for entry in fields(kind):
        hint = hints[entry.name]
        fixed = get_origin(hint) is Literal and len(get_args(hint)) == 1
        hidden = get_origin(hint) is Annotated and suppressed in get_args(hint)[1:]
        if not fixed and not hidden and entry.name != "algorithm":
            yield entry, hint


def _text(kind: type[Any], name: str) -> str:
    """What the dataclass that declares it, or one that it extends, says of a field."""
    for base in kind.__mro__:
        if base.__module__.startswith("metarl"):
            docs = ModuleAnalyzer.for_module(base.__module__).find_attr_docs()
            if lines := docs.get((base.__qualname__, name)):
                return " ".join(lines).strip().replace("``", "`")
    return ""


def _value(value: Any) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return f"`{value}`" if isinstance(value, str) else str(value)


def _values(hint: Any) -> str:
    """What may be given, in words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return f"{_values(arguments[0])} {_range(arguments[1:])}".strip()
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_values(each) for each in arguments if each is not type(None))
    if origin is tuple:
        return f"{_values(arguments[0])}, several"
    return PLAIN.get(hint, "JSON")


def _range(extras: Sequence[Any]) -> str:
    """The bounds of a number; those that only keep it representable are left out."""
    limits = [limit for extra in extras for limit in getattr(extra, "metadata", ())]
    bounds = {
        name: getattr(limit, name)
        for limit in limits
        for name in ("ge", "gt", "le")
        if abs(getattr(limit, name, LARGEST_WIDTH)) < LARGEST_WIDTH
    }
    if "gt" in bounds:
        return f"> {bounds['gt']}"
    if "ge" in bounds and "le" in bounds:
        return f"{bounds['ge']} to {bounds['le']}"
    return f"≥ {bounds['ge']}" if "ge" in bounds else ""
