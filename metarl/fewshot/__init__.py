"""Supervised few-shot learning: data sets, episodes, learners."""

from metarl.fewshot.classifier import Classifier, load_classifier
from metarl.fewshot.episodes import Episodes, EpisodeSampler
from metarl.fewshot.sources import ArraySource, ClassGroups, Dataset, Source, Split

__all__ = [
    "ArraySource",
    "ClassGroups",
    "Classifier",
    "Dataset",
    "EpisodeSampler",
    "Episodes",
    "Source",
    "Split",
    "load_classifier",
]
