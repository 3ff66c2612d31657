"""What the processes of a run decide together, and whether they are still alike."""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from metarl.core.collectives import RanksError, gathered, ranks


class Together(NamedTuple):
    """What holds for all processes."""

    interrupted: bool
    """Whether one was asked to stop."""
    seconds: float
    """Of the session, by the first one's clock."""


def together(interrupted: bool, seconds: float, decisions: object) -> Together:
    """What all processes go by.

    Args:
        interrupted: whether this one was asked to stop.
        seconds: of the session, by its clock.
        decisions: what all must have come to by themselves; plain data.

    Raises:
        RanksError: they have not.
    """
    told = gathered((interrupted, seconds, decisions))
    if any(theirs != decisions for _, _, theirs in told):
        raise _unlike("decisions", [theirs for _, _, theirs in told])
    return Together(any(asked for asked, _, _ in told), told[0][1])


def check_alike(what: str, content: Any) -> None:
    """Raise a :class:`RanksError` unless every process has the same, bit for bit.

    Args:
        what: it is called.
        content: tensors and plain data in dicts and lists.
    """
    if ranks().size == 1:
        return
    digest = hashlib.blake2b(digest_size=8)
    _feed(digest, content)
    if len(set(digests := gathered(digest.hexdigest()))) > 1:
        raise _unlike(what, digests)


def _unlike(what: str, values: list[Any]) -> RanksError:
    return RanksError(
        f"the processes of this run have come to different {what}, so it stops; metarl resume goes "
        f"on from the newest checkpoint, in which they were alike: {values}"
    )


def _feed(digest: "hashlib.blake2b", content: Any) -> None:
    """Take all of some content into a digest."""
    if isinstance(content, torch.Tensor):
        content = content.detach().cpu().contiguous()
        digest.update(content.reshape(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(content, Mapping | list | tuple):
        pairs = content.items() if isinstance(content, Mapping) else enumerate(content)
        for key, value in pairs:
            digest.update(repr(key).encode())
            _feed(digest, value)
    else:
        digest.update(repr(content).encode())
