"""Task families, imported when an environment is made: a run opens and adapts without them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
