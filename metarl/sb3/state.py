"""State of stable-baselines3 that its own parameters leave out, and its random numbers."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from metarl.files import NonFiniteError, check_finite
from metarl.sb3.configs import Normalisation

REPLAY = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


@contextmanager
def global_generators(seed: int) -> Iterator[None]:
    """Seed the global generators of torch, NumPy and Python, and put them back afterwards."""
    kept = np.random.get_state(), random.getstate()  # noqa: NPY002  # stable-baselines3 draws from it
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(kept[0])  # noqa: NPY002
            random.setstate(kept[1])


@contextmanager
def kept_finite(model: Any) -> Iterator[None]:
    """A :class:`NonFiniteError` if the policy diverges in here; torch's own are about arguments."""
    try:
        yield
    except ValueError as error:
        if "of distribution" not in str(error):
            raise
        raise NonFiniteError("the policy's distribution of actions is not finite") from error
    check_finite(model.policy.state_dict(), "policy")


def model_state(model: Any, env: VecEnv) -> dict[str, Any]:
    """Everything of a model, and the running statistics of its environments."""
    state = {
        "num_timesteps": model.num_timesteps,
        "num_updates": getattr(model, "_n_updates", 0),
        "model": model.get_parameters(),
        "normalisation": normalisation_state(env),
    }
    entropy = getattr(model, "log_ent_coef", None)
    if entropy is not None:
        state["log_ent_coef"] = entropy.detach()
    if getattr(model, "replay_buffer", None) is not None:
        state["replay"] = replay_state(model.replay_buffer)
    return state


def load_model(model: Any, env: VecEnv, state: dict[str, Any], device: torch.device) -> None:
    """Take back what :func:`model_state` gave."""
    model.num_timesteps = state["num_timesteps"]
    model._n_updates = state["num_updates"]
    model.set_parameters(state["model"], device=device)
    load_normalisation(env, state["normalisation"])
    if "log_ent_coef" in state:
        with torch.no_grad():
            model.log_ent_coef.copy_(state["log_ent_coef"])
    if "replay" in state:
        load_replay(model.replay_buffer, state["replay"])


def normalised(
    env: VecEnv, what: Normalisation, discount: float, like: VecEnv | None = None
) -> VecEnv:
    """An environment divided by running statistics, or by those of another, which then stay."""
    if what == "none":
        return env
    made = VecNormalize(env, norm_obs=what == "all", gamma=discount)
    if isinstance(like, VecNormalize):
        made.training, made.norm_reward = False, False
        if what == "all":
            made.obs_rms = like.obs_rms
    return made


def normalisation_state(env: VecEnv) -> dict[str, Any]:
    """Running statistics of observations and returns, where there are any."""
    return {
        name: {
            "mean": torch.as_tensor(np.asarray(value.mean)),
            "var": torch.as_tensor(np.asarray(value.var)),
            "count": float(value.count),
        }
        for name, value in _statistics(env).items()
    }


def load_normalisation(env: VecEnv, state: dict[str, Any]) -> None:
    """Take back what :func:`normalisation_state` gave."""
    for name, value in _statistics(env).items():
        value.mean = state[name]["mean"].numpy().copy()
        value.var = state[name]["var"].numpy().copy()
        value.count = state[name]["count"]


def replay_state(buffer: Any) -> dict[str, Any]:
    """The filled part of a replay buffer."""
    size = buffer.size()
    kept = {name: torch.from_numpy(getattr(buffer, name)[:size].copy()) for name in REPLAY}
    return {**kept, "pos": buffer.pos, "full": bool(buffer.full)}


def load_replay(buffer: Any, state: dict[str, Any]) -> None:
    """Take back what :func:`replay_state` gave."""
    for name in REPLAY:
        getattr(buffer, name)[: len(state[name])] = state[name].numpy()
    buffer.pos, buffer.full = state["pos"], state["full"]


def _statistics(env: VecEnv) -> dict[str, Any]:
    """Where the running statistics are; of observations only if they are normalised."""
    if not isinstance(env, VecNormalize):
        return {}
    return {"returns": env.ret_rms} | ({"observations": env.obs_rms} if env.norm_obs else {})
