"""Small runs of learners end at the numbers that are written down in ``values.json``.

Who changes results on purpose writes them anew with ``make golden-values``. They are one kind of
processor's; on another there is nothing to hold to.
"""

import json

import pytest
from compare import PROBLEMS, VALUES, digest, processor, values_now

QUICK = [
    "maml-trpo",
    "fewshot-reptile",
    "fewshot-protonet-conv4",
]


def assert_golden(names: list[str]) -> None:
    known = json.loads(VALUES.read_text()).get(processor(), {})
    names = [name for name in names if name in known]
    if not names:
        pytest.skip(f"values.json has none of a processor {processor()}: make golden-values")
    for name, found in values_now(names).items():
        assert found == pytest.approx(known[name], rel=1e-5, abs=1e-6, nan_ok=True), name


def test_every_processor_has_values_of_problems_that_there_are() -> None:
    for values in json.loads(VALUES.read_text()).values():
        assert set(values) <= set(PROBLEMS)


def test_runs_of_every_kind_end_where_they_did() -> None:
    assert_golden(QUICK)


@pytest.mark.learning
def test_all_other_runs_end_where_they_did() -> None:
    assert_golden([name for name in PROBLEMS if name not in QUICK])


def test_a_digest_has_norms_last_metrics_and_means() -> None:
    values = {
        "metrics 2 adapt/gain": 1.0,
        "metrics 10 adapt/gain": 2.5,
        "metrics 10 meta/skipped": 0.0,
        "parameters policy.w": [[3.0], [-4.0]],
        "parameters step": 5.0,
        "parameters model.optimizer.step": 7.0,
        "evaluation mean": [0.5, 0.25],
        "evaluation returns": [[0.1]],
    }
    assert digest(values) == {
        "metrics adapt/gain": 2.5,
        "parameters policy.w": 5.0,
        "parameters step": 5.0,
        "evaluation mean 0": 0.5,
        "evaluation mean 1": 0.25,
    }
