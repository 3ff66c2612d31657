"""Random changes of images: every image of a batch its own, drawn on the CPU, made on its device.

The images are floats; the same generators give the same changes on every device. Of several
generators each draws for an equal share of the images, in their order: that of an episode for its.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

Augmentation = Literal["none", "affine", "flip-crop"]
"""Nothing; small affine maps, for characters (:func:`random_affine` with its defaults); or mirror
images and shifts of an eighth, for photographs (:func:`random_flip`, :func:`random_crop`)."""


def augment(kind: Augmentation, images: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Change images ``[..., C, H, W]`` at random.

    Args:
        kind: which changes.
        images: floats.
        generators: of the CPU, one or more.

    >>> augment("affine", torch.rand(2, 5, 1, 28, 28), [torch.Generator().manual_seed(0)]).shape
    torch.Size([2, 5, 1, 28, 28])
    """
    if kind not in get_args(Augmentation):
        raise ValueError(f"augmentation must be one of {get_args(Augmentation)}, got {kind!r}")
    if kind == "none" or images.numel() == 0:
        return images
    flat = images.flatten(0, -4)
    if kind == "affine":
        flat = random_affine(flat, generators)
    else:
        flat = random_flip(flat, generators)
        flat = random_crop(flat, generators, padding=images.shape[-1] // 8)
    return flat.reshape(images.shape)


def random_affine(
    images: Tensor,
    generators: Sequence[torch.Generator],
    *,
    degrees: float = 10.0,
    translate: float = 0.1,
    scale: tuple[float, float] = (0.9, 1.1),
    shear: float = 10.0,
) -> Tensor:
    """Turn, scale, shear and move every image about its centre; what comes in is 0.

    Output position p shows input position A p + t, with A = R(φ) S(ψ) / s, in pixels, bilinearly.

    Args:
        images: ``[B, C, H, W]`` floats.
        generators: of the CPU, one or more.
        degrees: φ ~ U[-degrees, degrees].
        translate: t ~ U[-translate, translate] of the width and of the height.
        scale: s is uniform within.
        shear: ψ ~ U[-shear, shear] in degrees; x moves by y tan ψ.
    """
    _check_images(images)
    if not 0 < scale[0] <= scale[1]:
        raise ValueError(f"scale must be two numbers above 0 in order, got {scale}")
    unit = _drawn(lambda num, own: torch.rand(5, num, generator=own), len(images), generators)
    angle, slant, x, y = (2 * unit[:4] - 1) * torch.tensor(
        [math.radians(degrees), math.radians(shear), 2 * translate, 2 * translate]
    )[:, None]
    size = scale[0] + unit[4] * (scale[1] - scale[0])
    matrix = _turn_and_shear(angle, slant) / size  # [2, 2, B]
    # affine_grid counts from -1 to 1 along both axes, and a matrix for pixels is not one for that
    ratio = images.shape[-2] / images.shape[-1]
    matrix = matrix * torch.tensor([[1.0, ratio], [1 / ratio, 1.0]])[..., None]
    theta = torch.cat([matrix, torch.stack([x, y])[:, None]], 1).permute(2, 0, 1)
    grid = functional.affine_grid(theta.to(images), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def random_flip(images: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Mirror every image ``[B, C, H, W]`` left to right with probability ½."""
    _check_images(images)
    flipped = _drawn(lambda num, own: torch.rand(num, generator=own), len(images), generators) < 0.5
    return torch.where(flipped.to(images.device)[:, None, None, None], images.flip(-1), images)


def random_crop(images: Tensor, generators: Sequence[torch.Generator], *, padding: int) -> Tensor:
    """Move every image ``[B, C, H, W]`` by up to ``padding`` whole pixels; what comes in is 0."""
    _check_images(images)
    if padding < 0:
        raise ValueError(f"padding must be at least 0, got {padding}")
    count, _, height, width = images.shape
    first = _drawn(
        lambda num, own: torch.randint(2 * padding + 1, (2, num), generator=own), count, generators
    )[..., None]
    rows, columns = (
        (start + torch.arange(side)).to(images.device)
        for start, side in zip(first, (height, width), strict=True)
    )
    padded = functional.pad(images, [padding] * 4)
    chosen = torch.arange(count, device=images.device)[:, None, None]
    # advanced indices with a slice between them come first: [B, H, W, C]
    return padded[chosen, :, rows[:, :, None], columns[:, None]].permute(0, 3, 1, 2).contiguous()


def _drawn(
    draw: Callable[[int, torch.Generator], Tensor],
    num_images: int,
    generators: Sequence[torch.Generator],
) -> Tensor:
    """What each generator draws for its share of the images, joined along the last axis."""
    share = num_images // len(generators)
    return torch.cat([draw(share, generator) for generator in generators], -1)


def _turn_and_shear(angle: Tensor, slant: Tensor) -> Tensor:
    """R(φ) S(ψ), ``[2, 2, B]``."""
    cos, sin, tan = angle.cos(), angle.sin(), slant.tan()
    return torch.stack([torch.stack([cos, cos * tan - sin]), torch.stack([sin, sin * tan + cos])])


def _check_images(images: Tensor) -> None:
    if images.ndim != 4 or not images.is_floating_point():
        raise ValueError(
            f"images must be floats [B, C, H, W], got {tuple(images.shape)} of {images.dtype}"
        )
