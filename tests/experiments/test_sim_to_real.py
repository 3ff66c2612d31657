"""The sim-to-real experiment from end to end, with next to nothing of everything."""

import json
from pathlib import Path

import numpy as np
import pytest
import results
from numpy.testing import assert_allclose
from real_robots import HALF_CHEETAH, RealHalfCheetah
from robot_trials import Protocol, Site
from sim_to_real import Options, experiment

import metarl
from metarl.sb3 import learner


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of every learner on the half-cheetah, and results in files of their own."""
    folder = tmp_path_factory.mktemp("sim_to_real")
    readme = folder / "README.md"
    markers = [f"<!-- {n} {e} -->" for n in ("results", "few-shot", "sim-to-real") for e in ENDS]
    readme.write_text("\n".join(markers))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learner, "IN_TRAINING", (2, 1))
        patch.setattr(results, "README", readme)
        patch.setattr(results, "RESULTS", folder / "results.json")
        experiment(Options(("half-cheetah",), seeds=(0,), iterations=1, output=folder, small=True))
    return folder


ENDS = ("begin", "end")


def row(output: Path, name: str) -> dict:
    rows = json.loads((output / "results.json").read_text())
    (found,) = [one for one in rows if one["learner"] == name]
    return found


def test_the_table_says_how_many_seeds_it_has(output: Path) -> None:
    lines = (output / "README.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| half-cheetah")]
    assert len(rows) == 8
    assert all("| 1 of 3 |" in line for line in rows)
    assert len({line.count("|") for line in rows}) == 1


def test_rows_hold_every_number_of_trajectories(output: Path) -> None:
    for name in ("maml-trpo", "proto-embedding", "rl2"):
        for how in ("recorded", "online"):
            found = row(output, f"{name}, {how}")
            assert found["steps"] == [0, 1, 2]
            assert_allclose(found["robot_minutes"], [0, 0.01, 0.01], atol=0.005)
            assert np.isfinite(found["mean"]).all()
    assert row(output, "sb3-ppo, alone")["steps"] == [0]


def test_files_hold_as_many_trajectories_as_they_say(output: Path) -> None:
    files = list(output.glob("half-cheetah/*/0/*/recorded/*.npz"))
    assert len(files) == 3 * 2 * 2  # learners, repeats, numbers of trajectories
    for path in files:
        assert len(metarl.Trajectories.load(path)) == int(path.stem.split("-")[1])


def test_recordings_make_of_rl2_what_it_is_online(output: Path) -> None:
    recorded, online = (row(output, f"rl2, {how}") for how in ("recorded", "online"))
    assert_allclose(recorded["mean"], online["mean"])


def test_all_start_from_what_domain_randomisation_does(output: Path) -> None:
    assert row(output, "sb3-ppo, alone")["mean"] == row(output, "sb3-ppo, fine-tuned")["mean"][:1]


def test_measuring_leaves_an_agent_as_it_was(output: Path) -> None:
    (path,) = (output / "half-cheetah" / "rl2" / "0").glob("rl2*")
    agent = metarl.load_run(path, allow_code=True).agent()

    def make() -> RealHalfCheetah:
        return RealHalfCheetah(HALF_CHEETAH, horizon=5)

    site = Site(make, make, Protocol((0, 1), repeats=1, episodes=2, horizon=5))
    assert site.measured(agent, 0) == site.measured(agent, 0)
    assert agent.info()["num_transitions"] == 0
