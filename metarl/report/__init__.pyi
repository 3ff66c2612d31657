from .comparison_plots import draw_adaptation_curves, draw_learning_curves, draw_profiles
from .curves import AdaptationCurve, adaptation_curve, crossed_interval
from .family_plots import draw_family
from .plots import Paths, draw_adaptation, draw_embedding, draw_lines, draw_paths
from .video import side_by_side, write_mp4

__all__ = [
    "AdaptationCurve",
    "Paths",
    "adaptation_curve",
    "crossed_interval",
    "draw_adaptation",
    "draw_adaptation_curves",
    "draw_embedding",
    "draw_family",
    "draw_learning_curves",
    "draw_lines",
    "draw_paths",
    "draw_profiles",
    "side_by_side",
    "write_mp4",
]
