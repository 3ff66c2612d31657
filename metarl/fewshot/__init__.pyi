from .classifier import Classifier, load_classifier
from .episodes import Episodes, EpisodeSampler
from .sources import ArraySource, ClassGroups, Dataset, Scaling, Source, Split

__all__ = [
    "ArraySource",
    "ClassGroups",
    "Classifier",
    "Dataset",
    "EpisodeSampler",
    "Episodes",
    "Scaling",
    "Source",
    "Split",
    "load_classifier",
]
