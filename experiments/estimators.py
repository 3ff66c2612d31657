"""Bias and spread of the meta-gradient estimators on enumerated MDPs.

    python experiments/estimators.py

Exact numbers, no sampling: bias is the distance of an estimator's mean from the exact gradient,
spread the standard deviation of the estimate from one trajectory; n trajectories divide it by √n.
Both are relative to the exact gradient's length. The table goes to experiments/README.md.
"""

from enumerated_mdp import (
    ENDING,
    FIXED,
    MDP,
    distance,
    emaml_gradient,
    emaml_spread,
    exact_emaml_gradient,
    exact_maml_gradient,
    maml_gradient,
    maml_spread,
)
from results import write_table

from metarl.rl.estimators import INNER_LOSSES, Estimator


def row(mdp: MDP, estimator: Estimator) -> list[float]:
    """Biases and spreads of an estimator."""
    maml, emaml = exact_maml_gradient(mdp), exact_emaml_gradient(mdp)
    cells = [distance(maml_gradient(mdp, estimator), maml)]
    cells += [maml_spread(mdp, estimator, b) / float(maml.norm()) for b in (0.0, 1.0)]
    for credit in (False, True):
        cells.append(distance(emaml_gradient(mdp, estimator, credit=credit), emaml))
        cells.append(emaml_spread(mdp, estimator, credit=credit) / float(emaml.norm()))
    return cells


def table() -> str:
    """A row an estimator and MDP."""
    lines = [
        "| steps | estimator | MAML: bias | spread | spread with the value as baseline "
        "| E-MAML without credit: bias | spread | E-MAML with credit: bias | spread |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for steps, mdp in (("2", FIXED), ("1 to 3", ENDING)):
        for estimator in INNER_LOSSES:
            cells = " | ".join(f"{cell:.3f}" for cell in row(mdp, estimator))
            lines.append(f"| {steps} | {estimator} | {cells} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table())
    write_table("estimators", table())
