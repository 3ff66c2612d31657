"""Task distributions and environments whose tasks are drawn from them.

``import metarl_envs`` registers the families with gymnasium. ``gymnasium.make(id)`` gives the
single environment, ``gymnasium.make_vec(id, num_envs=...)`` the batched one. The ids are the keys
of :data:`FAMILIES`. Models are compiled when a MuJoCo family is made, not before.
"""

import lazy_loader

from metarl_envs import registration as registration  # registers the ids

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
