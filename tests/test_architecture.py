"""The import arrows of DESIGN.md section 2, and what keeps the tree readable."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES, STUBS = (
    sorted(
        path.relative_to(ROOT).as_posix()
        for package in ("metarl", "envs/metarl_envs")
        for path in (ROOT / package).rglob(pattern)
    )
    for pattern in ("*.py", "__init__.pyi")
)

LIBRARY = ("types", "configs", "files", "core", "nn", "rl", "fewshot", "embedding", "sb3")
ARROWS = {
    "metarl/types": [],
    "metarl/configs": [],
    "metarl/files": [],
    "metarl/memory": [],
    "metarl/npz": ["metarl.files", "metarl.memory"],
    "metarl/core": ["metarl.types", "metarl.core"],
    "metarl/nn": [f"metarl.{p}" for p in ("types", "core.collectives", "core.params", "nn")],
    "metarl/rl": ["metarl.types", "metarl.core", "metarl.nn", "metarl.rl"],
    "metarl/fewshot": ["metarl.types", "metarl.core", "metarl.nn", "metarl.fewshot"],
    "metarl/embedding": [f"metarl.{p}" for p in ("types", "core", "nn", "rl", "embedding")],
    "metarl/sb3": [f"metarl.{p}" for p in ("types", "core", "nn", "rl", "embedding", "sb3")],
    "metarl/training": ["metarl.types", "metarl.core.collectives", "metarl.training"],
    "metarl/report": ["metarl.types", "metarl.report"],
    "metarl/runs": [f"metarl.{p}" for p in (*LIBRARY, "training", "report", "runs")],
    "metarl/runs/environments": ["metarl_envs"],  # lazily: runs open and adapt without it
    "metarl/runs/families": ["metarl_envs"],
    "metarl/cli": [f"metarl.{p}" for p in ("types", "training", "runs", "cli")],
    "metarl/__main__": ["metarl.cli"],
    "metarl/__init__": [f"metarl.{p}" for p in (*LIBRARY, "training", "report", "runs")],
    "envs/metarl_envs": ["metarl_envs"],
}
"""Part of the tree to what it may import of ours; ``metarl/cli`` is a file or a package."""

LEAVES = ("configs", "files", "memory")
"""Modules that import nothing of ours."""
FOR_ALL = (*LEAVES, "npz")
"""Modules that every file of ``metarl`` may import."""

ONLY_IN = {
    "stable_baselines3": "metarl/sb3",
    "sb3_contrib": "metarl/sb3",
    "tensorboard": "metarl/training/tensorboard.py",
    "torch.utils.tensorboard": "metarl/training/tensorboard.py",
    "matplotlib": "metarl/report",
    "warp": "envs/metarl_envs/mujoco/warp",
    "mujoco_warp": "envs/metarl_envs/mujoco/warp",
}
"""Library to the one place that may import it."""

NEVER_IN = {"envs/metarl_envs": ["torch"], "metarl/core": ["gymnasium"], "metarl/nn": ["gymnasium"]}
"""Part of the tree to libraries it does without."""

BUT_IN = {"torch": "envs/metarl_envs/mujoco/warp"}
"""Such a library to the one place there that needs it: where another engine meets it."""


def within(name: str, part: str, separator: str) -> bool:
    return name == part or name.startswith(part + separator)


def in_part(path: str, part: str) -> bool:
    return within(path, part, "/") or within(path.removesuffix(".py"), part, "/")


def imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names of everything imported; ``from a import b`` may be the module ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = "." * node.level + (node.module or "")
            yield from (f"{prefix}.{alias.name}" for alias in node.names)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no repository")
def test_no_file_is_ignored_by_git() -> None:
    """A folder called build or runs would be missing in every clone."""
    command = ["git", "check-ignore", "--no-index", *FILES, *STUBS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == ""


def ours(name: str) -> bool:
    """Whether an imported name is of this repository; a relative import is."""
    return name.split(".")[0] in ("metarl", "metarl_envs", "")


def wrong_imports(path: str, source: str) -> list[str]:
    """Imports of the file that no arrow allows."""
    allowed = [name for part, names in ARROWS.items() if in_part(path, part) for name in names]
    if in_part(path, "metarl") and not any(in_part(path, f"metarl/{name}") for name in FOR_ALL):
        allowed += [f"metarl.{name}" for name in FOR_ALL]
    never = [name for part, names in NEVER_IN.items() if in_part(path, part) for name in names]
    never = [name for name in never if name not in BUT_IN or not in_part(path, BUT_IN[name])]
    never += [library for library, place in ONLY_IN.items() if not in_part(path, place)]
    wrong = []
    for name in imports(ast.parse(source)):
        if ours(name) and not any(within(name, part, ".") for part in allowed):
            wrong.append(name)
        if any(within(name, library, ".") for library in never):
            wrong.append(name)
    return wrong


def hidden_imports(source: str) -> list[int]:
    """Lines with an import that does not run when the module is imported."""
    return [
        inner.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.If)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]


@pytest.mark.parametrize("path", FILES)
def test_imports_follow_the_arrows(path: str) -> None:
    assert any(in_part(path, part) for part in ARROWS), "a new part of the tree: give it its arrows"
    assert wrong_imports(path, (ROOT / path).read_text()) == []


@pytest.mark.parametrize("path", STUBS)
def test_names_that_load_when_they_are_needed_are_of_the_same_package(path: str) -> None:
    folder = (ROOT / path).parent
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            assert isinstance(node, ast.ImportFrom)
            assert node.level == 1
            assert (folder / f"{node.module}.py").exists() or (folder / f"{node.module}").is_dir()
    assert "attach_stub" in (folder / "__init__.py").read_text()


def test_what_is_public_follows_the_arrows() -> None:
    stub = (ROOT / "metarl" / "__init__.pyi").read_text()
    absolute = re.sub(r"^from \.", "from metarl.", stub, flags=re.MULTILINE)
    assert "from metarl.runs import" in absolute
    assert wrong_imports("metarl/__init__.py", absolute) == []


@pytest.mark.parametrize("name", LEAVES)
def test_what_all_may_import_imports_nothing_of_ours(name: str) -> None:
    tree = ast.parse((ROOT / f"metarl/{name}.py").read_text())
    assert [name for name in imports(tree) if ours(name)] == []


@pytest.mark.parametrize("path", FILES)
def test_no_import_is_hidden_in_a_function_or_branch(path: str) -> None:
    assert hidden_imports((ROOT / path).read_text()) == []


@pytest.mark.parametrize("path", FILES)
def test_files_are_short_and_named_for_what_they_do(path: str) -> None:
    assert len((ROOT / path).read_text().splitlines()) <= 300
    assert not {"utils", "util", "common", "helpers", "misc"} & set(
        Path(path).with_suffix("").parts
    )


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("metarl/core/maml.py", "import metarl.nn"),
        ("metarl/core/maml.py", "from metarl import rl"),
        ("metarl/core/maml.py", "import gymnasium as gym"),
        ("metarl/nn/mlp.py", "from metarl.core import expand"),
        ("metarl/rl/sampler.py", "from metarl.fewshot.episodes import Episode"),
        ("metarl/fewshot/maml.py", "from metarl.rl import MAMLLearner"),
        ("metarl/fewshot/maml.py", "from metarl import rl"),
        ("metarl/rl/sampler.py", "import metarl_envs"),
        ("metarl/rl/sampler.py", "from stable_baselines3 import PPO"),
        ("metarl/rl/sampler.py", "from metarl.embedding import Trials"),
        ("metarl/embedding/trials.py", "from metarl.sb3 import TaskVecEnv"),
        ("metarl/embedding/trials.py", "import stable_baselines3"),
        ("metarl/embedding/trials.py", "from metarl.fewshot import Episodes"),
        ("metarl/sb3/vec_env.py", "from metarl.fewshot import Episodes"),
        ("metarl/sb3/vec_env.py", "from metarl.training import Trainer"),
        ("metarl/sb3/vec_env.py", "from metarl_envs import making"),
        ("metarl/runs/build/policies.py", "from metarl.cli import main"),
        ("metarl/runs/build/policies.py", "import stable_baselines3"),
        ("metarl/runs/evaluate.py", "from torch.utils.tensorboard import SummaryWriter"),
        ("metarl/training/trainer.py", "from metarl.runs import Run"),
        ("metarl/training/trainer.py", "from metarl.cli import main"),
        ("metarl/report/curves.py", "from metarl.runs.evaluate import Test"),
        ("metarl/configs.py", "from metarl.types import Params"),
        ("metarl/configs.py", "import metarl.configs"),
        ("metarl/cli/run.py", "from metarl.rl import PRESETS"),
        ("metarl/cli/run.py", "from metarl.fewshot.sources import DamagedDataError"),
        ("metarl/cli/run.py", "import metarl_envs"),
        ("envs/metarl_envs/point.py", "from metarl.configs import STRICT"),
        ("metarl/training/trainer.py", "from metarl.rl.learners import Learner"),
        ("metarl/training/trainer.py", "from torch.utils.tensorboard import SummaryWriter"),
        ("metarl/training/writers.py", "from torch.utils.tensorboard import SummaryWriter"),
        ("metarl/report/curves.py", "from metarl.training import Trainer"),
        ("metarl/training/writers.py", "import matplotlib.pyplot as plt"),
        ("metarl/__init__.py", "from metarl.cli import main"),
        ("metarl/types.py", "from metarl.core import expand"),
        ("metarl/core/params.py", "from .maml import adapt"),
        ("metarl/runs/facts.py", "from metarl_envs.making import name_of"),
        ("envs/metarl_envs/tasks.py", "import torch"),
        ("envs/metarl_envs/point.py", "from metarl.types import Params"),
        ("envs/metarl_envs/mujoco/engine.py", "import torch"),
        ("envs/metarl_envs/mujoco/engine.py", "import mujoco_warp"),
    ],
)
def test_the_arrows_forbid(path: str, source: str) -> None:
    assert len(wrong_imports(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("metarl/core/maml.py", "from metarl.core.params import expand\nimport torch"),
        ("metarl/nn/conv.py", "from metarl.core.params import TaskBatched"),
        ("metarl/rl/sampler.py", "from metarl.core import adapt\nimport gymnasium"),
        ("metarl/training/tensorboard.py", "from torch.utils.tensorboard import SummaryWriter"),
        ("metarl/embedding/trials.py", "from metarl.rl.actions import action_map"),
        ("metarl/sb3/export.py", "from stable_baselines3 import PPO"),
        ("metarl/sb3/export.py", "from metarl.embedding import Trials"),
        ("metarl/cli.py", "from metarl import runs\nfrom metarl.training import Ending"),
        ("metarl/cli/run.py", "from metarl.runs.config import RunConfig"),
        (
            "metarl/runs/build/policies.py",
            "from metarl import fewshot, rl, sb3\nfrom metarl.runs import environments",
        ),
        ("metarl/runs/environments/making.py", "from metarl_envs.making import name_of"),
        ("metarl/runs/run.py", "from metarl.report.curves import AdaptationCurve"),
        ("metarl/rl/configs.py", "from metarl.configs import STRICT"),
        ("metarl/training/trainer.py", "from metarl.configs import STRICT"),
        ("metarl/__init__.py", "from metarl.core import MAML"),
        ("envs/metarl_envs/point.py", "from metarl_envs.tasks import Choice"),
        ("envs/metarl_envs/mujoco/warp/env.py", "import torch\nimport warp as wp"),
    ],
)
def test_the_arrows_allow(path: str, source: str) -> None:
    assert wrong_imports(path, source) == []


@pytest.mark.parametrize(
    "source",
    ["def f():\n    import os", "if TYPE_CHECKING:\n    from os import path"],
)
def test_hidden_imports_are_seen(source: str) -> None:
    assert hidden_imports(source) == [2]
