"""``RandomDynamics``: which numbers change, that constants follow and the state stays."""

from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from gymnasium.envs.mujoco import mujoco_env
from small_envs import Slide

from metarl_envs import Choice, DynamicsField, LogUniform, RandomDynamics, Uniform
from metarl_envs.tasks import unstack

HALF_TO_TWO = LogUniform(-1, 1, base=2)
DERIVED = ["body_subtreemass", "body_invweight0", "dof_M0", "dof_invweight0", "actuator_acc0"]


def pendulum(fields: Any, **options: Any) -> RandomDynamics:
    return RandomDynamics(gym.make("InvertedPendulum-v5"), fields, **options)


def model_of(env: gym.Env[Any, Any]) -> Any:
    robot: Any = env.unwrapped
    return robot.model


def fields_of(model: Any) -> dict[str, Any]:
    """Copies of every float field of a model and of its gravity."""
    arrays = {name: getattr(model, name) for name in dir(model) if not name.startswith("_")}
    fields = {k: v.copy() for k, v in arrays.items() if isinstance(v, np.ndarray)}
    return {**fields, "gravity": model.opt.gravity.copy()}


def test_dynamics_are_those_of_a_model_that_was_written_so(tmp_path) -> None:
    """A pole of twice the density, compiled from XML, moves exactly as one changed by a task."""
    spec = mujoco.MjSpec.from_file(mujoco_env.expand_model_path("inverted_pendulum.xml"))
    (tmp_path / "nominal.xml").write_text(spec.to_xml())
    spec.geom("cpole").density *= 2
    spec.joint("hinge").damping *= 0.5
    spec.option.gravity[2] = -5.0
    (tmp_path / "heavy.xml").write_text(spec.to_xml())
    nominal, written = (
        gym.make("InvertedPendulum-v5", xml_file=str(tmp_path / f"{name}.xml"))
        for name in ("nominal", "heavy")
    )
    changed = RandomDynamics(
        nominal,
        {
            "mass": DynamicsField("body_mass", HALF_TO_TWO, names=["pole"]),
            "inertia": DynamicsField("body_inertia", HALF_TO_TWO, names=["pole"]),
            "damping": DynamicsField("dof_damping", HALF_TO_TWO, names=["hinge"]),
            "gravity": DynamicsField("gravity", Uniform([-1, -1, -20], [1, 1, 0]), absolute=True),
        },
        task={"mass": 2.0, "inertia": 2.0, "damping": 0.5, "gravity": [0.0, 0.0, -5.0]},
    )
    expected, got = fields_of(model_of(written)), fields_of(model_of(changed))
    for name in ("body_mass", "body_inertia", *DERIVED):
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-12, err_msg=name)
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(changed.reset(seed=0)[0], written.reset(seed=0)[0])
    for _ in range(100):  # beyond the first termination, into the limits of the rail
        action = rng.uniform(-3, 3, 1).astype(np.float32)
        np.testing.assert_allclose(changed.step(action)[0], written.step(action)[0], rtol=1e-9)


def test_tasks_never_compound_and_reach_nothing_else() -> None:
    env = pendulum({"body_mass": HALF_TO_TWO, "gravity": Uniform(0.5, 1.5)})
    nominal = fields_of(model_of(gym.make("InvertedPendulum-v5")))
    tasks = unstack(env.task_distribution.sample(np.random.default_rng(0), 20))
    for task in [*tasks, {"body_mass": 1.0, "gravity": 1.0}]:
        env.task = task
    for name, value in fields_of(model_of(env)).items():
        np.testing.assert_array_equal(value, nominal[name], err_msg=name)
    env.task = {"body_mass": 2.0, "gravity": 1.0}
    changed = fields_of(model_of(env))
    different = {name for name in nominal if not np.array_equal(changed[name], nominal[name])}
    assert different == {"body_mass", *DERIVED}


