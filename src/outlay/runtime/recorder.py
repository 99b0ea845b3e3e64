"""Events as they happen: numbered, kept for the result, handed to listeners, and written to the store."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable
from typing import Any

from outlay.errors import OutlayError
from outlay.events.codec import encode, kind_of
from outlay.events.records import CallFailed, CallFinished, Event, Retracted, TextDelta
from outlay.protocols.store import Row, Store
from outlay.values.request import Prelude
from outlay.values.transcript import Transcript

log = logging.getLogger("outlay")
Listener = Callable[[Event], Any]


class Recorder:
    """The one writer of a run's events."""

    __slots__ = ("_kept", "_listeners", "_seq", "_wall", "events", "failed", "run_id", "spent_on", "store", "streaming")

    def __init__(
        self,
        run_id: str,
        wall: Callable[[], float],
        store: Store | None,
        listeners: Iterable[Listener],
        streaming: bool,
    ) -> None:
        self.run_id = run_id
        self.store = store
        self.events: list[Event] = []
        self.streaming = streaming
        self.spent_on = 0
        self.failed: OutlayError | None = None
        self._listeners = tuple(listeners)
        self._seq = itertools.count()
        self._wall = wall
        self._kept: set[bytes] = set()

    def emit(self, kind: type[Event], path: str, **fields: Any) -> None:
        event = kind(run=self.run_id, seq=next(self._seq), time=self._wall(), path=path, **fields)
        if kind is CallFinished or (isinstance(event, CallFailed) and event.maybe_billed):
            self.spent_on += 1
        if kind is not TextDelta and kind is not Retracted:
            self.events.append(event)
            if self.store is not None and self.failed is None:
                try:
                    self.store.append((Row(self.run_id, event.seq, event.time, kind_of(event), encode(event)),))
                except OutlayError as error:  # told at the next call: what happened meanwhile is kept in memory
                    self.failed = error
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:  # a broken listener must not end a paid run
                log.warning("an on_event listener raised", exc_info=True)

    def keep(self, transcript: Transcript, prelude: Prelude | None = None) -> None:
        """Store the messages that are not stored yet: each link once, under its head."""
        if self.store is None or self.failed is not None:
            return
        new: list[tuple[bytes, bytes]] = []
        if prelude is not None and prelude.digest not in self._kept:
            self._kept.add(prelude.digest)
            new.append((prelude.digest, prelude.wire("stored", prelude_bytes)))
        for link in transcript.links():
            if link.head in self._kept:
                break
            self._kept.add(link.head)
            assert link.parent is not None
            assert link.message is not None
            new.append((link.head, link.parent.head + link.message.canonical))
        if new:
            try:
                self.store.keep(new)
            except OutlayError as error:
                self.failed = error

    async def durable(self) -> None:
        """Return when everything so far is on disk. Raises what the store failed with: no new effect without it."""
        if self.store is None:
            return
        if self.failed is not None:
            raise self.failed
        await self.store.room()
        await self.store.flush(self.run_id)


def prelude_bytes(prelude: Prelude) -> bytes:
    """Instructions, tools and output schema as JSON, for the trace."""
    import msgspec

    return msgspec.json.encode(
        {
            "system": prelude.system,
            "tools": [{"name": t.name, "description": t.description} for t in prelude.tools],
            "output": None if prelude.output is None else prelude.output.schema,
        }
    )
