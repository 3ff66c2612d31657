"""The notebooks of the documentation run in an empty folder; what they printed is kept in them.

``jupyter execute --inplace docs/notebooks/*.ipynb`` keeps what they print now.
"""

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

NOTEBOOKS = {path.stem: path for path in (Path(__file__).parents[2] / "docs").rglob("*.ipynb")}
pytestmark = pytest.mark.docs


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_runs(
    name: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    # of the extra docs, which make docs-test installs and make test does without
    nbformat, nbclient = (importlib.import_module(name) for name in ("nbformat", "nbclient"))
    notebook = nbformat.read(NOTEBOOKS[name], as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells), "kept as it ran"
    assert "assert " in cells[-1].source
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=180, resources=where).execute()
    record_property("cells", len(cells))
