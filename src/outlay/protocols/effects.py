"""Effects that nodes hand to the runtime, as values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from outlay.values.server import Server

if TYPE_CHECKING:
    from outlay.protocols.context import RunContext


@dataclass(frozen=True, slots=True, eq=False)
class ToolEffect:
    """One tool call, ready to run: `invoke` gets the tool's own context and does the work.

    `arguments` are as JSON says them and part of the effect's identity, with `version` (a digest of the tool's
    schema). `in_thread`: it is synchronous and must not block the loop. `timeout` in seconds, None for
    none. A call with `side_effect` holds its tool's lock unless `parallel`.

    `encode` makes of the result what is stored (None: it cannot be), `decode` makes the result of that, on the first
    run too. `leaf` is False where all its work is effects of its own (an agent as a tool): those are recorded, not
    this one. `unknown` is what it gives where all that is known is that it has happened. `servers` are what it stands
    on, with their limits and breakers; `when_down` is what is called instead while one of these is open.
    """

    tool: str
    arguments: Mapping[str, Any]
    invoke: Callable[[RunContext[Any]], Awaitable[Any]]
    in_thread: bool = False
    version: str = ""
    side_effect: bool = False
    idempotent: bool = True
    timeout: float | None = None
    parallel: bool = True
    requires_approval: bool = False
    encode: Callable[[Any], bytes | None] | None = None
    decode: Callable[[bytes], Any] | None = None
    leaf: bool = True
    unknown: Any = None
    servers: Sequence[Server] = ()
    when_down: Callable[[RunContext[Any]], Awaitable[Any]] | None = None
