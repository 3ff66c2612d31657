"""Results of experiments: collected from evaluation.json files into results.json and the table.

``experiments/results.json`` and the table in ``experiments/README.md`` are written here and never
by hand.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from metarl.report import adaptation_curve, crossed_interval

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results.json"
README = FOLDER / "README.md"


def reference(source: str, mean: list[float], differs: str = "") -> dict[str, Any]:
    """Somebody's figures beside ours.

    Args:
        source: whose.
        mean: after 0, 1, ... steps.
        differs: in what the two protocols differ (physics, tasks, episodes, network, what is known
            at test); empty if in nothing.
    """
    return {"source": source, "mean": mean, "same_protocol": not differs, "differs": differs}


NO_REFERENCE = reference("none", [], "nothing to compare with")


def collect(
    evaluations: list[Path],
    *,
    experiment: str,
    learner: str,
    command: str,
    reference: dict[str, Any],
    training_seeds: list[int],
    one_task_a_run: bool = False,
) -> dict[str, Any]:
    """One row of the results: several seeds' evaluations as one.

    The interval is over tasks; of several seeds on the same tasks, over seeds and tasks.

    Raises:
        ValueError: if the seeds were tested on different tasks.
    """
    figures = [json.loads(path.read_text()) for path in evaluations]
    columns = [np.asarray(one["returns"]) for one in figures]  # [K + 1, num_tasks] a run
    if one_task_a_run:
        columns = [np.concatenate([column.mean(1, keepdims=True) for column in columns], axis=1)]
    elif any(one["tasks"] != figures[0]["tasks"] for one in figures):
        raise ValueError(f"{experiment}, {learner}: seeds were tested on different tasks")
    returns = np.stack(columns, axis=1)  # [K + 1, num_seeds, num_tasks]
    if len(columns) == 1:
        intervals = adaptation_curve(returns[:, 0], seed=0).ci95
    else:
        intervals = np.array([crossed_interval(step) for step in returns])
    return {
        "experiment": experiment,
        "learner": learner,
        "env": figures[0]["env"],
        "seeds": training_seeds,
        "env_steps": round(float(np.mean([one["env_steps"] for one in figures]))),
        "hours": round(float(np.mean([one["hours"] for one in figures])), 3),
        "steps": figures[0]["steps"],
        "mean": returns.mean((1, 2)).round(2).tolist(),
        "ci95": intervals.round(2).tolist(),
        "mean_per_seed": [np.round(one["mean"], 2).tolist() for one in figures],
        "reference": reference,
        "command": command,
        "commit": commit(),
    }


def fewshot_row(
    experiment: str,
    learner: str,
    figures: list[dict[str, Any]],
    *,
    command: str,
    references: tuple[dict[str, Any], ...] = (),
    trained_with: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """One row of the results from the ``evaluation.json`` of few-shot runs, one a seed.

    Means are accuracies in [0, 1], or squared errors. The interval resamples the test episodes, of
    several seeds, which have the same ones, seeds and episodes.

    Args:
        experiment: data and setting.
        learner: as the table names it.
        figures: of the seeds.
        command: that trains.
        references: somebody's figures, and what users of theirs reproduced.
        trained_with: ``backbone``, ``iterations`` and ``train_images``, where the table has them.
    """
    first = figures[0]
    kind = "accuracy" if "accuracy" in first else "mse"
    values = np.stack([one[kind] for one in figures], axis=1)  # [K + 1, num_seeds, num_episodes]
    one_seed = len(figures) == 1
    return {
        "experiment": experiment,
        "learner": learner,
        "env": first["env"],
        "seeds": [one["training_seed"] for one in figures],
        "env_steps": 0,
        "hours": round(float(np.mean([one["hours"] for one in figures])), 3),
        "steps": first["steps"],
        "mean": values.mean((1, 2)).round(4).tolist(),
        "ci95": np.round(
            first["ci95"] if one_seed else [crossed_interval(step) for step in values], 4
        ).tolist(),
        "mean_per_seed": values.mean(2).T.round(4).tolist(),
        "num_episodes": first["num_tasks"],
        "norm": first["norm"],
        "figure": kind,
        "reference": references[0] if references else NO_REFERENCE,
        "reproduced": references[1] if len(references) > 1 else None,
        "command": command,
        "commit": commit(),
        **(trained_with or {}),
    }


def commit() -> str:
    """The commit that produced the results, with -dirty if metarl or envs differ from it."""
    run = ["git", "-C", str(FOLDER.parent)]
    dirty = subprocess.run(
        [*run, "status", "--porcelain", "metarl", "envs"],
        capture_output=True,
        text=True,
        check=True,
    )
    head = subprocess.run([*run, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    return head.stdout.strip()[:12] + ("-dirty" if dirty.stdout else "")


def save(rows: list[dict[str, Any]]) -> None:
    """Replace the rows of the same experiment and learner, then write the table again."""
    known = {_key(row): row for row in read_rows()}
    for row in rows:
        before = known.get(_key(row))
        # collected again from the same evaluations it is still the older commit's
        if before is None or {**before, "commit": ""} != {**row, "commit": ""}:
            known[_key(row)] = row
    everything = sorted(known.values(), key=_key)
    RESULTS.write_text(json.dumps(everything, indent=1) + "\n")
    write_table("results", table(of_returns(everything)))
    write_table("few-shot", fewshot_table([row for row in everything if "figure" in row]))


def of_returns(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the table of returns: few-shot rows and those of some scripts have their own."""
    others = "figure", "robot_minutes", "head", "optimum"
    return [row for row in rows if not any(name in row for name in others)]


