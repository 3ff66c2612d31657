"""What random changes do to images, read off images that hold their own coordinates."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from metarl.fewshot.augment import augment, random_affine, random_crop, random_flip

NOTHING = {"degrees": 0.0, "translate": 0.0, "scale": (1.0, 1.0), "shear": 0.0}
HEIGHT, WIDTH = 20, 30


def seeded(*seeds: int) -> list[torch.Generator]:
    """One generator of seed 0, or one a seed."""
    return [torch.Generator().manual_seed(seed) for seed in seeds or (0,)]


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=seeded(1)[0])


def coordinates(count: int) -> Tensor:
    """Every pixel holds its own x and y about the centre, and a 1: ``[count, 3, H, W]``."""
    x = torch.arange(WIDTH, dtype=torch.float64) - (WIDTH - 1) / 2
    y = torch.arange(HEIGHT, dtype=torch.float64) - (HEIGHT - 1) / 2
    y, x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([x, y, torch.ones_like(x)]).expand(count, 3, HEIGHT, WIDTH)


def affine_maps(count: int = 300, **options: float | tuple[float, float]) -> tuple[Tensor, Tensor]:
    """A ``[B, 2, 2]`` and t ``[B, 2]`` of the maps from output to input positions, in pixels."""
    images = coordinates(count)
    changed = random_affine(images, seeded(), **(NOTHING | options))  # type: ignore[arg-type]  # a mix
    matrices, shifts = [], []
    for image in changed:
        inside = image[2].flatten() > 1 - 1e-9  # untouched by what came in
        places = images[0].flatten(1)[:, inside].T  # x, y, 1
        solution = torch.linalg.lstsq(places, image[:2].flatten(1)[:, inside].T).solution
        torch.testing.assert_close(places @ solution, image[:2].flatten(1)[:, inside].T)
        matrices.append(solution[:2].T)
        shifts.append(solution[2])
    return torch.stack(matrices), torch.stack(shifts)


def assert_fills(values: Tensor, low: float, high: float) -> None:
    """All within, and 300 draws come near both ends and the middle."""
    assert low - 1e-9 <= values.min() < low + 0.05 * (high - low)
    assert high + 1e-9 >= values.max() > high - 0.05 * (high - low)
    assert values.mean().item() == pytest.approx((low + high) / 2, abs=0.1 * (high - low))


def assert_identity(matrices: Tensor) -> None:
    torch.testing.assert_close(matrices, torch.eye(2, dtype=torch.float64).expand_as(matrices))


def test_no_change() -> None:
    images = noise(3, 2, 9, 14)
    changed = random_affine(images, seeded(), **NOTHING)  # type: ignore[arg-type]  # a mix
    torch.testing.assert_close(changed, images)


def test_translation() -> None:
    matrices, shifts = affine_maps(translate=0.2)
    assert_identity(matrices)
    assert_fills(shifts[:, 0], -0.2 * WIDTH, 0.2 * WIDTH)
    assert_fills(shifts[:, 1], -0.2 * HEIGHT, 0.2 * HEIGHT)


def test_scale() -> None:
    """An image twice as large shows half of the positions."""
    matrices, shifts = affine_maps(scale=(0.5, 2.0))
    sizes = 1 / matrices[:, 0, 0]
    assert_fills(sizes, 0.5, 2.0)
    assert_identity(matrices * sizes[:, None, None])
    torch.testing.assert_close(shifts, torch.zeros_like(shifts))


def test_rotation() -> None:
    """Rigid in pixels, although the image is not square."""
    matrices, _ = affine_maps(degrees=30.0)
    assert_identity(matrices @ matrices.mT)
    angles = torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0])
    assert_fills(angles.rad2deg(), -30, 30)


def test_shear() -> None:
    matrices, _ = affine_maps(shear=20.0)
    assert_fills(matrices[:, 0, 1].atan().rad2deg(), -20, 20)
    matrices[:, 0, 1] = 0
    assert_identity(matrices)


def test_all_at_once() -> None:
    """Areas are those of the scale alone; A's columns are turned by the same angle."""
    matrices, shifts = affine_maps(degrees=20.0, shear=10.0, scale=(0.8, 1.25), translate=0.1)
    sizes = matrices.det() ** -0.5
    assert_fills(sizes, 0.8, 1.25)
    turned = matrices * sizes[:, None, None]
    angles = torch.atan2(turned[:, 1, 0], turned[:, 0, 0])
    assert_fills(angles.rad2deg(), -20, 20)
    assert_fills(shifts[:, 0], -0.1 * WIDTH, 0.1 * WIDTH)
    back = torch.stack([angles.cos(), angles.sin()], 1)  # R(-φ) A = S(ψ)
    assert_fills((turned[:, :, 1] * back).sum(1).atan().rad2deg(), -10, 10)


