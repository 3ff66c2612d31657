"""The bridge to stable-baselines3. The only part that imports it, and only when a name is used.

What there is stands in ``__init__.pyi``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
