"""Transport: one HTTP exchange with a provider. The only place below the runtime where bytes leave the process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds. `total` bounds the whole exchange, `silence` the gap between two reads of a body, `first_byte` the
    wait for the first of a streamed one (a plain answer comes when the model has finished: `total` bounds that)."""

    connect: float = 10.0
    silence: float = 120.0
    total: float = 600.0
    first_byte: float = 120.0


@dataclass(frozen=True, slots=True)
class HttpReply:
    """Headers are found by their names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpStream(Protocol):
    """An answer whose body is still arriving."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises ModelError when it breaks off."""
        ...

    async def read(self) -> bytes:
        """The rest of the body at once (for error bodies)."""
        ...


class Transport(Protocol):
    """Raises ModelTimeout when time is up, BadResponse when a body breaks off, ModelError without a connection.

    Cancelling the awaiting task closes the socket. Redirects are not followed.
    """

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, timeouts: Timeouts = ...) -> HttpReply: ...

    async def get(self, url: str, headers: Mapping[str, str], timeouts: Timeouts = ...) -> HttpReply:
        """A question without a body. The answer may be a file, and larger than an answer of a model."""
        ...

    def stream(
        self, url: str, headers: Mapping[str, str], body: bytes, timeouts: Timeouts = ...
    ) -> AbstractAsyncContextManager[HttpStream]: ...
