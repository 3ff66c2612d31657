"""``metarl completion``: a script that knows all commands, learners, options and their choices.

The one that tyro writes knows no options before a learner's own, and takes lines of help for words.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import tyro
from pydantic.dataclasses import dataclass

from metarl.cli.option_list import Option, choices, options_of
from metarl.configs import STRICT, Preset

Words = Mapping[str, Sequence[Option]]
"""What stands behind ``metarl``, as a pattern of bash, to the options that follow."""
SCRIPT = """\
_metarl() {{
    local at="${{COMP_WORDS[1]}} ${{COMP_WORDS[2]}}" words=
    local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}"
    case "$COMP_CWORD ${{COMP_WORDS[1]}}" in
        "1 "*) words="{commands}" ;;
{learners}
        *) case "$at $previous" in
{values}
            *) [[ $previous == -* && $current != -* ]] || case "$at" in
{options}
            esac ;;
        esac ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o bashdefault -o default -F _metarl metarl
"""
"""Where no word fits the shell completes names of files."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Completion:
    """Print what makes a shell complete commands, learners and options at the tab key.

    In ~/.bashrc or ~/.zshrc: ``eval "$(metarl completion bash)"``, or zsh.
    """

    shell: tyro.conf.Positional[Literal["bash", "zsh"]]
    """Which."""


def completion_script(
    shell: Literal["bash", "zsh"],
    kinds: Mapping[str, type[Any]],
    learners: Mapping[str, Mapping[str, Preset]],
) -> str:
    """The script.

    Args:
        shell: which it is for.
        kinds: what the command line of each command is parsed to.
        learners: of the commands that take one.
    """
    options = dict(_options(kinds, learners))
    script = SCRIPT.format(
        commands=" ".join(kinds),
        learners="\n".join(_case(f'"2 {name}"', known) for name, known in learners.items()),
        values="\n".join(_values(options)),
        options="\n".join(_case(at, _flags(known)) for at, known in options.items()),
    )
    return f"autoload -U +X bashcompinit && bashcompinit\n{script}" if shell == "zsh" else script


def _options(
    kinds: Mapping[str, type[Any]], learners: Mapping[str, Mapping[str, Preset]]
) -> Iterator[tuple[str, list[Option]]]:
    for name, kind in kinds.items():
        if name not in learners:
            yield f'"{name} "*', list(options_of(kind))
        for learner, preset in learners.get(name, {}).items():
            yield f'"{name} {learner}"', list(options_of(kind, preset.config))


def _values(options: Words) -> Iterator[str]:
    """The choices of options, and of what stands in their place."""
    for at, known in options.items():
        for option in known:
            if words := choices(option.hint):
                before = "" if option.is_positional else f'" {option.flags[0]}"'
                yield _case(f"{at}{before}", words)


def _flags(options: Sequence[Option]) -> list[str]:
    return [flag for option in options for flag in option.flags] + ["--help"]


def _case(pattern: str, words: Any) -> str:
    return f'            {pattern}) words="{" ".join(map(str, words))}" ;;'
