from .processes import first_to_say, is_first, join, leave, once
from .runtime import (
    DeviceName,
    FolderInUseError,
    keep_freed_memory,
    resolve_device,
)
from .schedule import Ending, Schedule
from .tensorboard import (
    Films,
    Pictures,
    Snapshot,
    TensorBoardWriter,
    write_embedding,
    write_final,
)
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
    "Pictures",
    "Progress",
    "Schedule",
    "Snapshot",
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
    "write_final",
]
