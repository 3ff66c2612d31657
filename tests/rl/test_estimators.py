"""Meta-gradient estimators on the enumerated MDPs of ``experiments/enumerated_mdp.py``."""

import pytest
import torch
from enumerated_mdp import (
    ENDING,
    FIXED,
    LR,
    MDP,
    ONE_STEP,
    adapted,
    all_at_once,
    distance,
    emaml_gradient,
    emaml_spread,
    exact_emaml_gradient,
    exact_maml_gradient,
    maml_gradient,
    maml_spread,
    one_each,
)
from torch import Tensor

from metarl.rl.estimators import INNER_LOSSES, Estimator

MDPS = {"fixed": FIXED, "ending": ENDING, "one-step": ONE_STEP}
every_mdp = pytest.mark.parametrize("mdp", MDPS.values(), ids=MDPS)


@every_mdp
def test_the_enumeration_is_complete(mdp: MDP) -> None:
    probabilities = mdp.probabilities(mdp.logits)
    assert probabilities.sum().item() == pytest.approx(1.0, abs=1e-12)
    states, actions, mask = mdp.steps
    rows = torch.cat([states, actions, mask])[:, probabilities > 0]
    assert len(torch.unique(rows, dim=1).T) == len(rows.T)


def test_lengths_depend_on_what_is_done() -> None:
    """Seldom, after the first action, and mostly, after the second, the trajectory ends."""
    _, actions, mask = ENDING.steps
    probabilities = ENDING.probabilities(ENDING.logits)
    shares = []
    for action in (0, 1):
        chosen = probabilities * (actions[0] == action)
        shares.append(float((chosen * ~mask[1]).sum() / chosen.sum()))
    assert shares == [pytest.approx(0.038, abs=1e-3), pytest.approx(0.7, abs=1e-3)]


@every_mdp
@pytest.mark.parametrize("estimator", INNER_LOSSES)
def test_every_inner_step_follows_the_policy_gradient(mdp: MDP, estimator: Estimator) -> None:
    theta = mdp.logits.clone().requires_grad_()
    (ascent,) = torch.autograd.grad(mdp.expected_return(theta), theta)
    for baseline in (0.0, 1.0):
        after = adapted(mdp, mdp.logits, all_at_once(mdp, estimator, baseline), estimator)[0]
        torch.testing.assert_close(after, mdp.logits + LR * ascent, rtol=0, atol=1e-12)


@every_mdp
@pytest.mark.parametrize("estimator", ["dice", "loaded-dice"])
@pytest.mark.parametrize("baseline", [0.0, 1.0])
def test_unbiased_for_maml(mdp: MDP, estimator: Estimator, baseline: float) -> None:
    gradient = maml_gradient(mdp, estimator, baseline)
    assert distance(gradient, exact_maml_gradient(mdp)) < 1e-8


@every_mdp
def test_log_likelihood_with_credit_is_unbiased_for_emaml(mdp: MDP) -> None:
    gradient = emaml_gradient(mdp, "log-likelihood", credit=True)
    assert distance(gradient, exact_emaml_gradient(mdp)) < 1e-8


@every_mdp
def test_exact_gradients_are_finite_differences(mdp: MDP) -> None:
    def maml(logits: Tensor) -> Tensor:
        theta = logits.clone().requires_grad_()
        (ascent,) = torch.autograd.grad(mdp.expected_return(theta), theta)
        return mdp.expected_return(logits + LR * ascent)

    def emaml(logits: Tensor) -> Tensor:
        steps = one_each(mdp, "log-likelihood")
        after = adapted(mdp, logits, steps, "log-likelihood").detach()
        return mdp.probabilities(logits) @ mdp.expected_return(after)

    pairs = [(maml, exact_maml_gradient(mdp)), (emaml, exact_emaml_gradient(mdp))]
    for objective, exact in pairs:
        for place in torch.eye(4, dtype=torch.float64).reshape(4, 2, 2):
            step = 1e-5 * place
            slope = (objective(mdp.logits + step) - objective(mdp.logits - step)) / 2e-5
            assert float(slope) == pytest.approx(float((exact * place).sum()), abs=1e-8)


# the figures in the estimators' docstrings: fixed length, with early ends, one step
BIAS_FOR_MAML = {
    "first-order": (0.195, 0.081, 0.098),
    "log-likelihood": (0.476, 0.358, 0.216),
    "lvc": (0.028, 0.097, 0.0),
}
BIAS_FOR_EMAML = {
    "first-order": (0.251, 0.262, 0.109),
    "lvc": (0.349, 0.281, 0.185),
    "dice": (0.253, 0.152, 0.185),
    "loaded-dice": (0.253, 0.152, 0.185),
}
BIAS_WITHOUT_CREDIT = {
    "first-order": (0.191, 0.036, 0.125),
    "log-likelihood": (0.425, 0.273, 0.229),
    "lvc": (0.078, 0.082, 0.044),
    "dice": (0.173, 0.124, 0.044),
    "loaded-dice": (0.173, 0.124, 0.044),
}


@pytest.mark.parametrize("estimator", BIAS_FOR_MAML)
def test_bias_for_maml(estimator: Estimator) -> None:
    for mdp, bias in zip(MDPS.values(), BIAS_FOR_MAML[estimator], strict=True):
        off = distance(maml_gradient(mdp, estimator), exact_maml_gradient(mdp))
        assert off == pytest.approx(bias, abs=5e-4)


@pytest.mark.parametrize("credit", [True, False])
@pytest.mark.parametrize("estimator", INNER_LOSSES)
def test_bias_for_emaml(estimator: Estimator, credit: bool) -> None:
    biases = (BIAS_FOR_EMAML if credit else BIAS_WITHOUT_CREDIT).get(estimator, (0.0,) * 3)
    for mdp, bias in zip(MDPS.values(), biases, strict=True):
        gradient = emaml_gradient(mdp, estimator, credit=credit)
        assert distance(gradient, exact_emaml_gradient(mdp)) == pytest.approx(bias, abs=5e-4)


@pytest.mark.parametrize("mdp", [FIXED, ENDING], ids=["fixed", "ending"])
def test_spread_of_one_trajectory(mdp: MDP) -> None:
    """First order does not depend on the sample; without a baseline both DiCE are the same sum."""
    assert maml_spread(mdp, "first-order", 0.0) == pytest.approx(0.0, abs=1e-12)
    loaded, dice = (maml_spread(mdp, e, 0.0) for e in ("loaded-dice", "dice"))
    assert loaded == pytest.approx(dice, abs=1e-12)
    assert maml_spread(mdp, "loaded-dice", 1.0) < dice
    assert maml_spread(mdp, "lvc", 0.0) < dice
    plain, credited = (emaml_spread(mdp, "log-likelihood", credit=c) for c in (False, True))
    assert plain < credited
