"""Families in tensors of CUDA: the CPU's numbers, without a wait, and as a graph."""

from collections.abc import Callable
from typing import Any

import array_api_compat.torch as xp
import pytest
import torch
from device_tensors import nothing_waits
from gymnasium import spaces
from torch import Tensor

from metarl.core import capturing
from metarl_envs import NUMPY_FAMILIES, Arrays, FamilyDeviceEnv

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA here"),
]
EVERY = pytest.mark.parametrize("env_id", list(NUMPY_FAMILIES))
NUM = 64


def make(env_id: str, device: str) -> FamilyDeviceEnv:
    family: Callable[[], Any] = NUMPY_FAMILIES[env_id][0]
    return FamilyDeviceEnv(family(), NUM, 100, Arrays(xp, torch.float64, device))


def inputs(env: FamilyDeviceEnv) -> tuple[Tensor, Tensor, Tensor]:
    """Actions, seeds and rows, on the environments' device."""
    generator = torch.Generator().manual_seed(0)
    if isinstance(env.single_action_space, spaces.Discrete):
        actions = torch.randint(int(env.single_action_space.n), (NUM,), generator=generator)
    else:
        actions = torch.rand(NUM, 2, generator=generator) - 0.5
    seeds = torch.arange(NUM)
    return actions.to(env.device), seeds.to(env.device), (seeds % 3 == 0).to(env.device)


def rollout(env: FamilyDeviceEnv, actions: Tensor, seeds: Tensor, rows: Tensor) -> list[Tensor]:
    """Copies of what each of some steps gives."""
    seen = []
    env.restart(seeds)
    for _ in range(3):
        env.step(actions)
        seen += [env.observations.clone(), env.rewards.clone(), env.terminated.clone()]
        env.restart(seeds + 100, rows)
    return seen


@EVERY
def test_cuda_gives_what_the_cpu_gives(env_id: str) -> None:
    sides = []
    for device in ("cpu", "cuda"):
        env = make(env_id, device)
        sides.append(rollout(env, *inputs(env)))
        env.check()
    for theirs, ours in zip(*sides, strict=True):
        torch.testing.assert_close(ours.cpu(), theirs, rtol=0, atol=1e-12)


@EVERY
def test_a_rollout_does_not_wait(env_id: str) -> None:
    env = make(env_id, "cuda")
    given = inputs(env)
    rollout(env, *given)
    with nothing_waits():
        rollout(env, *given)


@EVERY
def test_every_operation_is_deterministic(env_id: str) -> None:
    env = make(env_id, "cuda")
    torch.use_deterministic_algorithms(True)
    try:
        rollout(env, *inputs(env))
    finally:
        torch.use_deterministic_algorithms(False)


@EVERY
def test_a_graph_does_what_its_steps_do(env_id: str) -> None:
    eager, env = make(env_id, "cuda"), make(env_id, "cuda")
    given = inputs(env)
    expected = rollout(eager, *given)
    rollout(env, *given)  # makes what the first call makes
    graph = torch.cuda.CUDAGraph()
    with capturing(graph):
        seen = rollout(env, *given)
    for _ in range(2):
        graph.replay()
        assert all(map(torch.equal, seen, expected))
