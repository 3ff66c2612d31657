"""What the commands do differently for learners whose policy stable-baselines3 optimises."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from metarl.cli.configs import SB3_LEARNERS, RunConfig
from metarl.cli.environments import horizon_of, make_task_env
from metarl.cli.errors import UserError, parse_json
from metarl.report import Paths, draw_embedding
from metarl.rl import Actor
from metarl.rl.sampler import TaskEnvs
from metarl.sb3 import (
    AdaptationRun,
    CollectionSpec,
    InitialPolicy,
    ProtoEmbedding,
    SB3Config,
    SB3Learner,
    TaskVecEnv,
)
from metarl.sb3.vec_env import Task, task_vectors
from metarl.train import write_embedding

NUM_PATHS = 3  # trajectories drawn of a task
NUM_EMBEDDED = 5  # trials shown of a task


def make_sb3_learner(
    config: RunConfig, algorithm: SB3Config, device: torch.device, start: Actor | None
) -> SB3Learner:
    """The run's learner at its start.

    Args:
        config: of the run.
        algorithm: the config's, which is for stable-baselines3.
        device: of policy and encoder.
        start: the policy to start from, if any.
    """
    sampling = config.sampling

    shown = {"show_task": algorithm.shows_task, "reset_by_caller": True}
    own = make_task_env(config.env, 1, config.env_kwargs, **shown)
    horizon = horizon_of(own, sampling.horizon)
    own.close()
    options = config.env_kwargs
    if sampling.horizon is not None:  # trajectories end when the environment says so
        options = {**options, "max_episode_steps": horizon}

    def make_env(num_envs: int) -> TaskEnvs:
        return make_task_env(config.env, num_envs, options, **shown)

    _, kind = SB3_LEARNERS[config.learner]
    policy = config.policy
    try:
        return kind(
            algorithm,
            CollectionSpec(
                make_env,
                sampling.meta_batch_size * sampling.num_trajectories,
                horizon,
                sampling.discount,
                sampling.action_scale,
                tasks=_only_task(config, algorithm, make_env(1)),
            ),
            InitialPolicy(policy.hidden_sizes, policy.activation, policy.initial_log_std, start),
            seed=config.seed,
            device=device,
        )
    except ValueError as error:
        raise UserError(f"{config.learner} on --env {config.env}: {error}") from error


def run_paths(run: AdaptationRun) -> list[Paths] | None:
    """Paths of the first and the last trajectory, where states and goals are points of the plane.

    Args:
        run: with transitions kept.
    """
    goals = [np.asarray(task.get("goal", ())) for task in run.tasks]
    if run.observation_size != 2 or goals[0].shape != (2,):
        return None
    trials = run.trials
    each = len(trials.lengths) // len(goals)

    def ways(index: int, k: int) -> list[NDArray[Any]]:
        rows = range(index * each, index * each + min(each, NUM_PATHS))
        return [trials.transitions[row, k, : trials.lengths[row, k], :2] for row in rows]

    return [
        Paths(
            goal=goal,
            before=ways(index, 0),
            after=ways(index, trials.lengths.shape[1] - 1),
            title=f"{run.returns[0, index]:.1f} → {run.returns[-1, index]:.1f}",
        )
        for index, goal in enumerate(goals[:6])
    ]


def keep_embeddings(
    folder: Path, iteration: int, learner: ProtoEmbedding, run: AdaptationRun
) -> Path:
    """Show prototypes after one trajectory in TensorBoard's projector and in a picture.

    Args:
        folder: the run folder.
        iteration: of the learner.
        learner: whose encoder it is.
        run: on held-out tasks.

    Returns:
        The picture.
    """
    prototypes = learner.prototypes(run)[:, :NUM_EMBEDDED]
    names = [
        name if np.ndim(value) == 0 else f"{name}[{i}]"
        for name, value in run.tasks[0].items()
        for i in range(np.size(value))
    ]
    parameters = task_vectors(run.tasks).repeat(prototypes.shape[1], 0)
    points = prototypes.reshape(len(parameters), -1)
    rows = [
        [str(index // prototypes.shape[1]), *(f"{value:.4g}" for value in row)]
        for index, row in enumerate(parameters)
    ]
    write_embedding(folder, iteration, points, ["task", *names], rows)
    picture = folder / "embedding.png"
    draw_embedding(
        picture, points, parameters, names, title="prototypes of held-out tasks, one trajectory"
    )
    return picture


def _only_task(config: RunConfig, algorithm: SB3Config, env: TaskEnvs) -> list[Task] | None:
    """The one task of ``sb3-finetune``."""
    given = getattr(algorithm, "task", None)
    if given is None:
        return None
    if given == "":
        return TaskVecEnv(env, draw_every=0, split="held_out", seed=config.seed).drawn(1)
    return [_checked(env, parse_json("--task", given))]


def checked_task(learner: SB3Learner, task: dict[str, Any]) -> Task:
    """A given task as the run's environment has it, or one line about what is wrong."""
    return _checked(learner.collection.make_env(1), task)


def _checked(env: TaskEnvs, task: dict[str, Any]) -> Task:
    try:
        env.set_attr("task", [task])
    except ValueError as error:
        raise UserError(f"--task: {error}") from error
    checked: Task = env.get_attr("task")[0]
    env.close()
    return checked
