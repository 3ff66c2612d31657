"""Doing what is missing of a sweep, its members run in this process."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import metarl
from metarl.cli import main
from metarl.runs import InputError, Sweep, UserObjects, go_on, open_sweep, run_sweep
from metarl.runs.config import CODEC, DataProblem, EnvProblem, config_of
from metarl.runs.sweeps.doing import carry_out
from metarl.runs.sweeps.folder import TABLE
from metarl.training.checkpoint import list_checkpoints, load_newest
from metarl.training.runtime import sole_writer

SMALL = {"iterations": 4, "checkpoint_every": 2, "eval_tasks": 0, "meta_batch_size": 2}
POLICY = config_of(
    EnvProblem, "maml-vpg", env="metarl/PointGoal-v0", num_trajectories=2, horizon=5, **SMALL
)
LRS = {"inner_lr": [0.05, 0.1]}


class Done:
    """A member that has run."""

    def __init__(self, error: str, key: str = "") -> None:
        self.error, self.key, self.stopped = error, key, False

    def ended(self) -> str | None:
        return self.error

    def stop(self) -> None:
        self.stopped = True


class Killed(BaseException):
    """The end of a process."""


def kill(iteration: int, metrics: object) -> None:
    if iteration == 3:
        raise Killed


class Here:
    """Runs members in this process when they are started; some are cut off in iteration 3."""

    width, pause = 2, 0.0

    def __init__(self, *victims: str) -> None:
        self.victims, self.started, self.left = victims, [], {}

    def start(self, member):
        self.started.append(member.name)
        if member.name not in self.victims:
            return Done(f"status {main(['resume', str(member.folder)])}".removeprefix("status 0"))
        with pytest.raises(Killed):
            go_on(member.folder, UserObjects()).train(kill)
        return Done("killed by SIGKILL")

    def found(self, member, key):
        return self.left.get(key)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(CODEC.dump_json(POLICY))
    return path


def states(sweep: Sweep) -> list[str]:
    return [row.state for row in sweep.rows.values()]


def written(sweep: Sweep) -> dict[str, int]:
    return {
        name: list_checkpoints(member.folder / "checkpoints")[0].stat().st_mtime_ns
        for name, member in sweep.members.items()
    }


def test_a_second_call_does_what_is_missing(config, tmp_path):
    """One of 2 x 2 is killed half-way: the others are done, and are then left alone."""
    victim, told = "inner_lr=0.1_seed1", []
    asked = {"seeds": range(2), "settings": LRS, "output": tmp_path / "sweep"}
    first = carry_out(open_sweep(config, **asked), Here(victim), told.append)
    assert told[0] == f"{tmp_path / 'sweep'}: 4 runs, 0 of them done"
    assert f"{victim}: failed at iteration 2, killed by SIGKILL; 0 to go" in told
    assert states(first) == ["complete"] * 3 + ["failed"]
    content = json.loads((tmp_path / "sweep" / TABLE).read_text())
    killed = content["runs"][3]
    assert (killed["run"], killed["error"]) == (victim, "killed by SIGKILL")
    assert killed["options"] == {"inner_lr": 0.1, "seed": 1}
    before, jobs = written(first), Here()
    told.clear()
    second = carry_out(open_sweep(config, **asked), jobs, told.append)
    assert told[:2] == [
        f"{tmp_path / 'sweep'}: 4 runs, 3 of them done",
        f"{victim}: goes on from iteration 2",
    ]
    assert jobs.started == [victim]
    assert states(second) == ["complete"] * 4
    after = written(second)
    assert [name for name in after if after[name] != before[name]] == [victim]
    third = Here()
    carry_out(open_sweep(tmp_path / "sweep"), third, told.append)
    assert third.started == []


def test_a_row_tells_what_the_run_does(config, tmp_path):
    config.write_bytes(CODEC.dump_json(replace(POLICY, eval_tasks=2)))
    sweep = carry_out(open_sweep(config, output=tmp_path / "sweep"), Here(), lambda line: None)
    (row,) = sweep.rows.values()
    folder = tmp_path / "sweep" / "seed0"
    evaluation = json.loads((folder / "evaluation.json").read_text())
    assert (row.run, row.state, row.iteration, row.iterations) == ("seed0", "complete", 4, 4)
    assert (row.before, row.after) == (evaluation["mean"][0], evaluation["mean"][-1])
    assert row.measure == "returns"
    assert row.seconds == load_newest(folder / "checkpoints")[0]["seconds"]
    # figures of another checkpoint are not the run's
    (folder / "evaluation.json").write_text(json.dumps({**evaluation, "iteration": 2}))
    (row,) = open_sweep(tmp_path / "sweep").rows.values()
    assert (row.state, row.before) == ("complete", None)


def test_a_member_is_the_run_that_train_makes(config, tmp_path):
    carry_out(open_sweep(config, seeds=[5], output=tmp_path / "sweep"), Here(), lambda line: None)
    options = {**SMALL, "num_trajectories": 2, "horizon": 5, "seed": 5}
    run = metarl.train("maml-vpg", env="metarl/PointGoal-v0", output=tmp_path / "runs", **options)
    ours, theirs = (
        load_newest(folder / "checkpoints")[0]
        for folder in (tmp_path / "sweep" / "seed5", run.folder)
    )
    for name, value in theirs["learner"]["policy"].items():
        assert (ours["learner"]["policy"][name] == value).all()
    member = tmp_path / "sweep" / "seed5" / "config.json"
    assert member.read_text() == (run.folder / "config.json").read_text()


def test_a_call_adds_runs_to_the_folder(config, tmp_path):
    output = tmp_path / "sweep"
    carry_out(open_sweep(config, seeds=[0], output=output), Here(), lambda line: None)
    jobs = Here()
    sweep = carry_out(open_sweep(config, seeds=[0, 1], output=output), jobs, lambda line: None)
    assert jobs.started == ["seed1"]
    assert states(sweep) == ["complete", "complete"]
    changed = replace(POLICY, schedule=replace(POLICY.schedule, iterations=9))
    config.write_bytes(CODEC.dump_json(changed))
    with pytest.raises(InputError, match="seed0 is of another config; give another folder"):
        open_sweep(config, seeds=[0], output=output)
    with pytest.raises(InputError, match=r"seeds is of new sweeps, and .* is one already"):
        open_sweep(output, seeds=[7])


def test_what_has_reached_its_time_limit_goes_on(config, tmp_path):
    output = tmp_path / "sweep"
    sweep = open_sweep(config, output=output)
    sweep.make()
    (member,) = sweep.members.values()
    assert main(["resume", str(member.folder), "--time-limit", "1e-9"]) == 0
    assert states(open_sweep(output)) == ["time limit"]
    sweep = carry_out(open_sweep(config, output=output), Here(), lambda line: None)
    assert states(sweep) == ["complete"]


def test_a_run_that_another_process_trains_is_waited_for(config, tmp_path):
    sweep = open_sweep(config, seeds=range(2), output=tmp_path / "sweep")
    sweep.make()
    jobs, told = Here(), []
    holding = sole_writer(tmp_path / "sweep" / "seed0", told.append)

    def say(line: str) -> None:
        told.append(line)
        if line.startswith("seed1: complete"):
            holding.__exit__(None, None, None)

    holding.__enter__()
    carry_out(sweep, jobs, say)
    assert jobs.started == ["seed1", "seed0"]


def test_jobs_of_an_earlier_call_are_found_again(config, tmp_path):
    sweep = open_sweep(config, seeds=range(2), output=tmp_path / "sweep")
    sweep.make()
    sweep.began("seed0", "17")
    sweep.began("seed1", "18")
    again, jobs = open_sweep(tmp_path / "sweep"), Here()
    assert states(again) == ["running", "running"]
    jobs.left = {"17": Done("")}
    carry_out(again, jobs, lambda line: None)
    assert jobs.started == ["seed1"]
    assert states(again) == ["waiting", "complete"]


def test_two_sweeps_of_one_folder(config, tmp_path):
    sweep = open_sweep(config, output=tmp_path / "sweep")
    sweep.make()
    with (
        sole_writer(tmp_path / "sweep", lambda line: None),
        pytest.raises(InputError, match="is being swept by another process"),
    ):
        carry_out(sweep, Here(), lambda line: None)


def test_what_runs_is_seen_from_elsewhere_while_it_does(config, tmp_path):
    """``--status`` of a sweep that another process does, and of one that was killed."""
    sweep = open_sweep(config, seeds=range(2), output=tmp_path / "sweep")
    sweep.make()
    sweep.began("seed0", "")
    with sole_writer(tmp_path / "sweep", lambda line: None):
        assert states(open_sweep(tmp_path / "sweep")) == ["running", "waiting"]
    assert states(open_sweep(tmp_path / "sweep")) == ["waiting", "waiting"]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"env": ["metarl/PointGoal-v0", "metarl/PointGaol-v0"]}, "metarl/PointGaol-v0"),
        ({"horizon": [5, 10**6]}, "horizon 1000000 is beyond the environment's time limit"),
        ({"threads": [1, 4000]}, "threads must be at most"),
        ({"eval_tasks": [0, 1]}, "eval_tasks must be 0, or at least 2"),
    ],
)
def test_what_does_not_fit_is_found_before_anything_starts(config, settings, line, tmp_path):
    sweep = open_sweep(config, settings=settings, output=tmp_path / "sweep")
    with pytest.raises(InputError, match=line):
        run_sweep(sweep)
    assert not (tmp_path / "sweep").exists()


def test_damaged_tables(config, tmp_path):
    output = tmp_path / "sweep"
    open_sweep(config, output=output).make()
    good = (output / TABLE).read_text()
    for text in ("{", "[]", '{"runs": [{"run": 1}]}'):
        (output / TABLE).write_text(text)
        with pytest.raises(InputError, match=r"sweep\.json is damaged"):
            open_sweep(config, output=output)
    (output / TABLE).write_text(good)
    shutil.rmtree(output / "seed0")
    with pytest.raises(InputError, match="is not a run folder"):
        open_sweep(output)


def test_few_shot_runs(tmp_path: Path):
    """Accuracies, in the table as in evaluation.json."""
    options = {"iterations": 1, "filters": 2, "eval_tasks": 2, "num_validation": 1}
    path = tmp_path / "config.json"
    path.write_bytes(CODEC.dump_json(config_of(DataProblem, "protonet", num_queries=1, **options)))
    sweep = open_sweep(path, settings={"num_shots": [1, 2]}, output=tmp_path / "sweep")
    carry_out(sweep, Here(), lambda line: None)
    assert [(row.state, row.measure) for row in sweep.rows.values()] == [
        ("complete", "accuracy")
    ] * 2
    assert all(0 <= (row.after or 0) <= 1 for row in sweep.rows.values())
