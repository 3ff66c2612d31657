from .addresses import local_folder, own_copy
from .pushing import push_run

__all__ = ["local_folder", "own_copy", "push_run"]
