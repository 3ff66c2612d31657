"""Environments that there are, whose task nobody knows, as a source of data to adapt to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from metarl.rl.guarded import ANYTHING, fault_of
from metarl.rl.recorded import RecordedTrajectories
from metarl.rl.sampler import Sampler
from metarl.rl.simulation import SimulatedTasks
from metarl.rl.task_sampler import TaskSampler
from metarl.types import Task


class UnknownEnvs:
    """A vector environment without tasks as one whose environments all have the same, unknown one.

    Args:
        envs: a gymnasium vector environment.
        name: what its environments are called in messages.
        closes: whether it may be closed.
    """

    disjoint = True
    """As a distribution of tasks: whatever this one is, training did not draw it from here."""

    def __init__(self, envs: Any, name: str, *, closes: bool) -> None:
        self.envs = envs
        self.name = name
        self._closes = closes
        self.num_envs: int = envs.num_envs
        self.metadata: dict[str, Any] = envs.metadata
        self.single_observation_space = envs.single_observation_space
        self.single_action_space = envs.single_action_space
        self.action_space = envs.action_space
        self.spec = envs.spec

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start all environments."""
        result: tuple[NDArray[Any], dict[str, Any]]
        result = self._call("reset", self.envs.reset, seed=seed, options=options)
        return result

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Advance every environment by one step."""
        result: tuple[Any, Any, Any, Any, dict[str, Any]]
        result = self._call("step", self.envs.step, actions)
        return result

    def _call(self, where: str, call: Callable[..., Any], *given: Any, **options: Any) -> Any:
        try:
            return call(*given, **options)
        except ANYTHING as error:
            raise fault_of(error, self.name, None, where) from error

    def close(self) -> None:
        """Close them, unless they are somebody else's."""
        if self._closes:
            self.envs.close()

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """The task, of which nothing is known, or where it comes from; else the environments'."""
        own: dict[str, Any] = {"task": {}, "task_distribution": self}
        if name in own:
            return (own[name],) * self.num_envs
        values: tuple[Any, ...] = self.envs.get_attr(name)
        return values

    def set_attr(self, name: str, values: Sequence[Any]) -> None:
        """Nothing: they keep the task that they have."""


@dataclass(frozen=True, kw_only=True)
class UnknownTask(SimulatedTasks):
    """One task, in environments that have it already."""

    option: ClassVar[str] = "env"
    tasks: Sequence[Task] | None = ({},)
    num_tasks: int = 1

    @property
    def envs(self) -> UnknownEnvs:
        """Where it is."""
        envs = self.make_env(1)
        assert isinstance(envs, UnknownEnvs)
        return envs

    def _sampler(self, like: TaskSampler[Any], env: Any, num_tasks: int) -> TaskSampler[Any]:
        """On the cores, whatever training was on."""
        return Sampler(
            env,
            num_tasks=num_tasks,
            horizon=like.horizon,
            discount=like.discount,
            action_scale=like.action_scale,
            num_trajectories=self.num_trajectories,
        )


Source = SimulatedTasks | RecordedTrajectories
"""What learners adapt to: tasks of a family, an unknown one, or one that data are of."""
