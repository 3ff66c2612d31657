"""Trainings killed at random moments; ``make kills`` has 200, of every learner."""

from pathlib import Path
from typing import Any

import killing
import pytest

from metarl.cli import main

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
COMMON = "--iterations 5 --eval-every 2 --checkpoint-every 3 --save-share 1 --eval-tasks 0 --quiet"
TINY = "--meta-batch-size 2 --num-trajectories 2 --horizon 4 --hidden-sizes 4 --seed 1"
COMMANDS = {
    "maml-vpg": f"train maml-vpg --env metarl/PointGoal-v0 {TINY} {COMMON}",
    "protonet": (
        "fewshot protonet --data glyphs --backbone mlp --hidden-sizes 4 --num-ways 2 "
        f"--num-validation 2 {COMMON}"
    ),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_runs_end_as_if_they_had_not_been(name: str, tmp_path: Path, capfd: Any) -> None:
    arguments = COMMANDS[name].split()
    assert main([*arguments, "--output", str(tmp_path / "first")]) == 0  # imports, once for all
    tally = killing.kills(arguments, 4, tmp_path / "killed", f"{name} 0")
    assert tally.faults == []
    assert tally.kills.total() >= 4
    assert max(tally.done_again) <= 1
