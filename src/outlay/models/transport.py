"""HttpTransport: the Transport over aiohttp. Nothing here knows a provider, and nothing retries."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from outlay.errors import BadResponse, ConfigError, ModelError, ModelTimeout, OutlayError
from outlay.models.timelimit import TimeLimit
from outlay.protocols.transport import HttpReply, Timeouts

if TYPE_CHECKING:
    from yarl import URL

    from outlay.models.exchange import Connections, Exchange

#: No answer of a model is near this; what is larger is a broken or hostile server (a small gzip body can grow 1,000×).
MAX_BODY: Final = 64 * 1024 * 1024
#: The results of a batch hold the answers to all of its requests.
MAX_FILE: Final = 512 * 1024 * 1024
#: Seconds that an idle connection is kept: long enough for a tool between two turns, shorter than servers keep theirs,
#: because a POST on a connection that the server closes at that moment is neither sent nor refused for certain.
KEEPALIVE: Final = 30.0
_DEFAULT: Final = Timeouts()


class HttpTransport:
    """One pool of connections per event loop, without a limit on their number: the runtime decides what runs at once.

    No cookies, no redirects, no `.netrc`; `HTTPS_PROXY` and `NO_PROXY` are honoured. Import of aiohttp (0.3 s) waits
    for the first call. `max_body` bounds a body after decompression, `max_file` that of a `get`, in bytes.
    """

    def __init__(self, *, max_body: int = MAX_BODY, max_file: int = MAX_FILE, keepalive: float = KEEPALIVE) -> None:
        self._max_body = max_body
        self._max_file = max_file
        self._keepalive = keepalive
        self._connections: dict[asyncio.AbstractEventLoop, Connections] = {}
        self._targets: dict[str, tuple[URL, str | None]] = {}
        self._limits: dict[tuple[asyncio.AbstractEventLoop, float], TimeLimit] = {}

    def post(
        self, url: str, headers: Mapping[str, str], body: bytes, timeouts: Timeouts = _DEFAULT
    ) -> CoroutineType[Any, Any, HttpReply]:
        """Send and read the whole answer. The wait for its first byte is bounded by `total` alone."""
        return self._whole("POST", url, headers, body, timeouts, self._max_body)

    def get(
        self, url: str, headers: Mapping[str, str], timeouts: Timeouts = _DEFAULT
    ) -> CoroutineType[Any, Any, HttpReply]:
        """Ask and read the whole answer, which may be a file."""
        return self._whole("GET", url, headers, None, timeouts, self._max_file)

    async def _whole(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeouts: Timeouts, most: int
    ) -> HttpReply:
        loop = asyncio.get_running_loop()
        connections = self._connections.get(loop) or await self._open(loop)
        target, proxy = self._targets.get(url) or self._target(url)
        # A plain answer is silent until the model has finished, so silence is watched from its first byte on.
        limit = self._limits.get((loop, timeouts.total)) or self._limit(loop, timeouts.total)
        answer: Exchange | None = None
        try:
            with limit.here():
                answer = await connections.send(method, target, proxy, headers, body, timeouts.connect)
                content = await _read(answer, most, timeouts.silence)
            return HttpReply(answer.status, answer.headers, content)
        except Exception as error:
            if (failure := _failure(error, target, timeouts)) is None:
                raise
            raise failure from error
        finally:
            if answer is not None:
                answer.leave()

    @asynccontextmanager
    async def stream(
        self, url: str, headers: Mapping[str, str], body: bytes, timeouts: Timeouts = _DEFAULT
    ) -> AsyncGenerator[HttpBody]:
        """Send, and read the answer as it comes. Leaving before its end closes the socket."""
        loop = asyncio.get_running_loop()
        connections = self._connections.get(loop) or await self._open(loop)
        target, proxy = self._targets.get(url) or self._target(url)
        limit = self._limits.get((loop, timeouts.total)) or self._limit(loop, timeouts.total)
        try:
            with limit.here():
                first = asyncio.timeout(timeouts.first_byte)
                try:
                    async with first:
                        answer = await connections.send("POST", target, proxy, headers, body, timeouts.connect)
                except Exception as error:
                    if first.expired():
                        raise _no_byte(target, timeouts) from error
                    if (failure := _failure(error, target, timeouts)) is None:
                        raise
                    raise failure from error
                try:
                    yield HttpBody(answer, target, timeouts, self._max_body, first.when())
                finally:
                    answer.leave()
        except TimeoutError as error:
            raise _failure(error, target, timeouts) or error from error

    async def close(self) -> None:
        """Close this loop's connections, and forget those of loops that are closed."""
        here = asyncio.get_running_loop()
        for loop in [loop for loop in list(self._connections) if loop is here or loop.is_closed()]:
            await self._connections.pop(loop).close()

    async def _open(self, loop: asyncio.AbstractEventLoop) -> Connections:
        from outlay.models.exchange import Connections

        for other in [other for other in list(self._connections) if other.is_closed()]:
            await self._connections.pop(other).close()
        made = self._connections[loop] = Connections(self._keepalive)
        return made

    def _limit(self, loop: asyncio.AbstractEventLoop, seconds: float) -> TimeLimit:
        self._limits = {key: limit for key, limit in self._limits.items() if not key[0].is_closed()}
        made = self._limits[loop, seconds] = TimeLimit(loop, seconds)
        return made

    def _target(self, url: str) -> tuple[URL, str | None]:
        import urllib.request

        from yarl import URL

        try:
            target = URL(url)
        except ValueError as error:
            raise ConfigError(f"{url!r} is not an address", hint="check the model's base_url") from error
        if target.scheme not in ("http", "https") or not target.host:
            raise ConfigError(
                f"{url!r} is not an http or https address", hint="write the model's base_url as https://host[:port]"
            )
        proxy: str | None = None
        if not urllib.request.proxy_bypass(target.host):
            proxy = _proxy(urllib.request.getproxies().get(target.scheme), target.scheme)
        if len(self._targets) >= 1024:
            self._targets.clear()
        self._targets[url] = target, proxy
        return target, proxy


