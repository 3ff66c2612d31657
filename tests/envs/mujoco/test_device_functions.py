"""What a MuJoCo family declares, on tensors: the numbers of NumPy, and nothing that waits."""

from typing import Any

import array_api_compat.torch as xp
import numpy as np
import pytest
import torch
from device_tensors import NoHostCopies
from torch import Tensor

from metarl_envs import Arrays
from metarl_envs.mujoco.engine import MujocoVectorEnv
from metarl_envs.mujoco.family import MujocoFamily, Physics, Step, never
from metarl_envs.mujoco.registry import FAMILIES
from metarl_envs.rows import DeviceRowRandom, RowRandom

NUM = 5
CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in FAMILIES),
    ("HalfCheetahDir", {"observation": "joints+torso"}),
    ("AntDir", {"dimensions": 2, "style": "promp"}),
    ("AntDir", {"style": "pearl", "contact_cost": 0.0}),
    ("HalfCheetahVel", {"physics": "maml"}),
    ("AntDir", {"physics": "maml"}),
]
EVERY = pytest.mark.parametrize(("name", "options"), CASES, ids=str)
PRECISIONS = pytest.mark.parametrize(
    ("dtype", "atol"), [(torch.float64, 1e-12), (torch.float32, 1e-5)]
)


def declare(name: str, options: dict[str, Any]) -> MujocoFamily:
    family: MujocoFamily = FAMILIES[name](**options)  # type: ignore[operator]
    return family


def a_step(family: MujocoFamily) -> Step:
    """Of some robots with tasks of their own, thrown about; the first one lies below the ground."""
    env = MujocoVectorEnv(family, NUM, 100, "Disabled", num_threads=1)
    rng = np.random.default_rng(0)
    env.set_tasks(family.task_distribution.sample(rng, NUM))
    env.reset(seed=list(range(NUM)))
    space = env.single_action_space
    for _ in range(4):
        actions = rng.uniform(space.low, space.high, (NUM, *space.shape))
        before = family.position(env.physics).copy()
        env.step(actions)
    velocity = (family.position(env.physics) - before) / env.dt
    env.physics.qpos[0, 1:3] = -0.1
    return Step(env.physics, velocity, actions, env.tasks)


def as_tensors(step: Step, dtype: torch.dtype) -> Step:
    """As MuJoCo Warp has it, where rotation matrices are 3 x 3."""

    def tensor(values: Any) -> Tensor:
        return torch.from_numpy(np.array(values)).to(dtype)

    derived = {name: tensor(values) for name, values in step.physics.derived.items()}
    if "xmat" in derived:
        derived["xmat"] = derived["xmat"].unflatten(-1, (3, 3))
    physics = Physics(tensor(step.physics.qpos), tensor(step.physics.qvel), derived, xp)
    tasks = {name: tensor(values) for name, values in step.task.items()}
    return Step(physics, tensor(step.velocity), tensor(step.action), tasks)


def results(family: MujocoFamily, step: Step) -> list[Any]:
    """Everything but dynamics, which are set outside of rollouts."""
    observed = [part.reshape(NUM, -1) for part in family.observe(step.physics)]
    position = family.position(step.physics)
    return [*observed, position, family.reward(step), family.terminated(step.physics)]


@PRECISIONS
@EVERY
def test_tensors_give_what_numpy_gives(
    name: str, options: dict[str, Any], dtype: torch.dtype, atol: float
) -> None:
    family = declare(name, options)
    step = a_step(family)
    tensors = as_tensors(step, dtype)
    with NoHostCopies():
        ours = results(family, tensors)
    expected = results(family, step)
    assert expected[-1][0] == (family.terminated is not never)
    for our, their in zip(ours, expected, strict=True):
        assert type(our) is Tensor
        assert our.dtype == (torch.bool if their.dtype == bool else dtype)
        assert type(their) is np.ndarray
        exact = torch.from_numpy(np.array(their)).to(our.dtype)
        torch.testing.assert_close(our, exact, rtol=atol, atol=atol)


@PRECISIONS
@pytest.mark.parametrize("name", ["HalfCheetahDir", "HumanoidDir"])
def test_starts_are_those_of_numpy(name: str, dtype: torch.dtype, atol: float) -> None:
    robot = declare(name, {}).robot
    rng = DeviceRowRandom(Arrays(xp, dtype, "cpu"), torch.arange(NUM))
    qpos0 = torch.from_numpy(np.array(robot.model.qpos0)).to(dtype)
    with NoHostCopies():
        ours = robot.start(rng, NUM, qpos0)
    for our, their in zip(ours, robot.start(RowRandom(range(NUM)), NUM), strict=True):
        assert our.dtype == dtype
        torch.testing.assert_close(our, torch.from_numpy(their).to(dtype), rtol=0, atol=atol)
