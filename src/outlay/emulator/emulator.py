"""The emulator itself: a loopback server with a life time, an address and books."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from outlay.emulator.answer import BilledUsage
from outlay.emulator.behaviour import Behaviour
from outlay.emulator.faults import Faults
from outlay.emulator.latency import Latency, Seconds
from outlay.emulator.ledger import Record
from outlay.emulator.limits import Limits
from outlay.emulator.rooms import Rooms
from outlay.emulator.server import MAX_UPLOAD_BYTES, Server
from outlay.emulator.settings import Settings
from outlay.emulator.wire_faults import on_the_wire
from outlay.sim.faults import Faults as ModelFaults

_HOST = "127.0.0.1"
_BACKLOG = 4_096
"""Connections that may wait to be accepted; a thousand clients connect at once in load tests."""
_API_KEY = "sk-emulator"


class Emulator:
    """A local server that speaks the Anthropic and OpenAI protocols; it listens on loopback only.

    Use it as `async with` (it then runs in your loop) or as `with` (it then runs in a thread of its own).

    Args:
        behaviour: what the model says: a function of the `EmulatedRequest`, a script, one text, or by default
            something sensible that follows from the seed.
        models: the models that exist; by default every name does.
        api_keys: the keys that are accepted; by default any is, but none at all is a 401.
        faults: a schedule of what goes wrong: `outlay.emulator.Faults`, or the rates of `outlay.testing.Faults`.
        limits: rate limits that are enforced; by default they are only advertised.
        latency: seconds (or a function that draws them) until the first token, or a whole `Latency`.
        batch_seconds: how long a batch takes, by `clock`.
        batch_results: changes the lines of a batch's results, as a provider that errs would.
        seed: of texts, ids, latencies; faults have their own.
        clock: seconds since 1970; caches, batches and limits live by it, latencies do not.
        keep_requests: how many requests `requests` keeps.
    """

    def __init__(
        self,
        *,
        behaviour: Behaviour | None = None,
        models: Collection[str] = (),
        api_keys: Collection[str] = (),
        faults: Faults | ModelFaults | None = None,
        limits: Limits | None = None,
        latency: Latency | Seconds = 0.0,
        batch_seconds: float = 0.0,
        batch_results: Callable[[list[bytes]], list[bytes]] = list,
        seed: int = 0,
        clock: Callable[[], float] = time.time,
        keep_requests: int = 10_000,
    ) -> None:
        self._settings = Settings(
            behaviour=behaviour,
            models=frozenset(models),
            api_keys=frozenset(api_keys),
            faults=on_the_wire(faults),
            limits=limits or Limits(),
            latency=latency if isinstance(latency, Latency) else Latency(latency),
            batch_seconds=batch_seconds,
            batch_results=batch_results,
            seed=seed,
            clock=clock,
            keep_requests=keep_requests,
        )
        self._rooms = Rooms(self._settings)
        self._server: Server | None = None
        self._web: web.Server | None = None
        self._runner: web.ServerRunner | None = None
        self._port = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    @property
    def port(self) -> int:
        """The port it listens on; 0 while it does not run."""
        return self._port

    @property
    def url(self) -> str:
        """The address of the server, without a path."""
        return f"http://{_HOST}:{self._port}"

    @property
    def anthropic_url(self) -> str:
        """The base URL for Anthropic's clients."""
        return self.url

    @property
    def openai_url(self) -> str:
        """The base URL for OpenAI's clients."""
        return f"{self.url}/v1"

    def env(self) -> Mapping[str, str]:
        """The environment variables that point both SDKs, and Outlay, to this emulator."""
        key = min(self._settings.api_keys, default=_API_KEY)
        return {
            "ANTHROPIC_API_KEY": key,
            "ANTHROPIC_BASE_URL": self.anthropic_url,
            "OPENAI_API_KEY": key,
            "OPENAI_BASE_URL": self.openai_url,
        }

    @property
    def requests(self) -> list[Record]:
        """The requests so far, in order of arrival."""
        return list(self._rooms.ledger.records)

    def billed(self) -> Mapping[str, BilledUsage]:
        """The tokens billed so far, by model."""
        return dict(self._rooms.ledger.by_model)

    @property
    def in_flight(self) -> int:
        """Requests that are being answered right now."""
        return 0 if self._server is None else self._server.in_flight

    @property
    def open_connections(self) -> int:
        """Connections that are open right now, idle ones included."""
        return 0 if self._web is None else len(self._web.connections)

    def reset(self) -> None:
        """Forget the requests, the bills, caches, files, batches and limits; scripts and schedules begin
        again.
        """
        self._rooms.reset()
        if self._server is not None:
            self._server.reset()

    async def start(self, port: int = 0) -> None:
        """Listen in the running loop. Port 0 takes a free one."""
        if self._runner is not None:
            raise RuntimeError(f"the emulator runs already, at {self.url}")
        self._server = Server(self._settings, self._rooms)
        self._web = web.Server(
            self._server.handle,
            request_factory=_request,
            handler_cancellation=True,
            access_log=None,
            lingering_time=0,
        )
        self._runner = web.ServerRunner(self._web, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, _HOST, port, backlog=_BACKLOG)
        try:
            await site.start()
        except OSError:
            await self.aclose()
            raise
        self._port = self._runner.addresses[0][1]

    async def aclose(self) -> None:
        """Stop, whatever is still being answered."""
        runner, self._runner = self._runner, None
        if runner is None or self._server is None:
            return
        self._server.over.set()
        await runner.cleanup()
        self._port = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        started = threading.Event()
        failed: list[BaseException] = []

        def run() -> None:
            try:
                asyncio.run(self._run(0, started.set))
            except BaseException as error:
                failed.append(error)
                started.set()

        self._thread = threading.Thread(target=run, name="outlay-emulator", daemon=True)
        self._thread.start()
        started.wait()
        if failed:
            raise failed[0]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join()

    def serve(self, port: int = 0, *, ready: Callable[[Emulator], None] | None = None) -> None:
        """Serve until interrupted (Ctrl-C). `ready` is called once it listens."""
        with suppress(KeyboardInterrupt):
            asyncio.run(self._run(port, (lambda: ready(self)) if ready is not None else lambda: None))

    async def _run(self, port: int, ready: Callable[[], None]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await self.start(port)
        try:
            ready()
            await self._stop.wait()
        finally:
            await self.aclose()


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    """A request whose body may be as large as an upload."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_UPLOAD_BYTES)  # type: ignore[arg-type]
