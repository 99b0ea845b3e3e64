"""Functions that run what they do not name: what stands below them cannot be looked at from here."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any

from outlay.advice.survey import Survey
from outlay.agents.function import FunctionNode

#: What of a context runs nodes.
_RUNS = frozenset({"run", "race", "gather", "detach"})


def unseen(survey: Survey) -> list[FunctionNode[Any, Any]]:
    """Functions without declared children that use their context to run something, or wait for code that may."""
    return [node for node in survey.nodes if isinstance(node, FunctionNode) and not node.children and _may_run(node)]


def _may_run(node: FunctionNode[Any, Any]) -> bool:
    """Read off the source. Code that is handed a context and waited for may run anything; without a source, too."""
    if not node.wants_context:
        return False
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(node.function))))
        context = next(iter(inspect.signature(node.function).parameters))
    except (OSError, TypeError, SyntaxError, ValueError, StopIteration):
        return True
    used = {one.attr for one in _uses(tree, context)}
    waits = [one for one in ast.walk(tree) if isinstance(one, ast.Await | ast.AsyncWith | ast.AsyncFor)]
    return bool(used & _RUNS) or any(_hands_on(one, context) for one in waits)


def _hands_on(tree: ast.AST, context: str) -> bool:
    mentions = sum(isinstance(one, ast.Name) and one.id == context for one in ast.walk(tree))
    return mentions > len(_uses(tree, context))


def _uses(tree: ast.AST, context: str) -> list[ast.Attribute]:
    """`ctx.something`."""
    return [
        one
        for one in ast.walk(tree)
        if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name) and one.value.id == context
    ]
