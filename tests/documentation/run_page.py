"""Run the blocks of pages of the documentation, in the current folder: ``run_page.py PAGE …``.

Blocks of ``python`` and ``bash`` run from top to bottom, the Python of a page in one namespace. A
Python block that begins with a comment such as ``# cart.py`` is saved as that file instead. Two
comments that readers of the page do not see: ``<!-- run first: CODE -->`` is Python for what a page
takes as given, and ``<!-- not run: REASON -->`` before a block leaves it out. The standard library
is all that is needed, so that any interpreter with metarl can run pages.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

FENCE = re.compile(
    r"^<!-- (?P<key>run first|not run):(?P<text>.*?)-->"
    r"|^```(?P<kind>python|bash)\n(?P<code>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
FILE = re.compile(r"# (\w+\.py)\n")


class Block(NamedTuple):
    """A piece of code of a page."""

    kind: str
    """``python`` or ``bash``."""
    code: str
    line: int
    """Of the page, on which the code begins."""
    hidden: bool
    """Whether readers do not see it."""


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a page that are to run."""
    left_out = False
    for found in FENCE.finditer(text):
        if found["key"] == "not run":
            left_out = True
            continue
        hidden = found["key"] is not None
        if hidden or not left_out:
            name = "text" if hidden else "code"
            line = text.count("\n", 0, found.start(name)) + 1
            yield Block(found["kind"] or "python", found[name], line, hidden)
        left_out = left_out and hidden


def run(page: Path) -> int:
    """Run a page; how many blocks that readers see have run."""
    module = sys.modules["__main__"] = ModuleType("__main__")  # where its classes are looked for
    sys.path.insert(0, "")
    shown = 0
    for block in blocks(page.read_text()):
        file = FILE.match(block.code)
        if block.kind == "bash":
            _run_bash(block.code)
        elif file:
            Path(file[1]).write_text(block.code)
        else:
            padded = "\n" * (block.line - 1) + block.code  # tracebacks name the page's line
            exec(compile(padded, str(page), "exec"), module.__dict__)
        shown += not block.hidden
    return shown


def _run_bash(code: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code], env=os.environ | {"PATH": path}, check=True
    )


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(f"{argument}: {run(Path(argument))} blocks")
