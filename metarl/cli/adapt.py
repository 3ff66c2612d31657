"""``metarl adapt``: adapt a run's policy to one given task and keep it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from rich.console import Console

from metarl.cli.errors import UserError
from metarl.cli.evaluate import (
    NUM_STEPS,
    NUM_TRAJECTORIES,
    planar_paths,
    write_json,
)
from metarl.cli.film import Camera, film_adaptation
from metarl.cli.runs import MAX_SEED, load_run, make_actor, make_sampler, parse_json
from metarl.core import parameters_of, select
from metarl.report import draw_paths, write_mp4
from metarl.train import DeviceName


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
    """Adaptation steps; 3, and a classifier's own, by default."""
    trajectories: int | None = None
    """Policies: trajectories a step, 40 by default."""
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
    num_steps = options.steps or NUM_STEPS
    num_trajectories = options.trajectories or NUM_TRAJECTORIES
    run = load_run(options.run, options.device)
    sampler = make_sampler(run.config, num_tasks=1, num_trajectories=num_trajectories)
    try:
        sampler.set_tasks([task])
    except ValueError as error:
        raise UserError(f"--task: {error}") from error
    camera = None if options.video is None else Camera(run.config, sampler.horizon, "--video")
    _make_folders(options)

    experience, params = run.learner.adapt(
        sampler,
        run.learner.adaptation.lr(num_steps),
        np.random.default_rng(options.seed),
        torch.Generator().manual_seed(options.seed),
    )
    returns = experience.returns()[:, 0].tolist()
    adapted = make_actor(run.config, sampler, select(params, 0))
    adapted.save(options.output / "policy.pt")
    write_json(
        options.output / "adaptation.json",
        {
            "env": run.config.env,
            "learner": run.config.learner,
            "seed": options.seed,
            "task": task,
            "steps": list(range(num_steps + 1)),
            "returns": returns,
            "trajectories": num_trajectories,
        },
    )
    paths = planar_paths(sampler, experience)
    if paths is not None:
        draw_paths(options.output / "adaptation.png", paths[0])
    console = Console(soft_wrap=True, markup=False)
    console.print(f"return before adaptation: {returns[0]:.2f}")
    console.print(f"return after {num_steps} steps: {returns[-1]:.2f}")
    console.print(f"adapted policy: {options.output / 'policy.pt'}")
    if camera is not None and options.video is not None:
        unadapted = make_actor(run.config, sampler, parameters_of(run.learner.policy))
        checked = sampler.env.get_attr("task")[0]
        write_mp4(
            options.video, film_adaptation(camera, checked, (unadapted, adapted), options.seed)
        )
        console.print(f"video: {options.video}")
    return 0


def _check_policy_options(options: Adapt) -> dict[str, Any]:
    """The given task; an error about options that are not for policies."""
    if options.support or options.query or options.skip_bad:
        raise UserError("--support, --query and --skip-bad are for few-shot runs; this is a policy")
    if options.task is None:
        raise UserError("--task is missing: the task to adapt to, as JSON")
    return parse_json("--task", options.task)


def _make_folders(options: Adapt) -> None:
    """Make the folders of what will be written, before any time is spent."""
    folders = [("--output", options.output)]
    if options.video is not None:
        folders.append(("--video", options.video.parent))
    for option, folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{option} {folder} cannot be written: {error.strerror}") from error
