"""Few-shot updates whose gradient a CUDA graph repeats."""

from typing import Any

import pytest
import torch
from torch import Tensor

from metarl.fewshot import ArraySource
from metarl.fewshot.configs import BackboneConfig
from metarl.fewshot.episodes import EpisodeSamplers
from metarl.fewshot.episodic_learner import FewShotLearner
from metarl.fewshot.from_config import Problem, make_backbone, make_learner
from metarl.fewshot.presets import PRESETS
from metarl.fewshot.samplers import FixedSampler

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA here"),
]
SHAPE, WAYS = (1, 28, 28), 5
CUDA = torch.device("cuda")


def learner(name: str) -> FewShotLearner:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (20 * 20, *SHAPE), generator=generator, dtype=torch.uint8)
    source = ArraySource("noise", images, [20] * 20, [f"class {k}" for k in range(20)])
    sampler = FixedSampler(source, num_ways=WAYS, num_shots=1, num_queries=15)
    return make_learner(
        PRESETS[name].config,
        make_backbone(BackboneConfig(backbone="conv4"), SHAPE, generator, None),
        Problem(SHAPE, WAYS, regression=False, train_source=source),
        EpisodeSamplers(sampler, sampler, 3),
        iterations=10,
        seed=0,
        device=CUDA,
    )


def trained(name: str, monkeypatch: Any, *, repeats: bool) -> tuple[list[float], list[Tensor]]:
    made = learner(name)
    if not repeats:
        monkeypatch.setattr(type(made), "repeats", property(lambda self: False))
    norms = [made.iterate()["meta/gradient_norm"] for _ in range(6)]
    monkeypatch.undo()
    return norms, [value.detach().cpu() for value in made.network.state_dict().values()]


@pytest.mark.parametrize("name", ["maml", "protonet"])
def test_a_graph_trains_as_python_does(name: str, monkeypatch: Any) -> None:
    """Two updates eager, four by the graph; rounding is multiplied by training."""
    ours, theirs = (trained(name, monkeypatch, repeats=repeats) for repeats in (True, False))
    assert ours[0] == pytest.approx(theirs[0], rel=1e-2)
    for value, other in zip(ours[1], theirs[1], strict=True):
        torch.testing.assert_close(value, other, rtol=1e-2, atol=2e-3)
