"""Ids of task families: whether one is registered, what else may be meant, its options."""

import difflib
import importlib
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec, load_env_creator

from metarl_envs.registration import DEVICE_MAKERS, FAMILIES, NUMPY_FAMILIES

_REGISTERED_BY_GYMNASIUM = gym.registry.keys() - FAMILIES.keys()


def own_name(env_id: str) -> str:
    """An id without the module that registers it."""
    return env_id.rpartition(":")[2]


def check_id(env_id: str) -> None:
    """Raise a :class:`ValueError` that says what there is unless ``env_id`` is registered."""
    module, _, name = env_id.rpartition(":")
    try:
        if module:
            importlib.import_module(module)
        gym.spec(name)
    except (ImportError, SyntaxError, TypeError, ValueError) as error:
        where = ", in the current folder or installed" * isinstance(error, ModuleNotFoundError)
        raise ValueError(f"{env_id}: {error}{where}") from error
    except gym.error.Error as error:
        hint = _own_hint(module, name) if module else _hint(name)
        raise ValueError(f"{env_id} is not a registered environment; {hint}") from error


def _hint(name: str) -> str:
    """What may be meant by an id without a module, or all that there are."""
    families = sorted(gym.registry.keys() - _REGISTERED_BY_GYMNASIUM)
    own = f"one of your own is given with its module, as my_module:{name.split('/')[-1]}"
    return _meant(name, families) or f"there are: {', '.join(families)}; {own}"


def _own_hint(module: str, name: str) -> str:
    """The same of an id that a module was to register."""
    registered = sorted(_registered_by(module))
    if meant := _meant(name, registered, f"{module}:"):
        return meant
    is_class = isinstance(getattr(sys.modules[module], name, None), type)
    new, kind = (f"{name}-v0", name) if is_class else ("Name-v0", "TheClass")
    there = f" (besides metarl's there are: {', '.join(registered)})" if registered else ""
    call = f'gym.register("{new}", {kind}, max_episode_steps=N)'
    return (
        f"module {module} does not register it{there}: let it call {call}, and give {module}:{new}"
    )


def _registered_by(module: str) -> set[str]:
    """Ids that came after gymnasium's and are not ours, and those of the module's package."""
    package = module.partition(".")[0]
    later = gym.registry.keys() - _REGISTERED_BY_GYMNASIUM - FAMILIES.keys()
    return later | {name for name, spec in gym.registry.items() if _package(spec) == package}


def _package(spec: EnvSpec) -> str:
    made: Any = spec.entry_point or spec.vector_entry_point
    place = made if isinstance(made, str) else getattr(made, "__module__", "")
    return re.split("[.:]", place)[0]


def _meant(name: str, known: Iterable[str], before: str = "") -> str:
    """A guess at a misspelt id, if one is close.

    Namespaces and versions do not count: people forget the one more often than they misspell, and
    ids that differ in all the rest are half alike by both.
    """
    by_core = {_core(each): each for each in known}
    close = difflib.get_close_matches(_core(name), by_core, n=1)
    return f"did you mean {before}{by_core[close[0]]}?" if close else ""


def _core(env_id: str) -> str:
    return re.sub(r"^.*/|-v\d+$", "", env_id)


def declaration(env_id: str) -> Callable[..., Any]:
    """The class or function that a registered family's options are for."""
    name = own_name(env_id)
    if name in NUMPY_FAMILIES:
        return NUMPY_FAMILIES[name][0]
    family = DEVICE_MAKERS[name].options.get("family") if name in DEVICE_MAKERS else None
    if isinstance(family, str):
        family = importlib.import_module("metarl_envs.mujoco.registry").FAMILIES[family]
    spec = gym.spec(name)
    made: Any = family or spec.entry_point or spec.vector_entry_point
    return load_env_creator(made) if isinstance(made, str) else made


def options_of(env_id: str) -> Mapping[str, Any]:
    """The options that a registered family takes, with their defaults; Ellipsis without one."""
    given = gym.spec(own_name(env_id)).kwargs
    any_name = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {
        name: given.get(name, ... if option.default is option.empty else option.default)
        for name, option in inspect.signature(declaration(env_id)).parameters.items()
        if option.kind not in any_name
    }


def unknown_option(env_id: str, options: Mapping[str, Any], error: Exception) -> str:
    """Names the option that a family does not have; empty where the error is about another."""
    unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    if unknown and unknown[1] in options:
        known = ", ".join(options_of(env_id)) or "none"
        return f"{env_id} has no option {unknown[1]!r}; options: {known}"
    return ""


def not_made(env_id: str, options: Mapping[str, Any], error: Exception) -> str:
    """Why a registered family is not made with these options, in one line."""
    other = f"{env_id} with options {json.dumps(options)}: {error}"
    return unknown_option(env_id, options, error) or other
