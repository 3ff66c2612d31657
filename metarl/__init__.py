"""metarl: meta-reinforcement learning and few-shot adaptation, batch-first over tasks."""

from importlib.metadata import version

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = version("metarl-toolkit")
"""Of the installed distribution, metarl-toolkit."""
