"""A run from its folder."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from warnings import warn

from torch import nn

from metarl.files import FileError
from metarl.runs import environments
from metarl.runs.build import BUILDERS
from metarl.runs.config import CODEC, Checkpoint, read_config
from metarl.runs.errors import InputError
from metarl.runs.hub import local_folder
from metarl.runs.run import Run
from metarl.runs.same_run import check_same_run
from metarl.runs.user_objects import UserObjects, with_workers
from metarl.training import DeviceName
from metarl.training.checkpoint import BEST, load_checkpoint, load_newest


def load_run(  # noqa: PLR0913  # the options of opening a run
    folder: str | Path,
    *,
    device: DeviceName | None = None,
    env: "environments.EnvSource | None" = None,
    policy: nn.Module | None = None,
    backbone: nn.Module | None = None,
    allow_code: bool = False,
    checkpoint: Checkpoint = "latest",
    workers: int | None = None,
    say: Callable[[str], None] = warn,
) -> Run:
    """A run with the state of one of its checkpoints.

    No environment is made and no data set read before they are needed.

    Args:
        folder: the run folder; or ``hf://OWNER/NAME`` of one on the Hugging Face hub, which is
            copied into its cache.
        device: instead of the run's own.
        env: where the run's environment was an object; or another one with the same spaces.
        policy: where the policy's network was the user's own: another of its kind.
        backbone: the same of a classifier.
        allow_code: import modules that the run's config names from the current folder, too;
            without it only what is installed.
        checkpoint: the newest good one, or the one that did best in validation.
        workers: processes of environments, instead of the run's own number.
        say: called with one line when something is worth saying.

    Raises:
        InputError: it is no run folder, or has no usable checkpoint.
    """
    run, _ = load(
        Path(folder),
        device,
        UserObjects(
            env=env, network=policy, backbone=backbone, allow_code=allow_code, workers=workers
        ),
        say,
        which=checkpoint,
    )
    return run


def load(
    folder: Path,
    device: DeviceName | None,
    given: UserObjects,
    say: Callable[[str], None],
    iterations: int | None = None,
    *,
    which: Checkpoint = "latest",
) -> tuple[Run, dict[str, Any]]:
    """:func:`load_run`, perhaps to go on to more iterations, and the content of the checkpoint."""
    folder = local_folder(folder)
    config = read_config(folder)
    # beyond the run's own number a step size that decays would be 0
    num_iterations = max(iterations or 0, config.schedule.iterations)
    # its weights are in the checkpoint: what it started from may be gone; so may its processors
    used = replace(
        config,
        problem=with_workers(config.problem, given),
        init_from=None,
        device=device or config.device,
        schedule=replace(config.schedule, iterations=num_iterations),
        threads=min(config.threads, os.cpu_count() or 1),
    )
    if used.threads < config.threads:
        say(f"threads: {used.threads} of {config.threads}, there are no more processors here")
    built = BUILDERS[type(used.problem)](used, given, say)
    path, best = folder / "checkpoints", which == "best"
    try:
        checkpoint, problems = (load_checkpoint(path / BEST), []) if best else load_newest(path)
        built.learner.load_state_dict(checkpoint["learner"])
        check_same_run(CODEC.validate_json(checkpoint["config"]), config, folder)
    except FileError as error:
        raise InputError(str(error)) from error
    except InputError:
        raise
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"the checkpoint of {folder} does not fit its config.json: {str(error).splitlines()[0]}"
        ) from error
    for problem in problems:
        say(f"skipped: {problem}")
    return Run(folder, built, checkpoint["iteration"], checkpoint["seconds"]), checkpoint
