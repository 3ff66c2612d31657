"""What a comparison leaves: tables as CSV and LaTeX, pictures, one page that needs nothing else."""

import base64
import csv
import io
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import lazy_loader

from metarl import report
from metarl.files import replacing
from metarl.report.comparison import Aggregate, Interval
from metarl.runs.comparison import Group, Section, compared
from metarl.runs.errors import written
from metarl.runs.evaluate import MEASURES
from metarl.runs.run import Run

jinja2 = lazy_loader.load("jinja2", suppress_warning=True)
COLUMNS = (
    *("learner", "seeds", "tasks", "env steps", "hours"),
    *("before", "after 1", "after all", "IQM after all"),
)
"""Of the table; the last four are with their 95 % intervals."""
CSV_COLUMNS = (
    *("subject", "learner", "seeds", "tasks", "env_steps", "hours", "measure", "step"),
    *(f"{name}{end}" for name in ("mean", "iqm") for end in ("", "_low", "_high")),
)
PAGE = "comparison.html"
VERSIONS = ("metarl-toolkit", "torch", "numpy", "gymnasium", "mujoco", "stable-baselines3")


def table_of(section: Section) -> list[list[str]]:
    """Rows of one section under :data:`COLUMNS`."""
    return [_row(group) for group in section.groups]


def title_of(section: Section) -> str:
    """What a section is about, and what its figures are."""
    measure = section.groups[0].measure
    return f"{section.subject}: {'accuracy, %' if measure == 'accuracy' else MEASURES[measure]}"


def _row(group: Group) -> list[str]:
    factor = 100.0 if group.measure == "accuracy" else 1.0
    first, last = group.aggregates[0], group.aggregates[-1]
    after = [shown(point.mean, point.mean_ci95, factor) for point in group.aggregates[1:2]]
    return [
        group.label,
        str(len(group.runs)),
        str(group.figures(0).shape[1]),
        f"{group.env_steps:,.0f}",
        f"{group.hours:.2f}",
        shown(first.mean, first.mean_ci95, factor),
        *(after or [""]),
        f"{shown(last.mean, last.mean_ci95, factor)} ({group.num_steps})",
        shown(last.iqm, last.iqm_ci95, factor),
    ]


def shown(value: float, interval: Interval, factor: float = 1.0) -> str:
    """A figure with its interval.

    >>> shown(0.5, (0.25, 0.75), 100.0)
    '50.00 [25.00, 75.00]'
    """
    low, high = interval
    return f"{factor * value:.2f} [{factor * low:.2f}, {factor * high:.2f}]"


def write_comparison(sections: Sequence[Section], folder: Path) -> list[Path]:
    """Write all files of a comparison.

    Args:
        sections: of it.
        folder: where; made if it is not there.

    Returns:
        The page, the tables, the pictures.

    Raises:
        InputError: something cannot be written.
    """
    with written(folder, "output"):
        folder.mkdir(parents=True, exist_ok=True)
    pictures = [_draw(section, folder, index) for index, section in enumerate(sections)]
    texts = {
        "index.html": _page(sections, pictures),
        "comparison.csv": _csv(sections),
        "comparison.tex": _latex(sections),
    }
    for name, text in texts.items():
        with written(folder / name, "output"), replacing(folder / name) as file:
            file.write(text.encode())
    drawn = [path for paths in pictures for path in paths]
    return [*(folder / name for name in texts), *drawn]


