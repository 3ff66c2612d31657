"""The ProtoNet side of reinforcement learning: embeddings of tasks from what a trial showed."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
