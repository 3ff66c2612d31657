"""Runs on the Hugging Face hub (extra ``hub``): weights and plain data, never code.

A repository holds what a run folder does but for TensorBoard's files: ``config.json``,
``evaluation.json``, ``metrics.csv``, pictures, a model card, and one checkpoint as
``model.safetensors`` and ``state.json``. Fetched, it is a run folder again, bit for bit.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
