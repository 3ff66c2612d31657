"""Warp's engine on CUDA: nothing waits, any stream, and the same as on its CPU backend."""

import pytest
import torch
from device_tensors import nothing_waits
from engines import CPU, CUDA, actions_of

from metarl_envs.mujoco.half_cheetah import half_cheetah_dir
from metarl_envs.mujoco.warp.env import WarpEnv

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA here"),
]
NUM, STEPS = 64, 3


@pytest.fixture(scope="module")
def env() -> WarpEnv:
    return WarpEnv(half_cheetah_dir(), NUM, 100, CUDA)


def rollout(env: WarpEnv, steps: int = STEPS) -> list[torch.Tensor]:
    seeds, actions = torch.arange(NUM), torch.from_numpy(actions_of(env, steps))
    seeds, actions = seeds.to(env.device), actions.to(env.device)
    env.restart(seeds)
    record = []
    for action in actions:
        env.step(action)
        record += [env.observations.clone(), env.rewards.clone()]
    return record


def test_nothing_waits_for_the_device(env: WarpEnv) -> None:
    seeds, actions = torch.arange(NUM, device="cuda"), torch.zeros(NUM, 6, device="cuda")
    rows = seeds < 5
    env.restart(seeds, rows)  # compiles and captures, which waits
    env.step(actions)
    with nothing_waits():
        for _ in range(3):
            env.restart(seeds, rows)
            env.step(actions)


def test_any_stream_gives_what_the_cpu_gives(env: WarpEnv) -> None:
    expected = rollout(WarpEnv(half_cheetah_dir(), NUM, 100, CPU))
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        elsewhere = rollout(env)
    stream.synchronize()
    for ours in (rollout(env), elsewhere):
        for one, other in zip(ours, expected, strict=True):
            torch.testing.assert_close(one.cpu(), other, rtol=1e-3, atol=2e-2)
    env.check()


def test_in_order_two_runs_are_bit_for_bit_the_same() -> None:
    """Was not run yet: if it holds, of other robots, too, --deterministic may take Warp."""
    env = WarpEnv(half_cheetah_dir(), NUM, 100, CUDA, ordered=True)
    ours, theirs = (rollout(env, 50) for _ in range(2))
    assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))


def test_who_diverges_is_marked_and_goes_on_at_rest(env: WarpEnv) -> None:
    env.restart(torch.arange(NUM, device="cuda"))
    env.physics.views.qvel[1] = float("nan")
    for diverged in (1, 0):
        env.step(torch.zeros(NUM, 6, device="cuda"))
        assert int(env.diverged.sum()) == diverged
        assert env.observations.isfinite().all()
        assert env.rewards.isfinite().all()
