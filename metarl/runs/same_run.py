"""Whether a checkpoint is of the run that its ``config.json`` describes."""

import json
from pathlib import Path
from typing import Any

from metarl.runs.config import CODEC, RunConfig
from metarl.runs.errors import InputError

MAY_CHANGE = ("data", "data_root", "skip_bad", "video_every", "workers")
"""Options of a problem that may change between sessions: data may move, but be no others."""


def check_same_run(old: RunConfig, config: RunConfig, folder: Path) -> None:
    """Raise an :class:`InputError` if ``config.json`` was changed in what decides the run."""
    kept, now = map(_deciding, (old, config))
    for name in kept.keys() - set(MAY_CHANGE):
        if kept[name] != now.get(name):
            raise InputError(
                f"{folder / 'config.json'} says {name} {json.dumps(now.get(name))}, but its "
                f"checkpoint was trained with {json.dumps(kept[name])}"
            )


def _deciding(config: RunConfig) -> dict[str, Any]:
    """What decides a run, by name; options of its data by theirs."""
    content = json.loads(CODEC.dump_json(config))
    problem = content["problem"]
    return {"seed": content["seed"], **problem, **problem.get("data", {})}
