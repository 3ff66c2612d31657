"""``metarl adapt``: adapt a run's policy to one given task and keep it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from rich.console import Console

from metarl.cli.errors import UserError
from metarl.cli.evaluate import (
    NUM_STEPS,
    NUM_TRAJECTORIES,
    adapt_from,
    planar_paths,
    write_json,
)
from metarl.cli.runs import MAX_SEED, load_run, make_policy, make_sampler, parse_json, policy_spec
from metarl.core import select
from metarl.report import draw_paths
from metarl.rl import Actor
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
    seed: int = 0
    """Draws the noise."""
    device: DeviceName | None = None
    """Another device than the run's."""

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")
        if self.trajectories is not None and self.trajectories < 1:
            raise ValueError(f"trajectories must be at least 1, got {self.trajectories}")
        if not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f"seed must be within [0, {MAX_SEED}], got {self.seed}")


def adapt(options: Adapt) -> int:
    """Run ``metarl adapt`` for a policy."""
    if options.support or options.query or options.skip_bad:
        raise UserError("--support, --query and --skip-bad are for few-shot runs; this is a policy")
    if options.task is None:
        raise UserError("--task is missing: the task to adapt to, as JSON")
    task = parse_json("--task", options.task)
    num_steps = options.steps or NUM_STEPS
    num_trajectories = options.trajectories or NUM_TRAJECTORIES
    run = load_run(options.run, options.device)
    sampler = make_sampler(run.config, num_tasks=1, num_trajectories=num_trajectories)
    try:
        sampler.set_tasks([task])
    except ValueError as error:
        raise UserError(f"--task: {error}") from error
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output {options.output} cannot be written: {error.strerror}") from error

    step_sizes = run.learner.config.step_sizes(num_steps)
    rng = np.random.default_rng(options.seed)
    experience, params = adapt_from(run, sampler, step_sizes, rng, options.seed)
    returns = experience.returns()[:, 0].tolist()
    policy = make_policy(run.config, sampler)
    policy.load_state_dict(select(params, 0))
    Actor(policy, policy_spec(run.config, sampler), sampler.scaling).save(
        options.output / "policy.pt"
    )
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
    return 0
