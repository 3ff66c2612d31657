"""The encoder's training: schedule, averaged weights, hard negatives, state."""

import copy
from dataclasses import replace

import pytest
import torch
from small_encoders import CONFIG, KINDS, make_encoder, make_trials, seeded
from torch.nn.utils import parameters_to_vector

from metarl.embedding import (
    EncoderTrainer,
    TaskEncoder,
    TransitionEncoder,
)
from metarl.embedding.training import REFRESH


def make_trainer(
    kind: type[TaskEncoder] = TransitionEncoder, *, averaged: bool = True, **changes: int
) -> EncoderTrainer:
    return EncoderTrainer(make_encoder(kind), replace(CONFIG, **changes), averaged=averaged)


def weights(encoder: TaskEncoder) -> torch.Tensor:
    return parameters_to_vector(encoder.parameters()).detach().clone()


def num_steps(trainer: EncoderTrainer) -> int:
    """Optimiser steps so far."""
    return int(next(iter(trainer.optimiser.state.values()))["step"])


def test_the_first_iteration_is_a_warmup_and_the_encoder_comes_to_rest() -> None:
    """3 steps, then 2; the step size halves with the half-life of 20 iterations."""
    trainer = make_trainer()
    steps, rates = [], []
    for iteration in (1, 21, 41):
        trainer.train(make_trials(), iteration, seeded(iteration))
        steps.append(num_steps(trainer))
        rates.append(trainer.optimiser.param_groups[0]["lr"])
    assert steps == [3, 5, 7]
    assert rates == pytest.approx([0.01, 0.005, 0.0025])


def test_prototypes_are_made_by_an_average_of_what_is_trained() -> None:
    """After one step of weight 1 - 0.75, a quarter of the way; one set of statistics."""
    trainer = make_trainer(encoder_warmup=1)
    start = weights(trainer.encoder)
    trainer.train(make_trials(), 1, seeded(1))
    trained = weights(trainer.trained)
    assert not torch.equal(trained, start)
    torch.testing.assert_close(weights(trainer.encoder), 0.75 * start + 0.25 * trained)
    assert trainer.encoder.inputs is trainer.trained.inputs


def test_without_an_average_they_are_made_by_what_is_trained() -> None:
    trainer = make_trainer(averaged=False)
    trainer.train(make_trials(), 1, seeded(1))
    assert trainer.encoder is trainer.trained


@pytest.mark.parametrize("kind", KINDS)
def test_training_goes_on_bit_for_bit_from_its_state(kind: type[TaskEncoder]) -> None:
    whole, again = make_trainer(kind), make_trainer(kind)
    whole.train(make_trials(), 1, seeded(1))
    again.load_state_dict(copy.deepcopy(whole.state_dict()))
    expected = whole.train(make_trials(), 2, seeded(2))
    assert again.train(make_trials(), 2, seeded(2)) == expected
    assert torch.equal(weights(again.encoder), weights(whole.encoder))


def test_a_single_task_teaches_nothing() -> None:
    trainer = make_trainer()
    before = weights(trainer.trained)
    assert trainer.train(make_trials(num_tasks=1), 1, seeded(1)) == {}
    assert torch.equal(weights(trainer.trained), before)


def test_hard_negatives_are_looked_for_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the weights as they are by then."""
    seen = []

    def remember(encoder: TaskEncoder, trajectories: object) -> torch.Tensor:
        seen.append(weights(encoder))
        return torch.randn(12, 3, generator=seeded(len(seen)))

    monkeypatch.setattr("metarl.embedding.training.whole_prototypes", remember)
    make_trainer(encoder_warmup=2 * REFRESH + 1).train(make_trials(), 1, seeded(1))
    assert len(seen) == 3
    assert not torch.equal(seen[0], seen[1])


def test_it_learns_to_tell_tasks_apart() -> None:
    trainer = make_trainer(encoder_warmup=300)
    losses = [
        trainer.train(make_trials(), iteration, seeded(iteration))["adapt/embedding_loss"]
        for iteration in (1, 2)
    ]
    assert losses[1] < 0.5 * losses[0]
