from .episodes import Episodes, EpisodeSampler
from .saved import Classifier, load_classifier
from .source import ArraySource, ClassGroups, Dataset, Source, Split

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
