"""From what people write to a bus."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from outlay.bus.bus import MessageBus
from outlay.errors import ConfigError
from outlay.protocols.bus import Bus, BusLimits
from outlay.protocols.clock import wall_clock

_WRITE = "write a path, sqlite:///path.db, or nats://host:4222/name"
_NO_LIMITS_OF_YOURS = BusLimits()


@asynccontextmanager
async def open_bus(
    url: str | Path, *, limits: BusLimits = _NO_LIMITS_OF_YOURS, now: Callable[[], float] | None = None
) -> AsyncGenerator[Bus]:
    """The bus that `url` names, for the length of an `async with` block.

    A path, or `sqlite:///relative.db` and `sqlite:////absolute.db`: a SQLite file, made where there is none.
    `nats://host:port/name?partitions=16&replicas=1` (or `tls://`): the bus `name` on a NATS server with JetStream;
    needs `outlay[nats]`. `now` replaces the wall clock, in seconds since the epoch (NATS keeps its own time).

    Raises ConfigError for an address that is neither, or that cannot be opened; BusFailed where no server answers.
    """
    clock = now or wall_clock(asyncio.get_running_loop())
    bus = await bus_at(url, limits, clock)
    try:
        yield bus
    finally:
        await bus.close()


async def bus_at(url: str | Path, limits: BusLimits, now: Callable[[], float]) -> MessageBus:
    """The caller closes it."""
    name = str(url)
    scheme, mark, rest = name.partition("://")
    if mark and not isinstance(url, Path):
        if scheme in ("nats", "tls"):
            _needs_nats()
            from outlay.bus.nats import open_nats

            return MessageBus(await open_nats(name, limits, now), limits, now)
        if scheme != "sqlite" or not rest.startswith("/"):
            raise ConfigError(f"not a bus: {scheme}://", hint=_WRITE)
        name = rest[1:]
    if name in ("", ":memory:"):
        raise ConfigError("a bus needs a file or a server", hint=_WRITE)
    from outlay.bus.sqlite import open_sqlite

    return MessageBus(await open_sqlite(_absolute(name), limits, now), limits, now)


def _absolute(name: str) -> Path:
    return Path(name).expanduser().absolute()


def _needs_nats() -> None:
    if importlib.util.find_spec("nats") is None:
        raise ConfigError("a bus on NATS needs nats-py, which is not installed", hint="pip install 'outlay[nats]'")
