"""The same on CUDA as on the CPU."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch
from torch import Tensor, nn

import metarl_envs  # noqa: F401  # registers the ids
from metarl.core import SGD, expand, meta_loss, parameters_of
from metarl.nn import MLP, GaussianPolicy, policy_network
from metarl.rl import MAMLLearner, MAMLTRPOConfig, Sampler, make_maml
from metarl.sb3 import CollectionSpec, InitialPolicy, ProtoEmbedding, ProtoEmbeddingConfig
from metarl.training.checkpoint import load_checkpoint, save_checkpoint
from metarl.types import Params

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA here"),
]
CUDA = torch.device("cuda")


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def loss_and_gradients(model: MLP, device: torch.device) -> list[Tensor]:
    """Meta-loss of 4 regression tasks, two inner steps, and its gradient, on the CPU."""
    model.to(device)

    def loss(params: Params, batch: tuple[Tensor, Tensor]) -> Tensor:
        x, y = batch
        return (model.forward_tasks(params, x) - y).square().mean((1, 2))

    batches = [(draw(k, 4, 10, 3).to(device), draw(9 + k, 4, 10, 2).to(device)) for k in range(3)]
    theta = parameters_of(model)
    losses = meta_loss(SGD(0.1), loss, loss, expand(theta, 4), batches[:2], batches[2])
    gradients = torch.autograd.grad(losses.mean(), list(theta.values()))
    assert {value.device.type for value in (losses, *gradients)} == {device.type}
    return [value.detach().cpu() for value in (losses, *gradients)]


def test_meta_loss_agrees_with_the_cpu() -> None:
    model = MLP([3, 16, 2], "tanh", torch.Generator().manual_seed(0))
    on_cpu = loss_and_gradients(model, torch.device("cpu"))
    on_cuda = loss_and_gradients(model, CUDA)
    for ours, reference in zip(on_cuda, on_cpu, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-5, atol=1e-5)


def make_learner(device: torch.device) -> MAMLLearner:
    env: Any = gym.make_vec("metarl/PointGoal-v0", num_envs=6)
    sampler = Sampler(env, num_tasks=3, horizon=10, discount=0.99, action_scale=10.0)
    policy = GaussianPolicy(
        policy_network(2, 2, hidden_sizes=(8,), generator=torch.Generator().manual_seed(0)), 2
    )
    return make_maml(MAMLTRPOConfig(), policy.to(device), sampler, seed=0)


def devices(module: nn.Module) -> set[str]:
    return {parameter.device.type for parameter in module.parameters()}


def test_a_learner_iterates_on_cuda() -> None:
    learner = make_learner(CUDA)
    experience = learner.collect()
    values = [value for batch in experience.batches for value in batch]
    assert {value.device.type for value in values if isinstance(value, Tensor)} == {"cuda"}
    metrics = learner.update(experience)
    assert metrics["meta/skipped"] == 0.0
    assert metrics["meta/accepted"] == 1.0
    assert devices(learner.policy) == {"cuda"}


def test_a_checkpoint_read_to_cuda_is_taken_up(tmp_path: Path) -> None:
    """What is drawn does not depend on the device that the state was read to."""
    learner, fresh = make_learner(CUDA), make_learner(CUDA)
    learner.update(learner.collect())
    path = save_checkpoint(tmp_path, 1, {"learner": learner.state_dict()})
    fresh.load_state_dict(load_checkpoint(path)["learner"])
    assert devices(fresh.policy) == {"cuda"}
    ours, theirs = fresh.collect().rollouts[0], learner.collect().rollouts[0]
    torch.testing.assert_close(ours.actions, theirs.actions)


@pytest.mark.filterwarnings("ignore:You are trying to run PPO on the GPU")  # here it is meant
def test_a_task_embedding_trains_on_cuda() -> None:
    def make_env(num_envs: int) -> Any:
        return gym.make_vec(
            "metarl/PointGoal-v0",
            num_envs=num_envs,
            max_episode_steps=5,
            autoreset_mode=gym.vector.AutoresetMode.DISABLED,
        )

    learner = ProtoEmbedding(
        ProtoEmbeddingConfig(encoder_warmup=2),
        CollectionSpec(make_env, 8, 5, 0.99, 1.0),
        InitialPolicy((8,), "tanh", 0.0),
        seed=0,
        device=CUDA,
    )
    metrics = learner.iterate()
    assert metrics["adapt/embedding_loss"] > 0
    assert next(learner.encoder.parameters()).device.type == "cuda"
    assert 0 <= learner.evaluate()["eval/embedding_accuracy"] <= 1
