"""What all wrappers share: tasks, the checkers, vector environments and our sampler."""

import pickle
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils import env_checker as gymnasium_checker
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from small_envs import Countdown, Slide
from stable_baselines3.common import env_checker as sb3_checker

from metarl.core import Streams, expand, parameters_of
from metarl.nn import GaussianPolicy, policy_network
from metarl.rl import Sampler
from metarl_envs import (
    Disk,
    DynamicsField,
    LogUniform,
    Product,
    RandomDynamics,
    RandomGoal,
    Trial,
    Uniform,
)
from metarl_envs.tasks import unstack

Env = gym.Env[Any, Any]


def distance_reward(observation, action, next_observation, info, goal):
    return -abs(float(next_observation[0]) - float(goal))


def slide_goal(**options: Any) -> Env:
    env = gym.wrappers.TimeLimit(Slide(), 6)
    return RandomGoal(env, Uniform(-1.0, 1.0), distance_reward, **options)


def move_pusher_goal(env: Any, goal: Any) -> None:
    env.model.body("goal").pos[:2] = np.add([0.45, -0.05], goal)


def pusher_goal(**options: Any) -> Env:
    env = gym.make("Pusher-v5", max_episode_steps=6)
    return RandomGoal(env, Disk(0.2), set_goal=move_pusher_goal, hide=range(20, 23), **options)


def pendulum_dynamics(**options: Any) -> Env:
    env = gym.make("InvertedPendulum-v5", max_episode_steps=6)
    fields = {
        "pole": DynamicsField("body_mass", LogUniform(-1, 1, base=4), names=["pole"]),
        "gravity": Uniform(0.5, 1.5),
    }
    return RandomDynamics(env, fields, **options)


def slide_dynamics(**options: Any) -> Env:
    return RandomDynamics(Slide(), {"lamp": DynamicsField("lamp", Uniform(1, 2), absolute=True)})


def both() -> Env:
    return RandomGoal(pendulum_dynamics(), Uniform(-1.0, 1.0), distance_reward, observe_goal=True)


FAMILIES: dict[str, Callable[..., Env]] = {
    "slide-goal": slide_goal,
    "slide-goal-observed": lambda: slide_goal(observe_goal=True, hide=[1]),
    "pusher-goal": pusher_goal,
    "pusher-goal-observed": lambda: pusher_goal(observe_goal=True),
    "slide-dynamics": slide_dynamics,
    "pendulum-dynamics": pendulum_dynamics,
    "pendulum-dynamics-observed": lambda: pendulum_dynamics(observe_dynamics=True),
    "both": both,
    "trial-pusher": lambda: Trial(pusher_goal(), 2),
    "trial-pendulum": lambda: Trial(pendulum_dynamics(), 3),
}
OTHERS: dict[str, Callable[..., Env]] = {
    "trial-discrete": lambda: Trial(Countdown(), 2),
    "trial-cartpole": lambda: Trial(gym.make("CartPole-v1", max_episode_steps=5), 2),
}
ALL_FAMILIES = pytest.mark.parametrize("name", list(FAMILIES))


def tasks_of(env: Env, num: int) -> list[dict[str, Any]]:
    distribution = env.get_wrapper_attr("task_distribution")
    return unstack(distribution.sample(np.random.default_rng(0), num, "held_out"))


def rollout(env: Env, num: int = 5) -> list[Any]:
    """Observations, rewards and ends of fixed actions."""
    rng = np.random.default_rng(0)
    space = env.action_space
    observation, _ = env.reset(seed=7)
    steps: list[Any] = [observation]
    for _ in range(num):
        steps += env.step(rng.uniform(space.low, space.high).astype(np.float32))[:4]
    return steps


