"""Every page of the documentation runs in an empty folder, in a process of its own.

With ``DOCS_PYTHON=…/bin/python``, an interpreter that has a wheel of metarl installed, pages run in
that one.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from run_page import blocks

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {
    str(path.relative_to(DOCS)): path
    for path in sorted(DOCS.rglob("*.md"))
    if "_build" not in path.parts and any(blocks(path.read_text()))
}
PYTHON = os.environ.get("DOCS_PYTHON", sys.executable)
pytestmark = pytest.mark.docs


@pytest.mark.parametrize("page", PAGES)
def test_page_runs(
    page: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    script = Path(__file__).with_name("run_page.py")
    command = [PYTHON, "-W", "error", str(script), str(PAGES[page])]
    alone = os.environ | {"OMP_NUM_THREADS": "1"}  # threads of several pages would wait for cores
    done = subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = [block for block in blocks(PAGES[page].read_text()) if not block.hidden]
    assert done.stdout.splitlines()[-1].endswith(f": {len(shown)} blocks")
    record_property("blocks", len(shown))


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("tutorials/")])
def test_tutorials_end_by_checking_what_came_of_them(page: str) -> None:
    last = [block for block in blocks(PAGES[page].read_text()) if not block.hidden][-1]
    assert last.kind == "python"
    assert "assert " in last.code
