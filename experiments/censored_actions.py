"""What clipped actions alone say of the inner gradient: its cosine to that from raw actions.

Trajectories on a plane towards a goal, action scale 1, σ = 1: a third of all action numbers are
beyond the bounds. The censored likelihood is what adaptation to recorded data takes where only the
environment's actions are known; the naive one takes these for what the policy emitted.
"""

import argparse

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch.nn.utils import parameters_to_vector

from metarl.core import expand, parameters_of
from metarl.nn import GaussianPolicy, policy_network
from metarl.rl import RecordedTrajectories, Sampler, Surrogate, Trajectories
from metarl.rl.recorded import RecordedSupport
from metarl.rl.task_envs import DeferredEnvs

HORIZON = 100
BOUND = 0.1


def policy_of(seed: int) -> GaussianPolicy:
    """Two hidden layers, whose means are within the bounds as far as σ is wide."""
    network = policy_network(2, 2, generator=torch.Generator().manual_seed(seed))
    policy = GaussianPolicy(network, 2)
    with torch.no_grad():
        policy.mean.layers[-1].weight.mul_(50.0)  # type: ignore[index,union-attr,operator]
    return policy


def record(policy: GaussianPolicy, num: int, rng: np.random.Generator) -> Trajectories:
    """``num`` trajectories towards one goal, with the actions before and after clipping."""
    params, goal = expand(parameters_of(policy), 1), np.array([0.3, -0.4])
    position = np.zeros((num, 2))
    seen, raws, rewards = [position], [], []
    for _ in range(HORIZON):
        noise = policy.noise((1, num), rng)
        with torch.no_grad():
            inputs = torch.from_numpy(position.astype(np.float32))[None]
            raws.append(policy.act(params, inputs, noise)[0].numpy())
        position = position + BOUND * raws[-1].clip(-1, 1)
        seen.append(position)
        rewards.append(-np.linalg.norm(position - goal, axis=1))
    raw = np.stack(raws, 1).reshape(-1, 2)
    return Trajectories(
        lengths=np.full(num, HORIZON),
        observations=np.stack(seen, 1).reshape(-1, 2),
        rewards=np.stack(rewards, 1).ravel(),
        terminated=np.zeros(num, bool),
        truncated=np.ones(num, bool),
        raw_actions=raw,
        actions=(BOUND * raw.clip(-1, 1)).astype(np.float32),
    )


def inner_gradient(policy: GaussianPolicy, data: Trajectories) -> NDArray[np.float64]:
    """What the first step of adaptation to the data goes along."""
    box = spaces.Box(-10, 10, (2,)), spaces.Box(-BOUND, BOUND, (2,))
    envs = DeferredEnvs(lambda num: NotImplemented, 1, *box)
    sampler = Sampler(envs, num_tasks=1, horizon=HORIZON, discount=0.99, action_scale=1.0)
    objective = Surrogate()
    support = RecordedSupport(RecordedTrajectories(parts=[data]), policy, sampler, objective)
    params = {k: v.detach().requires_grad_() for k, v in expand(parameters_of(policy), 1).items()}
    with torch.no_grad():
        batch = support(params)
    loss = objective.inner_loss(policy, params, batch).sum()
    gradients = torch.autograd.grad(loss, list(params.values()))
    found: NDArray[np.float64] = parameters_to_vector(gradients).double().numpy()
    return found


def cosines(num_samples: int, seed: int) -> dict[str, float]:
    """Of both gradients to that from raw actions, and the share of numbers at a bound."""
    policy = policy_of(seed)
    data = record(policy, num_samples // HORIZON, np.random.default_rng(seed))
    raw, taken = data.raw_actions, data.actions
    assert raw is not None
    assert taken is not None
    ends = {"lengths": data.lengths, "terminated": data.terminated, "truncated": data.truncated}
    facts = {"observations": data.observations, "rewards": data.rewards, **ends}
    exact, censored, naive = (
        inner_gradient(policy, one)
        for one in (
            data,
            Trajectories(**facts, actions=taken),
            Trajectories(**facts, raw_actions=raw.clip(-1, 1)),
        )
    )

    def cosine(other: NDArray[np.float64]) -> float:
        return float(exact @ other / np.linalg.norm(exact) / np.linalg.norm(other))

    shares = {"clipped": float((np.abs(raw) > 1).mean())}
    lengths = {
        "censored length": float(np.linalg.norm(censored) / np.linalg.norm(exact)),
        "naive length": float(np.linalg.norm(naive) / np.linalg.norm(exact)),
    }
    return shares | {"censored": cosine(censored), "naive": cosine(naive)} | lengths


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    for seed in range(options.seeds):
        found = cosines(options.samples, seed)
        print(f"seed {seed}, {options.samples} steps: ", end="")
        print(", ".join(f"{name} {value:.4f}" for name, value in found.items()))
