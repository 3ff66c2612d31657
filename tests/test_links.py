"""Links of the pages in the repository lead to files, and to headings that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("", "docs", "docs/*", "docs/reference/python", "experiments", "experiments/benchmarks")
PAGES = sorted(page for folder in FOLDERS for page in ROOT.glob(f"{folder}/*.md".lstrip("/")))
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s:]*)\)")


def headings(page: Path) -> set[str]:
    """Their anchors, as GitHub and MyST make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    lost = []
    for link in LINK.findall(CODE.sub("", page.read_text())):
        path, _, anchor = link.partition("#")
        there = (page.parent / path).resolve() if path else page
        known = headings(there) if anchor and there.suffix == ".md" and there.is_file() else None
        if not there.exists() or (known is not None and anchor not in known):
            lost.append(link)
    assert lost == []


def test_every_page_is_in_a_list_of_contents() -> None:
    """Else ``make docs`` fails: nobody would find it."""
    docs = ROOT / "docs"
    listed = {docs / "index.md"}
    for page in docs.rglob("index.md"):
        for entries in re.findall(r"^```{toctree}\n(.*?)^```", page.read_text(), re.DOTALL | re.M):
            for entry in entries.split():
                listed |= {*page.parent.glob(f"{entry}.md"), *page.parent.glob(f"{entry}.ipynb")}
    assert {*docs.rglob("*.md"), *docs.rglob("*.ipynb")} - listed == set()
