"""Tools: functions a model may call, with a schema from their signature and docstring."""

from __future__ import annotations

import inspect
import json
import re
import typing
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from types import SimpleNamespace
from typing import Any, cast, overload

from outlay.agents import jsontext
from outlay.agents.kept_results import check_results_kept
from outlay.agents.node_input import NodeInput, input_of
from outlay.agents.previews import MAX_RESULT_TOKENS
from outlay.errors import ConfigError
from outlay.protocols.context import RunContext
from outlay.protocols.node import Node
from outlay.protocols.signature import call, globals_of, parameters_of, takes_context
from outlay.values.request import ToolSpec
from outlay.values.server import Breaker, Server

#: Both providers take these; anything else would be refused after the prompt was paid for.
NAME = re.compile(r"^[A-Za-z0-9_-]{1,64}\Z")
_ARGS = re.compile(r"^(?:Args|Arguments|Parameters)\s*:$")
_ENTRY = re.compile(r"^(\w+)(?:\s*\([^)]*\))?\s*:\s*(.*)$")

#: While it is down, a tool without a declared way raises.
_RAISE: Any = object()


@dataclass(frozen=True, eq=False)
class Tool:
    """A function a model may call. The schema follows from signature and docstring unless `input_schema` is given.

    `side_effect`: it changes the world, so calls run one at a time (across agents too, unless `parallel`).
    `idempotent` says that repeating it is harmless; by default what has no side effect is. `timeout` in seconds.
    `ends_turn`: a call that succeeds ends the agent's conversation, and what it gave is the agent's output as it is,
    past `output_type` and `verify` (a handoff, a submitted answer); of several in one turn the first one counts.
    Annotate what it returns: that is how a resumed run gets the same value again.

    `concurrency` is how many of its calls run at once, over all runs of an event loop; `breaker` leaves it alone for a
    while after failures in a row; a `server` has both for all the tools that stand on it. While a breaker is open the
    tool gives `when_down` at once: a value, or a function of the same arguments; without it, an error to the model.
    `cache_results` gives a result again to the same arguments for so many seconds, in all runs on the store, under the
    same label and for the same tenants; `cache_scope` is as of an agent. For tools without side effects.
    Raises ConfigError for a parameter without a type hint, or a name that providers refuse.
    """

    name: str
    function: Callable[..., Any]
    description: str = ""
    input_schema: Mapping[str, Any] | None = None
    side_effect: bool = field(default=False, kw_only=True)
    idempotent: bool | None = field(default=None, kw_only=True)
    timeout: float | None = field(default=30.0, kw_only=True)
    requires_approval: bool = field(default=False, kw_only=True)
    parallel: bool | None = field(default=None, kw_only=True)
    max_result_tokens: int = field(default=MAX_RESULT_TOKENS, kw_only=True)
    ends_turn: bool = field(default=False, kw_only=True)
    concurrency: int | None = field(default=None, kw_only=True)
    breaker: Breaker | None = field(default=None, kw_only=True)
    server: Server | None = field(default=None, kw_only=True)
    when_down: Any = field(default=_RAISE, kw_only=True)
    cache_results: float | timedelta | None = field(default=None, kw_only=True)
    cache_scope: str | Callable[..., Any] = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ConfigError(f"tool {self.name!r}: {self.function!r} is not a function")
        if not NAME.match(self.name):
            raise ConfigError(
                f"tool name {self.name!r} is not allowed",
                hint="use 1 to 64 letters, digits, '_' and '-', or Tool('name', f)",
            )
        if self.timeout is not None and not self.timeout > 0:
            raise ConfigError(f"tool {self.name!r}: timeout must be positive, not {self.timeout!r}")
        if not self.max_result_tokens >= 1:
            raise ConfigError(f"tool {self.name!r}: max_result_tokens must be at least 1")
        if self.breaker is not None and not isinstance(self.breaker, Breaker):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"tool {self.name!r}: breaker={self.breaker!r} is none", hint="write breaker=Breaker()")
        if self.server is not None and not isinstance(self.server, Server):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(
                f"tool {self.name!r}: server={self.server!r} is none", hint='write server=Server("crm", concurrency=4)'
            )
        self.servers  # noqa: B018 - limits that cannot be are refused here
        if self.when_down is not _RAISE and not any(server.breaker for server in self.servers):
            raise ConfigError(
                f"tool {self.name!r} says what it gives while it is down, and has no breaker that could say so",
                hint="add breaker=Breaker(), or a server with one",
            )
        check_results_kept(self, stands_in=self.when_down is not _RAISE)
        if not self.description:
            object.__setattr__(self, "description", _summary(self.function))
        if self.input_schema is None:
            _typed_parameters(self.name, self.function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The bare function, for its unit tests."""
        return self.function(*args, **kwargs)

    def replace(self, **changes: Any) -> Tool:
        """A changed copy."""
        return replace(self, **changes)

    @cached_property
    def servers(self) -> tuple[Server, ...]:
        """What its calls go through: its own limits, and its server's."""
        own = None
        if self.concurrency is not None or self.breaker is not None:
            own = Server(self.name, self.concurrency, self.breaker)
        return tuple(server for server in (own, self.server) if server is not None)

    def instead(self, arguments: Mapping[str, Any]) -> Callable[[RunContext], Awaitable[Any]] | None:
        """What is called while it is down; None where nothing is declared."""
        if self.when_down is _RAISE:
            return None

        async def given(ctx: RunContext) -> Any:
            if not callable(self.when_down):
                return self.when_down
            args = (ctx,) if takes_context(self.when_down) else ()
            result = self.when_down(*args, **arguments)
            return await result if inspect.isawaitable(result) else result

        return given

    @cached_property
    def spec(self) -> ToolSpec:
        """The tool as the model sees it."""
        schema = self.input_schema if self.input_schema is not None else self._schema
        return ToolSpec(self.name, self.description, json.dumps(schema))

    @property
    def _schema(self) -> Any:
        try:
            return self._arguments.model_json_schema()
        except ConfigError:
            raise
        except Exception as error:  # pydantic can validate what JSON cannot say: a function, a class
            raise self._inexpressible(error) from error

    @cached_property
    def _arguments(self) -> Any:
        """A pydantic model of the arguments. Its own fields are numbered: a parameter may be called `schema`."""
        from pydantic import ConfigDict, Field, create_model

        notes = _parameter_notes(self.function)
        fields: dict[str, Any] = {}
        for i, (parameter, hint) in enumerate(_typed_parameters(self.name, self.function)):
            default = ... if parameter.default is parameter.empty else parameter.default
            note: dict[str, Any] = {"description": notes[parameter.name]} if parameter.name in notes else {}
            fields[f"p{i}"] = (hint, Field(default, alias=parameter.name, **note))
        try:
            return create_model(self.name, __config__=ConfigDict(extra="forbid"), **fields)
        except Exception as error:
            raise self._inexpressible(error) from error

    def _inexpressible(self, error: Exception) -> ConfigError:
        why = str(error).partition("\n")[0]
        return ConfigError(
            f"tool {self.name!r} has a parameter no schema can express: {why}",
            hint="use types that JSON has, pydantic models, dataclasses or TypedDicts, or give Tool(…, input_schema=…)",
        )

    def parse(self, arguments: str) -> dict[str, Any]:
        """The call's arguments as JSON says them. Raises ValueError with what is wrong, fit for the model."""
        parsed: Any = jsontext.parse(arguments) if arguments.strip() else {}
        if not isinstance(parsed, dict):
            raise ValueError("the arguments must be a JSON object")
        return cast("dict[str, Any]", parsed)

    def validate(self, parsed: Mapping[str, Any]) -> dict[str, Any]:
        """Parsed arguments as the types of the signature. Raises ValueError like `parse`."""
        if self.input_schema is not None:
            missing = [name for name in self.input_schema.get("required", ()) if name not in parsed]
            if missing:
                raise ValueError(f"missing: {', '.join(missing)}")
            return dict(parsed)
        from pydantic import ValidationError

        try:
            model: Any = self._arguments.model_validate_json(json.dumps(parsed))
        except ValidationError as error:
            found = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)[:8])
            raise ValueError("; ".join(found)) from None
        except RecursionError:
            raise ValueError("the arguments are nested too deeply") from None
        return {field.alias: getattr(model, name) for name, field in self._arguments.model_fields.items()}

    async def invoke(self, ctx: RunContext[Any], arguments: Mapping[str, Any]) -> Any:
        """Call the function. The runtime wraps this in the effect's path, time-out and thread."""
        args = (ctx,) if takes_context(self.function) else ()
        result = self.function(*args, **arguments)
        return await result if inspect.isawaitable(result) else result

    @property
    def leaf(self) -> bool:
        """False where all its work is effects of its own, a node's: those are recorded, not this call."""
        return True

    @property
    def is_async(self) -> bool:
        function = self.function
        return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


