"""Moving pictures: two trajectories side by side, and an MP4 file of them."""

from collections.abc import Sequence
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from metarl.files import replacing
from metarl.types import Video

CAPTION_HEIGHT = 24  # pixels above a picture
BLOCK = 16  # the codec wants widths and heights that are multiples of this


def side_by_side(videos: Sequence[Video], captions: Sequence[str]) -> Video:
    """Videos of one height next to one another, each with a caption above it.

    The shorter ones stay on their last frame; edges are padded for the codec.

    Args:
        videos: with as many frames a second as the first.
        captions: one a video.
    """
    length = max(len(video.frames) for video in videos)
    columns = []
    for video, caption in zip(videos, captions, strict=True):
        still = np.repeat(video.frames[-1:], length - len(video.frames), axis=0)
        frames = np.concatenate([video.frames, still])
        title = np.broadcast_to(
            _caption(caption, frames.shape[2]), (length, CAPTION_HEIGHT, *frames.shape[2:])
        )
        columns.append(np.concatenate([title, frames], axis=1))
    joined = np.concatenate(columns, axis=2)
    height, width = (-side % BLOCK for side in joined.shape[1:3])
    return Video(np.pad(joined, ((0, 0), (0, height), (0, width), (0, 0))), videos[0].fps)


def write_mp4(path: Path, video: Video) -> None:
    """Write a video whose sides are multiples of 16 as H.264, which browsers play."""
    frames = list(video.frames)
    with replacing(path) as file:
        imageio.mimwrite(
            file, frames, format="mp4", fps=video.fps, codec="libx264", macro_block_size=BLOCK
        )


def _caption(text: str, width: int) -> NDArray[np.uint8]:
    """White text on black, ``[CAPTION_HEIGHT, width, 3]``."""
    image = Image.new("RGB", (width, CAPTION_HEIGHT))
    ImageDraw.Draw(image).text((6, 4), text, fill="white", font_size=14)
    return np.asarray(image)
