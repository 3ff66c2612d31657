"""Comparison of run folders: groups, what is refused, what is written."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import metarl
from metarl import cli
from metarl.runs.comparison import compared
from metarl.runs.config import CODEC, DataProblem, EnvProblem, config_of
from metarl.runs.errors import InputError

ENV = "metarl/PointGoal-v0"


def evaluation_of(level: float, **changes: Any) -> dict[str, Any]:
    """Of four tasks before and after a step."""
    tasks = np.array([0.0, 1.0, 2.0, 5.0])
    return {
        "returns": [(tasks + level - 10).tolist(), (tasks + level).tolist()],
        "num_tasks": 4,
        "tasks": [{"goal": [float(i), 0.0]} for i in range(4)],
        "held_out": True,
        "seed": 0,
        "trajectories": 40,
        "inner_lr": [0.1],
        "env_steps": 1000,
        "hours": 0.5,
        "iteration": 7,
        **changes,
    }


LACKING = json.dumps({"returns": [[0.0, 1.0]]})
"""Of a run, as another program may have written it."""


def run_folder(
    folder: Path, learner: str = "maml-trpo", level: float = 0.0, told: Any = None, **options: Any
) -> Path:
    """A run that was never trained."""
    folder.mkdir()
    config = config_of(EnvProblem, learner, **({"env": ENV} | options))
    (folder / "config.json").write_bytes(CODEC.dump_json(config))
    (folder / "evaluation.json").write_text(json.dumps(evaluation_of(level, **(told or {}))))
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["iteration", "rollout/env_steps", "eval/return_post"])
        writer.writerows([[1, 100, level - 5], [2, 200, ""], [7, 1000, level]])
    return folder


@pytest.fixture
def seeds(tmp_path: Path) -> list[Path]:
    """Two learners, two seeds each; the second learner is 3 better on every task."""
    return [
        run_folder(tmp_path / f"{learner}-{seed}", learner, better + seed, seed=seed)
        for learner, better in (("maml-trpo", 0.0), ("promp", 3.0))
        for seed in (0, 1)
    ]


def test_seeds_of_a_configuration_are_a_group(seeds: list[Path]) -> None:
    """Golden: tasks have mean 2, seeds 0 and 1 add 1 / 2, the second learner 3."""
    (section,) = compared(seeds)
    assert section.subject == ENV
    assert [(group.label, len(group.runs)) for group in section.groups] == [
        ("maml-trpo", 2),
        ("promp", 2),
    ]
    first, second = section.groups
    assert [point.mean for point in first.aggregates] == [-7.5, 2.5]
    assert second.aggregates[1].mean == 5.5
    ((pair, better),) = section.improvements.items()
    assert pair == ("maml-trpo", "promp")
    assert (better.probability, better.difference) == (0.0, -3.0)


def test_a_step_is_named_where_there_is_one(tmp_path: Path) -> None:
    alone = {"returns": [[0.0, 1.0, 2.0, 3.0]]}
    folders = [
        run_folder(tmp_path / "oracle", "oracle", told=alone),
        run_folder(tmp_path / "maml", "maml-trpo"),
    ]
    ((first, second),) = [section.groups for section in compared(folders)]
    assert [first.unit, second.unit] == ["", "gradient steps"]


def test_configurations_of_a_learner_are_groups_named_by_what_differs(tmp_path: Path) -> None:
    folders = [
        run_folder(tmp_path / f"{lr}-{seed}", inner_lr=lr, seed=seed)
        for lr in (0.1, 0.5)
        for seed in (0, 1)
    ]
    (section,) = compared(folders)
    assert [group.label for group in section.groups] == [
        "maml-trpo inner_lr=0.1",
        "maml-trpo inner_lr=0.5",
    ]
    assert section.differing == {"problem.algorithm.inner_lr": ["0.1", "0.5"]}


def test_settings_that_only_some_learners_have_do_not_differ(tmp_path: Path) -> None:
    folders = [run_folder(tmp_path / name, name) for name in ("maml-trpo", "promp", "rl2")]
    (section,) = compared(folders)
    assert list(section.differing) == ["problem.algorithm.learner"]


def test_what_decides_no_result_makes_no_group(tmp_path: Path) -> None:
    one = run_folder(tmp_path / "one", threads=1, eval_every=5)
    two = run_folder(tmp_path / "two", threads=2, eval_every=10, device="cpu", seed=1)
    (section,) = compared([one, two])
    assert len(section.groups) == 1


def test_environments_are_sections_of_their_own(tmp_path: Path) -> None:
    one = run_folder(tmp_path / "one")
    other = run_folder(tmp_path / "other", env="metarl/GridNavi-v0")
    assert [section.subject for section in compared([one, other])] == [ENV, "metarl/GridNavi-v0"]


@pytest.mark.parametrize(
    ("options", "told", "named"),
    [
        (
            {"env_kwargs": {"physics": "maml"}},
            {},
            "env_kwargs is {} in the one and {'physics': 'maml'} in the other",
        ),
        ({}, {"trajectories": 20}, "trajectories is 40 in the one and 20 in the other"),
        ({}, {"held_out": False}, "held_out is True in the one and False"),
        ({}, {"seed": 1}, "seed is 0 in the one and 1"),
        (
            {},
            {"tasks": [{"goal": [9.0, 9.0]}] * 4},
            "tasks are not the same; `metarl evaluate RUN`, with the same",
        ),
        ({}, {"num_tasks": 3}, "num_tasks is 4"),
    ],
)
def test_what_is_not_comparable_is_refused_by_name(
    tmp_path: Path, options: Any, told: Any, named: str
) -> None:
    one = run_folder(tmp_path / "one")
    two = run_folder(tmp_path / "two", "promp", told=told, **options)
    with pytest.raises(InputError, match=f"one and .*two are not comparable: {named}"):
        compared([one, two])


def test_few_shot_runs_of_other_shots_are_refused(tmp_path: Path) -> None:
    for shots in (1, 5):
        folder = tmp_path / str(shots)
        folder.mkdir()
        config = config_of(DataProblem, "protonet", data="glyphs", num_shots=shots)
        (folder / "config.json").write_bytes(CODEC.dump_json(config))
        told = evaluation_of(0.0, accuracy=[[0.5, 0.75]], num_shots=shots)
        del told["returns"]
        (folder / "evaluation.json").write_text(json.dumps(told))
    with pytest.raises(InputError, match="num_shots is 1 in the one and 5"):
        compared([tmp_path / "1", tmp_path / "5"])


def test_the_same_seed_twice_is_refused(tmp_path: Path) -> None:
    folders = [run_folder(tmp_path / name) for name in ("one", "two")]
    with pytest.raises(InputError, match="same configuration and seed 0: give one of them"):
        compared(folders)
    assert len(compared([folders[0], folders[0]])[0].groups[0].runs) == 1


@pytest.mark.parametrize(
    ("told", "named"),
    [
        ({"iteration": 9}, "after 7 and 9 iterations"),
        ({"returns": [[0.0, 1, 2, 3]]}, "after 1 and 0 steps"),
    ],
)
def test_seeds_that_went_on_longer_are_refused(tmp_path: Path, told: Any, named: str) -> None:
    folders = [run_folder(tmp_path / "one"), run_folder(tmp_path / "two", told=told, seed=1)]
    with pytest.raises(InputError, match=named):
        compared(folders)


def test_a_run_without_an_evaluation_says_how_to_make_one(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "one")
    for content in ("{", "[]", json.dumps(evaluation_of(0.0) | {"returns": "none"}), LACKING):
        (folder / "evaluation.json").write_text(content)
        with pytest.raises(InputError, match=r"json is damaged: `metarl evaluate .*one` makes"):
            compared([folder])
    (folder / "evaluation.json").unlink()
    with pytest.raises(InputError, match=r"has no evaluation.json: `metarl evaluate .*one` makes"):
        compared([folder])
    with pytest.raises(InputError, match="give at least one run folder"):
        compared([])


def test_a_damaged_file_of_metrics_leaves_its_good_rows(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "one")
    with (folder / "metrics.csv").open("a") as file:
        file.write("8,none,x\n9,12")
    ((group,),) = (section.groups for section in compared([folder]))
    x, y = group.runs[0].learning_curve
    assert (x.tolist(), y.tolist()) == ([100.0, 1000.0], [-5.0, 0.0])


def test_the_page_needs_nothing_else_and_names_every_run(seeds: list[Path], tmp_path: Path) -> None:
    comparison = metarl.compare([*seeds], output=tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    assert "http" not in page
    assert page.count("data:image/png;base64,") == 3
    for folder in seeds:
        assert str(folder) in page
    assert "metarl train promp --env metarl/PointGoal-v0" in page
    assert {path.name for path in comparison.files} == {
        "index.html",
        "comparison.csv",
        "comparison.tex",
        *(
            f"{name}.{end}"
            for name in ("learning", "adaptation", "profile")
            for end in ("png", "svg")
        ),
    }


def test_tables_hold_the_figures(tmp_path: Path) -> None:
    folders = [run_folder(tmp_path / f"a_{lr}", inner_lr=lr) for lr in (0.1, 0.2)]
    metarl.compare(folders, output=tmp_path / "out")
    with (tmp_path / "out" / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["step"], float(row["mean"])) for row in rows] == [("0", -8), ("1", 2)] * 2
    latex = (tmp_path / "out" / "comparison.tex").read_text()
    assert r"maml-trpo inner\_lr=0.1 & 1 & 4 & 1,000 & 0.50" in latex


def test_the_command_prints_a_table(seeds: list[Path], capsys: Any) -> None:
    assert cli.main(["compare", *map(str, seeds)]) == 0
    printed = capsys.readouterr().out
    assert "metarl/PointGoal-v0: mean return" in printed
    assert "maml-trpo scores more than promp on a task with probability 0.00" in printed


def test_a_refusal_is_one_line(tmp_path: Path, capsys: Any) -> None:
    one = run_folder(tmp_path / "one")
    two = run_folder(tmp_path / "two", told={"trajectories": 1}, seed=1)
    assert cli.main(["compare", str(one), str(two)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_run_that_was_resumed_to_more_iterations_counts_by_these(tmp_path: Path) -> None:
    one = run_folder(tmp_path / "one", iterations=5)
    other = run_folder(tmp_path / "other", "promp", iterations=20)
    (section,) = compared([one, other])
    assert section.differing["schedule.iterations"] == ["7", "20"]
    told = [group.runs[0].commands for group in section.groups]
    assert told[0][1:] == [f"metarl resume {one} --iterations 7"]
    assert told[0][0].endswith("--iterations 5")
    assert len(told[1]) == 1
