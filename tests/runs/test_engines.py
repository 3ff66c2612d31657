"""Where a run's environments are: on the cores, or with the policy on its device."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import own_arm
import pytest
import torch

import metarl
from metarl.rl import DeviceSampler, Experience, MAMLLearner
from metarl.runs.build.engines import chosen_engine
from metarl.runs.config import RunConfig
from metarl.runs.errors import InputError
from metarl.runs.user_objects import UserObjects
from metarl_envs import mujoco

SMALL: dict[str, Any] = {
    "env": "metarl/PointGoal-v0",
    "device": "cpu",
    "iterations": 1,
    "meta_batch_size": 3,
    "num_trajectories": 2,
    "horizon": 5,
    "hidden_sizes": (8,),
    "eval_tasks": 0,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> metarl.runs.Run:
    """On the device of its policy, here the CPU."""
    return metarl.train(
        "maml-trpo", engine="device", output=tmp_path_factory.mktemp("runs"), **SMALL
    )


def test_a_run_on_the_device_is_loaded_adapts_and_is_evaluated(run: metarl.runs.Run) -> None:
    built: Any = run.built
    learners: list[Any] = [one.learner for one in (run, metarl.load_run(run.folder))]
    assert all(isinstance(learner.sampler, DeviceSampler) for learner in learners)
    held_out = learners[1].adapt(built.tasks(4, 2, seed=3), 2)
    assert held_out.values.shape == (3, 4)
    assert np.isfinite(held_out.values).all()
    adapted = run.adapt(task={"goal": [0.1, 0.2]}, steps=1, num_trajectories=2)
    assert np.isfinite(adapted.returns).all()
    ours, theirs = (learner.collect().returns() for learner in learners)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize(
    ("changes", "device", "line"),
    [
        ({}, "cpu", ""),
        ({}, "cuda", "engine: device, cuda"),
        ({"engine": "device"}, "cpu", "engine: device, cpu"),
        ({"engine": "c"}, "cuda", ""),
        (
            {"env_kwargs": {"vectorization_mode": "sync"}},
            "cuda",
            "engine: c, on the cores: vectorization_mode is an option of environments on the cores",
        ),
    ],
)
def test_the_device_steps_where_it_can_on_cuda(
    run: metarl.runs.Run, changes: dict[str, Any], device: str, line: str
) -> None:
    config = changed(run.config, {"engine": "auto", **changes})
    engine = chosen_engine(config, UserObjects(), torch.device(device))
    assert engine.line == line
    assert (engine.make_envs is not None) == line.startswith("engine: device")


def changed(config: RunConfig, changes: dict[str, Any], **options: Any) -> RunConfig:
    """With other options of its problem, and of the run."""
    return replace(config, problem=replace(config.problem, **changes), **options)


def test_on_a_gpu_contacts_in_a_fixed_order_are_those_of_the_cores(run: metarl.runs.Run) -> None:
    cuda = torch.device("cuda")
    ours = changed(run.config, {"engine": "auto"}, deterministic=True)
    assert chosen_engine(ours, UserObjects(), cuda).make_envs is not None  # it has no contacts
    cheetah = changed(ours, {"env": "metarl/HalfCheetahDir-v0"})
    make, line = chosen_engine(cheetah, UserObjects(), cuda)
    assert make is None
    assert "deterministic: MuJoCo Warp adds up contacts" in line
    in_order = changed(cheetah, {"engine_kwargs": {"ordered": True}})
    assert chosen_engine(in_order, UserObjects(), cuda).make_envs is not None
    with pytest.raises(InputError, match="engine device is not possible: deterministic"):
        chosen_engine(changed(cheetah, {"engine": "device"}), UserObjects(), cuda)


def test_a_robot_of_ones_own_is_on_the_device_where_its_functions_run_there(
    run: metarl.runs.Run, tmp_path: Path
) -> None:
    cuda = torch.device("cuda")
    arm = changed(run.config, {"env": "own_arm:ArmReach-v0", "engine": "auto"})
    arm = changed(arm, {"env_kwargs": {"heaviest": 3.0, "max_episode_steps": 20}})
    assert chosen_engine(arm, UserObjects(), cuda).line == "engine: device, cuda"
    ordered = changed(arm, {}, deterministic=True)
    assert "adds up contacts" in chosen_engine(ordered, UserObjects(), cuda).line
    mujoco.register(
        "test/CoresOnlyArm-v0",
        replace(own_arm.arm_reach(), reward=lambda step: np.zeros(len(step.action))),
        max_episode_steps=5,
    )
    line = "test/CoresOnlyArm-v0 with options {}: reward makes ndarray of tensors: on a device it"
    ours = changed(arm, {"env": "test/CoresOnlyArm-v0", "env_kwargs": {}})
    assert line in chosen_engine(ours, UserObjects(), cuda).line
    with pytest.raises(InputError, match=f"engine device is not possible: {line}"):
        metarl.train(
            "maml-trpo",
            output=tmp_path,
            **SMALL | {"env": "test/CoresOnlyArm-v0", "engine": "device"},
        )


@pytest.mark.parametrize(
    ("learner", "changes", "message"),
    [
        ("rl2", {}, "engine device is not possible: stable-baselines3, which trains rl2, takes"),
        ("oracle", {}, "engine device is not possible: oracle sees the task"),
        ("maml-trpo", {"env_kwargs": {"wrappers": []}}, "wrappers is an option of environments on"),
        ("maml-trpo", {"engine": "c", "engine_kwargs": {"njmax": 1}}, "engine_kwargs is for the"),
        ("maml-trpo", {"engine_kwargs": {"njmax": 1}}, "unexpected keyword argument 'njmax'"),
        ("maml-trpo", {"engine": "warp"}, "engine must be one of 'auto', 'c' or 'device'"),
    ],
)
def test_what_cannot_be_is_one_line(
    learner: str, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        metarl.train(learner, output=tmp_path, **SMALL | {"engine": "device"} | changes)


def test_a_meta_batch_that_does_not_fit_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect = MAMLLearner.collect

    def limited(self: MAMLLearner) -> Experience:
        if self.sampler.num_tasks > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return collect(self)

    monkeypatch.setattr(MAMLLearner, "collect", limited)
    line = "the meta-batch of 3 tasks x 2 trajectories of 5 steps on cpu does not fit its memory"
    with pytest.raises(InputError, match=line) as caught:
        metarl.train("maml-vpg", engine="device", output=tmp_path, **SMALL)
    assert caught.value.on_command_line.endswith("--meta-batch-size 1")
