"""Cuts in three parts by a seed, of classes or of the examples of a class."""

from collections.abc import Hashable, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

FRACTIONS = (0.6, 0.2, 0.2)
"""Share of train, validation and test in a cut by seed."""

LEAST = 2
"""Least of every part: an episode tells two classes apart, and one class gives an example to the
support and another to the query."""


class Partition(NamedTuple, Generic[T_co]):
    """One of something for every split."""

    train: T_co
    validation: T_co
    test: T_co


def seeded_partition(
    items: Sequence[T],
    *,
    seed: int,
    what: str,
    fractions: tuple[float, float, float] = FRACTIONS,
) -> Partition[list[T]]:
    """Cut items in three by a seed; in every part they keep their order.

    Args:
        items: in an order that is the same on every machine, such as sorted names.
        seed: of the cut.
        what: the items are, for messages: ``"photos: classes"``.
        fractions: of train, validation and test; every part gets :data:`LEAST` at least.

    Raises:
        ValueError: there are too few items, or the fractions are not a cut in three.

    >>> seeded_partition("abcdefghij", seed=0, what="letters")
    Partition(train=['c', 'd', 'e', 'f', 'g', 'h'], validation=['a', 'j'], test=['b', 'i'])
    """
    if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(f"fractions must be three above 0 that add up to 1, got {fractions}")
    if len(items) < 3 * LEAST:
        raise ValueError(
            f"{what}: {len(items)} are too few to cut in train, validation and test, "
            f"which takes {3 * LEAST} ({LEAST} each)"
        )
    validation = max(LEAST, round(fractions[1] * len(items)))
    test = max(LEAST, round(fractions[2] * len(items)))
    train = len(items) - validation - test
    if train < LEAST:
        raise ValueError(f"{what}: fractions {fractions} leave {max(train, 0)} for train")
    order = np.random.default_rng(seed).permutation(len(items)).tolist()
    parts = (order[:train], order[train : train + validation], order[train + validation :])
    return Partition(*([items[index] for index in sorted(part)] for part in parts))


def check_disjoint(name: str, classes: Partition[Sequence[Hashable]]) -> None:
    """A class is in one split only.

    Raises:
        ValueError: a class is in two, or a split has none.

    >>> check_disjoint("pets", Partition(["cat"], ["dog"], ["cat"]))
    Traceback (most recent call last):
    ValueError: pets: class cat is in train and in test; a class must be in one split only
    """
    first: dict[Hashable, str] = {}
    for split, members in zip(Partition._fields, classes, strict=True):
        if not members:
            raise ValueError(f"{name}: {split} has no classes")
        for member in members:
            if member in first:
                raise ValueError(
                    f"{name}: class {member} is in {first[member]} and in {split}; "
                    "a class must be in one split only"
                )
            first[member] = split