def read_rows() -> list[dict[str, Any]]:
    """All rows of ``results.json``."""
    rows: list[dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    return rows


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    """What makes a row one of its own."""
    return row["experiment"], row["learner"], row.get("norm", "")


def write_table(name: str, lines: str) -> None:
    """Replace what stands between a table's markers in the README."""
    README.write_text(with_table(README.read_text(), name, lines))


def with_table(content: str, name: str, lines: str) -> str:
    """A page with a table in its place.

    Raises:
        ValueError: the page has no place for it.
    """
    begin, end = f"<!-- {name} begin -->", f"<!-- {name} end -->"
    if begin not in content or end not in content:
        raise ValueError(f"the page has no place for the table: {begin} and {end}")
    head, _, rest = content.partition(begin)
    _, _, tail = rest.partition(end)
    return f"{head}{begin}\n{lines}{end}{tail}"


def fewshot_table(rows: list[dict[str, Any]]) -> str:
    """The few-shot results as a Markdown table: after the last step, and what others have."""
    lines = [
        "| experiment | learner | figure [95 % interval] | after steps | batch norm | backbone "
        "| iterations | train images | test episodes | paper | reproduced by users "
        "| same protocol | seeds | hours | commit |",
        "|" + "---|" * 15,
    ]
    for row in rows:
        percent = row["figure"] == "accuracy"
        shown = (
            [len(row["mean"]) - 1] if percent else [k for k in (0, 1, 5, 10) if k in row["steps"]]
        )
        ours = "; ".join(_figure(row["mean"][k], row["ci95"][k], percent) for k in shown)
        theirs = [
            _number(row[name]["mean"][0], percent) if row[name] and row[name]["mean"] else ""
            for name in ("reference", "reproduced")
        ]
        cells = [
            row["experiment"],
            row["learner"],
            ours,
            ", ".join(str(row["steps"][k]) for k in shown),
            row["norm"],
            row.get("backbone", ""),
            str(row.get("iterations", "")),
            f"{row['train_images'] / 1000:.0f} k" if "train_images" in row else "",
            str(row["num_episodes"]),
            *theirs,
            _same_protocol(row),
            ", ".join(map(str, row["seeds"])),
            f"{row['hours']:.2f}",
            row["commit"],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _same_protocol(row: dict[str, Any]) -> str:
    """Whether the reference did the same, and if not, what it did otherwise."""
    theirs = row["reference"]
    if not theirs["mean"]:
        return ""
    return "yes" if theirs["same_protocol"] else f"no: {theirs['differs']}"


def _return(mean: float, bounds: list[float] | None) -> str:
    """A mean return with its interval, where it has one."""
    return f"{mean:.2f}" if bounds is None else f"{mean:.2f} [{bounds[0]:.2f}, {bounds[1]:.2f}]"


def _number(value: float, percent: bool) -> str:
    return f"{100 * value:.2f} %" if percent else f"{value:.3f}"


def _figure(mean: float, bounds: list[float], percent: bool) -> str:
    low, high = (_number(bound, percent) for bound in bounds)
    return f"{_number(mean, percent)} [{low}, {high}]"


def table(rows: list[dict[str, Any]]) -> str:
    """The results as a Markdown table."""
    lines = [
        "| experiment | learner | after 0, 1, 2, 3 steps: mean [95 % interval] | reference "
        "| same protocol | seeds | env steps | hours | commit |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        bounds = row["ci95"] or [None] * len(row["mean"])
        ours = "; ".join(map(_return, row["mean"], bounds))
        theirs = row["reference"]
        figures = " / ".join(map(str, theirs["mean"]))
        compared = f"{figures} ({theirs['source']})" if figures else ""
        seeds = ", ".join(map(str, row["seeds"]))
        lines.append(
            f"| {row['experiment']} | {row['learner']} | {ours} | {compared} "
            f"| {_same_protocol(row)} | {seeds} | {row['env_steps'] / 1e6:.1f} M "
            f"| {row['hours']:.2f} | {row['commit']} |"
        )
    return "\n".join(lines) + "\n"
