"""Random numbers of which every row of a batch has its own sequence, by a hash of a counter.

Number i of a row is a hash of the row's seed and i (SplitMix64; Steele, Lea and Flood 2014), so a
batch is drawn at once, on any device, and no row's numbers depend on the others. The arithmetic is
that of ``metarl_envs.rows``, on 64-bit integers with a sign, which tensors have.
"""

import torch
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15 - 2**64
_FACTORS = 0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64
_DIGITS = 23  # of a uniform number: with the half that keeps it from 0 float32 holds it exactly


def mixed(states: Tensor) -> Tensor:
    """A hash of every int64.

    >>> mixed(torch.tensor([0, 1])).tolist()
    [0, 6238072747940578789]
    """
    for shift, factor in zip((30, 27), _FACTORS, strict=True):
        states = (states ^ _shifted(states, shift)) * factor
    return states ^ _shifted(states, 31)


def row_uniforms(seeds: Tensor, first: int, num: int) -> Tensor:
    """Numbers ``first``, ``first + 1``, ... of every row, float32 within (0, 1).

    Args:
        seeds: of the rows, int64 ``[...]``.
        first: number of the first, from 0.
        num: how many of each row.

    Returns:
        ``[num, ...]``.

    >>> seeds = torch.tensor([5, 7])
    >>> torch.equal(row_uniforms(seeds, 2, 1)[0], row_uniforms(seeds, 0, 3)[2])
    True
    """
    counts = torch.arange(first + 1, first + num + 1, device=seeds.device) * GOLDEN
    digits = _shifted(mixed(seeds + counts.reshape(-1, *[1] * seeds.ndim)), 64 - _DIGITS)
    return torch.mul(digits.float() + 0.5, 2.0**-_DIGITS)


def _shifted(states: Tensor, by: int) -> Tensor:
    """To the right, zeros coming in."""
    shifted: Tensor = (states >> by) & (2 ** (64 - by) - 1)
    return shifted
