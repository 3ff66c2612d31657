"""The Python functions: train, train_fewshot, load_run, and what a run can do."""

import json
import math
import threading
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit
from stable_baselines3 import PPO
from torch import nn

import metarl
from metarl.training import CSVWriter, FolderInUseError, Trainer
from metarl.types import Metrics
from metarl_envs import Product, Uniform

POINT = "metarl/PointGoal-v0"
SMALL: dict[str, Any] = {
    "iterations": 2,
    "meta_batch_size": 3,
    "num_trajectories": 2,
    "horizon": 4,
    "eval_tasks": 2,
}
FEW = {"tasks": 2, "trajectories": 2, "steps": 1}
FEWSHOT: dict[str, Any] = {
    "iterations": 2,
    "num_ways": 3,
    "num_validation": 2,
    "eval_tasks": 3,
    "backbone": "mlp",
    "hidden_sizes": (4,),
}


class Slide(gym.Env[Any, Any]):
    """x' = x + 0.5 a on a line, with a place to be at as the task."""

    observation_space = spaces.Box(-10.0, 10.0, (1,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    task_distribution = Product({"place": Uniform(-1.0, 1.0)})
    task_space = task_distribution.space

    def __init__(self) -> None:
        self.task: Any = {"place": np.array(0.5)}
        self.x = 0.0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.x = float(self.np_random.uniform(-0.1, 0.1))
        return np.array([self.x], np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.x += 0.5 * float(np.clip(action[0], -1, 1))
        reward = -abs(self.x - float(self.task["place"]))
        return np.array([self.x], np.float32), reward, False, False, {}


class Squares(Slide):
    """The same with three actions that have numbers."""

    action_space = spaces.Discrete(3)  # type: ignore[assignment]

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return super().step([float(action) - 1.0])


class Residual(nn.Module):
    """A policy network of the user's own."""

    def __init__(self, fan_in: int, fan_out: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(fan_in, fan_in), nn.Linear(fan_in, fan_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        last: torch.Tensor = self.last(x + torch.tanh(self.first(x)))
        return last


def trained(learner: str, tmp_path: Path, **options: Any) -> metarl.Run:
    return metarl.train(learner, output=tmp_path, **{"env": POINT, **SMALL, **options})


def figures(run: metarl.Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.folder / "evaluation.json").read_text())
    return found


@pytest.mark.parametrize(
    ("learner", "env", "name"),
    [
        ("maml-trpo", POINT, POINT),
        ("maml-trpo", Slide, f"{__name__}.Slide"),
        ("maml-trpo", lambda: TimeLimit(Slide(), 9), f"{__name__}.<lambda>"),
        ("maml-trpo", Slide(), f"{__name__}.Slide"),
        ("maml-trpo", TimeLimit(Squares(), 9), f"{__name__}.Squares"),
        ("sb3-ppo", POINT, POINT),
        ("sb3-ppo", TimeLimit(Squares(), 9), f"{__name__}.Squares"),
    ],
    ids=["id", "class", "function", "object", "wrapped object", "sb3 id", "sb3 wrapped object"],
)
def test_a_policy_is_trained_evaluated_and_loaded(
    learner: str, env: Any, name: str, tmp_path: Path
) -> None:
    settings = {"num_minibatches": 2} if learner == "sb3-ppo" else {}
    run = trained(learner, tmp_path, env=env, **settings)
    assert (run.config.learner, run.config.subject, run.iteration) == (learner, name, 2)
    assert figures(run)["num_tasks"] == 2  # of the evaluation that ends the training
    given = {} if isinstance(env, str) else {"env": env}
    again = metarl.load_run(run.folder, **given)
    curve = again.evaluate(**FEW)
    np.testing.assert_array_equal(curve.values, run.evaluate(**FEW).values)
    assert curve.values.shape == (2, 2)
    assert figures(run)["returns"] == curve.values.tolist()
    assert again.config == run.config


@pytest.mark.parametrize("learner", ["maml-trpo", "proto-embedding"])
def test_a_run_adapts_to_a_task(learner: str, tmp_path: Path) -> None:
    settings = {"num_epochs": 1, "num_minibatches": 2, "encoder_warmup": 1, "num_ways": 2}
    options = settings if learner == "proto-embedding" else {}
    run = trained(learner, tmp_path, eval_tasks=0, **options)
    assert not (run.folder / "evaluation.json").exists()
    adapted = run.adapt(task={"goal": [0.3, -0.4]}, steps=2, num_trajectories=3)
    assert len(adapted.returns) == 3
    assert adapted.task["goal"].tolist() == pytest.approx([0.3, -0.4])
    adapted.save(tmp_path / "policy.pt")
    actor = metarl.load_policy(tmp_path / "policy.pt")
    seen = np.array([0.1, 0.0], np.float32)
    np.testing.assert_array_equal(actor.predict(seen, deterministic=True)[0], adapted.act(seen))
    assert (
        run.adapt(task={"goal": [0.3, -0.4]}, steps=2, num_trajectories=3).returns
        == adapted.returns
    )


def test_a_run_is_exported(tmp_path: Path) -> None:
    run = trained("maml-vpg", tmp_path)
    adapted = run.adapt(task={"goal": [0.3, -0.4]}, steps=1, num_trajectories=3)
    adapted.save(tmp_path / "policy.pt")
    seen = np.array([[0.1, 0.0], [0.2, -0.1]], np.float32)
    for policy, ours in ((None, run.learner.actor()), (tmp_path / "policy.pt", adapted.policy)):
        run.export(tmp_path / "new" / "model.zip", policy=policy)
        theirs, _ = PPO.load(tmp_path / "new" / "model.zip", device="cpu").predict(
            seen, deterministic=True
        )
        np.testing.assert_allclose(theirs, ours.predict(seen, deterministic=True)[0], atol=1e-6)


def test_an_own_network_is_saved_and_loaded_again(tmp_path: Path) -> None:
    run = trained("maml-trpo", tmp_path, policy=Residual(2, 2))
    with pytest.raises(metarl.InputError) as error:
        metarl.load_run(run.folder)
    assert str(error.value) == (
        f"policy the run's network is one of your own, {__name__}.Residual: give one"
    )
    again = metarl.load_run(run.folder, policy=Residual(2, 2))
    ours, theirs = run.learner.policy.state_dict(), again.learner.policy.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    np.testing.assert_array_equal(again.evaluate(**FEW).values, run.evaluate(**FEW).values)


@pytest.mark.parametrize("learner", ["sb3-ppo", "proto-embedding", "rl2"])
def test_learners_of_sb3_have_networks_of_their_own(learner: str, tmp_path: Path) -> None:
    """So that one that is given is not left aside in silence."""
    with pytest.raises(metarl.InputError, match=f"^policy is not for {learner}: "):
        trained(learner, tmp_path, policy=Residual(2, 2))
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_was_not_asked_for_is_an_error(tmp_path: Path) -> None:
    run = trained("maml-trpo", tmp_path)
    with pytest.raises(metarl.InputError, match="the run has a standard network"):
        metarl.load_run(run.folder, policy=Residual(2, 2))


def test_a_classifier_is_trained_evaluated_adapted_and_loaded(tmp_path: Path) -> None:
    run = metarl.train_fewshot("protonet", output=tmp_path, **FEWSHOT)
    assert run.iteration == 2
    assert len(figures(run)["accuracy"][0]) == 3
    again = metarl.load_run(run.folder)
    np.testing.assert_array_equal(again.evaluate(tasks=4).values, run.evaluate(tasks=4).values)
    images = torch.randint(256, (6, 1, 28, 28), dtype=torch.uint8)
    adapted = again.adapt(support=(images, ["b", "a"] * 3))
    adapted.save(tmp_path / "classifier.pt")
    loaded = metarl.load_classifier(tmp_path / "classifier.pt")
    assert loaded.class_names == ("b", "a")
    assert loaded.predict(images) == adapted.predict(images)


@pytest.mark.parametrize("learner", ["protonet", "maml"])
def test_an_own_backbone(learner: str, tmp_path: Path) -> None:
    def backbone() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 6), nn.Tanh())

    options = {name: value for name, value in FEWSHOT.items() if name != "hidden_sizes"}
    run = metarl.train_fewshot(learner, output=tmp_path, **options | {"backbone": backbone()})
    curve = run.evaluate(tasks=3)
    with pytest.raises(metarl.InputError) as error:
        metarl.load_run(run.folder)
    assert str(error.value) == "the backbone is a module of your own: give one as backbone"
    again = metarl.load_run(run.folder, backbone=backbone())
    np.testing.assert_array_equal(again.evaluate(tasks=3).values, curve.values)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"itertions": 3}, r"itertions is no option of maml-trpo; did you mean iterations\?"),
        ({"trial_length": 2}, "trial_length is no option of maml-trpo; there are: .*"),
        ({"iterations": 0}, "iterations must be at least 1, got 0"),
        ({"iterations": 2.5}, "iterations .* got 2.5"),
        ({"iterations": "3"}, "iterations .* got '3'"),
        ({"discount": 1.5}, r"discount must be at most 1.0, got 1.5"),
        ({"inner_lr": math.nan}, "inner_lr .*"),
        ({"activation": "tan"}, "activation must be one of 'tanh'.*, got 'tan'"),
        ({"device": "gpu"}, "device must be one of .*, got 'gpu'"),
        ({"hidden_sizes": (8, 0)}, "hidden_sizes must be at least 1, got 0"),
        ({"hidden_sizes": ()}, r"hidden_sizes must have at least 1 entries, got \[\]"),
        ({"horizon": 4000}, "horizon 4000 is beyond the environment's time limit of 100 steps.*"),
        ({"env": "metarl/PointGaol-v0"}, r"env .* did you mean metarl/PointGoal-v0\?"),
        ({"env_kwargs": {"radius": -1}}, "env .*"),
        ({"env": "CartPole-v1"}, "env .* has no tasks.*"),
        ({"env": Slide, "env_kwargs": {"a": 1}}, "env .*Slide is no id, .*"),
        (
            {"env": Slide, "horizon": None},
            "horizon is missing: the environment has no time limit of its own, so say .*",
        ),
        ({"policy": Residual(2, 3)}, "policy does not fit: .*"),
        ({"initial_log_std": -3.0}, "initial_log_std, min_log_std, max_log_std: .*"),
        ({"init_from": "no.zip"}, "init_from no.zip .*"),
        ({"context_size": 3}, ".*context_size must be above 0 where the context alone adapts, .*"),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_what_is_wrong_is_one_line(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"^{message}$") as error:
        trained("maml-trpo", tmp_path, **options)
    assert isinstance(error.value, metarl.InputError)
    assert "\n" not in str(error.value)
    assert "--" not in str(error.value)  # options are keywords here
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_way": 3}, r"num_way is no option of maml; did you mean num_ways\?"),
        ({"num_ways": 1}, "num_ways must be at least 2, got 1"),
        ({"data": "glyfs"}, "data .*'glyfs' is neither .*"),
        ({"data": np.zeros(2)}, "data must be a name, .*, got an object of ndarray; arrays are .*"),
        ({"num_ways": object()}, "num_ways must be a name, .*, got an object of object"),
        ({"norm": "both"}, "norm must be one of .*, got 'both'"),
        ({"backbone": "conv5"}, "backbone conv5 is not one of .*"),
        ({"num_ways": 500}, ".*500.*"),
        ({"head": "free", "train_ways": 4}, "head free has a row .*; use head shared"),
        ({"init_from": "nowhere"}, "init_from nowhere is not a run folder: .*"),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_what_is_wrong_of_a_classifier_is_one_line(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(metarl.InputError, match=f"^{message}$"):
        metarl.train_fewshot("maml", output=tmp_path, **FEWSHOT | options)
    assert list(tmp_path.iterdir()) == []


def test_names_of_learners_are_suggested(tmp_path: Path) -> None:
    with pytest.raises(metarl.InputError, match=r"^unknown learner 'maml-trop'; did you mean"):
        trained("maml-trop", tmp_path)
    with pytest.raises(metarl.InputError, match=r"^unknown learner 'protonets'; did you mean"):
        metarl.train_fewshot("protonets", output=tmp_path)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"task": 3}, r"task is no option here"),
        ({"tasks": 1}, "tasks must be at least 2, got 1"),
        ({"steps": 2, "inner_lr": (0.1,)}, r"inner_lr needs one step size a step \(2\), got 1"),
        ({"num_ways": 3}, "num_ways is for few-shot runs"),
        ({"head": "ridge"}, "head is for few-shot runs"),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_what_is_wrong_of_an_evaluation(
    asked: dict[str, Any], message: str, tmp_path: Path
) -> None:
    run = trained("random-init", tmp_path, eval_tasks=0)
    with pytest.raises(metarl.InputError, match=f"^{message}$"):
        run.evaluate(**asked)
    assert not (run.folder / "evaluation.json").exists()


