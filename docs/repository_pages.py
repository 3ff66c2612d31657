"""Pages of the site that are files elsewhere in the repository, and links to them.

``docs/results.md`` and its like are stubs; the site shows :data:`SHOWN` in their place. Links of
all pages are those of the repository, so that they work where it is hosted; those out of ``docs/``
are turned into links to these pages, or to copies of other files.
"""

import os
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
ROOT = DOCS.parent
SHOWN = {
    "results": ROOT / "experiments" / "README.md",
    "speed": ROOT / "experiments" / "benchmarks" / "README.md",
    "security": ROOT / "SECURITY.md",
    "contributing": ROOT / "CONTRIBUTING.md",
    "changelog": ROOT / "CHANGELOG.md",
    "index": ROOT / "README.md",  # linked as the first page, which is its own
}
LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(#[^)\s]*)?(?=\))")


def show(app: Any, docname: str, source: list[str]) -> None:
    """What Sphinx is to read as a page."""
    page = Path(app.env.doc2path(docname))
    if page.suffix != ".md":
        return
    text = source[0]
    if docname in SHOWN and docname != "index":
        page = SHOWN[docname]
        app.env.note_dependency(str(page))
        text = page.read_text()
    source[0] = LINK.sub(lambda link: _target(page.parent, docname, *link.groups("")), text)


def _target(folder: Path, docname: str, path: str, anchor: str) -> str:
    """Where a link of a page in a folder leads on the site."""
    there = Path(os.path.normpath(folder / path))
    if not there.is_file():
        return path + anchor
    if there.is_relative_to(DOCS):
        return f"/{there.relative_to(DOCS)}{anchor}"
    for name, shown in SHOWN.items():
        if there == shown:
            return f"/{name}.md{anchor}"
    return os.path.relpath(there, DOCS / Path(docname).parent)


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", show)
    return {"parallel_read_safe": True}
