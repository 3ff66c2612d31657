"""Meta-batches that a GPU's memory does not hold; here it runs out where the test says so."""

import re
from typing import Any

import pytest
import torch
from rl_samples import make_learner
from test_device_rollouts import make_learner as on_device

from metarl.rl import MAMLLearner
from metarl.rl.device_memory import ChunkMemory, DeviceMemoryError, chunk_size


@pytest.mark.parametrize(
    ("num_tasks", "free", "size"),
    [(10, 20.0, 10), (10, 19.0, 5), (10, 9.0, 3), (10, 5.0, 2), (10, 0.0, 1), (1, 0.0, 1)],
)
def test_chunks_halve_until_half_of_the_memory_holds_one(
    num_tasks: int, free: float, size: int
) -> None:
    assert chunk_size(num_tasks, 1.0, free) == size


def test_what_a_task_takes_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peak of 1,200 bytes for the tasks tried; with 1,000 free one task is differentiated."""
    learner, seen = make_learner(), []
    experience = learner.collect()
    monkeypatch.setattr("metarl.rl.device_memory._free_bytes", lambda device: 1000)
    monkeypatch.setattr("metarl.rl.device_memory._peak_bytes", lambda work, device: work() or 1200)
    memory = ChunkMemory()
    sizes = [memory.chunk(experience, seen.append) for _ in range(2)]
    assert sizes == [1, 1]
    assert [len(part.query.weights) for part in seen] == [3]


def run_out(monkeypatch: pytest.MonkeyPatch, method: str, most: int) -> None:
    """Of memory, beyond so many tasks."""
    original = getattr(MAMLLearner, method)

    def limited(self: MAMLLearner, *given: Any) -> Any:
        if self.sampler.num_tasks > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(self, *given)

    monkeypatch.setattr(MAMLLearner, method, limited)


@pytest.mark.parametrize("method", ["collect", "update"])
def test_the_largest_meta_batch_that_fits_is_named(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = on_device("maml-trpo")
    before = {name: value.clone() for name, value in learner.policy.state_dict().items()}
    run_out(monkeypatch, method, most=1)
    line = (
        "the meta-batch of 3 tasks x 4 trajectories of 60 steps on cpu does not fit its memory; "
        "by halving, the largest that does has 1: --meta-batch-size 1"
    )
    with pytest.raises(DeviceMemoryError, match=re.escape(line)):
        learner.iterate()
    assert learner.sampler.num_tasks == 3
    assert learner.iteration == (method == "update")
    for name, value in learner.policy.state_dict().items():
        assert torch.equal(value, before[name])


def test_where_nothing_can_be_tried_the_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    run_out(monkeypatch, "update", most=0)
    with pytest.raises(DeviceMemoryError, match="take a smaller one: --meta-batch-size N"):
        make_learner().iterate()
