"""Recorded trajectories: what a file may hold, and one line about what is wrong with it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from metarl.files import FileError
from metarl.rl import Trajectories, TrajectoryRecorder
from metarl.rl.acting import Acted

SEEN = spaces.Box(-1.0, 1.0, (2,))
ACTED = spaces.Box(-0.1, 0.1, (3,))


def arrays(**changed: Any) -> dict[str, Any]:
    """Two trajectories, of 2 steps and of 1; what is None is left out."""
    rng = np.random.default_rng(0)
    whole: dict[str, Any] = {
        "lengths": np.array([2, 1]),
        "observations": rng.uniform(-1, 1, (5, 2)),
        "rewards": np.array([1.0, 2.0, 4.0]),
        "terminated": np.array([True, False]),
        "truncated": np.array([False, True]),
        "raw_actions": rng.normal(size=(3, 3)),
        "actions": rng.uniform(-0.1, 0.1, (3, 3)),
        "log_probs": np.array([-3.0, -2.9, -4.0]),
    }
    return {name: value for name, value in (whole | changed).items() if value is not None}


def test_steps_and_observations_are_those_of_their_trajectories() -> None:
    found = Trajectories(**arrays())
    rows = found.observations
    assert (len(found), found.num_steps) == (2, 3)
    assert found.returns().tolist() == [3.0, 4.0]
    assert found.trajectory.tolist() == [0, 0, 1]
    assert found.time.tolist() == [0, 1, 0]
    np.testing.assert_array_equal(found.before(), rows[[0, 1, 3]])
    np.testing.assert_array_equal(found.after(), rows[[1, 2, 4]])
    np.testing.assert_array_equal(found.final(), rows[[2, 4]])
    found.check_spaces(SEEN, ACTED)


@pytest.mark.parametrize("left_out", ["", "log_probs", "raw_actions", "actions"])
def test_what_is_written_is_read(left_out: str, tmp_path: Path) -> None:
    found = Trajectories(**arrays(**{left_out: None} if left_out else {}))
    found.save(tmp_path / "data.npz")
    with np.load(tmp_path / "data.npz") as content:
        np.savez(tmp_path / "data.npz", **content, battery=np.zeros(7))  # is left alone
    again = Trajectories.load(tmp_path / "data.npz")
    for name in arrays():
        value = getattr(found, name)
        np.testing.assert_array_equal(getattr(again, name), value)
        assert (value is None) == (name == left_out)


def test_several_are_joined() -> None:
    first, second = Trajectories(**arrays()), Trajectories(**arrays(log_probs=None))
    whole = Trajectories.joined([first, second])
    assert whole.lengths.tolist() == [2, 1, 2, 1]
    assert whole.log_probs is None
    np.testing.assert_array_equal(whole.before()[3:], second.before())


WRONG = {
    "no observations": ({"observations": None}, r"has no array observations; it holds: lengths, "),
    "no actions": (
        {"actions": None, "raw_actions": None},
        "needs actions or raw_actions, and has neither",
    ),
    "a misspelt array": (
        {"log_probs": None, "log_prob": np.zeros(3)},
        "log_prob is no array of trajectories: log_probs is",
    ),
    "a row less": (
        {"observations": np.zeros((4, 2))},
        "observations has 4 rows, need 5: 2 trajectories of 3 steps in all, one more each",
    ),
    "a reward less": ({"rewards": np.zeros(2)}, "rewards has 2 rows, need 3: 2 trajectories of 3"),
    "no step": ({"lengths": np.array([3, 0])}, "lengths must be the steps .* at least 1"),
    "halves": ({"lengths": np.array([2.5, 0.5])}, "lengths must be whole numbers, got .* float64"),
    "flags": ({"terminated": np.array([1.0, 0.0])}, "terminated must be True or False"),
    "text": ({"rewards": np.array(["a", "b", "c"])}, "rewards must be numbers, got an array of <U"),
    "columns": ({"rewards": np.zeros((3, 1))}, r"rewards are of shape \(1,\) each, need \(\)"),
    "NaN": (
        {"observations": np.array([[0, 0], [0, 0], [0, 0], [0, 0], [0, np.nan]])},
        "observations has a nan in trajectory 1, step 1",
    ),
    "infinity": (
        {"rewards": np.array([0, np.inf, 0])},
        "rewards has a inf in trajectory 0, step 1",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_line_says_what_is_wrong(case: str, tmp_path: Path) -> None:
    changed, message = WRONG[case]
    np.savez(tmp_path / "data.npz", **arrays(**changed))
    with pytest.raises(FileError, match=f"data.npz: {message}") as error:
        Trajectories.load(tmp_path / "data.npz")
    assert "\n" not in str(error.value)


MISFITS = {
    "width": ({"observations": np.zeros((5, 3))}, r"observations are of shape \(3,\) each, need"),
    "outside": (
        {"observations": np.array([[0, 0], [0, 0], [0, 0], [0, 0.0], [0, 7]])},
        r"observations has 7 in trajectory 1, step 1, outside its space's \[-1, 1\]",
    ),
    "raw width": ({"raw_actions": np.zeros((3, 1))}, r"raw_actions are of shape \(1,\) each"),
    "beyond the bounds": (
        {"actions": np.full((3, 3), 0.2)},
        r"actions has 0.2 in trajectory 0, step 0, outside its space's \[-0.1, 0.1\]",
    ),
}


@pytest.mark.parametrize("case", MISFITS)
def test_spaces_are_compared(case: str) -> None:
    changed, message = MISFITS[case]
    with pytest.raises(ValueError, match=message):
        Trajectories(**arrays(**changed)).check_spaces(SEEN, ACTED)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ({"actions": np.array([1, 2, 4])}, r"actions has 4 in trajectory 1, .* \[1, 3\]"),
        ({"raw_actions": np.array([[0], [2], [3]])}, r"raw_actions has 3 in trajectory 1, "),
        ({"raw_actions": np.array([[0], [0.5], [2]])}, "raw_actions are numbers of choices, and"),
    ],
)
def test_choices_are_compared(actions: dict[str, Any], message: str) -> None:
    found = Trajectories(**arrays(**{"raw_actions": None, "actions": None} | actions))
    with pytest.raises(ValueError, match=message):
        found.check_spaces(SEEN, spaces.Discrete(3, start=1))


def test_rounding_is_not_outside() -> None:
    edge = np.full((5, 2), np.float64(np.nextafter(np.float32(1), np.float32(2))))
    Trajectories(**arrays(observations=edge)).check_spaces(SEEN, ACTED)
    with pytest.raises(ValueError, match=r"observations has 1\.001 in trajectory 0, step 0"):
        Trajectories(**arrays(observations=1.001 * edge)).check_spaces(SEEN, ACTED)


def test_a_recorder_takes_down_what_happens() -> None:
    recorder = TrajectoryRecorder()
    with pytest.raises(ValueError, match="no steps yet"):
        recorder.trajectories()
    acted = [Acted(np.full(1, k, np.float32), np.full(1, -k), np.float32(k)) for k in range(3)]
    recorder.start([9.0])  # nothing happens in it
    recorder.start([0.0])
    recorder.add(acted[0], 1.0, [1.0], terminated=False, truncated=False)
    recorder.add(acted[1], 2.0, [2.0], terminated=True, truncated=False)
    with pytest.raises(ValueError, match="the trajectory has ended"):
        recorder.add(acted[2], 0.0, [0.0], terminated=False, truncated=False)
    recorder.start([3.0])
    recorder.add(acted[2], 4.0, [4.0], terminated=False, truncated=False)  # and is cut off
    found = recorder.trajectories()
    assert found.lengths.tolist() == [2, 1]
    assert found.observations.ravel().tolist() == [0, 1, 2, 3, 4]
    assert found.terminated.tolist() == [True, False]
    assert not found.truncated.any()
    assert found.raw_actions is not None
    assert found.raw_actions.ravel().tolist() == [0, 1, 2]
    assert found.log_probs is not None
    assert found.log_probs.tolist() == [0, 1, 2]
