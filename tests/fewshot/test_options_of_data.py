"""Options that say nothing of the data that a run is about are refused, not passed over."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metarl.fewshot.data.config import SINUSOID, DataConfig
from metarl.fewshot.data.registry import load_data


@pytest.fixture
def data(tmp_path: Path) -> dict[str, str]:
    """A table and an archive of six classes with eight examples each, and what is built in."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 8)
    table, archive = tmp_path / "table.csv", tmp_path / "archive.npz"
    rows = [f"{x:.3f},class {y}" for x, y in zip(rng.normal(size=48), labels, strict=True)]
    table.write_text("\n".join(["width,label", *rows]))
    np.savez(archive, x=rng.integers(256, size=(48, 4, 4, 1), dtype=np.uint8), y=labels)
    return {
        "table": str(table),
        "archive": str(archive),
        "glyphs": "glyphs",
        "sinusoid": SINUSOID,
    }


@pytest.mark.parametrize(
    ("name", "options", "refused"),
    [
        ("glyphs", {"image_size": 100_000}, "image-size"),
        ("glyphs", {"split_seed": 3}, "split-seed"),
        ("sinusoid", {"trainval": True}, "trainval"),
        ("table", {"array_kind": "series"}, "array-kind"),
        ("table", {"omniglot_split": "random"}, "omniglot-split"),
        ("archive", {"label": "y"}, "label"),
        ("archive", {"split_seed": 1, "skip_bad": True}, "skip-bad"),
    ],
)
def test_what_has_no_effect_is_refused(
    name: str, options: dict[str, Any], refused: str, data: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match=f"^--{refused} has no effect on data .*: leave it out$"):
        load_data(DataConfig(data=data[name], **options))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("glyphs", {"data_root": "elsewhere"}),
        ("table", {"label": "label", "header": "yes", "split": "examples", "split_seed": 1}),
        ("archive", {"array_kind": "images-hwc", "split_seed": 2}),
        ("sinusoid", {}),
    ],
)
def test_what_has_one_is_not(name: str, options: dict[str, Any], data: dict[str, str]) -> None:
    loaded = load_data(DataConfig(data=data[name], **options))
    assert len(loaded.datasets) == (name != "sinusoid")
