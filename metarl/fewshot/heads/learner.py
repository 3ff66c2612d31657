"""A trained learner with another head: how evaluations and classifiers come to one."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from metarl.core import Streams
from metarl.fewshot.configs import NormMode
from metarl.fewshot.episodes import Episodes
from metarl.fewshot.episodic_learner import FewShotLearner, Fitted
from metarl.fewshot.heads.configs import HeadConfig
from metarl.fewshot.heads.features import (
    Featured,
    FeatureEpisodes,
    base_mean,
    in_parts,
)
from metarl.fewshot.heads.rules import class_scores
from metarl.fewshot.sources import Source
from metarl.nn import RawInputs


class HeadLearner(FewShotLearner):
    """Classifies by a head on the features of a trained learner, whose own rule it replaces.

    A fitted classifier is the support set: with it, features and the head are computed anew for
    every query set, in the norm that is then asked for.

    Args:
        trained: gives the features.
        head: the rule.
        centres: mean features of the train classes by what normalised them; for heads that want it.

    Raises:
        ValueError: there are no features of a trained network.
    """

    def __init__(
        self,
        trained: FewShotLearner,
        head: HeadConfig,
        centres: Mapping[str, Tensor] = {},
    ) -> None:
        assert isinstance(trained, Featured)
        if isinstance(trained.network, RawInputs):
            raise ValueError("knn of pixels has no backbone whose features a head could take")
        self.trained: Featured = trained
        self.head, self.centres = head, centres
        super().__init__(
            trained.network, trained.samplers, trained.config, iterations=trained.iterations, seed=0
        )

    @property
    def task_chunk(self) -> int:
        """All that are drawn; features come in chunks, and heads like many tasks."""
        return 0

    def losses(self, episodes: Episodes) -> tuple[Tensor, Tensor]:
        """Those that the network was trained by."""
        return self.trained.losses(episodes)

    def fit(
        self, support_x: Tensor, support_y: Tensor, num_ways: int, num_steps: int
    ) -> list[Fitted]:
        """The support set, and the centres."""
        num_tasks = len(support_x)
        ways = torch.full((num_tasks,), num_ways, device=support_x.device)
        centres = {
            f"centre_{norm}": centre.expand(num_tasks, 1, -1)
            for norm, centre in self.centres.items()
        }
        return [{"support_x": support_x, "support_y": support_y, "num_ways": ways, **centres}]

    def scores(self, fitted: Fitted, x: Tensor) -> Tensor:
        """Class scores of queries, by the head."""
        parts = in_parts(self.trained, fitted["support_x"], x, self.trained.task_chunk)
        with self.full_precision():
            episodes = FeatureEpisodes(
                parts[0],
                fitted["support_y"],
                parts[1],
                int(fitted["num_ways"][0]),
                fitted[f"centre_{self.norm}"] if self.head.centred else None,
            )
            return class_scores(self.head, episodes)

    def with_norm(self, norm: NormMode) -> "HeadLearner":
        """The same with other batch statistics."""
        return HeadLearner(self.trained.with_norm(norm), self.head, self.centres)


def with_head(
    trained: FewShotLearner,
    head: HeadConfig,
    sources: Sequence[Source],
    *,
    norms: Sequence[NormMode] = (),
) -> HeadLearner:
    """A trained learner with another head.

    Args:
        trained: in the norm of the evaluation.
        head: the rule.
        sources: train splits, whose mean feature some heads subtract.
        norms: all in which it will be asked for scores; by default that of ``trained``.

    Raises:
        ValueError: there are no features of a trained network.
    """
    learner = HeadLearner(trained, head)
    if not head.centred:
        return learner
    modes = [learner.with_norm(norm) for norm in norms] or [learner]
    centres: dict[str, Tensor] = {
        mode.norm: base_mean(mode.trained, sources, Streams(0, "test").torch("mini-batches"))
        for mode in modes
    }
    return HeadLearner(trained, head, centres)
