"""Where runs of ``promp_breakdown.py`` break down, and that each variant changes one thing."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from gradient_learners import COMMAND
from promp_breakdown import FIGURES, VARIANTS, breakdown, figures, table

from metarl.cli import _parse


def parsed(name: str) -> Any:
    return _parse(["train", "promp", *COMMAND, *VARIANTS[name].split(), "--iterations", "1"])


def test_variants_differ_in_one_thing_each() -> None:
    """But for ``authors``, which is all settings of theirs."""
    base = parsed("as-it-is").problem
    for name in VARIANTS:
        problem = parsed(name).problem
        differing = [
            (part, field.name)
            for part in ("algorithm", "policy", "sampling")
            for field in fields(getattr(base, part))
            if getattr(getattr(problem, part), field.name)
            != getattr(getattr(base, part), field.name)
        ]
        assert len(differing) == {"as-it-is": 0, "authors": 2}.get(name, 1), name


def run_of(returns: np.ndarray) -> dict[str, np.ndarray]:
    num = len(returns)
    columns = dict.fromkeys(FIGURES, np.full(num, 0.01))
    return {**columns, "rollout/return_post": returns, "steps": np.arange(1, num + 1) * 0.08}


def test_a_breakdown_is_a_mean_below_half_of_the_best() -> None:
    """Means of 10: 100 at iteration 29, then 10 less an iteration; below 50 with six zeros."""
    returns = np.concatenate([np.linspace(0, 100, 20), np.full(10, 100.0), np.zeros(20)])
    assert breakdown(returns) == (100.0, 35)
    kept = figures(run_of(returns))
    assert kept["broken_at"] == pytest.approx(36 * 0.08)
    assert kept["before"]["rollout/return_post"] == 100.0
    assert kept["last"] == 0.0
    run = run_of(returns)
    run["meta/kl"] = np.where(np.arange(50) == 31, 2.5, 0.01)
    assert figures(run)["largest"] == {"meta/kl": 2.5, "meta/clipped": 0.01}


@pytest.mark.parametrize(
    "returns",
    [np.linspace(0, 100, 50), np.full(50, 15.0), np.array([50.0, 1.0])],
    ids=["rises", "nothing to lose", "hardly begun"],
)
def test_no_breakdown(returns: np.ndarray) -> None:
    assert breakdown(returns)[1] is None
    assert figures(run_of(returns))["broken_at"] is None


def test_the_table_has_a_row_a_run() -> None:
    """The last 10 of 0..100 in 50 steps have a mean of 100 - 4.5 · 100 / 49."""
    lines = table({"as-it-is, seed 0": figures(run_of(np.linspace(0, 100, 50)))}).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith("| as-it-is, seed 0 | 90.8 |")
