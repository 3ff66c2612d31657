"""Warp's engine: starts, tasks, what diverges, buffers, and that nothing is copied or lost."""

import runpy
import sys
from pathlib import Path
from typing import Any

import array_api_compat.torch as xp
import gymnasium as gym
import numpy as np
import pytest
import torch
import warp as wp
from device_tensors import NoHostCopies
from engines import CPU, FAMILIES, actions_of, make_pair
from test_warp_parity import compare_a_step, compare_constants
from torch import Tensor

import metarl_envs.mujoco.warp.installed as installed
from metarl_envs import make_device
from metarl_envs.mujoco.engine import MujocoVectorEnv
from metarl_envs.mujoco.rand_params import hopper_rand_params
from metarl_envs.mujoco.warp.env import WarpEnv

NUM = 6
OTHERS = torch.arange(NUM) != 1


@pytest.fixture(scope="module")
def pair() -> tuple[MujocoVectorEnv, WarpEnv]:
    return make_pair(FAMILIES["hopper"](Path()), NUM)


@pytest.fixture
def env(pair: tuple[MujocoVectorEnv, WarpEnv]) -> WarpEnv:
    """Hoppers with bodies of their own, just started."""
    pair[1].restart(torch.arange(NUM))
    return pair[1]


def outcome(env: WarpEnv) -> list[Tensor]:
    physics = env.physics.views
    state = [physics.qpos, physics.qvel]
    return [*state, env.observations, env.rewards, env.terminated, env.diverged]


def rollout(env: WarpEnv, num: int, first: int = 0) -> list[list[Tensor]]:
    """What each step leaves, from the first until there were ``num``."""
    record = []
    for actions in torch.from_numpy(actions_of(env, num)[first:]):
        env.step(actions)
        record.append([tensor.clone() for tensor in outcome(env)])
    return record


def same(ours: list[list[Tensor]], theirs: list[list[Tensor]], rows: Any = slice(None)) -> bool:
    each = zip(ours, theirs, strict=True)
    pairs = [(a, b) for step in each for a, b in zip(*step, strict=True)]
    return all(torch.equal(a[rows], b[rows]) for a, b in pairs)


def test_seeds_start_both_engines_in_the_same_states(
    pair: tuple[MujocoVectorEnv, WarpEnv],
) -> None:
    c, warp = pair
    seeds = np.arange(NUM) + 50
    expected, _ = c.reset(seed=seeds.tolist())
    warp.restart(torch.from_numpy(seeds))
    np.testing.assert_allclose(warp.observations.numpy(), expected, rtol=0, atol=1e-6)


def test_a_step_is_the_c_engines(pair: tuple[MujocoVectorEnv, WarpEnv]) -> None:
    """Of a few hoppers here; ``make warp`` has all robots, a hundred each."""
    compare_constants(*pair)
    compare_a_step(*pair)


def test_two_runs_are_bit_for_bit_the_same(env: WarpEnv) -> None:
    first = rollout(env, 20)
    env.restart(torch.arange(NUM))
    assert same(rollout(env, 20), first)


def test_what_is_recorded_is_what_is_run(env: WarpEnv) -> None:
    """The recorded graph and the same launches from Python agree bit for bit."""
    recorded = rollout(env, 5)
    env.restart(torch.arange(NUM))
    graph = env.physics._step
    launch, graph.launch = graph.launch, graph.work  # type: ignore[method-assign]
    try:
        assert same(rollout(env, 5), recorded)
    finally:
        graph.launch = launch  # type: ignore[method-assign]


def starting_one_anew_leaves_the_others_alone(env: WarpEnv) -> bool:
    env.restart(torch.arange(NUM))
    undisturbed = rollout(env, 8)
    env.restart(torch.arange(NUM))
    before = rollout(env, 4)
    env.restart(torch.arange(NUM) + 9, ~OTHERS)
    now = [[tensor.clone() for tensor in outcome(env)]]
    after = rollout(env, 8, first=4)
    env.restart(torch.arange(NUM) + 9)
    torch.testing.assert_close(now[0][2][1], env.observations[1], rtol=0, atol=0)
    return same(now, before[-1:], OTHERS) and same(before + after, undisturbed, OTHERS)


def test_starting_one_anew_leaves_the_others_alone(env: WarpEnv) -> None:
    assert starting_one_anew_leaves_the_others_alone(env)


@pytest.mark.warp
@pytest.mark.parametrize("name", ["ant", "ant-maml", "humanoid"])
def test_so_it_does_where_forces_and_the_like_are_observed(name: str, tmp_path: Path) -> None:
    """They are of the simulation step before, which a restart computes anew for those alone."""
    assert starting_one_anew_leaves_the_others_alone(make_pair(FAMILIES[name](tmp_path), NUM)[1])


def test_tasks_stay_until_they_are_set(env: WarpEnv) -> None:
    """Bodies of other tasks go other ways; those that stay go the same way again."""
    own = env.task_distribution.sample(np.random.default_rng(0), NUM)
    other = env.task_distribution.sample(np.random.default_rng(5), NUM)
    first = rollout(env, 6)
    mixed = {name: np.where(_like(OTHERS, v), v, other[name]) for name, v in own.items()}
    env.set_tasks(mixed)
    env.restart(torch.arange(NUM))
    changed = rollout(env, 6)
    assert same(changed, first, OTHERS)
    assert not torch.equal(changed[-1][0][1], first[-1][0][1])
    env.set_tasks(own)
    env.restart(torch.arange(NUM))
    assert same(rollout(env, 6), first)


