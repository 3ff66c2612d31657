"""A robot of a user's own on both batched engines: ``experiments/own_arm.py``."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import array_api_compat.torch as xp
import gymnasium as gym
import mujoco as engine
import numpy as np
import own_arm
import pytest
import torch

from metarl_envs import Choice, Product, make_device, mujoco
from metarl_envs.mujoco.declared import check_for_device
from metarl_envs.registration import DEVICE_MAKERS

ARM = own_arm.arm_reach()
ONE = Product({"goal": Choice([[0.3, 0.0, 0.2]]), "payload": Choice([1.0])})


@pytest.fixture(autouse=True)
def _own_ids() -> Iterator[None]:
    """Ids of a test are gone after it."""
    before = set(gym.registry)
    yield
    for name in set(gym.registry) - before:
        del gym.registry[name]
        DEVICE_MAKERS.pop(name, None)


def plain_simulation(env: Any, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Observations and rewards of environment 1 by MuJoCo alone: a model of its own, mj_step."""
    model = engine.MjModel.from_xml_path(str(Path(own_arm.__file__).with_name("arm.xml")))
    data, task = engine.MjData(model), env.get_attr("task")[1]
    hand = model.body("hand").id
    model.body_mass[hand] *= task["payload"]
    model.body_inertia[hand] *= task["payload"]
    engine.mj_setConst(model, data)
    data.qpos[:], data.qvel[:] = env.physics.qpos[1], env.physics.qvel[1]
    seen, rewards = [], []
    for action in actions:
        data.ctrl[:] = action
        engine.mj_step(model, data, nstep=4)
        tip = data.site("tip").xpos
        seen.append(np.concatenate([data.qpos, data.qvel, tip]))
        rewards.append(-np.linalg.norm(tip - task["goal"]) - 0.01 * np.square(action).sum())
    return np.array(seen), np.array(rewards)


def test_the_batch_does_what_a_plain_loop_around_mujoco_does() -> None:
    env: Any = gym.make_vec("own_arm:ArmReach-v0", num_envs=3, num_threads=1, dtype="float64")
    env.reset(seed=0)
    actions = env.single_action_space.high * np.random.default_rng(0).uniform(-1, 1, (10, 3, 3))
    seen, rewards = plain_simulation(env, actions[:, 1])
    for t, batch in enumerate(actions):
        observations, earned, _, _, _ = env.step(batch)
        np.testing.assert_allclose(observations[1], seen[t], rtol=0, atol=1e-12)
        np.testing.assert_allclose(earned[1], rewards[t], rtol=0, atol=1e-12)


def test_one_environment_is_a_row_of_the_batch() -> None:
    single = gym.make("own_arm:ArmReach-v0", heaviest=4.0)
    batch: Any = gym.make_vec("own_arm:ArmReach-v0", num_envs=1, heaviest=4.0)
    task = {"goal": [0.3, 0.1, 0.2], "payload": 3.5}
    single.set_wrapper_attr("task", task)
    batch.set_attr("task", [task])
    first, _ = single.reset(seed=5)
    np.testing.assert_array_equal(first, batch.reset(seed=5)[0][0])
    for t in range(50):
        one = single.step(np.full(3, 0.5, np.float32))
        row = batch.step(np.full((1, 3), 0.5, np.float32))
        np.testing.assert_array_equal(one[0], row[0][0])
        assert one[1:4] == tuple(part[0] for part in row[1:4])
        assert one[3] == (t == 49)


def test_a_family_that_has_no_options_is_registered_as_it_is() -> None:
    mujoco.register("test/Arm-v0", ARM, max_episode_steps=7)
    env: Any = gym.make_vec("test/Arm-v0", num_envs=2)
    assert env.max_episode_steps == 7
    assert env.family is ARM


def wrong_shape(step: mujoco.Step) -> Any:
    return step.action[:, :1]


WRONG: dict[str, tuple[Any, str]] = {
    "reward": (
        replace(ARM, reward=wrong_shape),
        r"reward must give numbers \[N\] for N environments, gives float32 of shape \(2, 1\) for 2",
    ),
    "terminated": (
        replace(ARM, terminated=lambda physics: physics.qpos[:, 0]),
        r"terminated must give bool \[N\] .* gives float64 of shape \(2,\)",
    ),
    "observe": (
        replace(ARM, observe=lambda physics: [physics.qpos, physics.qvel[0]]),
        r"part 1 of observe must give numbers \[N, \.\.\.\] .* of shape \(3,\)",
    ),
    "dynamics": (
        replace(ARM, dynamics=lambda task: {"body_mass": task["payload"]}),
        r"dynamics of body_mass must give numbers \[N, 5\] .* of shape \(2,\)",
    ),
    "a field": (
        replace(ARM, dynamics=lambda task: {"body_masses": task["payload"]}),
        "the model has no field 'body_masses' .* did you mean 'body_mass'",
    ),
    "derived": (replace(ARM, derived_fields=("tip",)), "tip is not an MjData array field"),
    "file": (
        replace(ARM, robot=own_arm.ARM._replace(xml_file="leg.xml")),
        "there is no model file leg.xml",
    ),
    "nothing": (lambda: None, "its declaration must give a MujocoFamily, gives None"),
}


