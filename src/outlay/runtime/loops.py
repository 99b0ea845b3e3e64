"""Loops in users' own code that nothing caps: read off the source, never run.

A loop counts where each turn of it awaits something. It is capped where its condition, or one that leaves it, compares
with a number (`<`, `<=`, `>`, `>=`), or where it runs over something that ends.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from outlay.agents.function import FunctionNode
from outlay.protocols.node import Node
from outlay.runtime.preflight import walk

#: What gives items for ever.
_ENDLESS = frozenset({"count", "cycle", "repeat"})
_OURS = "outlay."


@dataclass(frozen=True, slots=True)
class Uncapped:
    """A loop in the code of a node, and the line it begins at, as a file and a number."""

    node: Node[Any, Any]
    place: str


def uncapped_loops(root: Node[Any, Any]) -> Iterator[Uncapped]:
    """Every one in the functions and own patterns of a flow. Code whose source cannot be read has none."""
    for node in walk(root):
        code = _code_of(node)
        if code is not None:
            yield from (Uncapped(node, place) for place in _uncapped(code))


def _code_of(node: Node[Any, Any]) -> Callable[..., Any] | None:
    if isinstance(node, FunctionNode):
        return node.function
    return None if type(node).__module__.startswith(_OURS) else type(node).run


def _uncapped(function: Callable[..., Any]) -> Iterator[str]:
    bare = inspect.unwrap(function)
    try:
        lines, first = inspect.getsourcelines(bare)
        tree = ast.parse(textwrap.dedent("".join(lines)))
        file = (inspect.getsourcefile(bare) or "").rpartition("/")[2]
    except (OSError, TypeError, SyntaxError, ValueError):
        return
    for loop in ast.walk(tree):
        if isinstance(loop, ast.While | ast.For) and _awaits(loop) and _endless(loop) and not _leaves_by_number(loop):
            yield f"{file}:{first + loop.lineno - 1}"


def _awaits(loop: ast.While | ast.For) -> bool:
    return any(isinstance(part, ast.Await) for statement in loop.body for part in ast.walk(statement))


def _endless(loop: ast.While | ast.For) -> bool:
    if isinstance(loop, ast.While):
        return not _compares(loop.test)
    over = loop.iter
    if not isinstance(over, ast.Call):
        return False
    name = over.func.attr if isinstance(over.func, ast.Attribute) else getattr(over.func, "id", "")
    return name in _ENDLESS and not (name == "repeat" and (len(over.args) > 1 or over.keywords))


def _leaves_by_number(loop: ast.While | ast.For) -> bool:
    """There is an `if` on a number whose body leaves the loop."""
    for statement in loop.body:
        for part in ast.walk(statement):
            if isinstance(part, ast.If) and _compares(part.test) and _leaves(part):
                return True
    return False


def _leaves(branch: ast.If) -> bool:
    leaving = (ast.Break, ast.Return, ast.Raise)
    return any(isinstance(part, leaving) for side in (branch.body, branch.orelse) for s in side for part in ast.walk(s))


def _compares(test: ast.expr) -> bool:
    numeric = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
    return any(
        isinstance(part, ast.Compare) and any(isinstance(op, numeric) for op in part.ops) for part in ast.walk(test)
    )
