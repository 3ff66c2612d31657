"""The batched environments against gymnasium's own vector of single ones, and their tasks."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

from metarl_envs import NUMPY_FAMILIES, FamilyVectorEnv
from metarl_envs.tasks import unstack

IDS = pytest.mark.parametrize("env_id", list(NUMPY_FAMILIES))
NEXT, SAME = AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP
# one environment where starts or steps are random: there only the first one shares its seed with
# the batch. Where steps are random, the step that NEXT_STEP spends on a reset draws in the batch
# only, so that from there on both are alike in distribution and not in numbers
CASES = [
    *(("metarl/PointGoal-v0", 4, mode) for mode in (NEXT, SAME)),
    *(("metarl/PointGoalSparse-v0", 4, mode) for mode in (NEXT, SAME)),
    *(("metarl/PointCorners-v0", 1, mode) for mode in (NEXT, SAME)),
    *(("metarl/GridNavi-v0", 4, mode) for mode in (NEXT, SAME)),
    ("metarl/BernoulliBandit-v0", 1, SAME),
    ("metarl/TabularMDP-v0", 1, SAME),
]


def make_vec(env_id: str, num_envs: int, **options: Any) -> FamilyVectorEnv:
    env = gym.make_vec(env_id, num_envs=num_envs, **options)
    assert isinstance(env, FamilyVectorEnv)
    return env


def make_pair(
    env_id: str, num_envs: int, mode: AutoresetMode
) -> tuple[FamilyVectorEnv, SyncVectorEnv]:
    """The batched environment and gymnasium's, with the same tasks and just reset alike."""
    batched = make_vec(env_id, num_envs, autoreset_mode=mode)
    singles = SyncVectorEnv([lambda: gym.make(env_id)] * num_envs, autoreset_mode=mode)
    tasks = batched.task_distribution.sample(np.random.default_rng(1), num_envs)
    batched.set_attr("task", unstack(tasks))
    singles.set_attr("task", unstack(tasks))
    np.testing.assert_array_equal(batched.reset(seed=5)[0], singles.reset(seed=5)[0])
    return batched, singles


def choose(env: FamilyVectorEnv, rng: np.random.Generator) -> NDArray[Any]:
    """Random actions; moves also beyond the bounds, and even environments walk to their goals."""
    if isinstance(env.single_action_space, spaces.Discrete):
        return rng.integers(env.single_action_space.n, size=env.num_envs)
    actions = rng.uniform(-0.4, 0.4, (env.num_envs, 2))
    actions[::2] = (env.tasks["goal"] - env.state)[::2]
    return actions.astype(np.float32)


@pytest.mark.parametrize(("env_id", "num_envs", "mode"), CASES)
def test_steps_are_those_of_single_environments(
    env_id: str, num_envs: int, mode: AutoresetMode
) -> None:
    batched, singles = make_pair(env_id, num_envs, mode)
    rng, num_terminated, num_truncated = np.random.default_rng(2), 0, 0
    for _ in range(350):
        actions = choose(batched, rng)
        *ours, info = batched.step(actions)
        *theirs, reference = singles.step(actions)
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(mine, other)
        assert ("final_obs" in info) == ("final_obs" in reference)
        if "final_obs" in info:
            finished = reference["_final_obs"]
            np.testing.assert_array_equal(info["_final_obs"], finished)
            expected = np.stack(reference["final_obs"][finished])
            np.testing.assert_array_equal(info["final_obs"][finished], expected)
        num_terminated += ours[2].sum()
        num_truncated += ours[3].sum()
    assert num_truncated >= 3 * num_envs // 2
    assert (num_terminated > 20) == (env_id == "metarl/PointGoal-v0")


def test_resets_by_mask_are_those_of_single_environments() -> None:
    batched, singles = make_pair("metarl/PointGoal-v0", 4, AutoresetMode.DISABLED)
    rng, num_partial = np.random.default_rng(2), 0
    for _ in range(350):
        actions = choose(batched, rng)
        observations, rewards, terminated, truncated, info = batched.step(actions)
        theirs = singles.step(actions)
        for mine, other in zip(
            (observations, rewards, terminated, truncated), theirs, strict=False
        ):
            np.testing.assert_array_equal(mine, other)
        assert info == {}
        finished = terminated | truncated
        if finished.any():
            num_partial += not finished.all()
            restarted, _ = batched.reset(options={"reset_mask": finished})
            expected, _ = singles.reset(options={"reset_mask": finished.copy()})
            np.testing.assert_array_equal(restarted, expected)
    assert num_partial > 20


def test_a_reset_mask_of_the_wrong_length() -> None:
    env = make_vec("metarl/PointGoal-v0", 3, autoreset_mode=AutoresetMode.DISABLED)
    with pytest.raises(ValueError, match=r"reset_mask must have shape \(3,\), got \(2,\)"):
        env.reset(options={"reset_mask": np.array([True, False])})


@IDS
def test_spaces_and_arrays_agree(env_id: str) -> None:
    env = make_vec(env_id, 3)
    observations, _ = env.reset(seed=0)
    assert env.observation_space.contains(observations)
    observations, rewards, terminations, truncations, _ = env.step(env.action_space.sample())
    assert env.observation_space.contains(observations)
    assert [a.dtype for a in (rewards, terminations, truncations)] == [np.float64, bool, bool]
    assert rewards.shape == terminations.shape == truncations.shape == (3,)


@IDS
def test_observations_are_not_overwritten(env_id: str) -> None:
    env = make_vec(env_id, 2)
    first, _ = env.reset(seed=0)
    copy = first.copy()
    env.action_space.seed(0)
    env.step(env.action_space.sample())
    np.testing.assert_array_equal(first, copy)