def same(first: list[Any], second: list[Any]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("name", [*FAMILIES, *OTHERS])
# both checkers would rather see bounded observations, actions in [-1, 1] and bare environments
@pytest.mark.filterwarnings("ignore:.*A Box observation space (min|max)imum value is:UserWarning")
@pytest.mark.filterwarnings("ignore:.*symmetric and normalized (Box action )?space:UserWarning")
@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version:UserWarning")
@pytest.mark.filterwarnings("ignore:.*not having a spec:UserWarning")
def test_checkers_accept_every_wrapper(name: str) -> None:
    env = {**FAMILIES, **OTHERS}[name]()
    gymnasium_checker.check_env(env, skip_render_check=True)
    sb3_checker.check_env(env)


@ALL_FAMILIES
def test_tasks_stay_through_resets_and_decide_what_happens(name: str) -> None:
    env = FAMILIES[name]()
    first, second = tasks_of(env, 2)
    env.set_wrapper_attr("task", first)
    before = rollout(env)
    for seed in (None, 3):
        env.reset(seed=seed)
    np.testing.assert_equal(env.get_wrapper_attr("task"), first)
    assert same(rollout(env), before)
    env.set_wrapper_attr("task", second)
    assert not same(rollout(env), before)
    env.set_wrapper_attr("task", first)
    assert same(rollout(env), before)


@ALL_FAMILIES
def test_first_tasks_are_train_tasks_of_the_space(name: str) -> None:
    env = FAMILIES[name]()
    space = env.get_wrapper_attr("task_space")
    assert isinstance(env.get_wrapper_attr("task_distribution"), Product)
    assert space == env.get_wrapper_attr("task_distribution").space
    assert space.contains(env.get_wrapper_attr("task"))


def test_a_task_can_be_given_at_the_start() -> None:
    assert slide_goal(task={"goal": 0.25}).get_wrapper_attr("task")["goal"] == 0.25


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("slide-goal", {"goal": 1.5}, r"'goal' is 1.5; it must lie within \[-1.0, 1.0\]"),
        ("slide-goal", {"gaol": 0.5}, r"must have the entries \['goal'\], got \['gaol'\]"),
        ("pusher-goal", {"goal": [0.0]}, r"'goal' is \[0.0\]; .* have shape \(2,\)"),
        ("pendulum-dynamics", {"pole": 5.0, "gravity": 1.0}, "'pole' is 5.0; it must lie within"),
        (
            "both",
            {"goal": 0.0},
            r"must have the entries \['goal', 'gravity', 'pole'\], got \['goal'\]",
        ),
    ],
)
def test_a_task_outside_the_space_changes_nothing(name: str, task: Any, message: str) -> None:
    env = FAMILIES[name]()
    before = env.get_wrapper_attr("task")
    with pytest.raises(ValueError, match=message):
        env.set_wrapper_attr("task", task)
    assert env.get_wrapper_attr("task") is before


def test_nested_wrappers_join_their_tasks() -> None:
    env = both()
    task = {"goal": 0.5, "gravity": 1.25, "pole": 2.0}
    env.set_wrapper_attr("task", task)
    assert env.get_wrapper_attr("task") == task
    model = env.unwrapped.model  # type: ignore[attr-defined]
    np.testing.assert_array_equal(model.opt.gravity, [0, 0, -9.81 * 1.25])
    observation, _ = env.reset(seed=0)
    assert observation[-1] == 0.5
    with pytest.raises(ValueError, match=r"has the entries \['goal'\] already"):
        RandomGoal(env, Uniform(-1.0, 1.0), distance_reward)


@pytest.mark.parametrize("name", ["slide-goal", "pusher-goal", "pendulum-dynamics"])
def test_nan_actions_are_refused(name: str) -> None:
    env = FAMILIES[name]()
    env.reset(seed=0)
    action = np.zeros(env.action_space.shape, np.float32)
    action[0] = np.nan
    with pytest.raises(ValueError, match=r"action \[nan.*\] has NaN"):
        env.step(action)