def test_setting_a_task_leaves_the_simulation_where_it_is() -> None:
    env = pendulum({"body_mass": HALF_TO_TWO}, task={"body_mass": 1.0})
    robot: Any = env.unwrapped
    env.reset(seed=0)
    for _ in range(5):
        env.step(np.ones(1, np.float32))

    def state() -> Any:
        signature = mujoco.mjtState.mjSTATE_INTEGRATION
        numbers = np.empty(mujoco.mj_stateSize(robot.model, signature))
        mujoco.mj_getState(robot.model, robot.data, numbers, signature)
        return numbers.copy(), robot.data.xpos.copy(), robot.data.qfrc_bias.copy()

    before = state()
    env.task = {"body_mass": 2.0}
    for got, expected in zip(state(), before, strict=True):
        np.testing.assert_array_equal(got, expected)
    assert before[0].any()


# InvertedPendulum: bodies world, cart, pole; joints slider, hinge; geoms rail, cart, cpole
@pytest.mark.parametrize(
    ("name", "field", "value", "factor"),
    [
        ("body_mass", HALF_TO_TWO, 2.0, [2, 2, 2]),
        ("body_mass", LogUniform([-1, -1, -1], 1, base=2), [0.5, 1, 2], [0.5, 1, 2]),
        ("m", DynamicsField("body_mass", HALF_TO_TWO, ["pole"]), 2.0, [1, 1, 2]),
        ("m", DynamicsField("body_mass", HALF_TO_TWO, ["cart", "pole"]), 2.0, [1, 2, 2]),
        (
            "m",
            DynamicsField("body_mass", LogUniform([-1, -1], 1, base=2), ["pole", "cart"]),
            [0.5, 2.0],
            [1, 2, 0.5],
        ),
        (
            "geom_friction",
            LogUniform([-1, -1, -1], 1, base=2),
            [0.5, 1, 2],
            [[0.5] * 3, [1] * 3, [2] * 3],
        ),
        (
            "f",
            DynamicsField("geom_friction", LogUniform([[-1, -1, -1]], 1, base=2), ["cpole"]),
            [[0.5, 1, 2]],
            [[1, 1, 1], [1, 1, 1], [0.5, 1, 2]],
        ),
        ("d", DynamicsField("dof_damping", HALF_TO_TWO, ["hinge"]), 0.5, [1, 0.5]),
        ("gravity", Uniform(0.5, 1.5), 1.25, 1.25),
        ("timestep", Choice([0.5, 1.0, 2.0], [1]), 0.5, 0.5),
        ("actuator_gear", HALF_TO_TWO, 2.0, 2),
    ],
)
def test_which_numbers_a_task_multiplies(name: str, field: Any, value: Any, factor: Any) -> None:
    env = pendulum({name: field}, task={name: value})
    changed = field.field if isinstance(field, DynamicsField) else name
    nominal = model_of(gym.make("InvertedPendulum-v5"))
    owner = "opt" if changed in ("gravity", "timestep") else None
    got, expected = (
        getattr(model.opt if owner else model, changed) for model in (model_of(env), nominal)
    )
    assert np.any(expected)
    np.testing.assert_array_equal(got, expected * np.array(factor))


def test_absolute_values_replace() -> None:
    field = DynamicsField("body_mass", Uniform([1.0, 1.0], 5.0), ["pole", "cart"], absolute=True)
    env = pendulum({"mass": field}, task={"mass": [3.0, 4.0]})
    np.testing.assert_array_equal(model_of(env).body_mass, [0, 4, 3])


def test_several_entries_may_change_one_field() -> None:
    fields = {
        name: DynamicsField("body_mass", HALF_TO_TWO, names=[name]) for name in ("cart", "pole")
    }
    env = pendulum(fields, task={"cart": 2.0, "pole": 0.5})
    nominal = model_of(gym.make("InvertedPendulum-v5"))
    np.testing.assert_array_equal(model_of(env).body_mass, nominal.body_mass * [1, 2, 0.5])


def test_observed_dynamics_come_last() -> None:
    env = pendulum(
        {
            "b": DynamicsField("gravity", Uniform(0.5, 1.5)),
            "a": DynamicsField("dof_damping", Uniform([0, 0], 2)),
        },
        task={"a": [0.25, 0.5], "b": 0.75},
        observe_dynamics=True,
    )
    np.testing.assert_array_equal(env.reset(seed=0)[0][4:], [0.25, 0.5, 0.75])


