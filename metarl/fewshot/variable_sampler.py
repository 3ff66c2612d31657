"""Episodes of variable way and shot, and of several sources, as Meta-Dataset draws them.

Triantafillou et al. 2020, section 3.2. :func:`draw_plan` decides what an episode consists of, from
the numbers of images alone; :class:`VariableSampler` then draws that many images and fetches them.
:class:`MultiSourceSampler` draws the source first.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from metarl.fewshot.episodes import Episodes, EpisodeSampler
from metarl.fewshot.samplers import check_counts, draw_distinct
from metarl.fewshot.sources import ClassGroups, Source

MIN_WAYS, MAX_WAYS = 5, 50
"""Fewest and most classes of an episode; these constants are those of section 3.2."""
MAX_QUERIES = 10
"""Most query images a class."""
MAX_SUPPORT = 500
"""Most support images of an episode."""
MAX_SUPPORT_PER_CLASS = 100
"""Most that a class adds to the size of the support set; it may get more of that set."""
LOG_WEIGHTS = (math.log(0.5), math.log(2.0))
"""Bounds of the logarithms α of the class weights."""


class EpisodePlan(NamedTuple):
    """What an episode consists of, before any image is chosen."""

    classes: Tensor
    """``[N]`` int64, all different; in order of label."""
    shots: Tensor
    """Support images of each class, K_c: ``[N]`` int64."""
    num_queries: int
    """Query images of every class, q."""


def draw_plan(
    counts: Tensor, groups: ClassGroups | None, generator: torch.Generator
) -> EpisodePlan:
    """Draw classes C, then queries, support size and shots by the functions below.

    One β ~ U(0, 1] an episode and one α_c ~ U[log ½, log 2) a class.

    Args:
        counts: |Im(c)|, images of every class of the source, ``[C]`` int64, each at least 2.
        groups: structure of the classes, see :func:`draw_classes`.
        generator: of the CPU.

    >>> counts = torch.full((60,), 20)
    >>> plan = draw_plan(counts, None, torch.Generator().manual_seed(0))
    >>> plan.num_queries, len(plan.classes) == len(plan.shots)
    (10, True)
    """
    classes = draw_classes(len(counts), groups, generator)
    images = counts[classes]
    random = torch.rand(1 + len(classes), generator=generator, dtype=torch.float64)
    beta = 1.0 - float(random[0])
    least, greatest = LOG_WEIGHTS
    alpha = least + random[1:] * (greatest - least)
    queries = num_queries(images)
    size = support_size(images, queries, beta)
    return EpisodePlan(classes, shots_per_class(images, queries, size, alpha), queries)


def draw_classes(
    num_classes: int, groups: ClassGroups | None, generator: torch.Generator
) -> Tensor:
    """Draw the classes of an episode, all different and in random order.

    Without groups, N ~ U{min_ways .. min(max_ways, C)} of all C classes. ``bilevel``: the same
    within one group, every group being equally likely. ``graph``: one node, every node being
    equally likely, with all its leaves, or ``max_ways`` of them if there are more. No group may be
    smaller than ``min_ways``.

    Returns:
        ``[N]`` int64.
    """
    if groups is None:
        ways = _draw_ways(num_classes, generator)
        return torch.randperm(num_classes, generator=generator)[:ways]
    members = groups.members[_below(len(groups.members), generator)]
    if groups.rule == "bilevel":
        ways = _draw_ways(len(members), generator)
    else:
        ways = min(len(members), MAX_WAYS)
    return torch.tensor(members)[torch.randperm(len(members), generator=generator)[:ways]]


def num_queries(images: Tensor) -> int:
    """Queries a class: q = min{max_queries, min_c ⌊0.5·|Im(c)|⌋}.

    >>> num_queries(torch.tensor([30, 15]))
    7
    """
    return min(MAX_QUERIES, int(images.min()) // 2)


def support_size(images: Tensor, queries: int, beta: float) -> int:
    """|S| = min{max_support, Σ_c ⌈β·min{max_support_per_class, |Im(c)| − q}⌉}.

    >>> support_size(torch.tensor([30, 15]), 7, 0.5)  # ⌈11.5⌉ + ⌈4⌉
    16
    """
    contributions = (images - queries).clamp(max=MAX_SUPPORT_PER_CLASS)
    return min(MAX_SUPPORT, int((beta * contributions.double()).ceil().sum()))


def shots_per_class(images: Tensor, queries: int, size: int, alpha: Tensor) -> Tensor:
    """K_c = min{⌊R_c·(|S| − N)⌋ + 1, |Im(c)| − q}, R_c = e^α_c |Im(c)| / Σ_c' e^α_c' |Im(c')|.

    The shots add up to at most |S|: rounding down and the cap lose some.

    >>> shots_per_class(torch.tensor([30, 15]), 7, 16, torch.zeros(2))  # ⌊28/3⌋ + 1, ⌊14/3⌋ + 1
    tensor([10,  5])
    """
    weights = alpha.exp() * images
    proportions = weights / weights.sum()
    wanted = (proportions * (size - len(images))).long() + 1
    return torch.minimum(wanted, images - queries)


def _draw_ways(num_classes: int, generator: torch.Generator) -> int:
    most = min(MAX_WAYS, num_classes)
    return MIN_WAYS + _below(most - MIN_WAYS + 1, generator)


def _below(number: int, generator: torch.Generator) -> int:
    return int(torch.randint(number, (1,), generator=generator))


class VariableSampler:
    """Draws episodes of variable way and shot from one source; each is a batch of its own.

    Support and query come class by class, label 0 first; labels are random.

    Args:
        source: where the examples are; its groups say how classes are drawn. Groups of fewer than
            ``min_ways`` classes are not.
    """

    def __init__(self, source: Source) -> None:
        check_counts(source, MIN_WAYS, 2, "1 shot + 1 query", ways_name="min_ways")
        self.source = source
        self.groups = _eligible_groups(source)

    def sample(
        self, num_episodes: int, generator: torch.Generator, part: range | None = None
    ) -> list[Episodes]:
        """Draw episodes, one a batch; see :class:`EpisodeSampler`."""
        part = range(num_episodes) if part is None else part
        episodes = []
        for number in range(num_episodes):
            plan = draw_plan(self.source.counts, self.groups, generator)
            drawn = _draw_images(self.source, plan, generator)
            if number in part:
                episodes.append(_fetch(self.source, plan, drawn)._replace(first=number))
        return episodes


class MultiSourceSampler:
    """Draws the source of every episode anew, all being equally likely.

    Args:
        samplers: one a source.
    """

    def __init__(self, samplers: Sequence[EpisodeSampler]) -> None:
        if not samplers:
            raise ValueError("samplers must be at least one, got none")
        self.samplers = tuple(samplers)

    def sample(
        self, num_episodes: int, generator: torch.Generator, part: range | None = None
    ) -> list[Episodes]:
        """Draw episodes, one a batch; see :class:`EpisodeSampler`."""
        part = range(num_episodes) if part is None else part
        episodes: list[Episodes] = []
        for number in range(num_episodes):
            sampler = self.samplers[_below(len(self.samplers), generator)]
            found = sampler.sample(1, generator, range(int(number in part)))
            episodes += [each._replace(first=number) for each in found]
        return episodes


def _draw_images(source: Source, plan: EpisodePlan, generator: torch.Generator) -> Tensor:
    """Support images of every class, then its queries; what comes after these means nothing."""
    width = int(plan.shots.max()) + plan.num_queries
    return draw_distinct(source.counts[plan.classes], width, generator)


def _fetch(source: Source, plan: EpisodePlan, drawn: Tensor) -> Episodes:
    classes, shots, queries = plan
    place = torch.arange(drawn.shape[1])
    is_support = place < shots[:, None]
    is_query = ~is_support & (place < shots[:, None] + queries)
    labels = torch.arange(len(classes))
    support_y, query_y = labels.repeat_interleave(shots), labels.repeat_interleave(queries)
    x = source.take(
        classes[torch.cat([support_y, query_y])],
        torch.cat([drawn[is_support], drawn[is_query]]),
    )
    num_support = len(support_y)
    return Episodes(
        x[None, :num_support],
        support_y[None].to(x.device),
        x[None, num_support:],
        query_y[None].to(x.device),
        len(classes),
    )


def _eligible_groups(source: Source) -> ClassGroups | None:
    if source.groups is None:
        return None
    rule, members = source.groups
    eligible = tuple(group for group in members if len(group) >= MIN_WAYS)
    if not eligible:
        raise ValueError(
            f"{source.name}: none of its {len(members)} groups has {MIN_WAYS} classes, "
            f"the least that min_ways allows"
        )
    return ClassGroups(rule, eligible)
