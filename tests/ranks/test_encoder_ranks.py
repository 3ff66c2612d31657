"""The encoder of tasks is trained on the trials of all processes, each of which has its own."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from forked import on_ranks
from numpy.typing import NDArray
from torch.nn.utils import parameters_to_vector

from metarl.core.collectives import ranks
from metarl.embedding import EncoderTrainer, TaskEncoder, Trials
from metarl.types import Metrics
from tests.embedding.small_encoders import CONFIG, KINDS, make_encoder, make_trials, seeded

Outcome = tuple[NDArray[np.float64], NDArray[np.float64], Metrics]


def trained(kind: type[TaskEncoder], num_steps: int, num_ways: int) -> Outcome:
    """Gradient of the last step, state and figures after steps on this process's trials."""
    config = replace(CONFIG, encoder_warmup=num_steps, num_ways=num_ways)
    trainer = EncoderTrainer(make_encoder(kind).double(), config)
    metrics = trainer.train(own(make_trials()), 1, seeded(1))
    gradients = [value.grad for value in trainer.trained.parameters() if value.grad is not None]
    state = [value.double().flatten() for value in trainer.encoder.state_dict().values()]
    return parameters_to_vector(gradients).numpy(), torch.cat(state).numpy(), metrics


def own(trials: Trials) -> Trials:
    """A part of 12 trials, unlike those of the others; in double precision."""
    doubled = trials._replace(transitions=trials.transitions.astype(np.float64))
    rank, size = ranks()
    ends = [7, 9] if size > 1 else []
    return doubled.rows(np.split(np.arange(12), ends[: size - 1])[rank])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "num_ways"), [(2, 5), (3, 2)])
def test_its_gradient_is_that_of_one_process_with_all_trials(
    kind: type[TaskEncoder], size: int, num_ways: int
) -> None:
    """Also where a step has fewer tasks than there are processes."""
    for num_steps in (1, 4):
        gradient, state, metrics = trained(kind, num_steps, num_ways)
        results = on_ranks(size, trained, kind, num_steps, num_ways)
        for ours in results:
            scale = np.abs(gradient).max()
            np.testing.assert_allclose(ours[0] / scale, gradient / scale, rtol=0, atol=1e-12)
            np.testing.assert_allclose(ours[1], state, rtol=0, atol=1e-7)
            np.testing.assert_array_equal(ours[1], results[0][1])
            assert ours[2] == results[0][2] == pytest.approx(metrics)