def test_what_is_wrong_of_an_adaptation(tmp_path: Path) -> None:
    run = trained("random-init", tmp_path, eval_tasks=0)
    asked: list[tuple[Any, str]] = [
        ({}, "task is missing"),
        ({"task": {"gaol": [0.1, 0.2]}}, "task .*goal"),
        ({"task": {"goal": [0.1]}}, "task .*goal"),
        ({"task": {"goal": [0.1, 7.0]}}, "task .*goal"),
        ({"support": (torch.zeros(2, 1), ["a", "b"])}, "is a policy"),
        ({"task": {"goal": [0.1, 0.2]}, "steps": -1}, "steps must be at least"),
        (
            {"task": {"goal": [0.1, 0.2]}, "num_trajectories": 0},
            "num_trajectories must be at least 1",
        ),
        ({"task": {"goal": [0.1, 0.2]}, "seed": -1}, "seed must be at least 0"),
    ]
    for options, message in asked:
        with pytest.raises(metarl.InputError, match=message):
            run.adapt(**options)


@pytest.mark.parametrize("damage", ["nothing", "no config", "no checkpoints", "bad config"])
def test_what_is_no_run_folder(damage: str, tmp_path: Path) -> None:
    messages = {
        "nothing": "is not a run folder",
        "no config": "is not a run folder: it holds no config.json",
        "no checkpoints": "no usable checkpoint",
        "bad config": "is not a config of this version",
    }
    folder = tmp_path / "run"
    if damage != "nothing":
        folder.mkdir()
    if damage == "no checkpoints":
        config = trained("random-init", tmp_path / "other", eval_tasks=0).folder / "config.json"
        (folder / "config.json").write_text(config.read_text())
    if damage == "bad config":
        (folder / "config.json").write_text('{"seed": 0}')
    with pytest.raises(metarl.InputError, match=messages[damage]) as error:
        metarl.load_run(folder)
    assert str(folder) in str(error.value)