@dataclass(frozen=True, eq=False)
class NodeTool(Tool):
    """Any node as a tool: the model writes its input (typed where the node says its type), its output is the result.

    It runs as a child of the caller, in its budgets, depth and fan-out.
    """

    node: Node[Any, Any] | None = field(default=None, kw_only=True)
    takes: NodeInput | None = field(default=None, kw_only=True)

    @staticmethod
    def of(node: Node[Any, Any]) -> NodeTool:
        """The tool of a node. Raises ConfigError where no schema says what it takes."""
        name = re.sub(r"[^A-Za-z0-9_-]", "_", node.name)
        description = getattr(node, "description", "") or f"Hand a task to {node.name}."
        takes = input_of(node)
        return NodeTool(name, node.run, description, takes.schema, node=node, takes=takes, timeout=None)

    def validate(self, parsed: Mapping[str, Any]) -> dict[str, Any]:
        assert self.takes is not None
        return {"input": self.takes.decode(parsed)}

    async def invoke(self, ctx: RunContext[Any], arguments: Mapping[str, Any]) -> Any:
        assert self.node is not None
        return await ctx.run(self.node, arguments["input"])

    @property
    def leaf(self) -> bool:
        return False

    @property
    def is_async(self) -> bool:
        return True


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *,
    name: str | None = None,
    side_effect: bool = False,
    idempotent: bool | None = None,
    timeout: float | None = 30.0,
    requires_approval: bool = False,
    parallel: bool | None = None,
    max_result_tokens: int = MAX_RESULT_TOKENS,
    ends_turn: bool = False,
    concurrency: int | None = None,
    breaker: Breaker | None = None,
    server: Server | None = None,
    when_down: Any = ...,
    cache_results: float | timedelta | None = None,
    cache_scope: str | Callable[..., Any] = "",
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(function: Callable[..., Any] | None = None, /, *, name: str | None = None, **options: Any) -> Any:
    """Make a Tool of a function; see `Tool` for the options."""

    def wrap(f: Callable[..., Any]) -> Tool:
        return Tool(name or getattr(f, "__name__", type(f).__name__), f, **options)

    return wrap if function is None else wrap(function)


