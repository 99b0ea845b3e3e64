"""What a tier of a cascade gave, for gates that look at more than its output."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from outlay.values.content import ToolCall
from outlay.values.logprobs import Tokens


@dataclass(frozen=True, slots=True, eq=False)
class TierAnswer:
    """One answer of a tier, decoded.

    `input` is what the agent, or the cascade, was given. `tier` counts from 0, the cheapest. A turn that only calls
    tools has no output and is not `final`. `versions` says of each model id which version the provider says that
    answered. `ask` puts the same question to another model, or node, at the gate's cost, and raises what it raises.
    `logprobs` are of the tokens of `text`, where a gate asked for them and the provider gave them.
    """

    input: Any
    output: Any
    tier: int
    ask: Callable[[Any], Awaitable[TierAnswer]]
    final: bool = True
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    logprobs: Tokens | None = None
