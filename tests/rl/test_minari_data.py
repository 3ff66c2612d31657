"""Recorded trajectories as data sets of Minari."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from test_trajectories import ACTED, SEEN, arrays

from metarl.files import FileError
from metarl.rl import Trajectories, minari_data, read_minari, write_minari


@pytest.fixture(autouse=True)
def _datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))


@pytest.mark.parametrize("known", [True, False])
def test_what_is_written_is_read(known: bool, tmp_path: Path) -> None:
    left_out = {} if known else {"raw_actions": None, "log_probs": None}
    given = Trajectories(**arrays(**left_out))
    folder = write_minari(given, "robot/monday-v0", SEEN, ACTED, author="me")
    assert folder == tmp_path / "minari" / "robot" / "monday-v0"
    for found in (read_minari(folder), read_minari(folder / "data")):
        for name in arrays():
            value = getattr(given, name)
            assert (getattr(found, name) is None) == (value is None)
            if value is not None:
                np.testing.assert_allclose(getattr(found, name), value, rtol=1e-6)
    with pytest.raises(ValueError, match="already exists"):
        write_minari(given, "robot/monday-v0", SEEN, ACTED)


def test_images_and_choices_come_back_as_they_were() -> None:
    image = spaces.Box(0, 255, (4, 4, 3), np.uint8)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), np.uint8)
    changed: dict[str, Any] = {"observations": pixels, "actions": np.array([1, 3, 2])}
    given = Trajectories(**arrays(**changed, raw_actions=np.array([[0], [2], [1]])))
    found = read_minari(write_minari(given, "images-v0", image, spaces.Discrete(3, start=1)))
    np.testing.assert_array_equal(found.observations, pixels)
    np.testing.assert_array_equal(found.actions, given.actions)
    np.testing.assert_array_equal(found.raw_actions, given.raw_actions)


def test_what_is_no_data_set_and_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"nothing is no data set of Minari: "):
        read_minari(tmp_path / "nothing")
    raw = Trajectories(**arrays(actions=None))
    with pytest.raises(ValueError, match="has the environment's actions, these have raw ones"):
        write_minari(raw, "raw-v0", SEEN, ACTED)
    with pytest.raises(ValueError, match=r"observations are of shape \(2,\) each, need \(3,\)"):
        write_minari(Trajectories(**arrays()), "wide-v0", spaces.Box(-1, 1, (3,)), ACTED)


def test_without_minari_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(minari_data.importlib, "import_module", missing)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'metarl-toolkit\[offline\]'"):
        read_minari("anywhere")