def _proxy(given: str | None, scheme: str) -> str | None:
    """The proxy that the environment names for a scheme, also written as curl takes it, `host:port`."""
    if not given:
        return None
    from yarl import URL

    address = given if "://" in given else f"http://{given.removeprefix('//')}"
    try:
        usable = bool((url := URL(address)).host) and url.scheme in ("http", "https")
    except ValueError:
        usable = False
    if not usable:  # unnamed: it may hold a password
        raise ConfigError(
            f"{scheme.upper()}_PROXY names no http proxy", hint="write it as http://host:port; SOCKS is not spoken"
        )
    return address


class HttpBody:
    """An answer whose body is still arriving (protocols.transport.HttpStream)."""

    def __init__(self, answer: Exchange, target: URL, timeouts: Timeouts, max_body: int, first: float | None) -> None:
        self._answer = answer
        self._target = target
        self._timeouts = timeouts
        self._max_body = max_body
        #: Until when its first byte is waited for, in loop time.
        self._first = first
        self.status = answer.status
        self.headers = answer.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        content = self._answer.content
        size = 0
        now = asyncio.get_running_loop().time
        while True:
            until = now() + self._timeouts.silence if size or self._first is None else self._first
            limit = asyncio.timeout_at(until)
            try:
                async with limit:
                    chunk = await content.readany()
            except Exception as error:
                if limit.expired():
                    no_byte = _no_byte if not size else _silent
                    raise no_byte(self._target, self._timeouts) from error
                if (failure := _failure(error, self._target, self._timeouts)) is None:
                    raise
                raise failure from error
            if not chunk:
                return
            size += len(chunk)
            if size > self._max_body:
                raise _too_large(self._max_body)
            yield chunk

    async def read(self) -> bytes:
        try:
            return await _read(self._answer, self._max_body, self._timeouts.silence)
        except Exception as error:
            if (failure := _failure(error, self._target, self._timeouts)) is None:
                raise
            raise failure from error


