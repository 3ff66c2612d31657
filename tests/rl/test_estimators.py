"""Meta-gradient estimators on the enumerated MDP of ``experiments/enumerated_mdp.py``."""

import pytest
import torch
from enumerated_mdp import (
    ACTIONS,
    LOGITS,
    LR,
    STATES,
    adapted,
    all_at_once,
    distance,
    emaml_gradient,
    emaml_spread,
    exact_emaml_gradient,
    exact_maml_gradient,
    expected_return,
    maml_gradient,
    maml_spread,
    one_each,
    probabilities,
)

from metarl.rl.estimators import INNER_LOSSES


def test_the_enumeration_is_complete():
    assert probabilities(LOGITS).sum().item() == pytest.approx(1.0, abs=1e-12)
    assert len(torch.unique(torch.cat([STATES, ACTIONS], 1), dim=0)) == 16


@pytest.mark.parametrize("estimator", INNER_LOSSES)
def test_every_inner_step_follows_the_policy_gradient(estimator):
    theta = LOGITS.clone().requires_grad_()
    (ascent,) = torch.autograd.grad(expected_return(theta), theta)
    for baseline in (0.0, 1.0):
        after = adapted(LOGITS, all_at_once(estimator, baseline), estimator)[0]
        torch.testing.assert_close(after, LOGITS + LR * ascent, rtol=0, atol=1e-12)


@pytest.mark.parametrize("estimator", ["dice", "loaded-dice"])
@pytest.mark.parametrize("baseline", [0.0, 1.0])
def test_unbiased_for_maml(estimator, baseline):
    assert distance(maml_gradient(estimator, baseline), exact_maml_gradient()) < 1e-8


def test_log_likelihood_with_credit_is_unbiased_for_emaml():
    gradient = emaml_gradient("log-likelihood", credit=True)
    assert distance(gradient, exact_emaml_gradient()) < 1e-8


def test_exact_gradients_are_finite_differences():
    def maml(logits):
        theta = logits.clone().requires_grad_()
        (ascent,) = torch.autograd.grad(expected_return(theta), theta)
        return expected_return(logits + LR * ascent)

    def emaml(logits):
        after = adapted(logits, one_each("log-likelihood"), "log-likelihood").detach()
        outcomes = torch.stack([expected_return(one) for one in after])
        return (probabilities(logits) * outcomes).sum()

    for objective, exact in [(maml, exact_maml_gradient()), (emaml, exact_emaml_gradient())]:
        for place in torch.eye(4, dtype=torch.float64).reshape(4, 2, 2):
            step = 1e-5 * place
            slope = (objective(LOGITS + step) - objective(LOGITS - step)) / 2e-5
            assert float(slope) == pytest.approx(float((exact * place).sum()), abs=1e-8)


# the figures in the estimators' docstrings
BIAS_FOR_MAML = {"first-order": 0.195, "log-likelihood": 0.476, "lvc": 0.028}
BIAS_FOR_EMAML = {"first-order": 0.251, "lvc": 0.349, "dice": 0.253, "loaded-dice": 0.253}


@pytest.mark.parametrize(("estimator", "bias"), BIAS_FOR_MAML.items())
def test_bias_for_maml(estimator, bias):
    distance_to = distance(maml_gradient(estimator), exact_maml_gradient())
    assert distance_to == pytest.approx(bias, abs=5e-4)


@pytest.mark.parametrize(("estimator", "bias"), BIAS_FOR_EMAML.items())
def test_bias_for_emaml(estimator, bias):
    gradient = emaml_gradient(estimator, credit=True)
    assert distance(gradient, exact_emaml_gradient()) == pytest.approx(bias, abs=5e-4)


def test_bias_for_emaml_without_the_credit():
    gradient = emaml_gradient("log-likelihood", credit=False)
    assert distance(gradient, exact_emaml_gradient()) == pytest.approx(0.425, abs=5e-4)


def test_spread_of_one_trajectory():
    """First order does not depend on the sample; without a baseline both DiCE are the same sum."""
    assert maml_spread("first-order", 0.0) == pytest.approx(0.0, abs=1e-12)
    assert maml_spread("loaded-dice", 0.0) == pytest.approx(maml_spread("dice", 0.0), abs=1e-12)
    assert maml_spread("loaded-dice", 1.0) < maml_spread("dice", 0.0)
    assert maml_spread("lvc", 0.0) < maml_spread("dice", 0.0)
    plain, credited = (emaml_spread("log-likelihood", credit=credit) for credit in (False, True))
    assert plain < credited
