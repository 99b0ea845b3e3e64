"""Message Batches of the Anthropic protocol: create, retrieve, list, cancel, delete, results."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import Random

from outlay.emulator import json
from outlay.emulator.batches import WINDOW, Batch, Entry, Schedule, page, run_finished
from outlay.emulator.engine import Engine
from outlay.emulator.ids import Ids
from outlay.emulator.json import Json, rows, table, text
from outlay.emulator.problems import invalid, not_found
from outlay.emulator.wire import Wire

_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_COUNTED = {"pending": "processing", "cancelled": "canceled", "expired": "expired"}


class MessageBatches:
    """All message batches. `seconds`: how long each takes, `change` what becomes of the lines of its results;
    `base_url` for the links to results."""

    def __init__(
        self,
        wire: Wire,
        engine: Engine,
        ids: Ids,
        clock: Callable[[], float],
        seconds: float,
        change: Callable[[list[bytes]], list[bytes]],
    ) -> None:
        self._wire = wire
        self._engine = engine
        self._ids = ids
        self._clock = clock
        self._seconds = seconds
        self._change = change
        self._batches: dict[str, Batch] = {}

    def clear(self) -> None:
        """Forget them."""
        self._batches.clear()

    def create(self, body: Json, key: str, base_url: str) -> Json:
        """A new batch, in progress."""
        entries: list[Entry] = []
        seen: set[str] = set()
        requests = rows(body.get("requests"))
        if not requests:
            raise invalid("requests: List should have at least 1 item after validation, not 0")
        for index, request in enumerate(map(table, requests)):
            custom_id = text(request.get("custom_id"))
            if not _CUSTOM_ID.fullmatch(custom_id):
                raise invalid(f"requests.{index}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'")
            if custom_id in seen:
                raise invalid(f"requests.{index}.custom_id: duplicate custom_id '{custom_id}'")
            if not isinstance(request.get("params"), dict):
                raise invalid(f"requests.{index}.params: Field required")
            seen.add(custom_id)
            entries.append(Entry(custom_id, table(request["params"])))
        schedule = Schedule(self._clock(), self._seconds, len(entries))
        batch = Batch(self._ids.draw("msgbatch_01"), entries, schedule, key)
        self._batches[batch.id] = batch
        return self._body(batch, base_url, status="in_progress")

    async def retrieve(self, batch_id: str, base_url: str) -> Json:
        """A batch as it stands."""
        batch = self._find(batch_id)
        await run_finished(batch, self._wire, self._engine, self._clock())
        return self._body(batch, base_url)

    async def list(self, query: Mapping[str, str], base_url: str) -> Json:
        """Batches, the newest first."""
        bodies = [await self.retrieve(batch_id, base_url) for batch_id in reversed(self._batches)]
        shown, more = page(bodies, after=query.get("after_id"), limit=int(query.get("limit", 20)))
        return {
            "data": shown,
            "has_more": more,
            "first_id": shown[0]["id"] if shown else None,
            "last_id": shown[-1]["id"] if shown else None,
        }

    async def cancel(self, batch_id: str, base_url: str) -> Json:
        """Stop a batch; it says so at once and has ended when looked at again."""
        batch = self._find(batch_id)
        await run_finished(batch, self._wire, self._engine, self._clock())
        if batch.schedule.ended(self._clock()) is None:
            batch.schedule.cancelled = self._clock()
            return self._body(batch, base_url, status="canceling")
        return self._body(batch, base_url)

    def delete(self, batch_id: str) -> Json:
        """Forget a batch that has ended."""
        if self._find(batch_id).schedule.ended(self._clock()) is None:
            raise invalid(f"Batch {batch_id} cannot be deleted while it is still processing. Cancel it first.")
        del self._batches[batch_id]
        return {"id": batch_id, "type": "message_batch_deleted"}

    async def results(self, batch_id: str) -> bytes:
        """The results, one JSON object a line; in no particular order, as the API says."""
        batch = self._find(batch_id)
        now = self._clock()
        if batch.schedule.ended(now) is None:
            raise not_found(f"Batch {batch_id} has no available results.")
        await run_finished(batch, self._wire, self._engine, now)
        lines = [
            {"custom_id": entry.custom_id, "result": self._result(entry, fate)}
            for entry, fate in zip(batch.entries, batch.fates(now), strict=True)
        ]
        Random(batch_id).shuffle(lines)  # noqa: S311 - an order, not a secret
        return b"".join(line + b"\n" for line in self._change([json.encode(line) for line in lines]))

    def _find(self, batch_id: str) -> Batch:
        if (batch := self._batches.get(batch_id)) is None:
            raise not_found(f"Batch {batch_id} not found.")
        return batch

    def _result(self, entry: Entry, fate: str) -> Json:
        if fate != "finished":
            return {"type": _COUNTED[fate]}
        if entry.error is not None:
            return {"type": "errored", "error": entry.error.body("anthropic", self._ids.draw("req_01"))}
        return {"type": "succeeded", "message": entry.result}

    def _body(self, batch: Batch, base_url: str, status: str = "") -> Json:
        now = self._clock()
        schedule = batch.schedule
        ended = schedule.ended(now) if not status else None
        counts = {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
        for entry, fate in zip(batch.entries, batch.fates(now), strict=True):
            if ended is None:  # counted only once the whole batch has ended
                counts["processing"] += 1
            elif fate == "finished":
                counts["errored" if entry.error else "succeeded"] += 1
            else:
                counts[_COUNTED[fate]] += 1
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": status or ("in_progress" if ended is None else "ended"),
            "request_counts": counts,
            "ended_at": _rfc3339(ended),
            "created_at": _rfc3339(schedule.created),
            "expires_at": _rfc3339(schedule.created + WINDOW),
            "archived_at": None,
            "cancel_initiated_at": _rfc3339(schedule.cancelled),
            "results_url": None if ended is None else f"{base_url}/v1/messages/batches/{batch.id}/results",
        }


def _rfc3339(timestamp: float | None) -> str | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="microseconds")