def _like(rows: Tensor, values: np.ndarray) -> np.ndarray:
    return rows.numpy().reshape(-1, *[1] * (values.ndim - 1))


def test_results_are_written_where_they_were(env: WarpEnv) -> None:
    """And the state is Warp's own memory, not a copy of it."""
    places = [tensor.data_ptr() for tensor in outcome(env)]
    rollout(env, 2)
    env.restart(torch.arange(NUM), OTHERS)
    assert [tensor.data_ptr() for tensor in outcome(env)] == places
    assert places[:2] == [env.physics.data.qpos.ptr, env.physics.data.qvel.ptr]
    assert [tensor.dtype for tensor in outcome(env)] == [torch.float32] * 4 + [torch.bool] * 2


def test_nothing_is_read_on_the_way(env: WarpEnv) -> None:
    seeds, actions = torch.arange(NUM), torch.from_numpy(actions_of(env, 1)[0])
    with NoHostCopies():
        env.step(actions)
        env.restart(seeds, OTHERS)
        env.step(actions)


@pytest.mark.parametrize("value", [1e11, float("inf"), float("nan")])
def test_who_diverges_is_marked_and_nobody_else_notices(env: WarpEnv, value: float) -> None:
    undisturbed = rollout(env, 3)
    env.restart(torch.arange(NUM))
    env.physics.views.qvel[1] = value
    broken = rollout(env, 3)
    assert same(broken, undisturbed, OTHERS)
    *_, rewards, terminated, diverged = broken[0]
    assert diverged.tolist() == [i == 1 for i in range(NUM)]
    assert terminated[1]
    assert rewards[1] == 0
    assert not broken[1][-1].any()
    assert all(tensor.isfinite().all() for step in broken for tensor in step)
    env.check()


def test_who_diverges_leaves_nothing_behind(env: WarpEnv) -> None:
    """No full buffer, though Warp counts contacts where there are no numbers, and no warm start."""
    warm_start = wp.to_torch(env.physics.data.qacc_warmstart)
    warm_start[1] = float("nan")
    env.physics.views.qvel[1] = float("nan")
    wp.to_torch(env.physics.data.overflow)[1] = 1
    env.finish()
    env.check()
    assert warm_start.isfinite().all()


def test_a_full_buffer_is_an_error_that_names_the_option(env: WarpEnv) -> None:
    small = WarpEnv(hopper_rand_params(), NUM, 200, CPU, name="my/Hopper-v0", nconmax=1)
    small.restart(torch.arange(NUM))
    small.physics.views.qpos[:, 1] = 0.0
    rollout(small, 1)
    with pytest.raises(ValueError, match=r"my/Hopper-v0: 6 of 6 .* nconmax=1 .* larger nconmax"):
        small.check()
    small.check()
    small.restart(torch.arange(NUM))
    rollout(small, 1)
    small.check()


@pytest.mark.warp
def test_too_few_rows_of_constraints_are_an_error(env: WarpEnv) -> None:
    small = WarpEnv(hopper_rand_params(), NUM, 200, CPU, njmax=3)
    small.restart(torch.arange(NUM))
    small.physics.views.qpos[2, 1] = 0.0
    rollout(small, 1)
    with pytest.raises(
        ValueError, match=r"hopper.xml: 1 of 6 .* njmax=3 .* larger njmax .*, 6 say"
    ):
        small.check()


def test_restarting_does_not_forget_a_full_buffer(env: WarpEnv) -> None:
    wp.to_torch(env.physics.data.overflow)[3] = 8
    env.finish()
    env.restart(torch.arange(NUM))
    with pytest.raises(ValueError, match="nconmax"):
        env.check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fields": ("body_margin",)}, "Warp cannot vary it; the C engine can"),
        ({"fields": ("body_mas",)}, "did you mean 'body_mass'"),
        ({"njmax": 0}, "njmax must be at least 1, got 0"),
        ({"nconmax": -1}, "nconmax must be at least 1, got -1"),
    ],
)
def test_what_cannot_be_made_is_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        make_device("metarl/HopperRandParams-v0", 2, torch.device("cpu"), xp, **options)
    assert "\n" not in str(error.value)


def test_a_batch_of_another_size_is_an_error(env: WarpEnv) -> None:
    """Warp itself would give the rows that there are to the environments in turn."""
    tasks = env.task_distribution.sample(np.random.default_rng(0), NUM // 2)
    with pytest.raises(ValueError, match=r"of a batch must be \(6, "):
        env.set_tasks(tasks)
    with pytest.raises(ValueError, match=r"body_mass must be \(6, 5\), got \(3, 5\)"):
        env.physics.set_fields(env.family.dynamics(tasks))


def test_the_ground_cannot_be_moved(env: WarpEnv) -> None:
    moved = {"geom_pos": np.zeros((NUM, *env.family.robot.model.geom_pos.shape)) + 0.1}
    with pytest.raises(ValueError, match=r"fixed to the ground \(geom_pos\)"):
        env.physics.set_fields(moved)


def test_a_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mujoco_warp", None)
    with pytest.raises(gym.error.DependencyNotInstalled, match=r"pip install .*\[gpu\]"):
        runpy.run_path(installed.__file__)
