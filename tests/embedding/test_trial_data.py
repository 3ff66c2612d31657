"""What the encoder of tasks is trained on: trajectories of trials whose tasks differ."""

import numpy as np
import pytest
import torch

from metarl.embedding import HardNegatives, TrialData, Trials
from metarl.embedding.trial_data import ordered_times

NUM_TRIALS, NUM_TRAJECTORIES, HORIZON = 12, 3, 5


def make_data() -> TrialData:
    """Trial i has task i // 2; its transitions are (i, trajectory, time)."""
    shape = (NUM_TRIALS, NUM_TRAJECTORIES, HORIZON)
    transitions = np.stack(np.indices(shape), -1).astype(np.float32)
    tasks = (np.arange(NUM_TRIALS) // 2)[:, None].astype(np.float32)
    lengths = np.full(shape[:2], 4)
    told = np.zeros((*shape[:2], 1), np.float32)
    trials = Trials(np.zeros(shape[:2]), lengths, transitions, tasks, told)
    return TrialData(trials, torch.device("cpu"))


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("num_transitions", [None, 7])
def test_two_trajectories_of_trials_with_different_tasks(num_transitions: int | None) -> None:
    one, other = make_data().draw(5, seeded(), num_transitions)
    rows = one.transitions[:, 0, 0]
    assert len(rows) == 5
    assert len((rows // 2).unique()) == 5
    length = HORIZON if num_transitions is None else num_transitions
    assert one.transitions.shape == (5, length, 3)
    assert one.lengths.tolist() == [4 if num_transitions is None else 7] * 5
    assert torch.equal(rows, other.transitions[:, 0, 0])  # of the same trials
    assert (one.transitions[:, 0, 1] != other.transitions[:, 0, 1]).all()
    assert (one.transitions[..., :4, 2] < 4).all()  # nothing after the end


def test_no_more_trials_than_there_are_tasks() -> None:
    assert len(make_data().draw(100, seeded())[0].lengths) == NUM_TRIALS // 2


def test_first_trajectories_come_in_the_order_of_the_trials() -> None:
    firsts = make_data().firsts(3, seeded())
    assert torch.equal(firsts.transitions[:, 0, 0], torch.arange(float(NUM_TRIALS)))
    assert (firsts.transitions[..., 1] == 0).all()


def test_hard_negatives_are_an_anchor_and_its_nearest() -> None:
    """Prototypes on a line in two heaps: each group stays in the heap of its anchor."""
    prototypes = torch.tensor([0.0, 1.0, 2.5, 100.0, 101.0, 102.5])[:, None]
    negatives = HardNegatives(prototypes, group=3)
    assert negatives.drawn(torch.tensor([4, 0, 1, 2, 3, 5]), 3).sort().values.tolist() == [3, 4, 5]
    both = negatives.drawn(torch.tensor([4, 0, 1, 2, 3, 5]), 6)
    assert both.sort().values.tolist() == [0, 1, 2, 3, 4, 5]
    # groups that overlap count once, and rows that are not offered stay out
    assert negatives.drawn(torch.tensor([4, 3, 0]), 6).sort().values.tolist() == [0, 3, 4]


def test_groups_of_one_are_drawn_by_themselves() -> None:
    rows = torch.tensor([5, 2, 0, 3])
    negatives = HardNegatives(torch.randn(6, 2, generator=seeded()), group=1)
    assert negatives.drawn(rows, 2).tolist() in ([5, 2], [2, 5])


def test_ordered_times_are_those_of_the_trajectory() -> None:
    times = ordered_times(torch.tensor([3, 6]), 50, seeded())
    assert times.shape == (2, 50)
    assert (times.diff(dim=1) >= 0).all()
    assert times[0].unique().tolist() == [0, 1, 2]
    assert times[1].unique().tolist() == [0, 1, 2, 3, 4, 5]
