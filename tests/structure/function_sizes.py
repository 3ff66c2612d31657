"""How long are the functions, and how often is a checker told to look away?

    python tests/structure/function_sizes.py [FOLDER ...]

prints, over ``metarl`` and ``envs/metarl_envs`` or the folders given, the body lines of functions:
median, 90th percentile and longest, how often ``# type: ignore`` and ``# noqa`` stand per 1000
lines, and how many lines there are. A body is what follows the docstring, without empty lines and
comments; functions inside a function count for themselves, not for it, and declarations (a
docstring or an ellipsis alone) do not count. Code is what is neither empty, nor a comment, nor a
docstring. Any Python will do, nothing is imported.
"""

import ast
import io
import statistics
import sys
import tokenize
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT / "metarl", ROOT / "envs" / "metarl_envs")
Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = Function | ast.ClassDef | ast.Module
EMPTY = (tokenize.NL, tokenize.NEWLINE, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT)


class Measured(NamedTuple):
    """One file."""

    functions: dict[str, int]
    """Body lines by file, line and name."""
    ignores: int
    """``# type: ignore``."""
    noqas: int
    lines: int
    code_lines: int


def code_lines(source: str, tree: ast.AST) -> set[int]:
    """The lines that hold code: no comment, no docstring, nor a string that is a statement."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in EMPTY:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        if is_text(node):
            lines.difference_update(extent(node))
    return lines


def is_text(node: ast.AST) -> bool:
    """Whether it is a string by itself: a docstring, or the text beside a field."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def extent(node: ast.AST) -> range:
    """The lines of a statement, with its decorators."""
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(d.lineno for d in decorators)])  # type: ignore[attr-defined]
    return range(first, (node.end_lineno or first) + 1)  # type: ignore[attr-defined]


def body_lines(function: Function, code: set[int]) -> int:
    """Lines of code of a body, without those of functions inside it."""
    lines = {line for statement in function.body for line in extent(statement)}
    inside = (node for node in ast.walk(function) if node is not function)
    for node in inside:
        if isinstance(node, Function):
            lines.difference_update(extent(node))
    return len(lines & code)


def is_declaration(function: Function) -> bool:
    """Whether there is nothing but a docstring or an ellipsis."""
    return all(
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and (is_text(statement) or statement.value.value is ...)
        for statement in function.body
    )


def measure(path: Path) -> Measured:
    """One file."""
    source = path.read_text()
    tree = ast.parse(source)
    code = code_lines(source, tree)
    functions = {
        f"{path.name}:{node.lineno} {node.name}": body_lines(node, code)
        for node in ast.walk(tree)
        if isinstance(node, Function) and not is_declaration(node)
    }
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = " ".join(token.string for token in tokens if token.type == tokenize.COMMENT)
    ignores, noqas = comments.count("type: ignore"), comments.count("noqa")
    return Measured(functions, ignores, noqas, len(source.splitlines()), len(code))


def report(folders: list[Path]) -> str:
    """The figures of all files of folders."""
    files = [measure(path) for folder in folders for path in sorted(folder.rglob("*.py"))]
    sizes = {name: size for file in files for name, size in file.functions.items()}
    total, code = (
        sum(numbers) for numbers in zip(*((f.lines, f.code_lines) for f in files), strict=True)
    )
    ordered = sorted(sizes.values())
    longest = max(sizes, key=lambda name: sizes[name])
    ignores, noqas = (
        sum(numbers) for numbers in zip(*((f.ignores, f.noqas) for f in files), strict=True)
    )
    told = ignores + noqas
    return (
        f"{len(files)} files, {total} lines, {code} of code\n"
        f"{len(sizes)} functions: body lines {statistics.median(ordered):g} (median), "
        f"{ordered[int(0.9 * len(ordered))]} (90th percentile), "
        f"{sizes[longest]} (longest, {longest})\n"
        f"{ignores} type: ignore and {noqas} noqa: {1000 * told / code:.2f} per 1000 lines of "
        f"code, {1000 * told / total:.2f} per 1000 of all"
    )


if __name__ == "__main__":
    print(report([Path(name) for name in sys.argv[1:]] or list(FOLDERS)))
