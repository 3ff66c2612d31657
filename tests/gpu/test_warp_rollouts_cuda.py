"""Robots sampled on CUDA: Warp's graph between the policy's and the record's, on one stream."""

from typing import Any

import pytest
import torch
from device_tensors import nothing_waits
from test_device_rollouts_cuda import FAMILIES, assert_same, collect, make_policy, make_sampler

from metarl.rl import PRESETS, DeviceSampler, make_maml
from metarl.rl.device_rollout import DeviceSteps

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA here"),
]
CHEETAH = "metarl/HalfCheetahDir-v0"


@pytest.fixture(scope="module")
def sampler() -> DeviceSampler:
    """Of 5 steps: later ones of two runs may differ, contacts being added up in any order."""
    FAMILIES[CHEETAH] = 5
    return make_sampler(CHEETAH, "cuda", 8, 16)


def test_graphs_do_what_launches_do(sampler: DeviceSampler) -> None:
    policy = make_policy(sampler).to("cuda")
    captured = [collect(sampler, policy, seed) for seed in (1, 2)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("metarl.rl.device_rollout.captured", lambda work, device: work)
        launching = sampler.over(sampler.env, sampler.num_tasks)
        launched = [collect(launching, policy, seed) for seed in (1, 2)]
    for ours, theirs in zip(captured, launched, strict=True):
        assert_same(ours, theirs, tolerance=1e-3)


def test_torch_waits_for_nothing_between_the_first_step_and_the_last(
    sampler: DeviceSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, run = make_policy(sampler).to("cuda"), DeviceSteps.run
    collect(sampler, policy)

    def watched(self: DeviceSteps, params: Any, seeds: torch.Tensor) -> None:
        with nothing_waits():
            run(self, params, seeds)

    monkeypatch.setattr(DeviceSteps, "run", watched)
    assert collect(sampler, policy, 1).num_steps() == 8 * 16 * 5


def test_a_learner_trains(sampler: DeviceSampler) -> None:
    learner = make_maml(
        PRESETS["maml-trpo"].config, make_policy(sampler).to("cuda"), sampler, seed=0
    )
    metrics = [learner.iterate() for _ in range(2)]
    assert [one["meta/skipped"] for one in metrics] == [0.0, 0.0]
    assert metrics[0]["rollout/left_out"] == 0.0
