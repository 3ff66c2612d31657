"""``metarl completion``, loaded by the shells that it is for."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from metarl.cli import LEARNERS, main

ASKED: dict[str, set[str]] = {
    "ev": {"evaluate"},
    "train maml-t": {"maml-trpo"},
    "fewshot ": set(LEARNERS["fewshot"]),
    "train promp --seed 1 --inner-k": {"--inner-kl"},
    "train promp --time": {"--time-limit"},
    "train promp --device cu": {"cuda"},
    "train promp --env ": set(),  # the shell goes on with names of files
    "evaluate run --checkpoint ": {"latest", "best"},
    "evaluate run --devi": {"--device"},
    "completion z": {"zsh"},
}
"""What is typed, and what completes it."""
ASK = """
source "$1"; shift
for line in "$@"; do
    COMP_WORDS=(metarl); for word in $line; do COMP_WORDS+=($word); done
    [[ $line != *" " ]] || COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _metarl
    echo "${COMPREPLY[@]}"
done
"""
AS_ZSH_DOES = "autoload -U +X compinit && compinit -u -D; setopt kshglob ksharrays shwordsplit;"


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_commands_learners_options_and_choices(shell: str, tmp_path: Path, capsys: Any) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    assert main(["completion", shell]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    ask = ASK if shell == "bash" else f"{AS_ZSH_DOES} {ASK}"
    command = [shell, "-c", ask, shell, str(tmp_path / "script"), *ASKED]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    for typed, line in zip(ASKED, done.stdout.splitlines(), strict=True):
        # zsh filters what it is given itself
        found = {word for word in line.split() if word.startswith(typed.rpartition(" ")[2])}
        assert found == ASKED[typed], typed


def test_of_an_unknown_shell(capsys: Any) -> None:
    assert main(["completion", "cmd"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "bash" in line
