"""``CopiesVectorEnv`` tells what gymnasium's ``SyncVectorEnv`` tells, or what is asked for."""

from contextlib import closing
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from test_workers import Walk, equal, makers

from metarl_envs.copies import CopiesVectorEnv
from metarl_envs.workers import WorkerVectorEnv


class Odd(gym.Env[Any, Any]):
    """Infos that come and go, of names and kinds that hardly anybody has."""

    observation_space = spaces.Dict({"x": spaces.Box(-1.0, 1.0, (2,))})
    action_space = spaces.Discrete(2)

    def __init__(self, index: int) -> None:
        self.index, self.time = index, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return {"x": np.full(2, self.index, np.float32)}, {"x": 1, "_x": 2.5}

    def step(self, action: Any) -> Any:
        self.time += 1
        kinds: list[Any] = [True, np.bool_(True), 3, np.float32(0.5), "a", None, np.ones(2), [1]]
        info = {f"k{i}": kind for i, kind in enumerate(kinds) if (self.time + i + self.index) % 3}
        info |= {"_y": self.time, "y": 1.5, "n": {"_m": 1, "m": {"o": self.index}}, "f": 2.5}
        info["i"] = 1 if self.index == 0 else 2.5  # the first one's kind is that of all
        return {"x": np.zeros(2, np.float32)}, 0.0, self.time % (3 + self.index) == 0, False, info


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_infos_are_those_of_gymnasium(mode: AutoresetMode) -> None:
    fns = [partial(Odd, index) for index in range(3)]
    theirs, ours = (kind(fns, autoreset_mode=mode) for kind in (SyncVectorEnv, CopiesVectorEnv))
    equal(ours.reset(), theirs.reset())
    for _ in range(8):
        mine, other = ours.step([0] * 3), theirs.step([0] * 3)
        assert list(mine[4]) == list(other[4])
        equal(mine, other)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_of_infos_those_that_are_asked_for(mode: AutoresetMode) -> None:
    fns: Any = makers(3)
    asked: dict[str, Any] = {"autoreset_mode": mode, "info_keys": ("nested", "start")}
    kinds = CopiesVectorEnv(fns, **asked), WorkerVectorEnv(fns, 2, **asked)
    ends = {"final_obs", "final_info"}
    with (
        closing(kinds[0]),
        closing(kinds[1]),
        closing(SyncVectorEnv(fns, autoreset_mode=mode)) as all_,
    ):
        for env in (*kinds, all_):
            env.reset(seed=3)
        for _ in range(8):
            actions = np.zeros((3, 2), np.float32)
            *expected, info = all_.step(actions)
            wanted = {
                k: v for k, v in info.items() if k.removeprefix("_") in {"nested", "start"} | ends
            }
            for env in kinds:
                equal(env.step(actions), (*expected, wanted))


def test_of_nothing_asked_nothing_is_told() -> None:
    with closing(WorkerVectorEnv([partial(Walk, i) for i in range(4)], 2, info_keys=())) as env:
        assert env.reset(seed=0)[1] == {}
        assert env.step(np.zeros((4, 2), np.float32))[4] == {}
