"""The runs of a sweep: a config, with every seed and every combination of given values."""

import ast
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from metarl.configs import complaint
from metarl.runs.config import CODEC, RunConfig, config_in, read_config
from metarl.runs.errors import InputError, nearest
from metarl.runs.facts import EnvFacts
from metarl.runs.hub import local_folder

MOST_RUNS = 10_000
FIXED = {
    "seed": "is set by --seeds",
    "learner": "cannot be set: a learner is a config of its own",
    "kind": "cannot be set: it is the kind of problem",
    "trained_on": "cannot be set: it follows from env or data",
}
"""Names in a config that a sweep does not set, and why."""
_SEEDS = re.compile(r"(\d{1,19})(?:-(\d{1,19}))?")


@dataclass(frozen=True)
class Member:
    """One run of a sweep."""

    folder: Path
    options: Mapping[str, Any]
    """What differs between the runs, the seed last."""
    config: RunConfig

    @property
    def name(self) -> str:
        """Of its folder: what differs, and the seed."""
        return self.folder.name


def base_config(path: Path) -> RunConfig:
    """The config of a run folder or a ``config.json``, without what that run was trained on.

    Raises:
        InputError: it holds none, or a run with objects of Python that no file can hold.
    """
    path = local_folder(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    config = read_config(path) if path.is_dir() else config_in(path)
    problem = config.problem
    facts = problem.trained_on
    if isinstance(facts, EnvFacts) and (facts.own or facts.own_network):
        raise InputError(f"{path} is a run with an object of Python, which no file holds")
    return replace(config, problem=replace(problem, trained_on=None))


def parse_seeds(text: str) -> list[int]:
    """Seeds from text.

    Raises:
        InputError: that is not what it is.

    >>> parse_seeds("0-2,7")
    [0, 1, 2, 7]
    """
    seeds: list[int] = []
    for part in text.split(","):
        if not (found := _SEEDS.fullmatch(part.strip())):
            raise InputError(f"must be such as 0-4 or 0,1,7, got {text!r}", "seeds")
        first = int(found[1])
        last = int(found[2] or first)
        if last < first or last - first >= MOST_RUNS:
            wanted = f"must be rising and of at most {MOST_RUNS} seeds"
            raise InputError(f"{part.strip()} {wanted}", "seeds")
        seeds += range(first, last + 1)
    return seeds


def parse_settings(given: Sequence[str]) -> dict[str, list[Any]]:
    """Names of options with the values that each takes, from ``name=value,value`` texts.

    Values are as in JSON, Python or on the command line; commas in brackets are theirs.

    Raises:
        InputError: a text is something else, or a name is there twice.

    >>> parse_settings(["inner-lr=0.05,.1", "hidden_sizes=[64,64],[8]", "first_order=true,False"])
    {'inner_lr': [0.05, 0.1], 'hidden_sizes': [[64, 64], [8]], 'first_order': [True, False]}
    """
    settings: dict[str, list[Any]] = {}
    for text in given:
        name, equals, values = text.partition("=")
        name = name.strip().removeprefix("--").replace("-", "_")
        if not equals or not name:
            raise InputError(f"must be such as inner_lr=0.05,0.1, got {text!r}", "set")
        if name in settings:
            raise InputError(f"has {name} twice: give all its values at once", "set")
        settings[name] = [_value(part) for part in _parts(values)]
    return settings


def grid(
    config: RunConfig, seeds: Sequence[int], settings: Mapping[str, Sequence[Any]], output: Path
) -> list[Member]:
    """All runs, the seed changing fastest.

    Args:
        config: what they share.
        seeds: of each combination.
        settings: names of options to their values.
        output: where the run folders are.

    Raises:
        InputError: a name or a value is wrong, or one is there twice.
    """
    number = math.prod(map(len, settings.values())) * len(seeds)
    if not 1 <= number <= MOST_RUNS:
        raise InputError(f"a sweep has 1 to {MOST_RUNS} runs, this would have {number}")
    _check_twice("seeds", "seed", seeds)
    places = dict(_places(config))
    for name, values in settings.items():
        if name in FIXED or name not in places:
            why = FIXED.get(name, f"is no option of {config.learner}; {nearest(name, places)}")
            raise InputError(f"{name} {why}", "set")
        _check_twice("set", name, values)
    members: dict[str, Member] = {}
    for combination in product(*settings.values()):
        chosen = dict(zip(settings, combination, strict=True))
        changed = _with(config, {places[name]: value for name, value in chosen.items()})
        for seed in seeds:
            options = {**chosen, "seed": seed}
            name = _free(_name(options), members)
            seeded = _with(changed, {("seed",): seed})
            members[name] = Member(output / name, options, seeded)
    return list(members.values())


def _parts(text: str) -> list[str]:
    """Split at commas that are in no brackets or quotation marks."""
    inside = r'"(?:[^"\\]|\\.)*"'
    parts, depth = [""], 0
    for token in re.findall(rf"{inside}|.", text, re.DOTALL):
        depth += token in "[{(" and len(token) == 1
        depth -= token in "]})" and len(token) == 1
        if token == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += token
    return parts


def _value(text: str) -> Any:
    with suppress(ValueError):
        return json.loads(text)
    with suppress(ValueError, SyntaxError):
        return ast.literal_eval(text.strip())
    return text.strip()


def _check_twice(option: str, name: str, values: Sequence[Any]) -> None:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise InputError(f"has {name} {json.dumps(value, default=str)} twice", option)


def _places(config: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Names of options, which are all different, with where they are in a config."""
    for entry in fields(config):
        value, here = getattr(config, entry.name), (*at, entry.name)
        if is_dataclass(value):
            yield from _places(value, here)
        elif entry.name not in FIXED:
            yield entry.name, here


def _with(config: RunConfig, values: Mapping[tuple[str, ...], Any]) -> RunConfig:
    """The config with other values in some places."""
    content = CODEC.dump_python(config, mode="json")
    for (*parents, last), value in values.items():
        inner = content
        for parent in parents:
            inner = inner[parent]
        inner[last] = value
    try:
        return CODEC.validate_json(to_json(content))
    except ValidationError as error:
        is_list = error.errors()[0]["type"] in ("list_type", "tuple_type")
        hint = "; lists are in brackets, such as [64,64]" if is_list else ""
        raise InputError(f"{complaint(error)}{hint}", "set") from error


def _name(options: Mapping[str, Any]) -> str:
    """What differs, as the name of a folder."""
    shown = {
        name: value if isinstance(value, str) else json.dumps(value, default=str)
        for name, value in options.items()
    }
    seed = shown.pop("seed")
    parts = [f"{name}={re.sub(r'[^A-Za-z0-9_.+-]+', '-', _bare(v))}" for name, v in shown.items()]
    return "_".join([*(["_".join(parts)[:200]] if parts else []), f"seed{seed}"])


def _bare(text: str) -> str:
    return re.sub(r'[\[\]{}" ]', "", text)


def _free(name: str, taken: Mapping[str, Member]) -> str:
    """The name, with a number where values differ only in what a name cannot show."""
    names = (f"{name}_{number}" if number > 1 else name for number in range(1, len(taken) + 2))
    return next(each for each in names if each not in taken)
