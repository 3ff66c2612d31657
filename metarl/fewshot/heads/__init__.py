"""Heads: rules that classify queries by the features of a backbone that is already trained."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
