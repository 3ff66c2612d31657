"""``--help`` of every learner: one screen, and all that the learner takes."""

import re
from typing import Any

import pytest

from metarl.cli import LEARNERS, main
from metarl.runs.config import refused

ALIASES = {"--ways", "--shots", "--queries"}
EACH = [(command, learner) for command, presets in LEARNERS.items() for learner in presets]


@pytest.fixture(autouse=True)
def columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 100 columns."""
    monkeypatch.setenv("COLUMNS", "100")


def help_of(capsys: Any, *words: str) -> str:
    with pytest.raises(SystemExit) as left:
        main(list(words))
    assert left.value.code in (0, None)
    return str(capsys.readouterr().out)


def flags(shown: str) -> set[str]:
    """Options, without the negation of one."""
    found = set(re.findall(r"--(?:\[no-\])?[a-z][a-z0-9-]*", shown.replace("--no-", "--[no-]")))
    return {flag.replace("[no-]", "") for flag in found} - {"--help-all", "--help"} - ALIASES


def test_it_is_one_screen(capsys: Any) -> None:
    for command, learner in EACH:
        lines = help_of(capsys, command, learner, "--help").splitlines()
        assert len(lines) <= 60, learner
        assert max(map(len, lines)) <= 100, learner
        assert lines[0].startswith(f"usage: metarl {command} {learner} ")
        assert LEARNERS[command][learner].summary == lines[2]


@pytest.mark.parametrize(
    ("command", "learner"),
    [
        ("train", "promp"),
        ("train", "reptile"),
        ("train", "oracle"),
        ("train", "rl2"),
        ("train", "proto-embedding"),
        ("fewshot", "reptile"),
        ("fewshot", "knn"),
    ],
)
def test_it_offers_what_the_parser_takes_and_no_more(
    command: str, learner: str, capsys: Any
) -> None:
    """The parser's own help is made by tyro, from the same dataclasses by other ways."""
    lines = help_of(capsys, command, learner, "--help-all").splitlines()
    parsed = [line for line in lines if line.strip("│| ").startswith("--")]
    offered = flags(help_of(capsys, command, learner, "--help"))
    names = {f"--{n.replace('_', '-')}" for n in refused(LEARNERS[command][learner].config)}
    assert offered == flags("\n".join(parsed)) - names


def test_defaults_are_those_of_the_learner(capsys: Any) -> None:
    shown = help_of(capsys, "train", "promp", "--help")
    assert "weight of the mean KL between old and new policies … [0.0005]" in shown
    assert "--[no-]inner-importance-weights" in shown
    assert "--env STR" in shown
    assert "(required)" in shown
    assert "Tasks of the evaluation at the end [40; 600 few-shot episodes]\n" in shown
    assert "--estimator" not in help_of(capsys, "train", "reptile", "--help")  # has no choice
    assert "--min-log-std" not in help_of(capsys, "train", "rl2", "--help")  # refuses it


def test_what_does_not_fit_is_named(capsys: Any) -> None:
    shown = help_of(capsys, "train", "proto-embedding", "--help")
    assert "How much is collected: --discount, --action-scale, --info-keys\n" in shown
    assert "metarl train proto-embedding --help-all describes every option" in shown


@pytest.mark.parametrize("command", LEARNERS)
def test_without_a_learner_they_are_listed(command: str, capsys: Any) -> None:
    lines = help_of(capsys, command, "--help").splitlines()
    for name, preset in LEARNERS[command].items():
        assert f"  {name:<17}{preset.summary}" in lines
    assert len(lines) < 30


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train promp --iteration 3", "--iteration is no option of metarl train promp; did you"),
        ("train maml-trpo --outer-lr=1", "maml-vpg, maml-ppo, promp and others of metarl train"),
        (
            "fewshot maml --env-kwargs {}",
            "maml-trpo, maml-vpg, maml-ppo and others of metarl train",
        ),
        ("evaluate run --wings", "--wings is no option of metarl evaluate; see metarl evaluate --"),
        ("train protonet", "protonet is a learner of metarl fewshot"),
        ("train --seed 1", "metarl train needs a learner before its options: maml-trpo, maml-vpg"),
        ("train reptile --estimator first-order", "--estimator is always first-order with reptile"),
        ("evaluate", "Missing from metarl evaluate: RUN"),
        (
            "evaluate run --tasks x",
            "error: --tasks must be a whole number of at least 2, got 'x'",
        ),
        (
            "train promp --env my:Env-v0",
            "my:Env-v0: No module named 'my', in the current folder or",
        ),
        ("train promp --env Line-v0", "own is given with its module, as my_module:Line-v0"),
    ],
)
def test_what_is_wrong_names_what_would_be_right(words: str, said: str, capsys: Any) -> None:
    assert main(words.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_options_may_be_spelt_with_underscores_negated_or_in_short(capsys: Any) -> None:
    words = "--num_inner_steps=2 --no-show-task --no_learned_lr --inner_lr 0.1"
    assert main(["train", "maml-trpo", *words.split(), "--env", "none"]) == 2
    assert "none is not a registered environment" in capsys.readouterr().err
    assert main(["fewshot", "maml", "--ways", "5", "--shots", "1", "--data", "none"]) == 2
    assert "none" in capsys.readouterr().err
