"""``metarl.sb3`` imports stable-baselines3 when it is first needed."""

import subprocess
import sys

import pytest

import metarl.sb3


def test_configs_do_without_stable_baselines3() -> None:
    lines = (
        "import sys, metarl.sb3.configs",
        "print('stable_baselines3' in sys.modules)",
        "from metarl.sb3 import TaskVecEnv",
        "print('stable_baselines3' in sys.modules)",
    )
    said = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["False", "True"]


@pytest.mark.parametrize("name", [name for name in metarl.sb3.__all__ if name != "PRESETS"])
def test_every_name_is_there(name: str) -> None:
    assert getattr(metarl.sb3, name).__module__.startswith("metarl.sb3.")


def test_the_presets_are_those_of_the_configs() -> None:
    assert metarl.sb3.PRESETS is metarl.sb3.configs.PRESETS


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="attribute Collection"):
        metarl.sb3.Collection  # type: ignore[attr-defined]  # noqa: B018
