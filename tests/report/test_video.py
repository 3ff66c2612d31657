"""Videos side by side, and what lies in the files."""

from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest

from metarl.report import side_by_side, write_mp4
from metarl.report.video import CAPTION_HEIGHT
from metarl.types import Video


def plain(length: int, shade: int, width: int = 64) -> Video:
    """Frames that become brighter by 10 each."""
    shades = shade + 10 * np.arange(length)
    frames = np.broadcast_to(shades[:, None, None, None], (length, 40, width, 3))
    return Video(frames.astype(np.uint8), 25.0)


def test_the_shorter_video_stays_on_its_last_frame() -> None:
    joined = side_by_side([plain(2, 0), plain(4, 100)], ["before", "after"])
    assert joined.fps == 25.0
    assert joined.frames.shape == (4, 64, 128, 3)
    below = joined.frames[:, CAPTION_HEIGHT:]
    assert below[:, :, :64].max((1, 2, 3)).tolist() == [0, 10, 10, 10]
    assert below[:, :, 64:].min((1, 2, 3)).tolist() == [100, 110, 120, 130]


def test_captions_are_written_and_sides_are_multiples_of_sixteen() -> None:
    joined = side_by_side([plain(1, 0, width=50), plain(1, 0, width=50)], ["before", ""])
    assert joined.frames.shape == (1, 64, 112, 3)
    title = joined.frames[0, :CAPTION_HEIGHT]
    assert title[:, :50].max() == 255
    assert title[:, 50:].max() == 0


# imageio's reader leaves its pipes to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_mp4_file_gives_back_its_frames(tmp_path: Path) -> None:
    video = side_by_side([plain(5, 40)], [""])
    write_mp4(tmp_path / "film.mp4", video)
    read = np.stack(imageio.mimread(tmp_path / "film.mp4"))
    assert read.shape == video.frames.shape
    assert np.abs(read.astype(int) - video.frames).mean() < 5
