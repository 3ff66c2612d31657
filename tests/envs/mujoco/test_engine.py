"""What the engine promises beyond parity: tasks, resets, divergence, bad input, memory."""

import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils import env_checker as gymnasium_checker
from gymnasium.vector import AutoresetMode
from stable_baselines3.common import env_checker as sb3_checker
from transitions import batch_of, make_vec, random_actions, single

from metarl_envs import MUJOCO_FAMILIES
from metarl_envs.mujoco.engine import MujocoVectorEnv, own_cores
from metarl_envs.tasks import unstack

IDS = pytest.mark.parametrize("env_id", list(MUJOCO_FAMILIES))
CHEETAH = "metarl/HalfCheetahDir-v0"


def numbers(env: MujocoVectorEnv, seed: int, num: int = 20) -> np.ndarray:
    """Everything a rollout shows, as one array."""
    observations, _ = env.reset(seed=seed)
    steps = [env.step(actions) for actions in random_actions(env, num)]
    parts = [observations, *(part for step in steps for part in step[:4])]
    return np.concatenate([np.ravel(part).astype(np.float64) for part in parts])


# -- gymnasium's contract -------------------------------------------------------------------------


@IDS
@pytest.mark.filterwarnings("ignore:.*A Box observation space (min|max)imum value is:UserWarning")
@pytest.mark.filterwarnings("ignore:.*symmetric and normalized Box action space:UserWarning")
def test_checkers_accept_single_environments(env_id: str) -> None:
    env = single(env_id)
    gymnasium_checker.check_env(env, skip_render_check=True)
    sb3_checker.check_env(env)


@IDS
def test_rollouts_are_determined_by_seed_and_tasks(env_id: str) -> None:
    first, second = batch_of(env_id, 3), batch_of(env_id, 3)
    second.set_tasks(first.tasks)
    np.testing.assert_array_equal(numbers(first, 3), numbers(second, 3))
    np.testing.assert_array_equal(numbers(first, 3), numbers(first, 3))
    assert (numbers(first, 3) != numbers(first, 4)).any()


@IDS
def test_a_single_environment_is_a_batch_of_one(env_id: str) -> None:
    one, batch = single(env_id), batch_of(env_id, 1)
    batch.set_attr("task", [one.task])
    np.testing.assert_array_equal(one.reset(seed=5)[0], batch.reset(seed=5)[0][0])
    for actions in random_actions(batch, 5):
        ours, theirs = one.step(actions[0]), batch.step(actions)
        np.testing.assert_array_equal(ours[0], theirs[0][0])
        assert ours[1:3] == (theirs[1][0], theirs[2][0])
        assert ours[4] == {"diverged": False}
        if ours[2]:
            break


@IDS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_observations_have_the_type_asked_for(env_id: str, dtype: str) -> None:
    env = batch_of(env_id, 2, dtype=dtype)
    observations, _ = env.reset(seed=0)
    assert env.observation_space.contains(observations)
    kept = observations.copy()
    observations_after, rewards, *_ = env.step(env.action_space.sample())
    assert observations_after.dtype == env.single_observation_space.dtype == dtype
    assert rewards.dtype == np.float64
    np.testing.assert_array_equal(observations, kept)


def test_time_limits_are_not_terminations() -> None:
    env = batch_of(CHEETAH, 2, max_episode_steps=3)
    env.reset(seed=0)
    ends = [[bool(end[0]) for end in env.step(a)[2:4]] for a in random_actions(env, 3)]
    assert ends == [[False, False], [False, False], [False, True]]
    limited = gym.make(CHEETAH, max_episode_steps=2)
    limited.reset(seed=0)
    assert [limited.step(limited.action_space.sample())[3] for _ in range(2)] == [False, True]


# -- tasks and resets -----------------------------------------------------------------------------


@IDS
def test_tasks_stay_through_resets(env_id: str) -> None:
    env = batch_of(env_id, 3)
    tasks = unstack(env.task_distribution.sample(np.random.default_rng(1), 3, "held_out"))
    env.set_attr("task", tasks)
    for seed in (0, None):
        env.reset(seed=seed)
        for now, given in zip(env.get_attr("task"), tasks, strict=True):
            assert all((now[name] == given[name]).all() for name in given)


