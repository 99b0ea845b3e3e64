"""Anthropic's Message Batches: up to 100,000 requests or 256 MB, within 24 hours, at half the price.

https://platform.claude.com/docs/en/build-with-claude/batch-processing. A batch carries no mark of ours and shows its
requests only when it has ended, so a lost submission is found by its size, and known by its ids.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from outlay.errors import ModelError
from outlay.models.batch_http import WINDOW, Account, parsed, segment
from outlay.models.failures import reported
from outlay.models.fields import string, table
from outlay.protocols.batches import Fate, Handed, Lost, Read, Seen, Traced
from outlay.protocols.transport import HttpReply, Transport
from outlay.values.request import ModelRequest

_PATH: Final = "/v1/messages/batches"
_FATES: Final[dict[str, Fate]] = {"expired": "expired", "canceled": "cancelled"}


class AnthropicBatches:
    """The Message Batches of one account; models may share a batch."""

    most_requests = 100_000
    most_bytes = 256_000_000
    window = WINDOW

    def __init__(self, account: Account) -> None:
        self._account = account

    @property
    def group(self) -> str:
        return f"anthropic {self._account.place}"

    def hand(self, id: str, request: ModelRequest) -> Handed:
        line = b'{"custom_id":' + json.dumps(id).encode() + b',"params":' + self._account.body(request) + b"}"
        return Handed(id, line, request)

    async def submit(self, token: str, handed: Sequence[Handed], transport: Transport) -> str:
        body = b'{"requests":[' + b",".join(one.line for one in handed) + b"]}"
        return await self._account.create(_PATH, body, transport)

    async def look(self, batch: str, transport: Transport) -> Seen:
        found = self._account.object(await self._account.get(f"{_PATH}/{segment(batch)}", transport))
        return _seen(batch, found)

    async def lines(self, seen: Seen, transport: Transport) -> list[bytes]:
        # its own address and not `results_url`: the key goes nowhere that an answer names
        reply = await self._account.get(f"{_PATH}/{segment(seen.id)}/results", transport)
        return reply.body.splitlines()

    async def cancel(self, batch: str, transport: Transport) -> None:
        await self._account.post(f"{_PATH}/{segment(batch)}/cancel", b"", transport)

    def read(self, line: dict[str, Any]) -> Read:
        result = table(line.get("result"))
        kind = string(result.get("type"))
        if fate := _FATES.get(kind):
            error = ModelError(
                f"the batch {'expired' if fate == 'expired' else 'was cancelled'} before this request was run",
                provider="anthropic",
                retryable=True,
                may_be_billed=False,
            )
            return Read(fate, error=error)
        if kind == "succeeded":
            try:
                return Read("answered", self._account.read(HttpReply(200, {}, _dump(result.get("message")))))
            except ModelError as error:
                return Read("failed", error=error)
        failed = table(result.get("error"))
        failed = table(failed.get("error")) or failed
        error = reported(
            "anthropic", string(failed.get("type")), string(failed.get("message")) or "it failed in its batch"
        )
        return Read("failed", error=error)

    async def trace(self, lost: Lost, transport: Transport) -> Traced:
        wanted, unclear = set(lost.ids), False
        for batch in await self._account.newest(_PATH, "after_id", _created, lost.since, transport):
            seen = _seen(string(batch.get("id")), batch)
            if seen.id in lost.others or seen.requests not in (None, len(wanted)):
                continue
            if not seen.ended:
                unclear = True
                continue
            lines = [parsed(line) for line in await self.lines(seen, transport)]
            if any(line is not None and line.get("custom_id") in wanted for line in lines):
                return Traced(seen.id)
        return Traced(unclear=unclear)


def _seen(id: str, body: dict[str, Any]) -> Seen:
    counts = [count for count in table(body.get("request_counts")).values() if isinstance(count, int)]
    return Seen(id, body.get("processing_status") == "ended", requests=sum(counts) if counts else None)


def _created(batch: dict[str, Any]) -> float:
    """In seconds since the epoch; one that does not say when may be new."""
    try:
        when = datetime.fromisoformat(string(batch.get("created_at")))
    except ValueError:
        return float("inf")
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _dump(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode(errors="replace")
