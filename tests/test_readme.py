"""The README's Python runs as it stands, in an empty folder."""

import re
from pathlib import Path

import pytest
import torch

from metarl.cli import main

README = Path(__file__).parents[1] / "README.md"


def test_python_blocks_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They assert what they claim, and ``metarl`` opens what they leave."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 8
    monkeypatch.chdir(tmp_path)
    lengths = []
    with torch.random.fork_rng():
        torch.manual_seed(0)  # nn.Linear draws its weights from the global generator
        namespace: dict[str, object] = {}
        for block in blocks:
            exec(compile(block, str(README), "exec"), namespace)
            lengths.append(len([line for line in block.splitlines() if line]))
    assert max(lengths[:3]) <= 15  # train, evaluate, adapt, save: an id, an environment, images
    assert lengths[3] <= 20  # composed of parts
    assert all(Path(name).stat().st_size for name in ("policy.pt", "classifier.pt"))
    composed = max(Path("runs").glob("run_*"))
    capsys.readouterr()
    assert main(["evaluate", str(composed), "--tasks", "4"]) == 0
    assert "composed on metarl/PointGoal-v0: 4 held-out tasks" in capsys.readouterr().out
    assert main(["resume", str(composed), "--iterations", "4"]) == 0
    assert (composed / "checkpoints" / "iteration_00000004.pt").is_file()