@IDS
def test_resets_are_determined_by_the_seed(env_id: str) -> None:
    env, other = make_vec(env_id, 3), make_vec(env_id, 3)
    np.testing.assert_array_equal(env.reset(seed=7)[0], other.reset(seed=7)[0])
    np.testing.assert_array_equal(env.reset(seed=7)[0], env.reset(seed=7)[0])


def test_random_starts_differ_between_environments_and_seeds() -> None:
    env = make_vec("metarl/PointCorners-v0", 2)
    first, second = env.reset(seed=7)[0], env.reset(seed=8)[0]
    assert len(np.unique(np.concatenate([first, second]), axis=0)) == 4


GOALS = [{"goal": [0.1, 0.2]}, {"goal": [0.3, -0.4]}, {"goal": [0.0, 0.5]}]


def test_every_environment_has_its_task_and_keeps_it() -> None:
    """Golden: the rewards of standing at the origin are -||goal||."""
    env = make_vec("metarl/PointGoal-v0", 3)
    env.set_attr("task", GOALS)
    for seed in (0, None):
        env.reset(seed=seed)
        assert [task["goal"].tolist() for task in env.get_attr("task")] == [
            task["goal"] for task in GOALS
        ]
        rewards = env.step(np.zeros((3, 2), np.float32))[1]
        np.testing.assert_allclose(rewards, [-np.sqrt(0.05), -0.5, -0.5])


def test_tasks_hold_from_the_next_step_and_through_autoresets() -> None:
    env = make_vec("metarl/PointGoal-v0", 1)
    env.set_attr("task", [{"goal": [0.3, 0.4]}])
    env.reset(seed=0)
    env.set_attr("task", [{"goal": [0.0, 0.05]}])
    assert env.step(np.zeros((1, 2), np.float32))[1] == pytest.approx([-0.05])
    assert env.step(np.array([[0.0, 0.05]], np.float32))[2].all()
    env.step(np.zeros((1, 2), np.float32))
    assert env.step(np.zeros((1, 2), np.float32))[1] == pytest.approx([-0.05])


def test_a_reset_after_the_end_replaces_the_autoreset() -> None:
    env = make_vec("metarl/PointGoal-v0", 1)
    env.set_attr("task", [{"goal": [0.0, 0.05]}])
    env.reset(seed=0)
    assert env.step(np.array([[0.0, 0.05]], np.float32))[2].all()
    env.reset()
    observations, rewards, *_ = env.step(np.array([[0.0, 0.1]], np.float32))
    np.testing.assert_allclose(observations, [[0.0, 0.1]])
    np.testing.assert_allclose(rewards, [-0.05], rtol=1e-6)


def test_one_task_for_all_environments() -> None:
    env = make_vec("metarl/PointGoal-v0", 3)
    env.set_attr("task", GOALS[1])
    np.testing.assert_array_equal(env.tasks["goal"], [[0.3, -0.4]] * 3)


def test_a_batch_of_tasks() -> None:
    env = make_vec("metarl/PointGoal-v0", 3)
    goals = np.array([task["goal"] for task in GOALS])
    env.set_tasks({"goal": goals})
    goals[:] = 9.0
    np.testing.assert_array_equal(env.tasks["goal"], [task["goal"] for task in GOALS])


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (GOALS[:2], r"need one task an environment \(3\), got 2"),
        ([*GOALS[:2], {"goal": [0.0, 0.7]}], r"'goal' is \[0.0, 0.7\]; it must lie within"),
        ([*GOALS[:2], {"aim": [0.0, 0.0]}], r"must have the entries \['goal'\], got \['aim'\]"),
        ([*GOALS[:2], 5], r"must have the entries \['goal'\], got 5"),
        ({"goal": [0.0]}, r"have shape \(2,\)"),
    ],
)
def test_wrong_tasks_are_named_and_change_nothing(tasks: Any, message: str) -> None:
    env = make_vec("metarl/PointGoal-v0", 3)
    before = env.tasks["goal"].copy()
    with pytest.raises(ValueError, match=message) as error:
        env.set_attr("task", tasks)
    assert "\n" not in str(error.value)
    np.testing.assert_array_equal(env.tasks["goal"], before)


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ({"goal": np.zeros((2, 2))}, r"must be \(3, 2\), got \(2, 2\)"),
        ({}, r"must have the entries \['goal'\], got \[\]"),
        ({"goal": np.zeros((3, 2)), "x": np.zeros(3)}, r"got \['goal', 'x'\]"),
        ({"goal": np.array([[0.0, 0.0], [0.0, np.nan], [0.0, 0.0]])}, r"'goal' is \[0.0, NaN\]"),
    ],
)
def test_wrong_batches_are_named(tasks: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_vec("metarl/PointGoal-v0", 3).set_tasks(tasks)


def test_only_tasks_can_be_set() -> None:
    env = make_vec("metarl/PointGoal-v0", 3)
    with pytest.raises(AttributeError, match="only 'task' can be set"):
        env.set_attr("gravity", 1.0)
    assert env.call("max_episode_steps") == (100,) * 3
    with pytest.raises(AttributeError, match="no method 'jump'"):
        env.call("jump", 2.0)


@pytest.mark.parametrize(("num_envs", "horizon"), [(0, 100), (2, 0)])
def test_sizes_are_checked(num_envs: int, horizon: int) -> None:
    family = make_vec("metarl/PointGoal-v0", 1).family
    with pytest.raises(ValueError, match="must be at least 1, got 0"):
        FamilyVectorEnv(family, num_envs, horizon)
