"""stable-baselines3's PPO over 256 of our half-cheetahs, beside their own vector environments.

Total training throughput, one epoch: collecting 8,192 steps and one pass over them in minibatches
of 1,024. The peers step gymnasium's HalfCheetah-v5, 64 in one process and 8 in processes of their
own. Then how much of a training step of ``proto-embedding`` is the embedding.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import harness
import torch
from gymnasium.vector import AutoresetMode
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

import metarl_envs  # noqa: F401  (registers the ids)
from metarl.core import Stopwatch
from metarl.embedding import EncoderTrainer, OnlinePrototypes
from metarl.sb3 import (
    CollectionSpec,
    InitialPolicy,
    ProtoEmbedding,
    ProtoEmbeddingConfig,
    TaskVecEnv,
)

ENV, HORIZON = "metarl/HalfCheetahVel-v0", 200
STEPS, BATCH = 8192, 1024


def make_batched(num_envs: int) -> Any:
    """Our vector environment, which resets nothing by itself."""
    return gym.make_vec(ENV, num_envs=num_envs, autoreset_mode=AutoresetMode.DISABLED)


def training(env: VecEnv) -> Callable[[], float]:
    """A measure: environment steps a second of PPO, collecting and learning."""
    model = PPO(
        "MlpPolicy",
        env,
        n_steps=STEPS // env.num_envs,
        batch_size=BATCH,
        n_epochs=1,
        seed=0,
        device="cpu",
    )

    def measure() -> float:
        start = time.perf_counter()
        model.learn(STEPS, reset_num_timesteps=False)
        return STEPS / (time.perf_counter() - start)

    return measure


def embedding_share(pairs: int) -> tuple[list[float], list[float]]:
    """Seconds of a training step of ``proto-embedding``, and of the embedding in it."""
    learner = ProtoEmbedding(
        ProtoEmbeddingConfig(encoder_warmup=30),
        CollectionSpec(make_batched, 256, HORIZON, 0.99, 1.0),
        InitialPolicy((64, 64), "tanh", 0.0),
        seed=0,
        device=torch.device("cpu"),
    )
    spent = Stopwatch()
    methods = ((OnlinePrototypes, "add"), (OnlinePrototypes, "features"))
    for owner, name in (*methods, (EncoderTrainer, "train")):
        setattr(owner, name, spent(getattr(owner, name)))
    whole, embedding = [], []
    for _ in range(pairs + 1):
        before = spent.seconds
        with Stopwatch() as iteration:
            learner.iterate()
        whole.append(iteration.seconds)
        embedding.append(spent.seconds - before)
    return embedding[1:], whole[1:]


def main() -> None:
    """Compare with both, then take the embedding apart."""
    quick = harness.quick_asked(__doc__)
    pairs = 3 if quick else 9
    ours = training(TaskVecEnv(make_batched(256)))
    peers: dict[str, tuple[int, type[VecEnv]]] = {
        "DummyVecEnv(64)": (64, DummyVecEnv),
        "SubprocVecEnv(8)": (8, SubprocVecEnv),
    }
    rows = []
    for name, (num_envs, kind) in peers.items():
        env = make_vec_env("HalfCheetah-v5", num_envs, seed=0, vec_env_cls=kind)  # type: ignore[arg-type]
        measured = harness.alternate(ours, training(env), pairs)
        env.close()
        row = partial(harness.Row, name="sb3-ppo-training", against=name)
        rows.append(
            row(
                unit="environment steps a second",
                ours=measured[0],
                theirs=measured[1],
                higher_is_better=True,
            )
        )
    embedding, whole = embedding_share(2 if quick else 5)
    rows.append(
        harness.Row(
            name="task-embedding",
            against="whole-training-step",
            unit="seconds",
            ours=embedding,
            theirs=whole,
        )
    )
    harness.report(rows)


if __name__ == "__main__":
    main()
