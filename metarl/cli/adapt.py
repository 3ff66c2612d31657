"""``metarl adapt``: adapt a run's policy to one given task and keep it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import tyro
from rich.console import Console

from metarl.cli.evaluate import (
    NUM_STEPS,
    NUM_TRAJECTORIES,
    planar_paths,
    write_json,
)
from metarl.cli.film import Camera, film_adaptation
from metarl.cli.runs import MAX_SEED, load_run, make_actor, make_sampler
from metarl.cli.trials import checked_task, run_paths
from metarl.core import parameters_of, select
from metarl.report import Paths, draw_paths, write_mp4
from metarl.rl import Actor, MAMLLearner
from metarl.runs.config import EnvProblem, json_object
from metarl.runs.errors import InputError
from metarl.sb3 import SB3Learner
from metarl.train import DeviceName
from metarl.types import Video


@dataclass(frozen=True, kw_only=True)
class Adapt:
    """Adapt to one given task; keeps the policy, both returns and a picture."""

    run: tyro.conf.Positional[Path]
    """The run folder."""
    output: Path
    """Folder for what is adapted."""
    task: str | None = None
    """Policies: the task as JSON that fits the task space, such as '{"goal": [0.3, -0.4]}'."""
    support: Path | None = None
    """Classifiers: folder with a folder of images a class, to adapt to."""
    query: Path | None = None
    """Classifiers: folder of images to classify, flat or with a folder a class."""
    skip_bad: bool = False
    """Classifiers: leave out images that cannot be read, and say how many."""
    steps: int | None = None
    """Gradient steps, or trajectories where adaptation is without; 3, and a classifier's own, by
    default."""
    trajectories: int | None = None
    """Policies: trajectories a step, or trials, 40 by default."""
    video: Path | None = None
    """Policies: an .mp4 file that shows the task before and after adaptation, mean actions."""
    seed: int = 0
    """Draws the noise."""
    device: DeviceName | None = None
    """Another device than the run's."""

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")
        if self.trajectories is not None and self.trajectories < 1:
            raise ValueError(f"trajectories must be at least 1, got {self.trajectories}")
        if self.video is not None and self.video.suffix != ".mp4":
            raise ValueError(f"video must be a file that ends in .mp4, got {self.video}")
        if not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f"seed must be within [0, {MAX_SEED}], got {self.seed}")


def adapt(options: Adapt) -> int:
    """Run ``metarl adapt`` for a policy."""
    task = _check_policy_options(options)
    run = load_run(options.run, options.device)
    if not isinstance(run.learner, MAMLLearner):
        adapted = _by_trajectories(run.learner, options, task)
    else:
        adapted = _by_gradients(run.config.problem, run.learner, options, task)
    num_steps = len(adapted.returns) - 1
    adapted.actor.save(options.output / "policy.pt")
    write_json(
        options.output / "adaptation.json",
        {
            "env": run.config.subject,
            "learner": run.config.learner,
            "seed": options.seed,
            "task": task,
            "steps": list(range(num_steps + 1)),
            "returns": adapted.returns,
            "trajectories": options.trajectories or NUM_TRAJECTORIES,
        },
    )
    if adapted.paths is not None:
        draw_paths(options.output / "adaptation.png", adapted.paths[0])
    console = Console(soft_wrap=True, markup=False)
    console.print(f"return before adaptation: {adapted.returns[0]:.2f}")
    console.print(f"return after {num_steps} {adapted.unit}: {adapted.returns[-1]:.2f}")
    console.print(f"adapted policy: {options.output / 'policy.pt'}")
    if adapted.video is not None and options.video is not None:
        write_mp4(options.video, adapted.video)
        console.print(f"video: {options.video}")
    return 0


class _Adapted(NamedTuple):
    """What came of it."""

    actor: Actor
    returns: list[float]
    """Mean return after 0..K steps."""
    unit: str
    paths: list[Paths] | None
    video: Video | None = None


def _by_gradients(
    config: EnvProblem, learner: MAMLLearner, options: Adapt, task: dict[str, Any]
) -> _Adapted:
    num_trajectories = options.trajectories or NUM_TRAJECTORIES
    sampler = make_sampler(config, num_tasks=1, num_trajectories=num_trajectories)
    try:
        sampler.set_tasks([task])
    except ValueError as error:
        raise InputError(f"--task: {error}") from error
    camera = None if options.video is None else Camera(config, sampler.horizon, "--video")
    _make_folders(options)
    experience, params = learner.adapt(
        sampler,
        options.steps or NUM_STEPS,
        np.random.default_rng(options.seed),
        torch.Generator().manual_seed(options.seed),
    )
    adapted = make_actor(config, sampler, select(params, 0))
    video = None
    if camera is not None:
        unadapted = make_actor(config, sampler, parameters_of(learner.policy))
        checked = sampler.env.get_attr("task")[0]
        video = film_adaptation(camera, checked, (unadapted, adapted), options.seed)
    return _Adapted(
        adapted,
        experience.returns()[:, 0].tolist(),
        "steps",
        planar_paths(sampler, experience),
        video,
    )


def _by_trajectories(learner: SB3Learner, options: Adapt, task: dict[str, Any]) -> _Adapted:
    """Trials on the task; the first one's context is what the policy keeps."""
    if options.video is not None:
        raise InputError("--video is for learners by gradients; this run adapts without")
    checked = checked_task(learner, task)
    _make_folders(options)
    run = learner.run_trials(
        1,
        options.trajectories or NUM_TRAJECTORIES,
        (options.steps or NUM_STEPS) + 1,
        seed=options.seed,
        tasks=[checked],
        keep_transitions=True,
    )
    try:
        actor = learner.actor(run.context[0, 0])
    except ValueError as error:
        raise InputError(f"{options.run} adapts, but has no policy to keep: {error}") from error
    return _Adapted(actor, run.returns[:, 0].tolist(), "trajectories", run_paths(run))


def _check_policy_options(options: Adapt) -> dict[str, Any]:
    """The given task; an error about options that are not for policies."""
    if options.support or options.query or options.skip_bad:
        raise InputError(
            "--support, --query and --skip-bad are for few-shot runs; this is a policy"
        )
    if options.task is None:
        raise InputError("--task is missing: the task to adapt to, as JSON")
    try:
        return json_object(options.task)
    except ValueError as error:
        raise InputError(f"--task {error}") from error


def _make_folders(options: Adapt) -> None:
    """Make the folders of what will be written, before any time is spent."""
    folders = [("--output", options.output)]
    if options.video is not None:
        folders.append(("--video", options.video.parent))
    for option, folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{option} {folder} cannot be written: {error.strerror}") from error
