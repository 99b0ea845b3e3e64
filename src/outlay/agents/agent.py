"""Agent: a model with instructions, tools, an output type and its checkers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import CoroutineType
from typing import Any, cast

from typing_extensions import TypeForm, TypeVar

from outlay.agents.loop import converse
from outlay.agents.output import OutputCodec, codec_for
from outlay.agents.tool import Tool, as_tools
from outlay.errors import ConfigError
from outlay.protocols.context import RunContext
from outlay.protocols.model import Model
from outlay.protocols.node import Node
from outlay.values.request import Prelude
from outlay.values.settings import ModelSettings

Out = TypeVar("Out", covariant=True, default=str)


@dataclass(frozen=True, eq=False)
class Agent(Node[Any, Out]):
    """A model at work: it answers its input, calling tools and correcting itself on the way.

    `instructions` is text, a function, or a list of both; fixed text is sent first, as the prefix that providers
    cache. `prompt` makes the first user message of the input. `max_turns` bounds the model calls of a run,
    `output_retries` how often a refused output is fed back. `max_output_tokens` includes thinking;
    near the end of a budget it may be clipped, down to `min_output_tokens` where that is given.
    `max_input_tokens` refuses a longer input before it is paid for. `cheaper` is the model to go on with once 80 %
    of a money budget is gone. `offline` stands in for the model under `models="offline"`.

    Raises ConfigError for what cannot work: a bad name, duplicate tools, an output type no schema expresses.
    """

    name: str
    model: str | Model
    instructions: Any = field(default="", kw_only=True)
    prompt: Callable[..., Any] | None = field(default=None, kw_only=True)
    output_type: TypeForm[Out] = field(default=cast("TypeForm[Out]", str), kw_only=True)
    tools: Sequence[Any] = field(default=(), kw_only=True)
    verify: Sequence[Callable[..., Any]] = field(default=(), kw_only=True)
    description: str = field(default="", kw_only=True)
    max_turns: int = field(default=8, kw_only=True)
    output_retries: int = field(default=2, kw_only=True)
    max_output_tokens: int = field(default=1024, kw_only=True)
    min_output_tokens: int | None = field(default=None, kw_only=True)
    max_input_tokens: int | None = field(default=None, kw_only=True)
    settings: ModelSettings = field(default_factory=ModelSettings, kw_only=True)
    history: bool = field(default=False, kw_only=True)
    offline: Any = field(default=None, kw_only=True)
    cheaper: str | Model | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.name, str) or not self.name.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError("an agent needs a name", hint='Agent("router", "anthropic:claude-haiku-4-5")')
        for limit, least in (("max_turns", 1), ("output_retries", 0), ("max_output_tokens", 1)):
            value = getattr(self, limit)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ConfigError(f"agent {self.name!r}: {limit} must be at least {least}, not {value!r}")
        object.__setattr__(self, "tools", as_tools(self.tools))
        object.__setattr__(self, "verify", (self.verify,) if callable(self.verify) else tuple(self.verify))
        for use, function in (*(("verify", checker) for checker in self.verify), ("prompt", self.prompt)):
            if function is not None and not callable(function):
                raise ConfigError(f"agent {self.name!r}: {use} takes functions, not {function!r}")
        if not isinstance(self.settings, ModelSettings):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(
                f"agent {self.name!r}: settings={self.settings!r} are not ModelSettings",
                hint="write settings=ModelSettings(temperature=0)",
            )
        self.instruction_parts  # noqa: B018
        names = [tool.name for tool in self.toolbox.values()]
        if len(names) != len(self.tools):
            twice = sorted({t.name for t in self.tools if [u.name for u in self.tools].count(t.name) > 1})
            raise ConfigError(
                f"agent {self.name!r} has several tools named {', '.join(twice)}", hint="Tool('other_name', f)"
            )
        # a type no schema expresses is refused here, not after the first paid call
        self.codec  # noqa: B018
        for tool in self.toolbox.values():
            tool.spec  # noqa: B018

    @property
    def type(self) -> str:
        return "agent"

    @cached_property
    def toolbox(self) -> dict[str, Tool]:
        """The tools by name."""
        return {tool.name: tool for tool in cast(tuple[Tool, ...], self.tools)}

    @cached_property
    def codec(self) -> OutputCodec:
        return codec_for(self.output_type, self.name)

    @cached_property
    def fixed_prelude(self) -> Prelude | None:
        """Instructions, tools and schema where none of it depends on the run; encoded once and shared by all runs."""
        parts = self.instruction_parts
        if any(callable(part) for part in parts):
            return None
        return self.prelude_of(tuple(part for part in parts if part))

    @cached_property
    def instruction_parts(self) -> tuple[Any, ...]:
        """Fixed texts first, then the functions: what changes from run to run must not break the cached prefix."""
        given = self.instructions
        parts = tuple(given) if isinstance(given, list | tuple) else (given,)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        for part in parts:  # pyright: ignore[reportUnknownVariableType]
            if not isinstance(part, str) and not callable(part):  # pyright: ignore[reportUnknownArgumentType]
                raise ConfigError(f"agent {self.name!r}: instructions are text or functions, not {part!r}")
        return tuple(sorted(parts, key=callable))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]

    def prelude_of(self, system: tuple[str, ...]) -> Prelude:
        return Prelude(system, tuple(tool.spec for tool in self.toolbox.values()), self.codec.spec)

    def run(self, ctx: RunContext[Any], input: Any) -> CoroutineType[Any, Any, Out]:
        return converse(self, ctx, input)
