"""Pictures are written, whatever there is to draw."""

import struct
from pathlib import Path

import numpy as np
import pytest

from metarl.report import (
    Paths,
    adaptation_curve,
    draw_adaptation,
    draw_embedding,
    draw_lines,
    draw_paths,
)


def make_paths(count: int) -> list[Paths]:
    rng = np.random.default_rng(0)

    def walk(length: int) -> np.ndarray:
        return rng.normal(0.0, 0.1, (length, 2)).cumsum(0)

    return [
        Paths(rng.uniform(-0.5, 0.5, 2), [walk(9), walk(4)], [walk(6)], f"task {i}")
        for i in range(count)
    ]


def png_size(path: Path) -> tuple[int, int]:
    """Width and height from the header."""
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    return width, height


@pytest.mark.parametrize(("count", "columns"), [(0, 0), (1, 1), (2, 1), (6, 3), (8, 3)])
def test_the_picture_widens_with_the_paths_to_six_of_them(
    tmp_path: Path, count: int, columns: int
) -> None:
    """5.2 inches and 2.7 for each column of two tasks, at 130 dots an inch."""
    curve = adaptation_curve(np.random.default_rng(0).normal(size=(3, 5)), seed=0)
    path = tmp_path / "adaptation.png"
    paths = make_paths(count) if count else None
    path.write_bytes(draw_adaptation(curve, title="runs/x", paths=paths))
    assert png_size(path) == pytest.approx((130 * (5.2 + 2.7 * columns), 130 * 5.4), abs=1)


def test_a_curve_without_steps(tmp_path: Path) -> None:
    path = tmp_path / "adaptation.png"
    curve = adaptation_curve(np.array([[1.0, 2.0]]), seed=0)
    path.write_bytes(draw_adaptation(curve, title="K = 0"))
    assert min(png_size(path)) > 100


def test_paths_of_one_task(tmp_path: Path) -> None:
    (task,) = make_paths(1)
    draw_paths(tmp_path / "with.png", task)
    draw_paths(tmp_path / "without.png", task._replace(before=[], after=[]))
    assert png_size(tmp_path / "with.png") == png_size(tmp_path / "without.png")
    assert (tmp_path / "with.png").read_bytes() != (tmp_path / "without.png").read_bytes()


def test_lines_leave_out_what_was_not_measured(tmp_path: Path) -> None:
    x, y = np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, np.nan, 2.0, 4.0])
    labels = {"title": "runs", "x_label": "steps", "y_label": "return"}
    draw_lines(tmp_path / "gap.png", {"a": (x, y)}, **labels)
    draw_lines(tmp_path / "none.png", {"a": (x[[0, 2, 3]], y[[0, 2, 3]])}, **labels)
    draw_lines(tmp_path / "other.png", {"a": (x, np.nan_to_num(y))}, **labels)
    gap, none, other = (
        (tmp_path / f"{name}.png").read_bytes() for name in ("gap", "none", "other")
    )
    assert gap == none
    assert gap != other


def test_integers_are_numbered_as_such(tmp_path: Path) -> None:
    """0, 1, 2 where the same numbers as floats have ticks between them."""
    labels = {"title": "runs", "x_label": "steps", "y_label": "return"}
    pictures = []
    for x in (np.arange(3), np.arange(3.0)):
        draw_lines(tmp_path / "lines.png", {"a": (x, np.ones(3))}, **labels)
        pictures.append((tmp_path / "lines.png").read_bytes())
    assert pictures[0] != pictures[1]


def test_lines_have_the_intervals_that_are_given(tmp_path: Path) -> None:
    """And those of lines that are not drawn change nothing."""
    x, y = np.arange(3), np.array([1.0, np.nan, 2.0])
    labels = {"title": "runs", "x_label": "steps", "y_label": "return"}
    band = np.array([[0.5, 1.5], [np.nan, np.nan], [1.0, 3.0]])
    pictures = []
    for intervals in (None, {"b": band}, {"a": band}):
        draw_lines(tmp_path / "lines.png", {"a": (x, y)}, intervals=intervals, **labels)
        pictures.append((tmp_path / "lines.png").read_bytes())
    without, others, around = pictures
    assert without == others
    assert without != around


@pytest.mark.parametrize(("parameters", "shown"), [(1, 1), (2, 2), (6, 4)])
def test_an_embedding_is_drawn_once_a_parameter_up_to_four(
    tmp_path: Path, parameters: int, shown: int
) -> None:
    """0.8 inches and 4.4 for each parameter."""
    rng = np.random.default_rng(0)
    path = tmp_path / "embedding.png"
    draw_embedding(
        path,
        rng.normal(size=(30, 5)).astype(np.float32),
        rng.normal(size=(30, parameters)).astype(np.float32),
        [f"mass[{i}]" for i in range(parameters)],
        title="prototypes",
    )
    assert png_size(path) == pytest.approx((130 * (0.8 + 4.4 * shown), 130 * 4.4), abs=1)