def as_tools(things: Any) -> tuple[Tool, ...]:
    """Functions, Tools, nodes and toolsets (anything with `.tools`) as Tools. Raises ConfigError."""
    if callable(things) or isinstance(things, str) or not isinstance(things, Iterable):
        raise ConfigError(f"tools= is a list, not {things!r}", hint="write tools=[…]")
    found: list[Tool] = []
    for thing in cast("Iterable[Any]", things):
        if isinstance(thing, Tool):
            found.append(thing)
        elif isinstance(thing, Node):
            found.append(NodeTool.of(cast("Node[Any, Any]", thing)))
        elif hasattr(thing, "tools"):
            found.extend(as_tools(thing.tools))
        elif callable(thing):
            found.append(tool(thing))
        else:
            raise ConfigError(f"not a tool: {thing!r}", hint="give a function, a Tool, a node or a toolset")
    return tuple(found)


def _typed_parameters(name: str, function: Callable[..., Any]) -> list[tuple[inspect.Parameter, Any]]:
    """The parameters the model fills, with their types; the context parameter is not one of them."""
    parameters = parameters_of(function)
    if takes_context(function):
        parameters = parameters[1:]
    hints = _hints(name, function, parameters)
    found: list[tuple[inspect.Parameter, Any]] = []
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise ConfigError(f"tool {name!r}: parameter {parameter} has no place in a schema; use named parameters")
        if parameter.name not in hints:
            raise ConfigError(
                f"tool {name!r}: parameter {parameter.name!r} has no type hint",
                hint=f"write `{parameter.name}: str` (or another type), or give Tool(…, input_schema=…)",
            )
        found.append((parameter, hints[parameter.name]))
    return found


def _hints(name: str, function: Callable[..., Any], parameters: Sequence[inspect.Parameter]) -> dict[str, Any]:
    """The types of these parameters; the context's and the result's annotations may be for type checkers only."""
    annotations = {p.name: p.annotation for p in parameters if p.annotation is not p.empty}
    try:
        return typing.get_type_hints(
            cast(Any, SimpleNamespace(__annotations__=annotations)), globals_of(function), include_extras=True
        )
    except Exception as error:
        raise ConfigError(
            f"tool {name!r}: its type hints cannot be read: {error}",
            hint="use types that are importable where the function is defined, not local ones under "
            "`from __future__ import annotations`",
        ) from error


def _summary(function: Callable[..., Any]) -> str:
    """The docstring without its parameter section."""
    doc = inspect.getdoc(function) or ""
    return re.split(r"\n\s*(?:Args|Arguments|Parameters|Returns|Raises)\s*:", "\n" + doc)[0].strip()


def _parameter_notes(function: Callable[..., Any]) -> dict[str, str]:
    """What an `Args:` section says of each parameter; a line that stands further in goes on with the one before."""
    notes: dict[str, list[str]] = {}
    section = margin = -1
    for line in (inspect.getdoc(function) or "").splitlines():
        text, indent = line.strip(), len(line) - len(line.lstrip())
        if section < 0:
            section = indent if _ARGS.match(text) else -1
        elif text and indent <= section:
            break
        elif text:
            margin = indent if margin < 0 else margin
            entry = _ENTRY.match(text) if indent <= margin else None
            if entry:
                notes[entry[1]] = [entry[2]]
            elif notes:
                next(reversed(notes.values())).append(text)
    return {name: " ".join(filter(None, lines)) for name, lines in notes.items()}


__all__ = ["MAX_RESULT_TOKENS", "NodeTool", "Tool", "as_tools", "call", "tool"]