def _draw(section: Section, folder: Path, index: int) -> list[Path]:
    """Pictures of a section, SVG and PNG of each."""
    groups, stem = section.groups, f"{index + 1}-" if index else ""
    unit = " or ".join(dict.fromkeys(group.unit for group in groups if group.unit))
    figure = MEASURES[groups[0].measure]
    by_steps = any(group.env_steps for group in groups)
    learning, adaptation, profile = (
        [folder / f"{stem}{name}{suffix}" for suffix in (".png", ".svg")]
        for name in ("learning", "adaptation", "profile")
    )
    report.draw_learning_curves(
        learning,
        {group.label: [run.learning_curve for run in group.runs] for group in groups},
        title=f"{section.subject}: held-out tasks during training, range of seeds",
        x_label="environment steps" if by_steps else "iterations",
        y_label=f"{figure} after adaptation",
    )
    report.draw_adaptation_curves(
        adaptation,
        {group.label: group.aggregates for group in groups},
        title=f"{section.subject}: adaptation, 95 % intervals",
        x_label=unit,
        y_label=figure,
    )
    report.draw_profiles(
        profile,
        {group.label: group.scores for group in groups},
        title=f"{section.subject}: performance profile, 95 % intervals",
        x_label=f"{figure} after adaptation",
    )
    return [*learning, *adaptation, *profile]


def _csv(sections: Sequence[Section]) -> str:
    """A row a group and step: numbers, not text."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(CSV_COLUMNS)
    writer.writerows(_csv_row(*of_step) for of_step in _all(sections))
    return text.getvalue()


def _all(sections: Sequence[Section]) -> Iterator[tuple[Section, Group, int, Aggregate]]:
    for section in sections:
        for group in section.groups:
            for step, point in enumerate(group.aggregates):
                yield section, group, step, point


def _csv_row(section: Section, group: Group, step: int, point: Aggregate) -> list[Any]:
    told = [section.subject, group.label, len(group.runs), group.figures(0).shape[1]]
    figures = [point.mean, *point.mean_ci95, point.iqm, *point.iqm_ci95]
    return [*told, group.env_steps, group.hours, group.measure, step, *figures]


def _latex(sections: Sequence[Section]) -> str:
    """A booktabs table a section."""
    lines = []
    for section in sections:
        lines += [
            f"% {title_of(section)}",
            rf"\begin{{tabular}}{{l{'r' * (len(COLUMNS) - 1)}}}",
            r"\toprule",
            _latex_row(COLUMNS),
            r"\midrule",
            *map(_latex_row, table_of(section)),
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    return "\n".join(lines)


def _latex_row(cells: Sequence[str]) -> str:
    escaped = ("".join(_LATEX.get(letter, letter) for letter in cell) for cell in cells)
    return " & ".join(escaped) + r" \\"


_LATEX = {letter: f"\\{letter}" for letter in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def _page(sections: Sequence[Section], pictures: Sequence[Sequence[Path]]) -> str:
    source = files("metarl.runs").joinpath(PAGE).read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    page: str = environment.from_string(source).render(
        sections=[
            {
                "title": title_of(section),
                "groups": section.groups,
                "rows": table_of(section),
                "improvements": section.improvements,
                "differing": section.differing,
                "pictures": [_embedded(path) for path in paths if path.suffix == ".png"],
                "commands": [line for group in section.groups for line in group.runs[0].commands],
            }
            for section, paths in zip(sections, pictures, strict=True)
        ],
        columns=COLUMNS,
        versions={name: version(name) for name in VERSIONS},
        shown=shown,
    )
    return page


def _embedded(path: Path) -> str:
    """A picture as the address of an image."""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


class Comparison(NamedTuple):
    """Of several runs."""

    sections: list[Section]
    """One for every environment or data set."""
    files: list[Path]
    """What was written."""


def compare(runs: Sequence[Path | str | Run], *, output: Path | str | None = None) -> Comparison:
    """Compare runs: learners and configurations as groups, over their seeds and held-out tasks.

    Args:
        runs: evaluated ones, or their folders.
        output: folder for a page (``index.html``), tables (CSV, LaTeX) and pictures (SVG, PNG).

    Returns:
        Aggregates (mean, IQM, 95 % intervals of crossed seeds and tasks), probabilities of
        improvement, what differs between the configurations.

    Raises:
        InputError: runs are not comparable, with the name of what differs; or not evaluated.
    """
    sections = compared([run.folder if isinstance(run, Run) else Path(run) for run in runs])
    written_files = [] if output is None else write_comparison(sections, Path(output))
    return Comparison(sections, written_files)
