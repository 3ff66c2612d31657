"""``mypy --strict`` on a user's file knows what metarl's functions return."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE = """
import torch
from torch import nn

import metarl
from metarl.core import SGD
from metarl.rl import MAMLLearner
from metarl_envs import RandomDynamics, TaskEnv
from metarl_envs.family import FamilyEnv
from metarl_envs.single import SingleTaskEnv

run = metarl.train("maml-trpo", env="metarl/PointGoal-v0", iterations=5)
reveal_type(run)
loaded = metarl.load_run(run.folder)
curve = loaded.evaluate(tasks=40, steps=3)
reveal_type(curve)
reveal_type(curve.mean)
adapted = loaded.adapt(task={"goal": [0.3, -0.4]})
reveal_type(adapted)
reveal_type(adapted.returns)
reveal_type(adapted.act(curve.mean))
reveal_type(loaded.learner)
reveal_type(metarl.load_policy("policy.pt"))
shots = metarl.train_fewshot("protonet", data="glyphs", backbone=nn.Identity())
classifier = shots.adapt(support=(torch.zeros(2, 1, 28, 28), ["a", "b"]))
reveal_type(classifier)
reveal_type(classifier.predict(torch.zeros(2, 1, 28, 28)))
reveal_type(metarl.load_classifier("classifier.pt"))
model = metarl.MAML(nn.Linear(1, 1), inner_lr=0.1, num_inner_steps=1, loss=nn.functional.mse_loss)
reveal_type(model.adapt(torch.zeros(2, 5, 1), torch.zeros(2, 5, 1)))
reveal_type(SGD(0.1))
reveal_type(MAMLLearner.adapt)


def family(env: FamilyEnv | SingleTaskEnv | RandomDynamics) -> TaskEnv:
    return env
"""


def test_nothing_is_of_unknown_type(tmp_path: Path) -> None:
    user = tmp_path / "user.py"
    user.write_text(FILE)
    # with the cache of `make type` this takes a second, not half a minute
    found = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(user)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout
    revealed = re.findall(r'Revealed type is "(.*)"', found.stdout)
    assert len(revealed) == FILE.count("reveal_type(")
    shape_of_any_array = "tuple[Any, ...]"  # numpy's
    assert not [one for one in revealed if "Any" in one.replace(shape_of_any_array, "")]