@pytest.mark.parametrize("vector", [SyncVectorEnv, AsyncVectorEnv])
@pytest.mark.parametrize("name", ["slide-goal", "pusher-goal", "pendulum-dynamics", "trial-pusher"])
def test_vector_environments_have_a_task_each(name: str, vector: Any) -> None:
    single = FAMILIES[name]()
    tasks = tasks_of(single, 2)
    envs = vector([FAMILIES[name]] * 2)
    envs.set_attr("task", tasks)
    np.testing.assert_equal(envs.get_attr("task"), tuple(tasks))
    assert envs.get_attr("task_distribution")[0].space == single.get_wrapper_attr("task_space")
    actions = np.full((2, *single.action_space.shape), 0.25, np.float32)
    envs.reset(seed=[5, 5])
    observations, rewards, *_ = envs.step(actions)
    envs.reset()
    np.testing.assert_equal(envs.get_attr("task"), tuple(tasks))
    envs.close()
    for i, task in enumerate(tasks):
        single.set_wrapper_attr("task", task)
        single.reset(seed=5)
        observation, reward, *_ = single.step(actions[i])
        np.testing.assert_array_equal(observations[i], observation)
        assert rewards[i] == reward


@pytest.mark.parametrize("vector", [SyncVectorEnv, AsyncVectorEnv])
# gymnasium also logs what went wrong in a worker
@pytest.mark.filterwarnings("ignore:(?s).*ERROR.*:UserWarning")
def test_vector_environments_say_what_is_wrong_with_a_task(vector: Any) -> None:
    envs = vector([slide_goal] * 2)
    with pytest.raises(ValueError, match=r"'goal' is 2.0; it must lie within \[-1.0, 1.0\]"):
        envs.set_attr("task", [{"goal": 0.0}, {"goal": 2.0}])
    envs.close()


@pytest.mark.parametrize("vector", [SyncVectorEnv, AsyncVectorEnv])
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_our_sampler_collects(vector: Any, mode: AutoresetMode) -> None:
    envs = vector([slide_goal] * 2, autoreset_mode=mode)
    sampler = Sampler(envs, num_tasks=2, horizon=6, discount=0.9, action_scale=1.0)
    sampler.set_tasks([{"goal": 0.5}, {"goal": -1.0}])
    policy = GaussianPolicy(
        policy_network(2, 1, hidden_sizes=(4,), generator=torch.Generator().manual_seed(0)), 1
    )
    params = expand(parameters_of(policy), 2)
    for _ in range(2):
        rollout = sampler.collect(policy, params, Streams(0, "training"))
        assert rollout.mask.shape == (2, 6, 1)
        positions = torch.cat(
            [rollout.observations[:, 1:, 0, 0], rollout.final_observations[..., 0]], 1
        )
        goals = torch.tensor([[0.5], [-1.0]])
        torch.testing.assert_close(rollout.rewards[..., 0], -(positions - goals).abs())
        assert (rollout.discounts == 0.9).all()  # a time limit is not a termination
    envs.close()


def test_families_of_entry_points_are_made_again_from_their_spec() -> None:
    gym.register("SlideGoal-v0", entry_point=slide_goal, max_episode_steps=4)
    try:
        env = gym.make("SlideGoal-v0", task={"goal": 0.5})
        again = env.spec.make()
    finally:
        del gym.registry["SlideGoal-v0"]
    assert str(again) == str(env)
    assert again.get_wrapper_attr("task")["goal"] == 0.5


def test_wrapped_environments_are_made_again_from_their_spec() -> None:
    env = RandomDynamics(gym.make("Pendulum-v1"), {"g": Uniform(0.5, 1.5)}, task={"g": 1.25})
    assert env.spec is not None
    again = env.spec.make()
    assert str(again) == str(env)
    assert again.get_wrapper_attr("task")["g"] == 1.25


def test_task_distributions_travel_between_processes() -> None:
    distribution = both().get_wrapper_attr("task_distribution")
    assert pickle.loads(pickle.dumps(distribution)).space == distribution.space