def test_new_bodies_go_only_to_environments_with_new_tasks() -> None:
    """And a change of body leaves the running state alone."""
    env = make_vec("HopperRandParams")
    env.reset(seed=0)
    masses, qpos = env.batch.expanded("body_mass").copy(), env.physics.qpos.copy()
    tasks = {name: values.copy() for name, values in env.tasks.items()}
    tasks["body_mass"][2] = 2.0
    recomputed: list[np.ndarray] = []
    set_const = env.batch.set_const

    def watch(rows: np.ndarray) -> None:
        recomputed.append(rows)
        set_const(rows)

    env.batch.set_const = watch
    env.set_tasks(tasks)
    env.set_tasks(tasks)
    assert [rows.tolist() for rows in recomputed] == [[False, False, True, False]]
    changed = (env.batch.expanded("body_mass") != masses).any(1)
    assert changed.tolist() == [False, False, True, False]
    subtree = env.batch.expanded("body_subtreemass")[2, 0]
    assert subtree == pytest.approx(2.0 * env.batch.model.body_subtreemass[0])
    np.testing.assert_array_equal(env.physics.qpos, qpos)


def test_earlier_bodies_and_steps_leave_no_trace() -> None:
    """So that a resumed run, whose environments are new, goes on bit for bit."""
    used, new = make_vec("HopperRandParams"), make_vec("HopperRandParams")
    numbers(used, 1)
    new.set_tasks(new.task_distribution.sample(np.random.default_rng(7), new.num_envs))
    used.set_tasks(new.tasks)
    np.testing.assert_array_equal(numbers(used, 2), numbers(new, 2))


def test_a_reset_by_mask_touches_no_other_environment() -> None:
    env, other = batch_of(CHEETAH, 3), batch_of(CHEETAH, 3)
    other.set_tasks(env.tasks)
    env.reset(seed=0), other.reset(seed=0)
    for actions in random_actions(env, 5):
        env.step(actions), other.step(actions)
    observations, _ = env.reset(options={"reset_mask": np.array([False, True, False])})
    assert np.abs(observations[1, :8]).max() < 0.11  # a start: qpos0 = 0 and U(-0.1, 0.1)
    for actions in random_actions(env, 5, seed=1):
        mine, theirs = env.step(actions)[0], other.step(actions)[0]
        np.testing.assert_array_equal(mine[[0, 2]], theirs[[0, 2]])
        assert (mine[1] != theirs[1]).any()


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_every_autoreset_mode_ends_hoppers_alike(mode: AutoresetMode) -> None:
    """The first trajectories are the same; then they wait, restart next step or at once."""
    env = batch_of("metarl/HopperRandParams-v0", 4, autoreset_mode=mode)
    env.set_tasks({name: np.ones_like(values) for name, values in env.tasks.items()})
    env.reset(seed=0)
    first_end = np.zeros(4, int)
    for step, actions in enumerate(random_actions(env, 60), start=1):
        before = env.physics.qpos.copy()
        waiting = first_end > 0
        observations, _, terminated, truncated, _ = env.step(actions)
        assert not truncated.any()
        first_end[terminated & (first_end == 0)] = step
        if mode == AutoresetMode.DISABLED:
            np.testing.assert_array_equal(env.physics.qpos[waiting], before[waiting])
        if mode == AutoresetMode.SAME_STEP and terminated.any():
            assert (observations[terminated, 0] > 1.2).all()  # a height of a start
    assert (first_end > 0).all()
    reference = batch_of("metarl/HopperRandParams-v0", 4, autoreset_mode=AutoresetMode.DISABLED)
    reference.set_tasks(env.tasks)
    reference.reset(seed=0)
    expected = np.zeros(4, int)
    for step, actions in enumerate(random_actions(env, 60), start=1):
        ended = reference.step(actions)[2]
        expected[ended & (expected == 0)] = step
    assert first_end.tolist() == expected.tolist()


# -- cost -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["metarl_envs.mujoco", "mujoco.batch"])
def test_importing_envs_does_not_import(module: str) -> None:
    code = f"import sys, metarl_envs; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_800_bodies_take_little_memory() -> None:
    """At most 300 MB above a single simulation, in a process of its own."""
    code = """
import metarl_envs, gymnasium as gym
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6
def run(num):
    env = gym.make_vec("metarl/HalfCheetahRandParams-v0", num_envs=num, num_threads=2)
    env.reset(seed=0)
    for _ in range(3):
        env.step(env.action_space.sample())
    return env
one = run(1)
before = resident()
many = run(800)
print(resident() - before)
"""
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert 0.0 < float(output) < 300.0


def test_processes_of_torchrun_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(8)), raising=False)
    shares = []
    for processes in ("1", "2", "3", "16"):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
        shares.append(own_cores())
    assert shares == [8, 4, 2, 1]


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_process_bound_to_some_cores_has_no_more_threads(
    processes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a scheduler that binds each to three cores of 64."""
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {8, 9, 10}, raising=False)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    assert own_cores() == 3
