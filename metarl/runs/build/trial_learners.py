"""Learners whose policy stable-baselines3 optimises over trials, from their configs."""

from collections.abc import Callable

import torch

from metarl import sb3
from metarl.core import Streams
from metarl.rl import Actor, TaskEnvs
from metarl.runs.config import EnvProblem, RunConfig
from metarl.runs.errors import InputError
from metarl.runs.facts import checked_task
from metarl.runs.json_option import json_object
from metarl.types import Task


def trial_learner(
    config: RunConfig,
    problem: EnvProblem,
    algorithm: sb3.SB3Config,
    make_env: Callable[[int], TaskEnvs],
    start: Actor | None,
    only: list[Task] | None,
    device: torch.device,
) -> "sb3.SB3Learner":  # not evaluated: that would import stable-baselines3
    """The learner of stable-baselines3 that ``algorithm`` describes, on a family's environments."""
    sampling, shape, facts = problem.sampling, problem.policy, problem.trained_on
    assert facts is not None
    kinds = {sb3.ProtoEmbeddingConfig: sb3.ProtoEmbedding, sb3.RL2Config: sb3.RL2}
    kind = kinds.get(type(algorithm), sb3.SB3Learner)
    return kind(
        algorithm,
        sb3.CollectionSpec(
            make_env,
            sampling.meta_batch_size * sampling.num_trajectories,
            facts.horizon,
            sampling.discount,
            sampling.action_scale,
            tasks=only,
            info_keys=sampling.info_keys,
        ),
        sb3.InitialPolicy(shape.hidden_sizes, shape.activation, shape.initial_log_std, start),
        seed=config.seed,
        device=device,
    )


def only_task(
    seed: int, algorithm: sb3.SB3FinetuneConfig, make_env: Callable[[int], TaskEnvs]
) -> list[Task]:
    """The one task that is tuned to: a held-out one, if none is given."""
    if algorithm.task == "":
        env = sb3.TaskVecEnv(make_env(1), draw_every=0, split="held_out")
        drawn = env.drawn(1, Streams(seed, "test").numpy("tasks"))
        env.close()
        return drawn
    try:
        task = json_object(algorithm.task)
    except ValueError as error:
        raise InputError(str(error), "task") from error
    return [checked_task(make_env(1), task)]
