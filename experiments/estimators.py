"""Bias and spread of the meta-gradient estimators on an enumerated MDP.

    python experiments/estimators.py

Exact numbers, no sampling: bias is the distance of an estimator's mean from the exact gradient,
spread the standard deviation of the estimate from one trajectory; n trajectories divide it by √n.
Both are relative to the exact gradient's length. The table goes to experiments/README.md.
"""

from enumerated_mdp import (
    distance,
    emaml_gradient,
    emaml_spread,
    exact_emaml_gradient,
    exact_maml_gradient,
    maml_gradient,
    maml_spread,
)
from results import write_table

from metarl.rl.estimators import INNER_LOSSES


def table() -> str:
    """A row an estimator."""
    maml, emaml = exact_maml_gradient(), exact_emaml_gradient()
    lines = [
        "| estimator | MAML: bias | spread | spread with the value as baseline "
        "| E-MAML without credit: bias | spread | E-MAML with credit: bias | spread |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for estimator in INNER_LOSSES:
        cells = [distance(maml_gradient(estimator), maml)]
        cells += [maml_spread(estimator, baseline) / float(maml.norm()) for baseline in (0.0, 1.0)]
        for credit in (False, True):
            cells.append(distance(emaml_gradient(estimator, credit=credit), emaml))
            cells.append(emaml_spread(estimator, credit=credit) / float(emaml.norm()))
        lines.append(f"| {estimator} | {' | '.join(f'{cell:.3f}' for cell in cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table())
    write_table("estimators", table())
