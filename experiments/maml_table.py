"""The RL table of the MAML paper: MAML beside one policy for all tasks, none, an oracle.

    python experiments/maml_table.py --family maml-half-cheetah-vel [--learner maml-trpo]
    python experiments/maml_table.py --family maml-ant-vel --seeds 0 1 2 --time-limit 3600

Families named ``maml-…`` have the authors' own physics, networks and budgets (cbfinn/maml_rl):
horizon 200, action scale 1, two relu layers of 100, log σ from 0, no floor of it that is ever
reached, inner step size 0.1, 40 tasks a meta-batch. Trajectories a task, trust region and
iterations are those of the runs whose figures the paper shows, as ``maml_examples/test_maml_*.py``
name their files. Evaluated like them: 40 tasks, 4,000 steps (20 trajectories) of adaptation a
gradient step, the step size halved after the first; the controls' step sizes are those that the
authors chose for them. What remains different every row says.

The other families have the same tasks in gymnasium's physics, where the authors' figures are not to
be reached or missed: control steps of their half-cheetah are a fifth as long. There log σ has a
floor, since noise costs more than it finds, and the half-cheetahs start with log σ = -1 and half
the inner step size: from σ = 1, which is cut off at the bounds of the actions, HalfCheetahVel took
four times the steps and HalfCheetahDir found nothing in 180 iterations.

"""

from dataclasses import dataclass

import tyro
from maml_families import FAMILIES, SOURCE, FamilyName, Learner
from results import NO_REFERENCE, reference
from seeded_rows import Budget, Plan, make_row


@dataclass(frozen=True)
class Options(Budget):
    """Train and evaluate one learner on one family."""

    family: FamilyName = "maml-half-cheetah-vel"
    """Row of the table."""
    learner: Learner = "maml-trpo"
    """Column of the table."""


def plan_of(name: FamilyName, learner: Learner) -> Plan:
    """A cell of the table."""
    family = FAMILIES[name]
    theirs = family.reference[learner]
    return Plan(
        experiment=name,
        learner=learner,
        command=family.training(learner),
        iterations=1 if learner == "random-init" else family.iterations,
        test=family.test(learner),
        script=f"python experiments/maml_table.py --family {name} --learner {learner}",
        threshold=family.threshold,
        reference=reference(SOURCE, theirs, family.differs) if theirs else NO_REFERENCE,
    )


if __name__ == "__main__":
    chosen = tyro.cli(Options)
    make_row(plan_of(chosen.family, chosen.learner), chosen)