async def _read(answer: Exchange, max_body: int, silence: float) -> bytes:
    """The whole body, at most `max_body` bytes of it, with at most `silence` seconds between two pieces."""
    content = answer.content
    if answer.length > max_body:
        raise _too_large(max_body)
    if content.is_eof() and content.total_bytes <= max_body:
        return content.read_nowait()  # it came with the headers, as small answers do
    pieces: list[bytes] = []
    size = 0
    while True:
        async with asyncio.timeout(silence):
            piece = await content.readany()
        if not piece:
            return b"".join(pieces)
        size += len(piece)
        if size > max_body:
            raise _too_large(max_body)
        pieces.append(piece)


def _too_large(max_body: int) -> BadResponse:
    return BadResponse(
        f"the answer is larger than {max_body:,} bytes",
        retryable=False,
        hint="no model answers at such length: check the base URL and proxies",
    )


def _no_byte(target: URL, timeouts: Timeouts) -> ModelTimeout:
    return ModelTimeout(
        f"{target.host} did not begin to answer within {timeouts.first_byte:g} s", hint="raise timeouts.first_byte"
    )


def _silent(target: URL, timeouts: Timeouts) -> ModelTimeout:
    return ModelTimeout(f"{target.host} was silent for {timeouts.silence:g} s", hint="raise timeouts.silence")


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return error.strerror or "its name does not resolve"
    return os.strerror(error.errno) if error.errno and error.errno > 0 else type(error).__name__


def _failure(error: Exception, target: URL, timeouts: Timeouts) -> OutlayError | None:
    """What went wrong on the way, as an error of ours; None for what is not the network's doing.

    The question that matters: did the provider have the request?
    """
    import aiohttp
    from aiohttp.http_exceptions import HttpProcessingError

    where = target.host or ""
    match error:
        case OutlayError():
            return None
        case aiohttp.ConnectionTimeoutError():
            return ModelTimeout(
                f"no connection to {where} within {timeouts.connect:g} s",
                may_be_billed=False,
                hint="check the network, or raise timeouts.connect",
            )
        case TimeoutError():
            return ModelTimeout(
                f"{where} did not finish its answer: silent for {timeouts.silence:g} s, or {timeouts.total:g} s in all",
                hint="raise timeouts.total, or ask for a shorter answer",
            )
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ServerFingerprintMismatch():
            return ModelError(
                f"the certificate of {where} does not verify",
                may_be_billed=False,
                hint="check the base URL; behind a company proxy, install its root certificate",
            )
        case aiohttp.ClientConnectorError() if (error.host, error.port) != (target.raw_host, target.port):
            return ModelError(
                f"cannot connect to the proxy at {error.host}:{error.port}: {_reason(error.os_error)}",
                retryable=True,
                may_be_billed=False,
                hint="check HTTPS_PROXY and NO_PROXY",
            )
        case aiohttp.ClientConnectorError():
            full = error.errno in (errno.EMFILE, errno.ENFILE)
            return ModelError(
                f"cannot connect to {error.host}:{error.port}: {_reason(error.os_error)}",
                retryable=True,
                may_be_billed=False,
                hint="raise the limit of open files (ulimit -n), or run fewer calls at once"
                if full
                else "check the network and the base URL",
            )
        case aiohttp.ClientHttpProxyError():
            return ModelError(
                f"the proxy refuses the way to {where} ({error.status})",
                status=error.status,
                retryable=True,
                may_be_billed=False,
                hint="check HTTPS_PROXY and NO_PROXY",
            )
        case aiohttp.InvalidURL():
            return ConfigError(f"{where!r} is not an address", hint="check the model's base_url")
        case aiohttp.ClientPayloadError():
            return BadResponse(f"the answer of {where} breaks off or cannot be decoded")
        case HttpProcessingError() | aiohttp.ClientResponseError():
            return BadResponse(f"the answer of {where} is not HTTP")
        case aiohttp.ClientError() | OSError():
            return BadResponse(f"{where} closed the connection without a whole answer")
        case ValueError():
            return ConfigError("a header holds a line break or a null byte", hint="check the API key and headers=")
        case _:
            return None
