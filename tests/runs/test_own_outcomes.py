"""Success and other numbers of a user's own environment: metrics, evaluation, the table, SB3."""

import csv
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from own_spaces import FEW_STEPS, TINY, Buttons, some, tells
from stable_baselines3 import PPO
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import metarl
from metarl.cli import main
from metarl.cli.evaluate import print_evaluation
from metarl.rl.env_faults import EnvironmentFaultError
from metarl.runs.evaluate import EvaluationOptions
from metarl.sb3 import TaskVecEnv

ENV = partial(Buttons, "choices", tells=tells)


@pytest.mark.parametrize("learner", some("rl2"))
def test_success_reaches_metrics_evaluation_and_table(
    learner: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {**TINY, **FEW_STEPS[learner], "eval_every": 1, "info_keys": ("step",)}
    run = metarl.train(learner, env=ENV, output=tmp_path, **options)
    with (run.folder / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    ends = ("pre", "post") if learner in ("maml-trpo", "promp") else ("first", "last")
    for group in ("rollout", "eval"):
        for end in ends:
            assert float(row[f"{group}/success_{end}"]) == 1.0
            assert float(row[f"{group}/info_step_{end}"]) == 4.0
    evaluation = run.measure(EvaluationOptions(tasks=2, trajectories=2, steps=1))
    record = json.loads((run.folder / "evaluation.json").read_text())
    assert record["success"] == [[1.0, 1.0], [1.0, 1.0]]
    assert record["success_ci95"] == [[1.0, 1.0]] * 2
    assert record["info_step_mean"] == [4.0, 4.0]
    print_evaluation(evaluation)
    shown = capsys.readouterr().out
    assert "success, %" in shown
    assert "100 [100, 100]" in shown


def test_a_family_with_everything_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A goal Dict, several choices, success, in two processes: TensorBoard has what is printed."""
    options = ["--meta-batch-size", "2", "--num-trajectories", "2", "--iterations", "1"]
    more = ["--eval-every", "1", "--eval-tasks", "2", "--output", str(tmp_path), "--workers", "2"]
    given = ["--env", "own_spaces:Everything-v0", "--info-keys", "step", *options, *more]
    assert main(["train", "maml-trpo", *given]) == 0
    (run,) = tmp_path.iterdir()
    said = capsys.readouterr()
    assert "success, %" in said.out
    assert "achieved_goal, desired_goal, observation, as 3 numbers; desired_goal is" in said.err
    events = EventAccumulator(str(run)).Reload()
    for name in ("rollout/success_post", "eval/success_pre", "eval/success_post"):
        assert [event.value for event in events.Scalars(name)] == [1.0]
    assert json.loads((run / "evaluation.json").read_text())["info_step_mean"] == [4.0] * 4


def test_what_no_info_has_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFaultError, match=r"no trajectory's info has a number 'fuel'"):
        metarl.train("maml-trpo", env=ENV, output=tmp_path, info_keys=("fuel",), **TINY)


def test_the_table_is_as_before_where_nothing_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = metarl.train("random-init", env=Buttons, output=tmp_path, **TINY)
    print_evaluation(run.measure(EvaluationOptions(tasks=2, trajectories=2, steps=0)))
    assert "success" not in capsys.readouterr().out
    assert "success" not in json.loads((run.folder / "evaluation.json").read_text())


def test_stable_baselines3_counts_it() -> None:
    """Its ``rollout/success_rate`` is the mean of this buffer: of episodes that have ended."""
    envs = SyncVectorEnv([partial(Buttons, tells=tells)] * 2, autoreset_mode=AutoresetMode.DISABLED)
    model = PPO("MlpPolicy", TaskVecEnv(envs), n_steps=8, batch_size=8, n_epochs=1, device="cpu")
    model.learn(16)
    assert list(model.ep_success_buffer) == [True] * 4


class Endless(Buttons):
    """Does not care for time limits."""

    limit = -1


def test_an_environment_that_never_ends_is_cut_at_the_horizon() -> None:
    env = TaskVecEnv(
        SyncVectorEnv([Endless] * 2, autoreset_mode=AutoresetMode.DISABLED), horizon=3, draw_every=0
    )
    env.reset()
    ends = []
    for _ in range(7):
        env.step_async(np.zeros((2, 2), np.float32))
        _, _, ended, infos = env.step_wait()
        ends.append(ended.all())
        assert all(info.get("TimeLimit.truncated", True) for info in infos)
    assert ends == [False, False, True, False, False, True, False]
