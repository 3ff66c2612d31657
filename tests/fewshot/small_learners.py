"""Small images, and learners of every kind that are built for them."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from metarl.fewshot import ArraySource, Episodes
from metarl.fewshot.configs import AdaptedClassifierConfig, BackboneConfig
from metarl.fewshot.episodes import EpisodeSamplers
from metarl.fewshot.episodic_learner import FewShotLearner
from metarl.fewshot.from_config import Problem, make_backbone, make_learner
from metarl.fewshot.presets import PRESETS
from metarl.fewshot.samplers import FixedSampler

WAYS, SHOTS, QUERIES = 3, 2, 4
SHAPE = (1, 16, 16)
CONV4 = BackboneConfig(backbone="conv4", filters=4)
MLP = BackboneConfig(backbone="mlp", hidden_sizes=(8, 6))


def make_source(num_classes: int = 6, num_examples: int = 8, seed: int = 0) -> ArraySource:
    """Classes are patterns of their own, examples are these with noise."""
    generator = torch.Generator().manual_seed(seed)
    patterns = torch.rand(num_classes, 1, *SHAPE, generator=generator)
    noise = torch.rand(num_classes, num_examples, *SHAPE, generator=generator)
    images = (255 * (0.6 * patterns + 0.4 * noise)).byte().flatten(0, 1)
    names = [f"class {index}" for index in range(num_classes)]
    return ArraySource("patterns", images, [num_examples] * num_classes, names)


def small_settings(name: str) -> dict[str, Any]:
    """Few tasks and steps; k-NN on trained features, of neighbours that differ in their weights."""
    if name == "knn":
        return {"features": "trained", "num_neighbours": 5}
    if isinstance(PRESETS[name].config, AdaptedClassifierConfig):
        return {"num_inner_steps": 2, "num_test_steps": 3, "meta_batch_size": 2}
    return {"num_test_steps": 10} if name.startswith("baseline") else {}


def make_small(
    name: str,
    backbone: BackboneConfig = CONV4,
    *,
    seed: int = 0,
    own: nn.Module | None = None,
    **settings: Any,
) -> FewShotLearner:
    """The learner of that name for 3-way 2-shot episodes; see :func:`small_settings`."""
    source = make_source()
    sampler = FixedSampler(source, num_ways=WAYS, num_shots=SHOTS, num_queries=QUERIES)
    return make_learner(
        replace(PRESETS[name].config, **small_settings(name) | settings),
        make_backbone(backbone, SHAPE, torch.Generator().manual_seed(seed), own),
        Problem(SHAPE, WAYS, regression=False, train_source=source),
        EpisodeSamplers(sampler, sampler, 3),
        iterations=10,
        seed=seed,
        device=torch.device("cpu"),
    )


def draw(
    num_tasks: int = 3, *, ways: int = WAYS, seed: int = 5, dtype: torch.dtype = torch.float32
) -> Episodes:
    """Episodes of the patterns, their pixels as numbers in [0, 1]."""
    sampler = FixedSampler(make_source(), num_ways=ways, num_shots=SHOTS, num_queries=QUERIES)
    (episodes,) = sampler.sample(num_tasks, torch.Generator().manual_seed(seed))
    return episodes._replace(
        support_x=episodes.support_x.to(dtype) / 255, query_x=episodes.query_x.to(dtype) / 255
    )


def predicted(learner: FewShotLearner, episodes: Episodes, num_steps: int = 3) -> Tensor:
    """Class probabilities of the queries, ``[M, Q, N]``, after so many steps if any."""
    learner.network.eval()
    with torch.no_grad():
        path = learner.fit(episodes.support_x, episodes.support_y, episodes.num_ways, num_steps)
        return torch.softmax(learner.scores(path[-1], episodes.query_x), -1)
