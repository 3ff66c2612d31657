"""Inner gradients of all estimators on families whose trajectories end early."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from metarl.core import SGD, Streams, adapt, expand, parameters_of
from metarl.nn import CategoricalPolicy, GaussianPolicy, Policy, policy_network
from metarl.rl import Sampler
from metarl.rl.advantages import advantage_batch
from metarl.rl.estimators import Estimator
from metarl.rl.losses import inner_loss
from metarl_envs import RandomDynamics, Uniform

NUM_TASKS, NUM_TRAJECTORIES = 3, 400


def hopper() -> tuple[Any, Policy]:
    env: Any = gym.make_vec("metarl/HopperRandParams-v0", num_envs=NUM_TASKS * NUM_TRAJECTORIES)
    generator = torch.Generator().manual_seed(0)
    return env, GaussianPolicy(policy_network(11, 3, generator=generator), 3)


def products(cart: Any) -> None:
    """What CartPole works out of the length when it is made."""
    cart.polemass_length = cart.masspole * cart.length


def cart_pole() -> tuple[Any, Policy]:
    def make() -> Any:
        cart = gym.make("CartPole-v1")
        return RandomDynamics(cart, {"length": Uniform(0.5, 2.0)}, recompute=products)

    env = gym.vector.SyncVectorEnv([make] * NUM_TASKS * NUM_TRAJECTORIES)
    generator = torch.Generator().manual_seed(0)
    return env, CategoricalPolicy(policy_network(4, 2, generator=generator), 2)


@pytest.mark.slow
@pytest.mark.parametrize("family", [hopper, cart_pole])
def test_inner_steps_of_all_estimators_agree(family: Any) -> None:
    """400 trajectories a task, α = 0.1 (40 s each on 2 cores).

    Dice sees rewards as they are, discounted from the start, the others advantages by the baseline.
    """
    env, policy = family()
    sampler = Sampler(env, num_tasks=NUM_TASKS, horizon=200, discount=0.99, action_scale=1.0)
    sampler.draw_tasks(np.random.default_rng(0), "train")
    start = expand(parameters_of(policy), NUM_TASKS)
    rollout = sampler.collect(policy, start, Streams(0, "training").at(0))
    env.close()
    assert len(set(rollout.mask.sum(1).flatten().tolist())) > 20  # lengths
    batch = advantage_batch(rollout, gae_lambda=0.95)

    def step(estimator: Estimator) -> torch.Tensor:
        def loss(params: Any, support: Any) -> torch.Tensor:
            return inner_loss(policy.distribution(params, support.observations), support, estimator)

        with torch.no_grad():
            after = adapt(SGD(0.1), loss, start, [batch])
        return torch.cat([(after[name] - start[name]).flatten(1) for name in start], 1)

    expected = step("lvc")
    for estimator in ("log-likelihood", "dice", "loaded-dice"):
        ours = step(estimator)
        cosines = torch.nn.functional.cosine_similarity(ours, expected)
        norms = ours.norm(dim=1) / expected.norm(dim=1)
        assert cosines.min() >= 0.97
        assert (norms - 1).abs().max() <= 0.15
