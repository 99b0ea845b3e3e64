"""Keeping what tools and whole nodes gave: in a shared space of the store, under all that it depends on.

A look is an effect, so a resumed run sees what the first one saw; the label of what was kept comes with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from hashlib import blake2b
from typing import Any

from outlay.errors import ConfigError
from outlay.protocols.context import RunContext
from outlay.protocols.node import Node
from outlay.protocols.signature import call

SPACE = "stored-results"
#: Of JSON, in bytes; a space takes 1 MiB.
MOST = 900_000


def seconds_of(kept: float | timedelta | None) -> float:
    """For how long something may be given again; 0: never."""
    return kept.total_seconds() if isinstance(kept, timedelta) else float(kept or 0)


def check_kept(who: str, option: str, kept: float | timedelta | None) -> None:
    """Raises ConfigError for what is no time."""
    if kept is not None and not seconds_of(kept) > 0:
        raise ConfigError(
            f"{who}: {option}={kept!r} is no time to keep answers",
            hint="give seconds or a timedelta, or leave it out",
        )


async def scope_of(who: str, given: str | Callable[..., Any], ctx: RunContext[Any]) -> str:
    """Whose answer it is, as `cache_scope` says. Raises ConfigError for what is no text."""
    scope: Any = given if isinstance(given, str) else await call(given, ctx)
    if not isinstance(scope, str):
        raise ConfigError(
            f"{who}: cache_scope gave {type(scope).__name__}, not text",
            path=ctx.path,
            hint="return the tenant's name, as in f'tenant:{ctx.deps.tenant}'",
        )
    return scope


class Kept:
    """What was given before for one tool or node, input, scope, label and tenant."""

    def __init__(self, ctx: RunContext[Any], what: Node[Any, Any] | Callable[..., Any], input: Any, scope: str) -> None:
        keeping, label = ctx.keeping(what), ctx.label
        bounds = [keeping.shape, list(keeping.tenants), scope, label.integrity.name]
        said = json.dumps([*bounds, sorted(label.sources), sorted(label.tags), input], sort_keys=True, default=str)
        self._name = blake2b(said.encode(errors="surrogatepass"), digest_size=20).hexdigest()
        self._space = ctx.state.space(SPACE)
        self._ctx = ctx
        self._fresh = keeping.fresh

    async def find(self, seconds: float) -> dict[str, Any] | None:
        """What `keep` was given, with its `age` in seconds, if that is under `seconds`."""
        if self._fresh:
            return None
        found: Any = (await self._space.get(self._name)).value
        if not isinstance(found, dict):
            return None
        age = self._ctx.now() - float(found["at"])  # pyright: ignore[reportUnknownArgumentType]
        return {**found, "age": age} if 0 <= age < seconds else None  # pyright: ignore[reportUnknownVariableType]

    async def keep(self, **facts: Any) -> None:
        """Keep these facts (JSON kinds only); what is too large is not kept."""
        value = {"at": self._ctx.now(), **facts}
        if len(json.dumps(value)) <= MOST:
            await self._space.overwrite(self._name, value)
