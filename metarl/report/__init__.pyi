from .curves import AdaptationCurve, adaptation_curve
from .plots import Paths, draw_adaptation, draw_embedding, draw_lines, draw_paths
from .video import side_by_side, write_mp4

__all__ = [
    "AdaptationCurve",
    "Paths",
    "adaptation_curve",
    "draw_adaptation",
    "draw_embedding",
    "draw_lines",
    "draw_paths",
    "side_by_side",
    "write_mp4",
]
