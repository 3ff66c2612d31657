from .processes import first_to_say, is_first, join, leave, once
from .runtime import (
    DeviceName,
    FolderInUseError,
    keep_freed_memory,
    resolve_device,
)
from .schedule import Ending, Schedule
from .tensorboard import Films, TensorBoardWriter, write_embedding
from .trainer import (
    Learner,
    Progress,
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
    "first_to_say",
    "is_first",
    "join",
    "keep_freed_memory",
    "leave",
    "once",
    "resolve_device",
    "write_embedding",
]
