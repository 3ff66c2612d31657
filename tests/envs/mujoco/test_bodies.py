"""The families whose bodies change, against their rows of the table (``rand_param_envs``)."""

import copy
from typing import Any

import mujoco
import numpy as np
import pytest
from transitions import (
    ANT_DT,
    CHEETAH_DT,
    NUM_ENVS,
    WALKER_DT,
    close,
    ends,
    make_vec,
    squares,
    transitions,
)
from v5_families import WALKER_V5

from metarl_envs import FAMILIES
from metarl_envs.mujoco.models import load_model
from metarl_envs.mujoco.rand_params import hopper_rand_params, walker_2d_rand_params

BODIES = [
    ("Walker2DRandParams", "walker2d.xml", WALKER_DT, 17),
    ("HopperRandParams", "hopper.xml", WALKER_DT, 11),
    ("HalfCheetahRandParams", "half_cheetah.xml", CHEETAH_DT, 17),
    ("AntRandParams", "ant.xml", ANT_DT, 27),
]


@pytest.mark.parametrize(("name", "xml_file", "dt", "size"), BODIES)
def test_rand_params_rewards_and_observations(
    name: str, xml_file: str, dt: float, size: int
) -> None:
    """Walker, hopper: vx + 1 - 0.001 ||a||², velocities clipped to ±10. The others as they run."""
    env = make_vec(name)
    weight, alive, skipped, clip = {
        "walker2d.xml": (0.001, 1.0, 1, 10.0),
        "hopper.xml": (0.001, 1.0, 1, 10.0),
        "half_cheetah.xml": (0.05, 0.0, 1, np.inf),
        "ant.xml": (0.5, 1.0, 2, np.inf),
    }[xml_file]
    for step in transitions(env):
        forward = (step.next_qpos[:, 0] - step.qpos[:, 0]) / dt
        close(step.reward, forward + alive - weight * squares(step.action))
        parts = [step.next_qpos[:, skipped:], np.clip(step.next_qvel, -clip, clip)]
        close(step.observation, np.concatenate(parts, axis=1))
        assert step.observation.shape == (NUM_ENVS, size)
    assert FAMILIES[f"metarl/{name}-v0"] == 200


@pytest.mark.parametrize(("name", "xml_file", "dt", "size"), BODIES)
def test_rand_params_bodies(name: str, xml_file: str, dt: float, size: int) -> None:
    """Every element of the four fields has its own multiplier: 1.5 ** U(-3, 3), damping 1.3 **."""
    env, model = make_vec(name), load_model(xml_file)
    assert set(env.tasks) == {"body_mass", "body_inertia", "geom_friction", "dof_damping"}
    for _ in range(2):  # the second draw multiplies the nominal values again, not the first ones
        tasks = env.task_distribution.sample(np.random.default_rng(1), NUM_ENVS)
        env.set_tasks(tasks)
        for field, multipliers in tasks.items():
            expected = getattr(model, field) * multipliers
            np.testing.assert_array_equal(env.batch.expanded(field), expected)
    drawn = env.task_distribution.sample(np.random.default_rng(0), 4000)
    for field, multipliers in drawn.items():
        base = 1.3 if field == "dof_damping" else 1.5
        exponents = np.log(multipliers) / np.log(base)
        assert multipliers.shape == (4000, *getattr(model, field).shape)
        np.testing.assert_allclose([exponents.min(), exponents.max()], [-3, 3], atol=0.02)
        np.testing.assert_allclose(exponents.reshape(4000, -1).mean(0), 0.0, atol=0.15)
    assert env.task_distribution.disjoint


@pytest.mark.parametrize(
    ("name", "xml_file", "frame_skip"),
    [("Walker2DRandParams", "walker2d.xml", 4), ("HopperRandParams", "hopper.xml", 4)],
)
def test_rand_params_dynamics(name: str, xml_file: str, frame_skip: int) -> None:
    """Four simulation steps of a model with edited fields and constants computed anew."""
    env = make_vec(name)
    env.reset(seed=0)
    qpos, qvel = env.physics.qpos.copy(), env.physics.qvel.copy()
    env.step(np.full((NUM_ENVS, env.batch.model.nu), 0.3))
    for row in range(NUM_ENVS):
        model = copy.copy(load_model(xml_file))
        for field, multipliers in env.tasks.items():
            getattr(model, field)[:] *= multipliers[row]
        data = mujoco.MjData(model)
        mujoco.mj_setConst(model, data)
        mujoco.mj_resetData(model, data)
        data.qpos[:], data.qvel[:] = qpos[row], qvel[row]
        mujoco.mj_forward(model, data)
        data.ctrl[:] = 0.3
        mujoco.mj_step(model, data, nstep=frame_skip)
        np.testing.assert_array_equal(env.physics.qvel[row], data.qvel)


def test_the_walker_has_the_published_friction_of_its_feet() -> None:
    """0.9 and 1.9, as in gymnasium's v4; its v5 has 1.9 and 1.9."""
    for xml_file, right in (("walker2d.xml", 0.9), (WALKER_V5.xml_file, 1.9)):
        model = load_model(xml_file)
        feet = [model.geom(name).friction[0] for name in ("foot_geom", "foot_left_geom")]
        assert feet == [right, 1.9]
    assert walker_2d_rand_params().robot.xml_file == "walker2d.xml"


def test_walkers_end() -> None:
    """z in (0.8, 2), angle in (-1, 1)."""
    family = walker_2d_rand_params()
    heights, angles = np.array([0.8, 0.801, 1.999, 2.0]), np.array([-1.0, -0.999, 0.999, 1.0])
    assert ends(family, q1=heights) == [True, False, False, True]
    assert ends(family, q2=angles) == [True, False, False, True]


def test_hoppers_end() -> None:
    """z > 0.7, |angle| < 0.2, everything but x and z below 100."""
    family = hopper_rand_params()
    assert ends(family, q1=np.array([0.7, 0.701, 5.0])) == [True, False, False]
    assert ends(family, q2=np.array([-0.2, -0.199, 0.199, 0.2])) == [True, False, False, True]
    assert ends(family, q3=np.array([-100.0, 99.0, 100.0])) == [True, False, True]
    assert ends(family, v0=np.array([-100.0, 99.0, 100.0])) == [True, False, True]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("HopperRandParams", {"log_scale_limit": 0.0}, "must be finite and above 0, got 0.0"),
        ("HopperRandParams", {"fields": []}, "must name at least one model field"),
        (
            "HopperRandParams",
            {"fields": ["body_mas"]},
            r"no field 'body_mas' .*; did you mean 'body_mass'\? There are: .*body_inertia.*",
        ),
        ("HopperRandParams", {"fields": ["qpos"]}, "no field 'qpos'"),
        ("HopperRandParams", {"fields": ["body_subtreemass"]}, "no field 'body_subtreemass'"),
    ],
)
def test_impossible_options(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        make_vec(name, **options)
    assert "\n" not in str(error.value)


def test_other_fields_can_be_randomised() -> None:
    env = make_vec("HopperRandParams", fields=["opt.gravity", "actuator_gear"], log_scale_limit=1.0)
    gravity = env.batch.expanded("opt.gravity")
    np.testing.assert_array_equal(gravity[:, 2], -9.81 * env.tasks["opt.gravity"][:, 2])
    assert len(np.unique(gravity[:, 2])) == NUM_ENVS
    assert env.tasks["actuator_gear"].shape == (NUM_ENVS, 3, 6)
