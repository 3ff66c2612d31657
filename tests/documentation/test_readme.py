"""The README: short, its Python runs in an empty folder, its tables are those of the records."""

import re
from pathlib import Path

import pytest
import readme_tables

README = Path(__file__).parents[2] / "README.md"


def test_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len([line for line in block.splitlines() if line]) <= 15
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    exec(compile(block, str(README), "exec"), namespace)
    assert Path("policy.pt").stat().st_size
    assert namespace["action"].shape == (2,)  # type: ignore[attr-defined]


def test_it_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 150


def test_its_tables_are_the_records() -> None:
    """``python experiments/readme_tables.py`` makes this green."""
    assert readme_tables.filled(README.read_text()) == README.read_text()


def test_its_links_and_picture_are_there() -> None:
    links = re.findall(r"\]\(([^)#]+)", README.read_text())
    assert [link for link in links if not (README.parent / link).exists()] == []
