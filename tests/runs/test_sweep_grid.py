"""Which runs a sweep has: names, values and folders, and what is wrong with them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from metarl.runs import InputError, parse_seeds, parse_settings
from metarl.runs.config import CODEC, DataProblem, EnvProblem, config_of
from metarl.runs.sweeps.grid import base_config, grid

POLICY = config_of(EnvProblem, "promp", env="metarl/PointGoal-v0", iterations=3)
CLASSIFIER = config_of(DataProblem, "maml", iterations=3)


def options_of(config: Any, *settings: str) -> list[dict[str, Any]]:
    members = grid(config, [0], parse_settings(settings), Path("sweep"))
    return [json.loads(CODEC.dump_json(member.config)) for member in members]


def test_all_combinations_with_every_seed():
    settings = {"inner_lr": [0.05, 0.1], "epochs": [1, 2]}
    members = grid(POLICY, [3, 7], settings, Path("sweep"))
    assert [member.name for member in members] == [
        f"inner_lr={lr}_epochs={epochs}_seed{seed}"
        for lr in (0.05, 0.1)
        for epochs in (1, 2)
        for seed in (3, 7)
    ]
    last = members[-1]
    assert last.folder == Path("sweep/inner_lr=0.1_epochs=2_seed7")
    assert last.options == {"inner_lr": 0.1, "epochs": 2, "seed": 7}
    assert last.config == config_of(
        EnvProblem,
        "promp",
        env="metarl/PointGoal-v0",
        iterations=3,
        inner_lr=0.1,
        epochs=2,
        seed=7,
    )


def test_options_wherever_they_are_in_the_config():
    (algorithm,) = options_of(POLICY, "inner-importance-weights=false")
    assert algorithm["problem"]["algorithm"]["inner_importance_weights"] is False
    policies = options_of(POLICY, "hidden_sizes=[64,64],[8]", "activation=relu", "horizon=null,10")
    assert [each["problem"]["policy"]["hidden_sizes"] for each in policies] == [
        [64, 64], [64, 64], [8], [8],
    ]  # fmt: skip
    assert [each["problem"]["sampling"]["horizon"] for each in policies] == [None, 10] * 2
    assert {each["problem"]["policy"]["activation"] for each in policies} == {"relu"}
    (env,) = options_of(POLICY, 'env_kwargs={"radius": [1, 2], "s": "a,b"}')
    assert env["problem"]["env_kwargs"] == {"radius": [1, 2], "s": "a,b"}
    run, scheduled = options_of(POLICY, "deterministic=True", "eval_every=2,3")
    assert run["deterministic"] is True
    assert (run["schedule"]["eval_every"], scheduled["schedule"]["eval_every"]) == (2, 3)
    few = options_of(CLASSIFIER, "num_shots=1,5", "first_order=True", "split_fractions=(.5,.2,.3)")
    assert [each["problem"]["episodes"]["num_shots"] for each in few] == [1, 5]
    assert few[0]["problem"]["data"]["split_fractions"] == [0.5, 0.2, 0.3]


def test_names_are_those_of_folders_and_differ():
    settings = {"env": ["metarl/PointGoal-v0", "metarl-PointGoal-v0"], "hidden_sizes": [[64, 8]]}
    names = [member.name for member in grid(POLICY, [0], settings, Path())]
    assert names == [
        "env=metarl-PointGoal-v0_hidden_sizes=64-8_seed0",
        "env=metarl-PointGoal-v0_hidden_sizes=64-8_seed0_2",
    ]
    (long,) = grid(POLICY, [0], {"env": ["x" * 1000]}, Path())
    assert len(long.name) < 255
    assert long.name.endswith("_seed0")


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (["inner_rl=0.1"], "set inner_rl is no option of promp; did you mean inner_lr?"),
        (["inner_lr=0.1,-1"], "set inner_lr must be at least 0.0, got -1"),
        (["inner_lr=fast"], "set inner_lr must be a valid number, got 'fast'"),
        (["epochs=1.5"], "set epochs must be a valid integer"),
        (["inner_lr=0.1,0.10"], "set has inner_lr 0.1 twice"),
        (["inner_lr=0.1", "inner-lr=0.2"], "set has inner_lr twice: give all its values at once"),
        (["inner_lr"], "set must be such as inner_lr=0.05,0.1, got 'inner_lr'"),
        (["=1"], "set must be such as inner_lr=0.05,0.1, got '=1'"),
        (
            ["hidden_sizes=64,32"],
            "set hidden_sizes must be a valid array, got 64; lists are in brackets",
        ),
        (["seed=1,2"], "set seed is set by seeds"),
        (["learner=maml-trpo"], "set learner cannot be set: a learner is a config of its own"),
        (["activation=tanh,swish"], "set activation must be"),
        (["info_keys=" + "[" * 100], "set info_keys must be a valid array"),
    ],
)
def test_wrong_settings_are_one_line(settings, line):
    with pytest.raises(InputError, match=re.escape(line)) as error:
        grid(POLICY, [0], parse_settings(settings), Path())
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("text", ["", "1-", "-1", "0..4", "4-0", "0-4,", "a", f"0-{10**18}"])
def test_wrong_seeds_are_one_line(text):
    with pytest.raises(InputError, match="seeds") as error:
        parse_seeds(text)
    assert len(str(error.value).splitlines()) == 1


def test_wrong_numbers_of_runs():
    with pytest.raises(InputError, match="seeds has seed 1 twice"):
        grid(POLICY, parse_seeds("0-3,1"), {}, Path())
    with pytest.raises(InputError, match="this would have 0"):
        grid(POLICY, [0], {"inner_lr": []}, Path())
    many = range(1000)
    with pytest.raises(InputError, match="this would have 1000000000"):
        grid(POLICY, many, {"iterations": many, "epochs": many}, Path())


def test_a_config_without_what_it_was_trained_on(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        base_config(tmp_path / "config.json")
    path = tmp_path / "mine.json"
    content = json.loads(CODEC.dump_json(POLICY))
    box = {"kind": "Box", "low": [0.0], "high": [1.0], "shape": [1], "dtype": "float32"}
    facts = {"observation_space": box, "action_space": box, "task_space": {}, "horizon": 10}
    content["problem"]["trained_on"] = facts
    path.write_text(json.dumps(content))
    assert base_config(path) == POLICY
    content["problem"]["trained_on"] |= {"own": True}
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="object of Python, which no file holds"):
        base_config(path)
    path.write_text("{")
    with pytest.raises(InputError, match="is not a config of this version"):
        base_config(path)
