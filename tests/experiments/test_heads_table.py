"""The script of heads from end to end, with next to nothing of everything."""

import json
from pathlib import Path

import heads
import numpy as np
import pytest
import results
from heads import Options, experiment

from metarl.fewshot.heads import features
from metarl.fewshot.heads.configs import TRANSDUCTIVE
from metarl.report import curves

CHOSEN = ("simpleshot", "tim")


# two trainings and six evaluations: 3 s
@pytest.mark.slow
def test_every_row_names_transduction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme, known = tmp_path / "README.md", tmp_path / "results.json"
    names = ("results", "few-shot", "heads")
    readme.write_text("\n".join(f"<!-- {n} {e} -->" for n in names for e in ("begin", "end")))
    monkeypatch.setattr(results, "README", readme)
    monkeypatch.setattr(results, "RESULTS", known)
    monkeypatch.setattr(features, "NUM_BASE", 20)
    monkeypatch.setattr(curves, "RESAMPLES", 100)
    monkeypatch.setattr(heads, "HEADS", CHOSEN)
    monkeypatch.setattr(heads, "SETTINGS", {"5w1s": ["--num-shots", "1"]})
    options = Options(tmp_path, ("protonet",), seeds=(0, 1), tasks=2, scale=0.004, small=True)
    experiment(options)
    rows = {row["head"]: row for row in json.loads(known.read_text())}
    assert rows.keys() == {"own", *CHOSEN}
    lines = [line for line in readme.read_text().splitlines() if line.startswith("| protonet")]
    for line, head in zip(lines, ("own", *CHOSEN), strict=True):
        row = rows[head]
        assert row["transductive"] is (head in TRANSDUCTIVE)
        assert (
            f"| {head} | {'jointly (transductive)' if row['transductive'] else 'one by one'} |"
            in line
        )
        assert len(row["mean_per_seed"]) == 2
        assert np.isclose(np.mean(row["mean_per_seed"]), row["mean"][0], atol=1e-3)
        assert f"| {100 * row['mean'][0]:.1f} [" in line
    before = known.read_text()
    experiment(options)  # nothing is trained or evaluated again
    assert known.read_text() == before