@pytest.mark.parametrize("what", list(WRONG))
def test_what_is_wrong_in_a_declaration_is_named(what: str) -> None:
    family, message = WRONG[what]
    mujoco.register("test/WrongArm-v0", family, max_episode_steps=5)
    with pytest.raises(ValueError, match=message):
        gym.make_vec("test/WrongArm-v0", num_envs=2)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<worldbody><body><geom size='x'/></body></worldbody>", "bad.xml: XML Error: bad format"),
        ("<worldbody><body><joint/><geom size='1'/></body></worldbody>", "has no actuator"),
    ],
)
def test_a_model_that_is_none_is_named_in_one_line(tmp_path: Path, body: str, message: str) -> None:
    path = tmp_path / "bad.xml"
    path.write_text(f"<mujoco>{body}</mujoco>")
    family = replace(ARM, robot=own_arm.ARM._replace(xml_file=str(path)))
    mujoco.register("test/NoModel-v0", family, max_episode_steps=5)
    with pytest.raises(ValueError, match=message) as raised:
        gym.make_vec("test/NoModel-v0", num_envs=2)
    assert "\n" not in str(raised.value)


def test_actuators_without_limits_have_unbounded_actions(tmp_path: Path) -> None:
    text = Path(own_arm.ARM.xml_file).read_text().replace('<motor ctrlrange="-1 1"/>', "<motor/>")
    path = tmp_path / "free.xml"
    path.write_text(text)
    family = replace(ARM, robot=own_arm.ARM._replace(xml_file=str(path)), task_distribution=ONE)
    mujoco.register("test/FreeArm-v0", family, max_episode_steps=5)
    assert np.isposinf(gym.make("test/FreeArm-v0").action_space.high).all()


@pytest.mark.parametrize("declare", [ARM, own_arm.arm_reach])
def test_a_time_limit_is_a_number_of_steps(declare: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="max_episode_steps must be at least 1, got 0"):
        mujoco.register("test/Never-v0", declare, max_episode_steps=0)


@pytest.mark.warp
def test_on_a_device_it_does_what_the_c_engine_does() -> None:
    """20 steps of robots with payloads of their own; 1e-6 was seen."""
    warp = make_device("own_arm:ArmReach-v0", 4, "cpu", xp, heaviest=3.0)
    assert warp.max_episode_steps == 50
    c: Any = gym.make_vec("own_arm:ArmReach-v0", num_envs=4, num_threads=1, heaviest=3.0)
    tasks = c.task_distribution.sample(np.random.default_rng(0), 4)
    c.set_tasks(tasks)
    warp.set_tasks(tasks)
    c.reset(seed=[7, 8, 9, 10])
    warp.restart(torch.arange(7, 11))
    actions = np.random.default_rng(1).uniform(-1, 1, (20, 4, 3)).astype(np.float32)
    for batch in actions:
        observations, rewards, _, _, _ = c.step(batch)
        warp.step(torch.from_numpy(batch))
        np.testing.assert_allclose(warp.observations, observations, rtol=0, atol=2e-5)
        np.testing.assert_allclose(warp.rewards, rewards, rtol=0, atol=1e-5)


def with_numpy(step: mujoco.Step) -> Any:
    return np.zeros(len(step.action))


def with_norms(physics: mujoco.Physics) -> Any:
    return [np.multiply(physics.qpos.astype(float), 2.0)]


ON_TENSORS: dict[str, tuple[Any, str]] = {
    "fails": (
        replace(ARM, observe=with_norms),
        r"observe fails on tensors \(.*astype.*\): on a device it takes operators",
    ),
    "numpy": (replace(ARM, reward=with_numpy), "reward makes ndarray of tensors: on a device"),
    "shape": (replace(ARM, reward=wrong_shape), r"reward must give numbers \[N\]"),
    "derived": (
        replace(ARM, derived_fields=("site_xpos", "tip")),
        "derived_fields: tip is not an MjData array field",
    ),
}


@pytest.mark.parametrize("what", list(ON_TENSORS))
def test_what_does_not_run_on_tensors_is_named(what: str) -> None:
    family, message = ON_TENSORS[what]
    mujoco.register("test/NumpyArm-v0", family, max_episode_steps=5)
    with pytest.raises(ValueError, match=message) as raised:
        make_device("test/NumpyArm-v0", 2, "cpu", xp)
    assert "\n" not in str(raised.value)


def test_the_arm_runs_on_tensors() -> None:
    check_for_device(ARM, xp)
