"""``RandomGoal``: the goal is the task."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, SupportsFloat

from gymnasium.utils import RecordConstructorArgs
from numpy.typing import ArrayLike, NDArray

from metarl_envs.tasks import Distribution, Task
from metarl_envs.wrappers.base import Env, TaskWrapper

Reward = Callable[[Any, Any, Any, dict[str, Any], NDArray[Any]], SupportsFloat]
"""(observation, action, next observation, info, goal) to the reward of that step."""

SetGoal = Callable[[Any, NDArray[Any]], object]
"""(unwrapped environment, goal): puts the goal where the simulator has it."""


class RandomGoal(TaskWrapper):
    """A goal that the agent has to find out, in any environment.

    The task has one entry, ``goal``. It acts through ``reward``, ``set_goal`` or both, and it is
    not in the observation unless ``observe_goal`` says so. An environment that shows its goal by
    itself gets those entries hidden by ``hide``.

    Args:
        env: the environment.
        goal: distribution of the goal.
        reward: replaces the environment's reward. It gets observations as the environment makes
            them, hidden entries included.
        set_goal: called with the unwrapped environment whenever the task is set and after each
            reset. What ``reset`` observes was computed before that call, so entries that depend
            on the goal are right from the first step on, unless the goal is put where it survives
            a reset, such as a field of a MuJoCo model.
        hide: indices of the observation that give the goal away; they are left out.
        observe_goal: whether to append the goal to the observation, as oracles need it.
        task: the task to start with; by default one from the train part.
    """

    def __init__(
        self,
        env: Env,
        goal: Distribution,
        reward: Reward | None = None,
        set_goal: SetGoal | None = None,
        *,
        hide: Sequence[int] = (),
        observe_goal: bool = False,
        task: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        if reward is None and set_goal is None:
            raise ValueError(
                "RandomGoal needs reward, set_goal or both: nothing depends on the goal"
            )
        RecordConstructorArgs.__init__(
            self,
            goal=goal,
            reward=reward,
            set_goal=set_goal,
            hide=hide,
            observe_goal=observe_goal,
            task=task,
        )
        self._reward = reward
        self._set_goal = set_goal
        super().__init__(env, {"goal": goal}, task=task, hide=hide, observe=observe_goal)

    def _apply(self, task: Task) -> None:
        if self._set_goal is not None:
            self._set_goal(self.unwrapped, task["goal"])

    def _after_reset(self, observation: Any) -> None:
        self._apply(self._task)
        self._remember(observation)

    def _reward_of(
        self, action: Any, observation: Any, info: dict[str, Any], reward: SupportsFloat
    ) -> SupportsFloat:
        if self._reward is None:
            return reward
        reward = self._reward(self._previous, action, observation, info, self._task["goal"])
        self._remember(observation)
        return reward

    def _remember(self, observation: Any) -> None:
        # a copy, because some environments write each observation into the same array
        if self._reward is not None:
            self._previous = copy.deepcopy(observation)
