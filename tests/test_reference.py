"""Every public name has a docstring and stands in the reference; every metric has a line there.

By the text of the sources alone: nothing is imported.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
PACKAGES = {"metarl": ROOT / "metarl", "metarl_envs": ROOT / "envs" / "metarl_envs"}
INTERNAL = {"metarl.runs.environments", "metarl_envs.mujoco.warp"}
"""What our own packages import of one another; the names for users are in metarl_envs."""
METRIC = r'"((?:eval|rollout|meta|adapt|train|time|final)/[a-z_]+)"'


class Definition(NamedTuple):
    """Where a name is defined."""

    module: str
    name: str


def files_of(module: str) -> list[Path]:
    """Its source; of a package that loads when it is used the stub, too."""
    top, *rest = module.split(".")
    path = PACKAGES[top].joinpath(*rest)
    if not path.is_dir():
        return [path.with_suffix(".py")]
    return sorted(path.glob("__init__.py*"), reverse=True)


@cache
def statements(module: str) -> list[ast.stmt]:
    return [each for path in files_of(module) for each in ast.parse(path.read_text()).body]


def assigned(statement: ast.stmt) -> str:
    """The name that an assignment gives a value to."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
    return ""


def public_names(module: str) -> list[str]:
    lists = [s for s in statements(module) if assigned(s) == "__all__"]
    return ast.literal_eval(lists[0].value) if lists else []  # type: ignore[attr-defined]


def packages() -> Iterator[str]:
    """Those with public names."""
    for top, folder in PACKAGES.items():
        for path in sorted(folder.rglob("__init__.py")):
            module = ".".join([top, *path.parent.relative_to(folder).parts])
            if module not in INTERNAL and public_names(module):
                yield module


@cache
def imports(module: str) -> dict[str, Definition]:
    """Names that a package has from other modules of ours."""
    found = {}
    for statement in statements(module):
        if isinstance(statement, ast.ImportFrom):
            above = module.split(".")[: 1 - statement.level or None] if statement.level else []
            source = ".".join([*above, *filter(None, [statement.module])])
            names = {alias.asname or alias.name: alias.name for alias in statement.names}
            found |= {new: Definition(source, old) for new, old in names.items()}
    return found


def defined(module: str, name: str) -> Definition:
    """Where a name that a package has is defined."""
    at = imports(module).get(name)
    return defined(*at) if at else Definition(module, name)


def docstring(at: Definition) -> str | None:
    body = statements(at.module)
    for statement, after in zip(body, [*body[1:], ast.Pass()], strict=True):
        if isinstance(statement, ast.ClassDef | ast.FunctionDef) and statement.name == at.name:
            return ast.get_docstring(statement)
        if assigned(statement) == at.name and isinstance(after, ast.Expr):
            return str(ast.literal_eval(after.value))
    return None


@cache
def documented() -> frozenset[Definition]:
    """What the pages of the reference have a directive of."""
    found = set()
    for page in sorted(REFERENCE.rglob("*.md")):
        module = ""
        for kind, target in re.findall(r"^\.\. (\w+):: ([\w.]+)$", page.read_text(), re.MULTILINE):
            if kind == "currentmodule":
                module = target
            elif kind.startswith("auto"):
                parts = target.rsplit(".", 1)
                found.add(defined(*(parts if len(parts) == 2 else (module, target))))
    return frozenset(found)


@pytest.mark.parametrize("package", list(packages()))
def test_every_public_name_is_documented(package: str) -> None:
    """It has a docstring, and the reference shows it."""
    places = {name: defined(package, name) for name in public_names(package)}
    assert [name for name, at in places.items() if not docstring(at)] == []
    assert [name for name, at in places.items() if at not in documented()] == []


def test_every_metric_that_is_written_has_a_line() -> None:
    """Those whose names are made of parts are tested where they are written."""
    page = (REFERENCE / "metrics.md").read_text()
    sources = "".join(path.read_text() for path in PACKAGES["metarl"].rglob("*.py"))
    keys = set(re.findall(METRIC, sources))
    assert len(keys) > 30
    assert sorted(key for key in keys if f"`{key}`" not in page) == []
