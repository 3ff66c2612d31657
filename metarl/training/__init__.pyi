from metarl.training.checkpoint import (
    CheckpointError,
    list_checkpoints,
    load_checkpoint,
    load_newest,
    save_checkpoint,
)
from metarl.training.runtime import DeviceName, keep_freed_memory, resolve_device
from metarl.training.tensorboard import TensorBoardWriter, write_embedding
from metarl.training.trainer import (
    Ending,
    Films,
    FolderInUseError,
    Learner,
    Progress,
    Schedule,
    Trainer,
)
from metarl.training.writers import CSVWriter, Writer

__all__ = [
    "CSVWriter",
    "CheckpointError",
    "DeviceName",
    "Ending",
    "Films",
    "FolderInUseError",
    "Learner",
    "Progress",
    "Schedule",
    "TensorBoardWriter",
    "Trainer",
    "Writer",
    "keep_freed_memory",
    "list_checkpoints",
    "load_checkpoint",
    "load_newest",
    "resolve_device",
    "save_checkpoint",
    "write_embedding",
]
