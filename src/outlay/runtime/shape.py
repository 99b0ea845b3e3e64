"""The shape of a flow: a digest of its parts. A resumed run of another shape is one whose code has changed."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any, cast
from weakref import WeakKeyDictionary

from outlay.agents.agent import Agent
from outlay.protocols.node import Node
from outlay.runtime.preflight import walk
from outlay.values.message import DIGEST_SIZE

_PLAIN = (str, int, float, bool, type(None))
_known: WeakKeyDictionary[Node[Any, Any], str] = WeakKeyDictionary()


def shape_of(root: Node[Any, Any]) -> str:
    """The digest of all nodes of a flow: names, kinds, plain settings, instructions, and the code of functions."""
    found = _known.get(root)
    if found is None:
        shape = hashlib.blake2b(digest_size=DIGEST_SIZE)
        for node in walk(root):
            for part in _parts(node):
                shape.update(len(part).to_bytes(4, "big") + part)
        found = _known[root] = shape.hexdigest()
    return found


def _parts(node: Node[Any, Any]) -> Iterator[bytes]:
    yield type(node).__name__.encode()
    for field in dataclasses.fields(node):
        value: Any = getattr(node, field.name, None)
        if isinstance(value, _PLAIN):
            yield f"{field.name}={value!r}".encode(errors="surrogatepass")
        for function in _functions(value):
            yield field.name.encode() + code_of(function)
    if isinstance(node, Agent):
        yield (node.fixed_prelude or node.prelude_of(())).digest
        yield node.settings.key
        for tool in node.toolbox.values():
            yield tool.name.encode() + code_of(tool.function)


def _functions(value: Any) -> list[Callable[..., Any]]:
    several: list[Any] = list(cast("Any", value)) if isinstance(value, list | tuple) else [value]
    return [one for one in several if callable(one) and not isinstance(one, Node | type)]


def code_of(function: Any) -> bytes:
    """What a function does, as its compiled code; nothing where it has none."""
    inner = getattr(function, "function", None) or getattr(function, "func", None) or function
    code = getattr(inner, "__code__", None) or getattr(getattr(inner, "__call__", None), "__code__", None)  # noqa: B004
    return b"" if not isinstance(code, CodeType) else _bytes(code)


def _bytes(code: CodeType) -> bytes:
    return code.co_code + b"".join(map(_constant, code.co_consts)) + " ".join(code.co_names).encode()


def _constant(value: Any) -> bytes:
    """A constant of compiled code. `x in {"a", "b"}` has a frozen set, whose order is another one in each process."""
    if isinstance(value, CodeType):
        return _bytes(value)
    if isinstance(value, frozenset):
        return b"{%b}" % b",".join(sorted(map(_constant, cast("frozenset[Any]", value))))
    if isinstance(value, tuple):
        return b"(%b)" % b",".join(map(_constant, cast("tuple[Any, ...]", value)))
    return repr(value).encode()
