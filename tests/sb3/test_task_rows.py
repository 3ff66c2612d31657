"""Tasks are written to the environments that get a new one, and to no others."""

from typing import Any

import numpy as np
import pytest
from own_families import Walk, walks

from metarl.rl import DeferredEnvs
from metarl.sb3 import TaskVecEnv
from metarl_envs import ShowTaskVector

WORKERS = pytest.mark.parametrize("workers", [False, True])
ACTIONS = np.zeros((6, 1))


def deferred(workers: bool) -> Any:
    def make(num: int) -> Any:
        return walks([None] * num, workers=workers)

    return DeferredEnvs(make, 6, Walk.observation_space, Walk.action_space)


def shown(workers: bool) -> Any:
    return ShowTaskVector(walks([None] * 6, workers=workers))


@WORKERS
@pytest.mark.parametrize(
    "make", [lambda workers: walks([None] * 6, workers=workers), deferred, shown]
)
def test_no_trajectory_is_disturbed_by_the_draws_of_others(make: Any, workers: bool) -> None:
    """Lengths of 2 to 8: without a jump back within it each return is 1 + 2 + ... + length."""
    env = TaskVecEnv(make(workers), seed=3)
    observations, returns, num = env.reset(), np.zeros(6), 0
    for _ in range(100):
        before = observations
        observations, rewards, ended, infos = env.step(ACTIONS)
        returns += rewards
        for index in np.flatnonzero(ended):
            length = before[index, 1]
            assert infos[index]["terminal_observation"][0] == length
            assert returns[index] == length * (length + 1) / 2
            assert observations[index, 1] == env.get_attr("task")[index]["length"]
            num += 1
        assert (observations[~ended, 0] == before[~ended, 0] + 1).all()
        returns[ended] = 0.0
    assert num > 60
    vectors = [task["length"] for task in env.get_attr("task")]
    assert env.task_vectors()[:, 0].tolist() == vectors
    if observations.shape[1] == 3:
        np.testing.assert_allclose(observations[:, 2], (np.array(vectors) - 5) / 3, rtol=1e-6)
    env.close()


@WORKERS
def test_attributes_of_some_are_set_for_those_alone(workers: bool) -> None:
    env = TaskVecEnv(walks([None] * 6, workers=workers), draw_every=0)
    env.set_tasks([{"length": np.array(8.0)}] * 6)
    env.reset()
    env.step(ACTIONS)
    env.set_attr("task", {"length": np.array(5.0)}, indices=[1, 4])
    observations, *_ = env.step(ACTIONS)
    assert observations.tolist() == [[2, 8], [1, 5], [2, 8], [2, 8], [1, 5], [2, 8]]
    env.close()


@WORKERS
def test_a_setter_that_fails_is_heard(workers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gymnasium.logger.min_level", 50)  # workers print
    env = TaskVecEnv(walks([None] * 2, workers=workers), draw_every=0)
    env.reset()
    with pytest.raises(AttributeError, match="no setter"):
        env.set_attr("np_random_seed", 3, indices=[1])
    if not workers:
        env.close()


@WORKERS
def test_the_info_of_an_environment_is_passed_on(workers: bool) -> None:
    env = TaskVecEnv(walks([None] * 6, workers=workers), draw_every=0)
    env.set_tasks([{"length": np.array(2.0 + (index == 3))} for index in range(6)])
    env.reset()
    _, _, _, infos = env.step(ACTIONS)
    assert infos == [{}] * 6
    _, _, ended, infos = env.step(ACTIONS)
    for index, info in enumerate(infos):
        if index == 3:
            assert info == {}
        else:
            assert ended[index]
            assert info["is_success"]
            assert info["parts"] == {"time": 2.0}
    env.close()
