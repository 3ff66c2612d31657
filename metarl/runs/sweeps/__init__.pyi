from .doing import open_sweep, run_sweep
from .folder import Sweep
from .grid import parse_seeds, parse_settings
from .rows import Row

__all__ = ["Row", "Sweep", "open_sweep", "parse_seeds", "parse_settings", "run_sweep"]
