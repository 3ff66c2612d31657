"""Whatever ``metrics.csv`` holds, a run goes on; what is damaged is said and kept."""

import csv
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metarl.training import CSVWriter, TensorBoardWriter

GOOD = b"iteration,loss\r\n1,0.5\r\n2,0.25\r\n3,0.125\r\n"
ROW = b"2,0.25\r\n"


def go_on(folder: Path, iteration: int = 3) -> tuple[list[str], list[str]]:
    """Iterations in the file after one more, which has a new metric, and what was said."""
    said: list[str] = []
    writer = CSVWriter(said.append)
    writer.open(folder, iteration)
    writer.write(iteration + 1, {"loss": 1.0, "late": 2.0})
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert (rows[-1]["loss"], rows[-1]["late"]) == ("1.0", "2.0")
    assert all(None not in row and None not in row.values() for row in rows)
    return [row["iteration"] for row in rows], said


def test_a_good_file_is_no_matter(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_bytes(GOOD)
    assert go_on(tmp_path) == (["1", "2", "3", "4"], [])
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


def test_a_file_that_is_gone_is_said(tmp_path: Path) -> None:
    rows, said = go_on(tmp_path)
    assert rows == ["4"]
    assert said == [f"{tmp_path / 'metrics.csv'} is gone: its rows begin with iteration 4"]


@pytest.mark.parametrize("cut", [b"4", b"4,", b"4,0.0", b"\xff"])
def test_a_row_that_was_cut_short_is_dropped(cut: bytes, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_bytes(GOOD + cut)
    assert go_on(tmp_path) == (["1", "2", "3", "4"], [])


@pytest.mark.parametrize(
    ("content", "kept", "damage"),
    [
        (GOOD.replace(ROW, b"2,0.25,7\r\n"), "134", "1 of 3 rows"),
        (GOOD.replace(ROW, b"2\r\n"), "134", "1 of 3 rows"),
        (GOOD.replace(ROW, b"2,\xff\xfe\r\n"), "134", "1 of 3 rows"),
        (GOOD.replace(ROW, b"2,0\x000\r\n"), "134", "1 of 3 rows"),
        (GOOD.replace(ROW, "²,1\r\n".encode()), "134", "1 of 3 rows"),
        (GOOD.replace(ROW, b"9" * 5000 + b",1\r\n"), "134", "1 of 3 rows"),
        (GOOD.replace(ROW, b"2," + b"1" * 200_000 + b"\r\n"), "134", "1 of 3 rows"),
        (GOOD.replace(ROW, b'2,"0.25\r\n'), "134", "1 of 3 rows"),
        (GOOD.replace(ROW, ROW + ROW), "1234", "1 of 4 rows"),
        (GOOD.replace(ROW, b"\r\n"), "134", "1 of 3 rows"),
        (GOOD[:-2], "124", "it ends with iteration 2 of 3"),
        (GOOD[: GOOD.index(b"3,")], "124", "it ends with iteration 2 of 3"),
        (GOOD.partition(b"\n")[2], "4", "its first line does not name its columns"),
        (GOOD.replace(b"loss", b"iteration"), "4", "its first line does not name its columns"),
        (bytes(40), "4", "its first line does not name its columns"),
        (b"\x89PNG\r\n\x1a\n", "4", "its first line does not name its columns"),
        (b"", "4", "its first line does not name its columns"),
    ],
)
def test_what_is_damaged_is_said_and_kept(
    content: bytes, kept: str, damage: str, tmp_path: Path
) -> None:
    path, aside = tmp_path / "metrics.csv", tmp_path / "metrics-damaged-1.csv"
    path.write_bytes(content)
    iterations, said = go_on(tmp_path)
    assert iterations == list(kept)
    (line,) = said
    assert line.startswith(f"{path} is damaged: {damage}")
    assert f"kept as {aside.name}" in line
    assert aside.read_bytes() == content


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").mkdir()
    (tmp_path / "metrics.csv" / "mine").write_text("kept")
    (tmp_path / "metrics-damaged-1.csv").write_text("an older one")
    iterations, (line,) = go_on(tmp_path)
    assert iterations == ["4"]
    assert "is damaged: it is a folder; it is kept as metrics-damaged-2.csv" in line
    assert (tmp_path / "metrics-damaged-2.csv" / "mine").read_text() == "kept"


def test_damage_that_comes_while_it_trains(tmp_path: Path) -> None:
    said: list[str] = []
    writer = CSVWriter(said.append)
    writer.open(tmp_path, 0)
    writer.write(1, {"loss": 0.5})
    with (tmp_path / "metrics.csv").open("ab") as file:
        file.write(b"\xff\r\n")
    writer.write(2, {"loss": 0.25, "late": 1.0})
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert lines == ["iteration,loss,late", "1,0.5,", "2,0.25,1.0"]
    assert len(said) == 1


@given(st.binary(max_size=60) | st.builds(GOOD.replace, st.sampled_from([ROW, b","]), st.binary()))
def test_no_bytes_stop_a_run(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "metrics.csv").write_bytes(content)
        iterations, said = go_on(Path(folder))
        assert iterations[-1] == "4"
        assert "\n" not in "".join(said)
        assert not said or (Path(folder) / "metrics-damaged-1.csv").read_bytes() == content


def test_damaged_events_are_no_matter(tmp_path: Path) -> None:
    """They are never read: a session adds a file of its own."""
    damaged = tmp_path / "events.out.tfevents.1.here"
    damaged.write_bytes(b"\xff" * 100)
    writer = TensorBoardWriter()
    writer.open(tmp_path, 3)
    writer.write(4, {"loss": 1.0})
    writer.close()
    assert damaged.read_bytes() == b"\xff" * 100
    assert len(list(tmp_path.glob("events*"))) == 2
