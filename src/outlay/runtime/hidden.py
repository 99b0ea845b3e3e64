"""Code that may run nodes which nobody knows before: read off functions and their source, never run."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast
from weakref import WeakKeyDictionary

from outlay.agents.agent import Agent
from outlay.agents.cascade import ModelCascade
from outlay.agents.function import FunctionNode
from outlay.agents.tool import NodeTool
from outlay.protocols.gate import TierGate
from outlay.protocols.node import Node
from outlay.protocols.signature import takes_context
from outlay.runtime.walking import walk

_OURS = "outlay."
#: What a function may use of its context without running anything.
_READS = frozenset(
    (
        "ask",
        "budget",
        "deps",
        "emit",
        "finished",
        "idempotency_key",
        "input",
        "label",
        "last_finished",
        "now",
        "origin",
        "path",
        "random",
        "report",
        "retract",
        "route",
        "run_id",
        "skip",
        "sleep",
        "source",
        "state",
        "timeout",
        "tool_results",
        "uuid",
    )
)
_known: WeakKeyDictionary[Node[Any, Any], bool] = WeakKeyDictionary()


def may_run_others(root: Node[Any, Any]) -> bool:
    """Is there, among all known nodes of a flow, one that may run nodes which are not known?

    A node function with `children=` runs those. Any other function that takes the context may run what it likes,
    unless its source shows that it only reads it; and so may a pattern of your own that declares no `children`.
    """
    found = _known.get(root)
    if found is None:
        found = _known[root] = any(_may(node) for node in walk(root))
    return found


def _may(node: Node[Any, Any]) -> bool:
    if isinstance(node, FunctionNode):
        return node.wants_context and not node.nodes and not _only_reads(node.function)
    if not type(node).__module__.startswith(_OURS) and type(node).children is Node.children:
        return True
    return any(_takes_it(one) and not _only_reads(one) for one in _functions(node))


def _functions(node: Node[Any, Any]) -> Iterator[Any]:
    """What was given to a node to be called, other nodes left out."""
    values: list[Any] = [getattr(node, field.name) for field in dataclasses.fields(node)]
    if isinstance(node, Agent):
        values += [tool.function for tool in node.toolbox.values() if not isinstance(tool, NodeTool)]
        values += [node.model.gate] if isinstance(node.model, ModelCascade) else []
    for value in values:
        yield from _parts(value)


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        several = cast("Iterable[Any]", value)
    elif isinstance(value, Mapping):
        several = cast("Mapping[Any, Any]", value).values()
    else:
        several = (value,)
    return (one for one in several if callable(one) or isinstance(one, TierGate))


def _takes_it(one: Any) -> bool:
    if isinstance(one, Node | type) or str(getattr(one, "__module__", "")).startswith(_OURS):
        return False
    return isinstance(one, TierGate) or takes_context(one)


def _only_reads(function: Callable[..., Any]) -> bool:
    """Does the source show that the first parameter is used for nothing but reading? Source that is not there shows
    nothing."""
    bare = inspect.unwrap(function)
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(bare)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return False
    made = tree.body[0] if tree.body else None
    if not isinstance(made, ast.FunctionDef | ast.AsyncFunctionDef) or not made.args.args:
        return False
    name = made.args.args[0].arg
    parts = [part for statement in made.body for part in ast.walk(statement)]
    reads = {id(part.value) for part in parts if isinstance(part, ast.Attribute) and part.attr in _READS}
    return all(id(part) in reads for part in parts if isinstance(part, ast.Name) and part.id == name)