def test_attributes_of_environments_without_mujoco() -> None:
    env = RandomDynamics(
        gym.make("Pendulum-v1"), {"m": HALF_TO_TWO, "l": HALF_TO_TWO}, task={"m": 2.0, "l": 0.5}
    )
    plain = gym.make("Pendulum-v1")
    plain.unwrapped.m, plain.unwrapped.l = 2.0, 0.5  # type: ignore[attr-defined]
    for each in (env, plain):
        each.reset(seed=0)
    action = np.ones(1, np.float32)
    np.testing.assert_array_equal(env.step(action)[0], plain.step(action)[0])
    env.task = {"m": 1.0, "l": 1.0}
    env.task = {"m": 2.0, "l": 2.0}
    assert (env.unwrapped.m, env.unwrapped.l) == (2.0, 2.0)  # type: ignore[attr-defined]


def test_recompute_brings_constants_up_to_date() -> None:
    """CartPole works two products out when it is made."""

    def products(cart: Any) -> None:
        cart.total_mass = cart.masscart + cart.masspole
        cart.polemass_length = cart.masspole * cart.length

    fields = {"masspole": HALF_TO_TWO, "length": HALF_TO_TWO}
    env = RandomDynamics(
        gym.make("CartPole-v1"), fields, recompute=products, task={"masspole": 2.0, "length": 0.5}
    )
    cart: Any = env.unwrapped
    assert (cart.masspole, cart.length) == (0.2, 0.25)
    assert (cart.total_mass, cart.polemass_length) == (1.2, 0.05)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"body_mas": HALF_TO_TWO},
            r"no field 'body_mas'; there are actuator_.*, body_mass, .*gravity",
        ),
        ({"body_subtreemass": HALF_TO_TWO}, "there is no field 'body_subtreemass'"),
        ({"body_mass": Uniform(-0.5, 2)}, r"body_mass: a multiplier .* above 0, got -0.5"),
        ({"body_inertia": Uniform(0, 2)}, "body_inertia: a multiplier .* must be above 0, got 0.0"),
        (
            {"m": DynamicsField("body_mass", Choice([-1, 1, 2]), ["pole"], absolute=True)},
            "m: a value of body_mass must be above 0, got -1.0",
        ),
        ({"dof_damping": Uniform(-1, 1)}, "a multiplier of dof_damping must be at least 0, got -1"),
        (
            {"body_mass": LogUniform([-1, -1], 1)},
            r"shape \(2,\); for body_mass it must be one of \(\), \(3,\)",
        ),
        (
            {"geom_friction": LogUniform([[-1, -1]], 1)},
            r"shape \(1, 2\); .* one of \(\), \(3,\), \(3, 3\)",
        ),
        (
            {"m": DynamicsField("body_mass", HALF_TO_TWO, ["poel"])},
            r"m: body_mass has no \['poel'\]; there are cart, pole, world",
        ),
        (
            {"g": DynamicsField("gravity", HALF_TO_TWO, ["pole"])},
            r"gravity has no \['pole'\]; there are none",
        ),
        (
            {"body_mass": HALF_TO_TWO, "m": DynamicsField("body_mass", HALF_TO_TWO, ["pole"])},
            "body_mass and m change the same numbers of body_mass",
        ),
    ],
)
def test_wrong_fields(fields: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        pendulum(fields)
    assert "\n" not in str(error.value)


def test_attributes_that_do_not_exist() -> None:
    with pytest.raises(ValueError, match="no field 'mass'; there are dt, g, l, m, max_speed,"):
        RandomDynamics(gym.make("Pendulum-v1"), {"mass": HALF_TO_TWO})


def test_one_wrapper_has_all_fields() -> None:
    env = gym.wrappers.TimeLimit(pendulum({"gravity": HALF_TO_TWO}), 5)
    with pytest.raises(ValueError, match="give all fields to one RandomDynamics"):
        RandomDynamics(env, {"body_mass": HALF_TO_TWO})


def test_a_model_that_is_made_anew_in_reset() -> None:
    class Rebuilds(Slide):
        def reset(self, **options: Any) -> Any:
            self.model = mujoco.MjModel.from_xml_string("<mujoco/>")
            return super().reset(**options)

    bare = Rebuilds()
    bare.reset()
    env = RandomDynamics(bare, {"gravity": HALF_TO_TWO})
    with pytest.raises(ValueError, match="made a new MuJoCo model in reset"):
        env.reset()
