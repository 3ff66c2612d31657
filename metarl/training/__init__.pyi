from .runtime import (
    DeviceName,
    FolderInUseError,
    keep_freed_memory,
    resolve_device,
)
from .tensorboard import Films, TensorBoardWriter, write_embedding
from .trainer import (
    Ending,
    Learner,
    Progress,
    Schedule,
    Trainer,
)
from .writers import CSVWriter, Writer

__all__ = [
    "CSVWriter",
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
    "resolve_device",
    "write_embedding",
]
