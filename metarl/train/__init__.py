"""Training runs: trainer, metrics, checkpoints, device and signals."""

from metarl.train.checkpoint import (
    CheckpointError,
    list_checkpoints,
    load_checkpoint,
    load_newest,
    save_checkpoint,
)
from metarl.train.runtime import DeviceName, keep_freed_memory, resolve_device
from metarl.train.trainer import Ending, Films, Learner, Progress, Schedule, Trainer
from metarl.train.writer import MetricsWriter, write_embedding

__all__ = [
    "CheckpointError",
    "DeviceName",
    "Ending",
    "Films",
    "Learner",
    "MetricsWriter",
    "Progress",
    "Schedule",
    "Trainer",
    "keep_freed_memory",
    "list_checkpoints",
    "load_checkpoint",
    "load_newest",
    "resolve_device",
    "save_checkpoint",
    "write_embedding",
]
