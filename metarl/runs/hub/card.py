"""The model card of a run: what it is, how it adapts, how to use it and to train it anew."""

import json
import shlex
from importlib.metadata import version
from typing import Any

from metarl.runs.commands import code_of, command_of, command_on
from metarl.runs.config import EnvProblem, RunConfig
from metarl.runs.evaluate import MEASURES
from metarl.runs.run_figures import RunFigures

VERSIONS = ("metarl-toolkit", "torch", "numpy")


def model_card(figures: RunFigures, repo: str, library: Any, *, picture: bool) -> str:
    """``README.md`` with the metadata that the hub reads, among them the result.

    Args:
        figures: of the run.
        repo: ``OWNER/NAME``.
        library: ``huggingface_hub``.
        picture: whether there is ``adaptation.png``.
    """
    config, record, own = figures.config, figures.evaluation, code_of(figures.config)
    by = f", head {figures.head}" if figures.head else ""
    spent = f"{record['iteration']} iterations, {float(record['hours']):.2f} hours"
    if steps := int(record["env_steps"]):
        spent += f", {steps:,} environment steps"
    parts = [
        f"---\n{_metadata(figures, repo, library)}\n---",
        f"# {config.learner} on {config.subject}",
        f"Trained for {spent}; seed {config.seed}.",
        "## Adaptation to held-out tasks",
        _table(figures),
        f"{len(figures.values[0])} tasks{by}; intervals are 95 % bootstrap intervals over tasks.",
        "![how held-out tasks adapt](adaptation.png)" if picture else "",
        "## Use",
        "Weights and plain data alone: opening it runs no code of this repository.",
        "".join(f"It needs `{code}`, installed or in your folder." for code in own.values()),
        f"```python\n{_python(repo, config)}\n```",
        f"```\n{_commands(f'hf://{repo}', figures)}\n```",
        "## Train it anew",
        f"```\n{command_of(config)}\n```",
        "Versions of the upload: "
        + ", ".join(f"{name} {version(name)}" for name in VERSIONS)
        + ".",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _python(repo: str, config: RunConfig) -> str:
    own = ", allow_code=True" if code_of(config) else ""
    return (
        'import metarl  # pip install "metarl-toolkit[hub]"\n\n'
        f'run = metarl.load_run("hf://{repo}"{own})\nrun.evaluate()'
    )


def _commands(address: str, figures: RunFigures) -> str:
    """That evaluate and adapt it, to the first task of its evaluation where that has some."""
    tasks = figures.evaluation.get("tasks", [])
    to = ["--task", json.dumps(tasks[0])] if tasks else ["--support", "FOLDER"]
    evaluate, adapt = (command_on(address, verb, figures.config) for verb in ("evaluate", "adapt"))
    return f"{evaluate}\n{adapt} {shlex.join(to)} --output adapted"


def _table(figures: RunFigures) -> str:
    """Means and IQMs after every step with their intervals."""
    record, measure = figures.evaluation, figures.measure
    factor, name = (100, "accuracy, %") if measure == "accuracy" else (1, MEASURES[measure])
    head = f"| steps | {name} | 95 % interval | IQM | 95 % interval of IQM |\n|--:|--:|--:|--:|--:|"
    rows = [
        f"| {step} | {factor * mean:.2f} | {_shown(ci95, factor)} "
        f"| {factor * iqm:.2f} | {_shown(iqm_ci95, factor)} |"
        for step, mean, ci95, iqm, iqm_ci95 in zip(
            *(record[key] for key in ("steps", "mean", "ci95", "iqm", "iqm_ci95")), strict=True
        )
    ]
    return "\n".join([head, *rows])


def _shown(interval: list[float], factor: float) -> str:
    low, high = interval
    return f"[{factor * low:.2f}, {factor * high:.2f}]"


def _metadata(figures: RunFigures, repo: str, library: Any) -> str:
    """YAML of the hub, the last figure of the curve as the result."""
    config, measure = figures.config, MEASURES[figures.measure]
    by = f", head {figures.head}" if figures.head else ""
    kind = (
        "reinforcement-learning" if isinstance(config.problem, EnvProblem) else "few-shot-learning"
    )
    result = library.EvalResult(
        task_type=kind,
        dataset_type=config.subject,
        dataset_name=config.subject,
        metric_type=measure.replace(" ", "_"),
        metric_name=f"{measure} after adaptation, held-out tasks{by}",
        metric_value=round(float(figures.values[-1].mean()), 4),
    )
    data = library.ModelCardData(
        library_name="metarl",
        tags=["metarl", "meta-learning", kind, config.learner],
        model_name=repo.partition("/")[2],
        eval_results=[result],
    )
    return str(data.to_yaml())
