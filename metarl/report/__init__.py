"""What a run is worth: adaptation curves with intervals, and pictures of them."""

from metarl.report.curves import AdaptationCurve, adaptation_curve
from metarl.report.plots import Paths, draw_adaptation, draw_paths

__all__ = ["AdaptationCurve", "Paths", "adaptation_curve", "draw_adaptation", "draw_paths"]
