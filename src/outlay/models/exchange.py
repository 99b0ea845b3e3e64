"""One HTTP/1.1 exchange, on a connection of aiohttp's pool.

aiohttp's connector makes and keeps the connections (names, TLS, proxies), and its parser reads what comes back. Its
session is left out: redirects, cookies, middlewares, traces and kinds of bodies are nothing that a call of a model
has, and together they were half of what sending one cost (60 of 120 µs CPU).
"""

from __future__ import annotations

import asyncio
import errno
import re
from collections.abc import Mapping
from typing import Final

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

#: A body from here on is not copied behind its head: two writes cost less than the copy.
_APART: Final = 64 * 1024
#: Requests that are kept ready: one for each address and set of headers.
_MOST_READY: Final = 256
#: Connections in a row that are put away unused before the server counts as one that cannot be connected to.
_MOST_SPOILED: Final = 16
#: Bytes of a line in an answer's head. aiohttp's 8,190 is less than gateways add at times (cookies, policies), and the
#: answer behind it was paid for.
_LINE: Final = 64 * 1024
#: What must not stand in a line of a head: it would begin another one.
_BREAK: Final = re.compile(r"[\r\n\0]")


class Exchange:
    """An answer whose head has come. `headers` are found in any case; `content` is the body, as it arrives."""

    __slots__ = ("_connection", "content", "headers", "status")

    def __init__(
        self, connection: Connection, status: int, headers: Mapping[str, str], content: aiohttp.StreamReader
    ) -> None:
        self._connection = connection
        self.status = status
        self.headers = headers
        self.content = content

    @property
    def length(self) -> int:
        """Bytes of the body, as the server announced them (compressed, if it is); 0 where it did not."""
        return int(self.headers.get("content-length") or 0)  # digits, or the parser had refused it

    def leave(self) -> None:
        """The connection serves the next request if the answer was read to its end, and is closed otherwise. So it is
        where the answer came before the whole request was out: nobody knows whether the rest will be read."""
        transport = self._connection.transport
        if self.content.at_eof() and (transport is None or not transport.get_write_buffer_size()):
            self._connection.release()
        else:
            self._connection.close()


class Connections:
    """The connections of one event loop, without a limit on their number; made and used on that loop."""

    def __init__(self, keepalive: float) -> None:
        """`keepalive`: seconds that an idle connection is kept."""
        self._connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=keepalive)
        self._ready: dict[tuple[object, ...], _Ready] = {}
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}

    async def send(
        self, method: str, url: URL, proxy: str | None, headers: Mapping[str, str], body: bytes | None, connect: float
    ) -> Exchange:
        """Send a request and wait for the head of its answer. `connect` bounds the seconds until there is a connection.

        Raises aiohttp.ClientError, aiohttp.http.HttpProcessingError, OSError, and ValueError for a header that would
        be several.
        """
        key = (method, url, proxy, *headers.items())
        ready = self._ready.get(key) or self._prepare(key, method, url, proxy, headers)
        limit = self._timeouts.get(connect) or self._timeout(connect)
        for _ in range(_MOST_SPOILED):
            try:
                connection = await self._connector.connect(ready.request, [], limit)
            except TimeoutError as error:
                raise aiohttp.ConnectionTimeoutError from error
            protocol, transport = connection.protocol, connection.transport
            assert protocol is not None
            if transport is not None and not protocol.should_close:
                break
            # Lost at once, or the server said something while it was idle: that would be taken for this answer.
            connection.close()
        else:
            raise aiohttp.ClientConnectorError(ready.request.connection_key, OSError(errno.EPROTO, "speaks unasked"))
        try:
            protocol.set_response_params(read_until_eof=True, max_line_size=_LINE, max_field_size=_LINE)
            head = ready.head or ready.write()
            if body is None:
                transport.write(head + b"\r\n")
            elif len(body) < _APART:
                transport.write(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body))
            else:
                transport.write(b"%bContent-Length: %d\r\n\r\n" % (head, len(body)))
                transport.write(body)
            while True:
                answer, content = await protocol.read()
                if answer.code >= 200 or answer.code == 101:  # before it there may be word that it is being worked on
                    return Exchange(connection, answer.code, answer.headers, content)
        except BaseException:
            connection.close()
            raise

    async def close(self) -> None:
        await self._connector.close()

    def _prepare(
        self, key: tuple[object, ...], method: str, url: URL, proxy: str | None, headers: Mapping[str, str]
    ) -> _Ready:
        if len(self._ready) >= _MOST_READY:
            self._ready.clear()
        made = self._ready[key] = _Ready(method, url, proxy, headers)
        return made

    def _timeout(self, connect: float) -> aiohttp.ClientTimeout:
        made = self._timeouts[connect] = aiohttp.ClientTimeout(connect=connect, sock_connect=connect)
        return made


class _Ready:
    """What the requests to one address with the same headers share: where they go, and their head but for the length of
    the body. aiohttp's own request adds what every client says (host, what it accepts, credentials of the address)."""

    __slots__ = ("head", "request")

    def __init__(self, method: str, url: URL, proxy: str | None, headers: Mapping[str, str]) -> None:
        self.request = aiohttp.ClientRequest(
            method,
            url,
            headers=headers,
            proxy=None if proxy is None else URL(proxy),
            loop=asyncio.get_running_loop(),
        )
        self.head = b""

    def write(self) -> bytes:
        """Write the head; once there is a connection, which adds the credentials of a proxy."""
        request = self.request
        request.headers.popall("Content-Length", None)
        by_proxy = request.proxy is not None and not request.is_ssl()
        target = str(request.url) if by_proxy else request.url.raw_path_qs
        lines = [f"{request.method} {target} HTTP/1.1", *(f"{name}: {text}" for name, text in request.headers.items())]
        if any(map(_BREAK.search, lines)):
            raise ValueError("a line break or null byte in a header")
        self.head = "\r\n".join((*lines, "")).encode()
        return self.head
