"""``adapt --video`` and ``train --video-every``, on an environment that draws itself."""

import io
from pathlib import Path

import gymnasium as gym
import imageio.v2 as imageio
import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from metarl.cli import main
from metarl_envs import Product, Uniform

SMALL = ["--meta-batch-size", "2", "--num-trajectories", "2", "--hidden-sizes", "8"]
SMALL += ["--eval-tasks", "2"]
HORIZON = 6


class Dot(gym.Env):
    """A dot on a line that should go to a target; as bright as the target is far to the right."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012  # gymnasium's form
    observation_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode
        self.task_distribution = Product({"target": Uniform(-1.0, 1.0)})
        self.task_space = self.task_distribution.space
        self.task = {"target": np.array(0.0)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = 0.0
        return np.array([self.x], np.float32), {}

    def step(self, action):
        self.x += 0.1 * float(action[0])
        reward = -abs(self.x - float(self.task["target"]))
        return np.array([self.x], np.float32), reward, False, False, {}

    def render(self):
        picture = np.zeros((32, 48, 3), np.uint8)
        picture[:] = 100 + int(100 * float(self.task["target"]))
        return picture


@pytest.fixture(autouse=True)
def _registered():
    gym.register("Dot-v0", entry_point=Dot, max_episode_steps=HORIZON)
    yield
    del gym.registry["Dot-v0"]


def train(folder: Path, *options: str, learner: str = "maml-vpg") -> Path:
    """A run of three iterations."""
    command = ["train", learner, "--env", "Dot-v0", "--iterations", "3", *SMALL, *options]
    assert main([*command, "--output", str(folder)]) == 0
    (run,) = folder.iterdir()
    return run


# imageio's reader leaves its pipes to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_video_shows_the_task_before_and_after(tmp_path: Path, capsys) -> None:
    run = train(tmp_path / "runs")
    film = tmp_path / "films" / "dot.mp4"
    options = ["--output", str(tmp_path / "adapted"), "--video", str(film)]
    assert main(["adapt", str(run), "--task", '{"target": 0.5}', *options]) == 0
    assert f"video: {film}" in capsys.readouterr().out
    frames = imageio.mimread(film)
    assert len(frames) == HORIZON + 1
    assert frames[0].shape == (64, 96, 3)
    assert np.abs(frames[-1][30:50].mean() - 150) < 3


def test_training_films_and_pictures_are_in_tensorboard_and_change_nothing(tmp_path: Path) -> None:
    filmed = train(tmp_path / "filmed", "--video-every", "2", "--pictures-every", "3")
    plain = train(tmp_path / "plain")
    events = EventAccumulator(str(filmed))
    events.Reload()
    (image,) = events.Images("eval/adaptation")
    assert image.step == 2
    (curve,) = events.Images("eval/adaptation_curve")
    assert curve.step == 3
    (after,) = events.Histograms("eval/by_task_after")
    assert (after.step, after.histogram_value.num) == (3, 20)
    gif = Image.open(io.BytesIO(image.encoded_image_string))
    assert gif.size == (image.width, image.height) == (96, 64)
    rows = [_without_clock(run / "metrics.csv") for run in (filmed, plain)]
    assert rows[0] == rows[1]


QUICK = ["--iterations", "1", "--num-epochs", "1"]


# imageio's reader leaves its pipes to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "learner", ["sb3-ppo", pytest.param("proto-embedding", marks=pytest.mark.slow)]
)  # 9 s
def test_learners_without_gradients_are_filmed(learner: str, tmp_path: Path) -> None:
    run = train(tmp_path / "runs", "--video-every", "1", *QUICK, learner=learner)
    events = EventAccumulator(str(run))
    events.Reload()
    (image,) = events.Images("eval/adaptation")
    assert image.step == 1
    film = tmp_path / "dot.mp4"
    options = ["--output", str(tmp_path / "adapted"), "--video", str(film)]
    options += ["--num-trajectories", "2"]
    assert main(["adapt", str(run), "--task", '{"target": 0.5}', *options]) == 0
    assert len(imageio.mimread(film)) == HORIZON + 1


@pytest.mark.parametrize(
    ("learner", "options", "said"),
    [
        ("rl2", [], " is for policies without recurrence"),
        (
            "proto-embedding",
            ["--optimiser", "sac"],
            ": proto-embedding adapts, but has no policy to",
        ),
    ],
)
def test_learners_without_a_policy_to_keep_are_not_filmed(
    learner: str,
    options: list[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["train", learner, "--env", "Dot-v0", *SMALL, *options, "--video-every", "1"]
    assert main([*command, "--output", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"--video-every{said}" in line
    assert not list(tmp_path.iterdir())


def test_a_policy_that_cannot_be_kept_leaves_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(tmp_path / "runs", *QUICK, learner="rl2")
    capsys.readouterr()
    task = ["--task", '{"target": 0.5}', "--num-trajectories", "2"]
    adapted, films = tmp_path / "adapted", tmp_path / "films"
    options = ["--output", str(adapted), "--video", str(films / "dot.mp4")]
    assert main(["adapt", str(run), *task, *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "rl2 adapts, but has no policy to keep: a recurrent policy cannot be taken out" in line
    assert not adapted.exists()
    assert not films.exists()


def _without_clock(path: Path) -> list[list[str]]:
    lines = [line.split(",") for line in path.read_text().splitlines()]
    kept = [k for k, name in enumerate(lines[0]) if not name.startswith("time/")]
    return [[line[k] for k in kept] for line in lines]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--video", "film.gif"], "--video must be a file that ends in .mp4, got film.gif"),
        (["--video", "film.mp4"], "--env metarl/PointGoal-v0 draws no pictures"),
    ],
)
def test_bad_videos(options: list[str], message: str, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["train", "maml-vpg", "--env", "metarl/PointGoal-v0", "--iterations", "1", *SMALL]
    assert main([*command, "--horizon", "5", "--output", "runs"]) == 0
    (run,) = Path("runs").iterdir()
    capsys.readouterr()
    task = ["--task", '{"goal": [0.1, 0.1]}', "--output", "adapted"]
    assert main(["adapt", str(run), *task, *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not Path("adapted").exists()


def test_training_films_need_pictures(tmp_path: Path, capsys) -> None:
    command = ["train", "maml-vpg", "--env", "metarl/PointGoal-v0", "--video-every", "1"]
    assert main([*command, "--output", str(tmp_path)]) == 2
    assert "--video-every: --env metarl/PointGoal-v0 draws no pictures" in capsys.readouterr().err
