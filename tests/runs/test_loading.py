"""Loading a run makes no environment and reads no data set; what needs them then makes them."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import metarl
import metarl_envs
from metarl.fewshot import Episodes
from metarl.runs import environments
from metarl.runs.build import classifiers

MANY = {"meta_batch_size": 20, "num_trajectories": 20}
"""400 environments."""
FEW_ENVS = {"meta_batch_size": 2, "num_trajectories": 2}
SMALL = {"iterations": 1, "horizon": 3, "hidden_sizes": (4,), "eval_tasks": 0}
LEARNERS: dict[str, dict[str, Any]] = {
    "maml-trpo": {},
    "sb3-ppo": {"num_epochs": 1},
    "proto-embedding": {"num_epochs": 1, "encoder_warmup": 1, "num_ways": 3},
}
FEW = {"tasks": 3, "trajectories": 2, "steps": 1}
FEWSHOT: dict[str, Any] = {
    "iterations": 1,
    "num_ways": 3,
    "num_validation": 2,
    "eval_tasks": 0,
    "backbone": "mlp",
    "hidden_sizes": (4,),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of 400 environments of every learner."""
    output = tmp_path_factory.mktemp("runs")
    return {
        name: metarl.train(
            name, env="metarl/PointGoal-v0", output=output, **MANY, **SMALL, **options
        ).folder
        for name, options in LEARNERS.items()
    }


def counted(calls: list[str], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        calls.append(name)
        return function(*arguments, **options)

    return call


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What makes an environment, as it is called."""
    calls: list[str] = []
    places: list[tuple[Any, str]] = [
        (gym, "make"),
        (gym, "make_vec"),
        (environments, "make_task_env"),
        (environments, "make_single"),
        (metarl_envs.TaskVectorEnv, "__init__"),
    ]
    for place, name in places:
        monkeypatch.setattr(place, name, counted(calls, name, getattr(place, name)))
    return calls


@pytest.mark.parametrize("learner", LEARNERS)
def test_loading_makes_no_environment(
    learner: str, folders: dict[str, Path], made: list[str]
) -> None:
    run = metarl.load_run(folders[learner])
    assert run.config.learner == learner
    assert run.iteration == 1
    assert run.learner.state_dict()
    assert made == []


@pytest.mark.parametrize("learner", LEARNERS)
def test_an_evaluation_makes_those_that_it_needs(
    learner: str, folders: dict[str, Path], made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, and as many as it has trajectories at a time: not the 400 of training."""
    sizes: list[int] = []
    make = environments.make_task_env

    def sized(source: Any, num_envs: int, *arguments: Any, **options: Any) -> Any:
        sizes.append(num_envs)
        return make(source, num_envs, *arguments, **options)

    monkeypatch.setattr(environments, "make_task_env", sized)
    run = metarl.load_run(folders[learner])
    assert made == []
    assert run.evaluate(**FEW).values.shape == (2, 3)
    assert "__init__" in made
    assert sizes.count(6) == 1
    assert max(sizes) == 6


def test_a_policy_of_a_loaded_run_needs_no_environment(
    folders: dict[str, Path], made: list[str]
) -> None:
    actor = metarl.load_run(folders["maml-trpo"]).learner.actor()
    action, _ = actor.predict(torch.zeros(2).numpy(), deterministic=True)
    assert action.shape == (2,)
    assert made == []


def test_loading_is_quick(folders: dict[str, Path]) -> None:
    """What is imported late is there after the first; the least of a few, machines have others."""
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        metarl.load_run(folders["maml-trpo"])
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.3


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The data sets that are read."""
    calls: list[str] = []
    monkeypatch.setattr(classifiers, "load_data", counted(calls, "data", classifiers.load_data))
    return calls


@pytest.mark.parametrize("learner", ["protonet", "maml", "baseline"])
def test_loading_reads_no_data_set(learner: str, read: list[str], tmp_path: Path) -> None:
    """Classifiers that are trained on all classes at once know how many there are."""
    folder = metarl.train_fewshot(learner, output=tmp_path, **FEWSHOT).folder
    assert read == ["data"]
    run = metarl.load_run(folder)
    images = torch.randint(256, (6, *run.classifiers.shape), dtype=torch.uint8)
    adapted = run.adapt(support=(images, ["a", "b", "c"] * 2))
    assert set(adapted.predict(images)) <= {"a", "b", "c"}
    assert read == ["data"]
    assert run.evaluate(tasks=2).values.shape[1] == 2
    run.evaluate(tasks=2)
    assert read == ["data"] * 2  # once for both


def test_data_that_are_gone_are_missed_when_they_are_needed(tmp_path: Path) -> None:
    """Adaptation to images of the user's own goes on without them."""
    run = metarl.train_fewshot("protonet", output=tmp_path, **FEWSHOT)
    config = run.folder / "config.json"
    config.write_text(config.read_text().replace('"glyphs"', '"/gone"', 1))
    loaded = metarl.load_run(run.folder)
    images = torch.randint(256, (4, 1, 28, 28), dtype=torch.uint8)
    assert loaded.adapt(support=(images, ["a", "b"] * 2)).predict(images[:1])
    with pytest.raises(metarl.InputError, match="/gone"):
        loaded.evaluate(tasks=2)


def test_the_first_iteration_of_a_resumed_run_reads_the_data(
    read: list[str], tmp_path: Path
) -> None:
    folder = metarl.train_fewshot("protonet", output=tmp_path, **FEWSHOT).folder
    run = metarl.load_run(folder)
    del read[:]
    (episodes,) = run.learner.collect()
    assert isinstance(episodes, Episodes)
    assert read == ["data"]


def test_the_structure_of_classes_is_known_without_them(read: list[str], tmp_path: Path) -> None:
    """Episodes of any number of ways are drawn within a script, which training has seen."""
    run = metarl.train_fewshot("protonet", output=tmp_path, sampling="variable", **FEWSHOT)
    expected = run.evaluate(tasks=3).values
    loaded = metarl.load_run(run.folder)
    (before,), (after,) = (one.classifiers.datasets for one in (run, loaded))
    assert after.test.groups == before.test.groups
    assert after.test.groups is not None
    assert len(after.test.groups.members) == 3
    assert read == ["data"]
    np.testing.assert_array_equal(loaded.evaluate(tasks=3).values, expected)


def test_dice_is_not_evaluated_with_one_trajectory(tmp_path: Path) -> None:
    options: dict[str, Any] = {**SMALL, "estimator": "dice"}
    run = metarl.train(
        "maml-vpg", env="metarl/PointGoal-v0", output=tmp_path, **FEW_ENVS, **options
    )
    with pytest.raises(metarl.InputError, match="trajectories must be at least 2, got 1"):
        run.evaluate(tasks=2, trajectories=1, steps=1)
