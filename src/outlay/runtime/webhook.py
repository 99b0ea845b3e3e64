"""Alerts by HTTP: each as a small JSON POST, from a thread of its own. A run neither waits for it nor fails with it."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import queue
import re
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit
from weakref import WeakSet

import msgspec

from outlay.analysis.text import plain
from outlay.errors import ConfigError
from outlay.events.codec import encode
from outlay.events.records import AlertEvent
from outlay.runtime.alerts import alert_text

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger("outlay")
#: Characters of one text in an alert; who wants to know more looks at the run.
_LONGEST = 500
#: So often a redirect is followed, and only these: they keep the method and the body.
_HOPS, _REDIRECTS = 3, (307, 308)
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD)$", re.IGNORECASE)
_SECRET_TEXT = re.compile(r"\b(?:sk|pk|key|ghp|xox[abp])[-_][A-Za-z0-9_-]{8,}|\bBearer\s+\S+", re.IGNORECASE)
#: Shorter values of the environment stand in too many words to be secrets.
_SHORTEST_SECRET = 8
#: Seconds after which a thread with nothing to send ends; the next alert starts another.
_IDLE = 2.0


class Webhook:
    """For `on_alert=`: posts each alert to `url` as JSON, with its `text` for people beside its facts.

    At most `waiting` alerts wait; more are dropped, and the next one that is sent says how many (`dropped`). Each has
    `timeout` seconds for all of its way, and is not tried again. A redirect to another scheme, host or port is
    refused. What looks like a key, and what the environment calls one, is blacked out; `headers` are sent and never
    logged, nor is the URL, which may hold a token. Failures are warnings of the logger `outlay`.

    A process that ends waits `timeout` seconds at most for what is still to be sent; `close` does so at once.
    Raises ConfigError for an address that is not http(s), and for headers that cannot be sent.
    """

    def __init__(
        self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 5.0, waiting: int = 100
    ) -> None:
        self._url, self._host = _checked(url)
        self._headers = dict(headers or {})
        for name, value in self._headers.items():
            if not _HEADER.match(name) or not value.isprintable():
                raise ConfigError(f"Webhook: the header {name[:40]!r} cannot be sent", hint="one line of plain text")
        if not 0 < timeout <= 60 or waiting < 1:
            raise ConfigError("Webhook: timeout is in seconds, up to 60, and waiting at least 1")
        self.timeout = timeout
        self._queue: queue.Queue[bytes] = queue.Queue(waiting)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._dropped = 0

    def __repr__(self) -> str:
        return f"Webhook({self._host})"

    def __call__(self, alert: AlertEvent) -> None:
        """Take an alert to send; returns at once."""
        with self._lock:
            try:
                self._queue.put_nowait(_body(alert, self._dropped))
                self._dropped = 0
            except queue.Full:
                self._dropped += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="outlay-webhook", daemon=True)
                self._thread.start()
                _at_work.add(self)

    def close(self, seconds: float | None = None) -> bool:
        """Wait until all is sent, at most `seconds` (by default `timeout`); whether it was. It can go on being used."""
        until = time.monotonic() + (self.timeout if seconds is None else seconds)
        while self._queue.unfinished_tasks and time.monotonic() < until:
            time.sleep(0.005)
        return not self._queue.unfinished_tasks

    def _work(self) -> None:
        with asyncio.Runner() as runner:
            session: aiohttp.ClientSession = runner.run(self._session())
            try:
                while (body := self._next()) is not None:
                    try:
                        runner.run(self._post(session, body))
                    except Exception as error:
                        log.warning("an alert could not be posted to %s: %s", self._host, type(error).__name__)
                    finally:
                        self._queue.task_done()
            finally:
                runner.run(session.close())

    def _next(self) -> bytes | None:
        """The next to send; None where nothing came for a while, and the thread may end."""
        try:
            return self._queue.get(timeout=_IDLE)
        except queue.Empty:
            with self._lock:
                if not self._queue.empty():
                    return self._queue.get_nowait()
                self._thread = None
                return None

    async def _session(self) -> aiohttp.ClientSession:
        import aiohttp

        limit = aiohttp.ClientTimeout(total=self.timeout)
        return aiohttp.ClientSession(timeout=limit, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False)

    async def _post(self, session: aiohttp.ClientSession, body: bytes) -> None:
        async with asyncio.timeout(self.timeout):
            url, status = self._url, 0
            for _ in range(_HOPS + 1):
                headers = {"Content-Type": "application/json", "User-Agent": "outlay", **self._headers}
                async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                    status, location = answer.status, answer.headers.get("Location", "")
                if status < 300:
                    return
                to = urljoin(url, location)
                if status not in _REDIRECTS or _origin(to) != _origin(self._url):
                    break
                url = to
            refused = " to another place, which is refused" if 300 <= status < 400 else ""
            log.warning("%s answered an alert with %d%s", self._host, status, refused)


def _checked(url: str) -> tuple[str, str]:
    """The address, and what may be shown of it. Raises ConfigError."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except (ValueError, AttributeError):
        good, parts = False, urlsplit("")
    if not good or not url.isprintable() or " " in url:
        raise ConfigError("Webhook: the address is not an http(s) URL", hint='Webhook("https://hooks.example.com/…")')
    return url, str(parts.hostname)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port
    except ValueError:
        return "", None, None


def _body(alert: AlertEvent, dropped: int) -> bytes:
    facts: dict[str, Any] = msgspec.json.decode(encode(alert))
    document = {**facts, "text": f"outlay: {alert_text(alert)}"}
    if dropped:
        document["dropped"] = dropped
    hidden = [value for name, value in os.environ.items() if _SECRET_NAME.search(name)]
    secrets = sorted((value for value in hidden if len(value) >= _SHORTEST_SECRET), key=len, reverse=True)
    return msgspec.json.encode({name: _safe(value, secrets) for name, value in document.items()})


def _safe(value: Any, secrets: list[str]) -> Any:
    """A fact as it may leave this machine."""
    if not isinstance(value, str):
        return value
    for secret in secrets:
        value = value.replace(secret, "…")
    return plain(_SECRET_TEXT.sub("…", value))[:_LONGEST]


def _close_all() -> None:
    until = time.monotonic() + max((hook.timeout for hook in _at_work), default=0.0)
    for hook in list(_at_work):
        hook.close(until - time.monotonic())


#: Hooks that have sent something: the process waits for what they still have to send.
_at_work: WeakSet[Webhook] = WeakSet()
atexit.register(_close_all)
