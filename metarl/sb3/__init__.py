"""The bridge to stable-baselines3. The only part that imports it."""

from metarl.sb3.policies import from_sb3, to_sb3
from metarl.sb3.vec_env import TaskVecEnv

__all__ = ["TaskVecEnv", "from_sb3", "to_sb3"]
