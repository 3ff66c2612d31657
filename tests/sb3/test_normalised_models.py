"""Models of stable-baselines3 under VecNormalize, and what else comes with one."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecNormalize

import metarl_envs  # noqa: F401  # registers the ids
from metarl.cli import main
from metarl.sb3 import TaskVecEnv, from_sb3, load_sb3

POINT = "metarl/PointGoal-v0"


def model_under(**options: Any) -> PPO:
    """A model whose statistics are far from 0 and 1."""
    envs: Any = gym.make_vec(POINT, num_envs=2, autoreset_mode=AutoresetMode.DISABLED)
    env = VecNormalize(TaskVecEnv(envs), **options)
    if env.norm_obs:
        env.obs_rms.mean, env.obs_rms.var = np.array([0.3, -0.2]), np.array([4.0, 0.01])
    return PPO("MlpPolicy", env, n_steps=8, batch_size=16, device="cpu", seed=0)


@pytest.mark.parametrize(
    "options", [{}, {"epsilon": 0.5}, {"norm_obs": False}], ids=["default", "epsilon", "rewards"]
)
def test_a_model_acts_as_it_did_under_its_normalisation(options: dict[str, Any]) -> None:
    model = model_under(**options)
    env = model.get_vec_normalize_env()
    assert env is not None
    seen = np.random.default_rng(0).uniform(-0.5, 0.5, (20, 2)).astype(np.float32)
    expected, _ = model.predict(env.normalize_obs(seen), deterministic=True)
    found, _ = from_sb3(model).predict(seen, deterministic=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["vecnormalize.pkl", "run_vec_normalize.pkl"])
def test_statistics_beside_a_file_are_not_left_behind(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = model_under()
    path = tmp_path / "model.zip"
    model.save(path)
    assert load_sb3(path).spec.observation_size == 2
    (tmp_path / name).write_bytes(b"never read")
    arguments = ["train", "sb3-finetune", "--env", POINT, "--init-from", str(path)]
    assert main([*arguments, "--output", str(tmp_path / "runs")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{name} beside it says that its observations were normalised" in line


def test_noise_that_depends_on_the_state_is_named(tmp_path: Path) -> None:
    model = PPO(
        "MlpPolicy", model_under().get_env(), use_sde=True, n_steps=8, batch_size=16, device="cpu"
    )  # type: ignore[arg-type]
    model.save(tmp_path / "model.zip")
    for read in (lambda: from_sb3(model), lambda: load_sb3(tmp_path / "model.zip")):
        with pytest.raises(ValueError, match="depends on the state"):
            read()
