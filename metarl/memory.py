"""What needs more memory than the machine has is refused before any of it is made."""

import os
import sys
from itertools import pairwise


def check_memory(num_bytes: int, what: str) -> None:
    """Refuse what this machine cannot hold, before any of it is made.

    Args:
        num_bytes: that it needs at least.
        what: needs them.

    Raises:
        ValueError: it has less memory than that.
    """
    if num_bytes > (there := memory_here()):
        raise ValueError(
            f"{what} needs at least {num_bytes / 1e9:,.0f} GB of memory, this machine has "
            f"{there / 1e9:,.0f} GB"
        )


def check_layers(what: str, *widths: int) -> None:
    """:func:`check_memory` of the training of layers of successive widths."""
    numbers = sum(before * after for before, after in pairwise(widths))
    check_memory(12 * numbers, what)  # a weight, its gradient and an adapted copy, float32


def memory_here() -> int:
    """Bytes of memory of this machine; the largest number where the platform does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return sys.maxsize