@pytest.mark.parametrize("kind", ["policy", "classifier"])
def test_progress_sees_every_iteration(kind: str, tmp_path: Path) -> None:
    seen: list[tuple[int, Metrics]] = []

    def progress(iteration: int, metrics: Metrics) -> None:
        seen.append((iteration, metrics))

    if kind == "policy":
        run = trained("maml-vpg", tmp_path, iterations=3, progress=progress)
        wanted = {"rollout/return_pre", "eval/return_post", "time/seconds"}
    else:
        run = metarl.train_fewshot(
            "protonet", output=tmp_path, progress=progress, **FEWSHOT | {"iterations": 3}
        )
        wanted = {"meta/loss", "eval/score", "time/seconds"}
    assert [iteration for iteration, _ in seen] == [1, 2, 3]
    assert wanted <= seen[0][1].keys()
    rows = (run.folder / "metrics.csv").read_text().splitlines()
    assert len(rows) == 1 + len(seen)


def test_the_folder_is_named_and_nothing_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = trained("maml-trpo", tmp_path, name="mine", seed=3)
    assert run.folder.name.startswith("mine_")
    assert trained("maml-trpo", tmp_path, seed=3).folder.name.startswith(
        "maml-trpo_PointGoal-v0_meta-batch-size=3_"
    )
    assert capfd.readouterr() == ("", "")


def test_a_run_that_trains_is_not_trained_by_another(tmp_path: Path) -> None:
    """And what is said of it from Python is an error, no line."""

    def progress(iteration: int, metrics: Metrics) -> None:
        (folder,) = tmp_path.iterdir()
        learner = metarl.load_run(folder).learner  # reading it is fine
        with pytest.raises(FolderInUseError):
            Trainer(learner, folder=folder, writers=[CSVWriter()]).run()

    trained("random-init", tmp_path, progress=progress, eval_tasks=0)


def test_training_in_a_thread(tmp_path: Path) -> None:
    """Where no signal can be handled."""
    runs: list[metarl.Run] = []
    thread = threading.Thread(target=lambda: runs.append(trained("random-init", tmp_path)))
    thread.start()
    thread.join()
    assert runs[0].iteration == SMALL["iterations"]


def test_the_global_generators_are_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    metarl.load_run(trained("maml-trpo", tmp_path).folder).evaluate(**FEW)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_same_seed_gives_the_same_run(tmp_path: Path) -> None:
    runs = [trained("maml-trpo", tmp_path / str(i), seed=seed) for i, seed in enumerate((1, 1, 2))]
    first, same, other = (figures(run)["returns"] for run in runs)
    assert first == same != other
