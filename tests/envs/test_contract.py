"""What makes an environment a task family: the page's example, and what is said where it lacks."""

import re
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit

from metarl.runs import check_env
from metarl.runs.env_checks import steps
from metarl_envs import Product, Uniform, make_single, make_task_env

PAGE = Path(__file__).parents[2] / "docs" / "own-environments.md"


def of_the_page() -> Any:
    """The class of its example."""
    block, *_ = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len([line for line in block.splitlines() if line]) <= 32
    names: dict[str, Any] = {}
    exec(block.replace('gym.register("', 'gym.register("test/'), names)
    del gym.registry["test/Cart-v0"]
    return names["Cart"]


def test_the_example_is_a_family() -> None:
    env = make_task_env(of_the_page(), 2, {})
    tasks = [{"place": np.array(0.4), "mass": np.array(m)} for m in (0.5, 2.0)]
    env.set_attr("task", tasks)
    env.reset(seed=[3, 3])
    for _ in range(5):
        observations, rewards, *_ = env.step(np.ones((2, 1), np.float32))
    assert observations[0, 1] > observations[1, 1]  # a lighter cart is faster
    assert (rewards < 0).all()


def test_the_example_passes_every_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "SECONDS", 0.01)
    example = of_the_page()
    report = check_env(lambda: TimeLimit(example(), 20), steps=50)
    assert report.good
    assert [one.check for one in report.findings] == ["end"]  # it has no id that says the limit


class Plain(gym.Wrapper[Any, Any, Any, Any]):
    """CartPole without tasks."""

    def __init__(self) -> None:
        super().__init__(gym.make("CartPole-v1"))


class Late(Plain):
    """Has a task once it is set."""

    task_distribution: Any = Product({"x": Uniform(0, 1)})
    task_space: Any = task_distribution.space

    @property
    def task(self) -> Any:
        return self._task


class NoSample(Late):
    task: Any = None
    task_distribution = (1.0, 2.0)


class NoDict(Late):
    task: Any = None
    task_space = gym.spaces.Discrete(3)


@pytest.mark.parametrize(
    ("kind", "lacks"),
    [
        (Plain, "task_space, task_distribution, task"),
        (Late, "task"),
        (NoSample, "task_distribution.sample, task_distribution.disjoint"),
        (NoDict, r"a spaces.Dict as task_space \(it is Discrete\(3\)\)"),
    ],
)
def test_what_is_missing_is_named(kind: Any, lacks: str) -> None:
    message = rf"{kind.__name__} has no tasks: .* this one lacks {lacks} \(docs/own-environments"
    with pytest.raises(ValueError, match=message):
        make_task_env(kind, 2, {})


class Unready(gym.Env[Any, Any]):
    """Its own code looks for what is not there yet."""

    observation_space = action_space = gym.spaces.Box(-1, 1, (2,))
    task_distribution = Product({"x": Uniform(0, 1)})
    task_space = task_distribution.space

    @property
    def task(self) -> Any:
        return self._task


def test_what_its_own_code_lacks_is_named_too() -> None:
    with pytest.raises(ValueError, match=r"lacks task \(its own code finds no '_task'\)"):
        make_task_env(Unready, 2, {})


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # gymnasium logs tracebacks of its processes
def test_in_processes_the_first_is_named() -> None:
    with pytest.raises(ValueError, match="this one lacks task_space"):
        make_task_env("CartPole-v1", 2, {"vectorization_mode": "async"})


def test_an_option_that_a_family_lacks_is_named() -> None:
    for env_id, options in (("metarl/PointGoal-v0", "none"), ("metarl/GridNavi-v0", "size")):
        told = rf"^{env_id} has no option 'wind'; options: {options}"
        with pytest.raises(ValueError, match=told):
            make_single(env_id, {"wind": 3})
        with pytest.raises(ValueError, match=told):
            make_task_env(env_id, 1, {"wind": 3})
