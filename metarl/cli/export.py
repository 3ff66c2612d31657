"""``metarl export``: a run's policy as a stable-baselines3 model."""

from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from metarl.cli.environments import make_single
from metarl.cli.runs import Run, load_run, make_actor, read_policy
from metarl.core import parameters_of
from metarl.rl import Actor, MAMLLearner
from metarl.runs.errors import InputError
from metarl.sb3 import to_sb3


@dataclass(frozen=True, kw_only=True)
class Export:
    """Keep a policy as a PPO model that stable-baselines3 loads and goes on training."""

    run: tyro.conf.Positional[Path]
    """The run folder."""
    sb3: Path
    """The .zip file to write."""
    policy: Path | None = None
    """A policy.pt that `metarl adapt` made from this run, instead of the meta-learned policy."""

    def __post_init__(self) -> None:
        if self.sb3.suffix != ".zip":
            raise ValueError(f"sb3 must be a file that ends in .zip, got {self.sb3}")


def export(options: Export) -> int:
    """Run ``metarl export`` for a policy."""
    run = load_run(options.run, "cpu")
    actor = _actor(run, options.policy)
    config = run.config.problem
    env = make_single(config.env, config.env_kwargs, show_task=config.algorithm.show_task)
    try:
        options.sb3.parent.mkdir(parents=True, exist_ok=True)
        to_sb3(actor, env).save(options.sb3)
    except ValueError as error:
        raise InputError(f"{run.folder}: {error}") from error
    except OSError as error:
        raise InputError(f"--sb3 {options.sb3} cannot be written: {error.strerror}") from error
    Console(soft_wrap=True, markup=False).print(f"stable-baselines3 model: {options.sb3}")
    return 0


def _actor(run: Run, adapted: Path | None) -> Actor:
    """The policy to export: the run's own, or an adapted one of its shape."""
    try:
        actor = (
            make_actor(run.config.problem, run.learner.sampler, parameters_of(run.learner.policy))
            if isinstance(run.learner, MAMLLearner)
            else run.learner.actor(run.learner.unadapted_context())
        )
    except ValueError as error:
        raise InputError(f"{run.folder}: {error}") from error
    if adapted is None:
        return actor
    other = read_policy("--policy", adapted, 1.0)
    if other.spec != actor.spec:
        raise InputError(f"--policy {adapted} has not the shape of {run.folder}'s policy")
    return other


def export_fewshot(options: Export) -> int:
    """Refuse a few-shot run."""
    raise InputError(f"{options.run} is a few-shot run: stable-baselines3 takes policies only")
