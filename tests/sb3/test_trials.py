"""Trials as episodes of stable-baselines3: parity with the single wrapper, contexts, records."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import metarl_envs
from metarl.embedding import LastTransition, NoContext, TrialRecorder
from metarl.sb3 import TaskVecEnv, TrialVecEnv

GOALS = [{"goal": np.array(goal)} for goal in ([0.1, 0.0], [0.5, 0.5], [-0.5, 0.0])]
STEPS = 9


def task_env(env_id: str = "metarl/PointGoal-v0", **options: Any) -> TaskVecEnv:
    env: Any = gym.make_vec(
        env_id, num_envs=3, max_episode_steps=4, autoreset_mode=AutoresetMode.DISABLED
    )
    return TaskVecEnv(env, **options)


def actions(num: int) -> Any:
    return np.random.default_rng(0).uniform(-0.1, 0.1, (num, 3, 2)).astype(np.float32)


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_rl2_sees_what_the_single_wrapper_shows(scale: float) -> None:
    """Each environment of the batch beside ``Trial`` around a single one of the same task."""
    batch = task_env(draw_every=2, among=GOALS[:1])
    env = TrialVecEnv(batch, LastTransition(3, 2), action_scale=scale)
    single = metarl_envs.Trial(gym.make("metarl/PointGoal-v0", max_episode_steps=4), 2)
    single.set_wrapper_attr("task", GOALS[0])
    ours, (theirs, _) = env.reset(), single.reset()
    for action in actions(20):
        action[:] = action[0]
        np.testing.assert_allclose(ours[:, :2], np.tile(theirs[:2], (3, 1)), atol=1e-6)
        np.testing.assert_allclose(ours[:, 2:4] * 0.1 / scale, np.tile(theirs[2:4], (3, 1)))
        np.testing.assert_allclose(ours[:, 4:], np.tile(theirs[4:], (3, 1)), atol=1e-6)
        ours, rewards, ended, infos = env.step(action * scale / 0.1)
        theirs, reward, terminated, truncated, _ = single.step(action[0])
        np.testing.assert_allclose(rewards, reward, rtol=1e-5)
        assert ended.tolist() == [terminated or truncated] * 3
        if terminated or truncated:
            last = infos[0]["terminal_observation"]
            np.testing.assert_allclose(last[[0, 1, 4, 5]], theirs[[0, 1, 4, 5]], atol=1e-6)
            assert infos[0]["TimeLimit.truncated"] == truncated
            theirs, _ = single.reset()


def test_tasks_change_and_contexts_begin_with_trials_only() -> None:
    env = TrialVecEnv(task_env(draw_every=2, seed=1), LastTransition(3, 2))
    env.reset()
    tasks = [t["goal"].tolist() for t in env.venv.tasks]
    seen = []
    for action in actions(8):
        observations, _, ended, _ = env.step(action * 10)
        same = [t["goal"].tolist() for t in env.venv.tasks] == tasks
        seen.append((bool(ended.all()), same, bool(observations[:, 2:].any())))
    between, over = (False, True, True), (True, False, False)
    assert seen == [*[between] * 7, over]


def test_episodes_can_be_trajectories() -> None:
    env = TrialVecEnv(task_env(draw_every=2), NoContext(3), episodes="trajectory")
    env.reset()
    ended = [bool(env.step(action)[2].all()) for action in np.zeros((8, 3, 2))]
    assert ended == [False, False, False, True] * 2


@pytest.mark.parametrize("finite", [True, False])
@pytest.mark.parametrize("episodes", ["trial", "trajectory"])
def test_a_finite_horizon_has_nothing_beyond_a_trial(finite: bool, episodes: Any) -> None:
    """A time limit ends each of its two trajectories, of which only the last is the end."""
    env = TrialVecEnv(
        task_env(draw_every=2), NoContext(3), episodes=episodes, finite_horizon=finite
    )
    env.reset()
    limits = []
    for action in np.zeros((8, 3, 2)):
        _, _, ended, infos = env.step(action)
        limits += [info["TimeLimit.truncated"] for info in infos] if ended.all() else []
    between = [] if episodes == "trial" else [True] * 3
    assert limits == [*between, *[not finite] * 3]


def test_discrete_actions_are_one_hot_in_the_context() -> None:
    env: Any = gym.make_vec(
        "metarl/BernoulliBandit-v0", num_envs=3, autoreset_mode=AutoresetMode.DISABLED
    )
    trials = TrialVecEnv(TaskVecEnv(env, draw_every=5), LastTransition(3, 5))
    trials.reset()
    observations, rewards, _, _ = trials.step(np.array([0, 4, 2]))
    np.testing.assert_array_equal(observations[:, 1:6], np.eye(5)[[0, 4, 2]])
    np.testing.assert_array_equal(observations[:, 6], rewards)


def test_the_record_is_what_happened() -> None:
    """The first task ends as soon as its goal is reached, the others at their time limit."""
    batch = task_env(draw_every=0)
    batch.set_tasks(GOALS)
    recorder = TrialRecorder(3, 2, horizon=4, num_features=8, task_vectors=batch.task_vectors)
    env = TrialVecEnv(batch, NoContext(3), observer=recorder)
    env.reset()
    right = np.array([[1.0, 0.0]] * 3)
    for _ in range(5):
        env.step(right)
    trials = recorder.current
    assert recorder.index.tolist() == [5, 1, 1]
    assert trials.lengths.tolist() == [[1, 1], [4, 1], [4, 1]]
    np.testing.assert_allclose(trials.returns[2], [-0.6 - 0.7 - 0.8 - 0.9, -0.6], atol=1e-6)
    np.testing.assert_allclose(trials.tasks, [[0.1, 0.0], [0.5, 0.5], [-0.5, 0.0]])
    np.testing.assert_allclose(
        trials.transitions[2, 0, 1], [0.1, 0, 1, 0, -0.7, 0.2, 0, 0], atol=1e-6
    )
    assert trials.transitions[0, 0, 0, -1] == 1.0  # terminated
    assert trials.transitions[2, 0, 3, -1] == 0.0  # a time limit is no termination
    np.testing.assert_allclose(trials.transitions[2, 0, 3, 5:7], [0.4, 0.0], atol=1e-6)


def test_finished_trials_are_taken_once_with_their_own_tasks() -> None:
    batch = task_env(draw_every=2, seed=3)
    recorder = TrialRecorder(3, 2, horizon=4, task_vectors=batch.task_vectors)
    env = TrialVecEnv(batch, NoContext(3), observer=recorder)
    env.reset()
    tasks = batch.task_vectors()
    for action in np.zeros((8, 3, 2)):
        env.step(action)
    trials = recorder.take()
    np.testing.assert_array_equal(trials.tasks, tasks)
    np.testing.assert_allclose(
        trials.returns, -4 * np.linalg.norm(tasks, axis=1)[:, None].repeat(2, 1), rtol=1e-5
    )
    assert len(recorder.take().tasks) == 0
    later = batch.task_vectors().copy()
    assert not np.array_equal(later, tasks)
    for action in np.zeros((8, 3, 2)):
        env.step(action)
    np.testing.assert_array_equal(recorder.take().tasks, later)


def test_vectors_follow_the_tasks_of_some_environments() -> None:
    """Only the first ends, so that only it gets a new task."""
    batch = task_env(draw_every=1, seed=3)
    batch.set_tasks(GOALS)
    batch.reset()
    batch.step(np.array([[0.1, 0.0]] * 3))
    vectors = batch.task_vectors()
    np.testing.assert_allclose(vectors, [task["goal"] for task in batch.tasks], rtol=1e-6)
    assert vectors[0].tolist() != pytest.approx([0.1, 0.0])
    batch.set_attr("task", GOALS[2], indices=[1])
    np.testing.assert_allclose(batch.task_vectors()[1], [-0.5, 0.0])


def test_only_vectors_can_be_seen() -> None:
    env = task_env()
    env.observation_space = gym.spaces.Discrete(3)
    with pytest.raises(ValueError, match="need a Box observation space of one axis"):
        TrialVecEnv(env, NoContext(3))