def test_what_comes_in_is_black() -> None:
    changed = random_affine(torch.ones(50, 1, 20, 20), seeded(), translate=0.5)
    assert changed.min() == 0
    assert (changed[:, 0, 10, 10] > 0.5).float().mean() > 0.9


def test_half_of_the_images_are_mirrored() -> None:
    images = noise(400, 2, 3, 5)
    changed = random_flip(images, seeded())
    mirrored = (changed == images.flip(-1)).flatten(1).all(1)
    assert torch.equal(~mirrored, (changed == images).flatten(1).all(1))
    assert mirrored.float().mean().item() == pytest.approx(0.5, abs=3 * 0.5 / math.sqrt(400))


def test_crops_are_windows_of_the_padded_image() -> None:
    images = noise(300, 2, 6, 9)
    changed = random_crop(images, seeded(), padding=2)
    padded = functional.pad(images, (2, 2, 2, 2))
    seen = set()
    for image, border, result in zip(images, padded, changed, strict=True):
        windows = {
            (row, column): border[:, row : row + 6, column : column + 9]
            for row in range(5)
            for column in range(5)
        }
        (place,) = (place for place, window in windows.items() if torch.equal(window, result))
        assert (place == (2, 2)) == torch.equal(image, result)
        seen.add(place)
    assert len(seen) == 25


def test_no_padding_is_no_crop() -> None:
    images = noise(4, 1, 6, 9)
    assert torch.equal(random_crop(images, seeded(), padding=0), images)


@pytest.mark.parametrize("kind", ["affine", "flip-crop"])
def test_changes_come_from_the_generator_alone(kind: str) -> None:
    images = noise(1, 1, 16, 16).expand(2, 5, 1, 16, 16)
    before, global_state = images.clone(), torch.random.get_rng_state()
    first, second, third = (augment(kind, images, seeded(seed)) for seed in (0, 0, 1))  # type: ignore[arg-type]  # mypy sees a str
    assert torch.equal(torch.random.get_rng_state(), global_state)
    assert torch.equal(images, before)
    assert first.shape == images.shape
    assert torch.equal(first, second)
    assert not torch.equal(first, third)
    assert len({tuple(image.flatten().tolist()) for image in first.flatten(0, 1)}) > 4


@pytest.mark.parametrize("kind", ["affine", "flip-crop"])
def test_each_generator_changes_its_share(kind: Any) -> None:
    """Of 3 episodes: as if each were alone."""
    images = noise(3, 4, 2, 16, 16)
    together = augment(kind, images, seeded(5, 6, 7))
    for i in range(3):
        assert torch.equal(together[i], augment(kind, images[i], seeded(5 + i)))


def test_kinds() -> None:
    images = noise(3, 4, 2, 16, 16)
    flat, generators = images.flatten(0, 1), seeded()
    assert augment("none", images, seeded()) is images
    expected = random_crop(random_flip(flat, generators), generators, padding=2)
    assert torch.equal(augment("flip-crop", images, seeded()).flatten(0, 1), expected)
    expected = random_affine(flat, seeded())
    assert torch.equal(augment("affine", images, seeded()).flatten(0, 1), expected)


def test_what_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match=r"must be one of .*'flip-crop'\), got 'flip'"):
        augment("flip", noise(1, 1, 4, 4), seeded())  # type: ignore[arg-type]  # on purpose
    with pytest.raises(
        ValueError, match=r"floats \[B, C, H, W\], got \(2, 1, 4, 4\) of torch.uint8"
    ):
        random_flip(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), seeded())
    with pytest.raises(ValueError, match=r"floats \[B, C, H, W\], got \(4, 4\) of torch.float32"):
        random_affine(noise(4, 4), seeded())
    with pytest.raises(ValueError, match=r"two numbers above 0 in order, got \(1.1, 0.9\)"):
        random_affine(noise(1, 1, 4, 4), seeded(), scale=(1.1, 0.9))
    with pytest.raises(ValueError, match="padding must be at least 0, got -1"):
        random_crop(noise(1, 1, 4, 4), seeded(), padding=-1)
