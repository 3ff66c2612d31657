from .configs import head_of
from .features import FeatureEpisodes
from .rules import class_scores

__all__ = ["FeatureEpisodes", "class_scores", "head_of"]
