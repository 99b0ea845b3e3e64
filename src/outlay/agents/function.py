"""Plain functions as nodes."""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from outlay.errors import ConfigError
from outlay.protocols.context import RunContext
from outlay.protocols.node import Node, parameter_type
from outlay.protocols.signature import parameters_of, required_of, takes_context

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, eq=False)
class FunctionNode(Node[A, B]):
    """A function `(input)` or `(ctx, input)`, sync or async, as a node. `children` names what it may run."""

    function: Callable[..., Any]
    description: str = ""
    nodes: tuple[Node[Any, Any], ...] = ()
    name: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.function):
            raise ConfigError(f"not a node and not a function: {self.function!r}")
        if not self.name:
            object.__setattr__(self, "name", getattr(self.function, "__name__", type(self.function).__name__))
        if not self.description:
            doc = inspect.getdoc(self.function) or ""
            object.__setattr__(self, "description", doc.partition("\n\n")[0])

    @cached_property
    def wants_context(self) -> bool:
        """Annotated, or the first of two: that leaves no doubt."""
        return takes_context(self.function) or len(required_of(self.function)) == 2

    @property
    def type(self) -> str:
        return "function"

    @property
    def input_type(self) -> Any:
        given = parameters_of(self.function)[int(self.wants_context) :]
        names = list(inspect.signature(self.function).parameters) if given else []
        return parameter_type(self.function, names.index(given[0].name)) if given else None

    @property
    def children(self) -> tuple[Node[Any, Any], ...]:
        return self.nodes

    if not TYPE_CHECKING:  # a callable of anything would fit everywhere, and no mismatch of nodes would be seen

        def __call__(self, *args: Any) -> Any:
            """The bare function, for its unit tests. In a flow write `await ctx.run(node, input)`."""
            return self.function(*args)

    async def run(self, ctx: RunContext[Any], input: A) -> B:
        result = self.function(ctx, input) if self.wants_context else self.function(input)
        if inspect.isawaitable(result):
            result = await result
            if inspect.isawaitable(result):
                raise unawaited(self.name, "gave", result)
        return result


@overload
def node(function: Callable[[RunContext[Any], A], Awaitable[B]], /) -> FunctionNode[A, B]: ...
@overload
def node(function: Callable[[A], Awaitable[B]], /) -> FunctionNode[A, B]: ...
@overload
def node(
    *, name: str | None = None, children: Sequence[Any] = ()
) -> Callable[[Callable[..., Awaitable[B]]], FunctionNode[Any, B]]: ...
def node(
    function: Callable[..., Any] | None = None, /, *, name: str | None = None, children: Sequence[Any] = ()
) -> Any:
    """Make a node of `async def f(ctx, input)`. `children` declares the nodes it runs, for checks and pictures."""

    def wrap(f: Callable[..., Any]) -> FunctionNode[Any, Any]:
        if not _is_node_function(f):
            raise ConfigError(
                f"@node function {getattr(f, '__name__', f)!r} must take (input) or (ctx, input)",
                hint="write `async def f(ctx: RunContext, input): …`",
            )
        return FunctionNode(f, nodes=tuple(as_node(c) for c in children), name=name or "")

    return wrap if function is None else wrap(function)


def _is_node_function(function: Callable[..., Any]) -> bool:
    parameters, required = parameters_of(function), required_of(function)
    named = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    by_position = [p for p in parameters if p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD)]
    return not named and len(required) <= 2 and len(by_position) > takes_context(function)


def as_node(thing: Any) -> Node[Any, Any]:
    """A node as it is, a function wrapped. Raises ConfigError for anything else."""
    if isinstance(thing, Node):
        return cast(Node[Any, Any], thing)
    if callable(thing) and not isinstance(thing, type):
        if len(required_of(thing)) > 2:
            raise ConfigError(
                f"{getattr(thing, '__name__', thing)!r} is no node: it takes {len(required_of(thing))} inputs",
                hint="write (input) or (ctx: RunContext, input); several values go in one, as a dataclass or a dict",
            )
        return FunctionNode(thing)
    hint = "give an Agent, a pattern, a @node function, or a plain function (input) -> output"
    if isinstance(thing, Sequence) and not isinstance(thing, str):
        raise ConfigError(
            f"not a node: a {type(cast(object, thing)).__name__}", hint=f"{hint}, one by one, not in a list"
        )
    raise ConfigError(f"not a node: {reprlib.repr(thing)}", hint=hint)


def unawaited(who: str, did: str, coroutine: Any) -> ConfigError:
    """What is said of a coroutine where a value was meant; it is closed, so that Python does not warn of it as well."""
    if inspect.iscoroutine(coroutine):
        coroutine.close()
    return ConfigError(
        f"{who} {did} a coroutine, not a value", hint="an `await` is missing: await ctx.run(node, input)"
    )
