"""Supervised few-shot learning: data sets, episodes, learners."""

from metarl.fewshot.episodes import Episodes, EpisodeSampler
from metarl.fewshot.source import ArraySource, ClassGroups, Dataset, Source, Split

__all__ = [
    "ArraySource",
    "ClassGroups",
    "Dataset",
    "EpisodeSampler",
    "Episodes",
    "Source",
    "Split",
]
