"""Files that define flows, found by reading them: nothing is imported here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: Larger files are data.
_MOST_BYTES = 2_000_000
#: Folders that hold no flows of the project's own, and tests, which define flows to break them.
_NOT_IN = {"tests", "test", "node_modules", "__pycache__", "site-packages", "build", "dist", "venv"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file, as seen from the folder, and the names at its top level that may be nodes."""

    file: str
    names: tuple[str, ...]


def candidates(folder: Path) -> list[Candidate]:
    """In the order of their names. A file that is no Python is taken, without names: it is to be complained of."""
    found: list[Candidate] = []
    for path in sorted(_python_files(folder)):
        try:
            source = path.read_bytes() if path.stat().st_size <= _MOST_BYTES else b""
        except OSError:
            continue
        if b"outlay" not in source:
            continue
        file = path.relative_to(folder).as_posix()
        try:
            names = _names(ast.parse(source))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            found.append(Candidate(file, ()))
            continue
        if names:
            found.append(Candidate(file, names))
    return found


def _python_files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        name = path.name
        if name.startswith(".") or path.is_symlink():
            continue
        if path.is_dir():
            if name not in _NOT_IN and not (path / "pyvenv.cfg").exists():
                yield from _python_files(path)
        elif name.endswith(".py") and not name.startswith("test_") and not name.endswith("_test.py"):
            yield path


def _names(module: ast.Module) -> tuple[str, ...]:
    """What is made at the top level by something that comes from Outlay, or out of what was made so."""
    ours: set[str] = set()
    found: dict[str, None] = {}
    for line in module.body:
        if isinstance(line, ast.Import):
            ours |= {(a.asname or a.name).partition(".")[0] for a in line.names if a.name.partition(".")[0] == "outlay"}
        elif isinstance(line, ast.ImportFrom) and (line.module or "").partition(".")[0] == "outlay":
            ours |= {a.asname or a.name for a in line.names}
        elif isinstance(line, ast.Assign | ast.AnnAssign):
            targets = line.targets if isinstance(line, ast.Assign) else [line.target]
            if isinstance(line.value, ast.Call) and _root(line.value.func) in ours | found.keys():
                found |= {target.id: None for target in targets if isinstance(target, ast.Name)}
        elif isinstance(line, ast.FunctionDef | ast.AsyncFunctionDef) and any(
            _root(decorator) in ours for decorator in line.decorator_list
        ):
            found[line.name] = None
    return tuple(found)


def _root(expression: ast.expr) -> str:
    """The name at the left of `a.b(c).d`."""
    while True:
        match expression:
            case ast.Attribute(value=inner) | ast.Call(func=inner) | ast.Subscript(value=inner):
                expression = inner
            case ast.Name(id=name):
                return name
            case _:
                return ""
