"""What the batch clients of both providers do alike: ask an account, list page by page, read foreign JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, cast
from urllib.parse import quote

from outlay.errors import BadResponse, ModelError, ServerError
from outlay.models.fields import rows, string
from outlay.protocols.transport import HttpReply, Timeouts, Transport
from outlay.values.request import ModelRequest, ModelResponse

#: Seconds that both providers give a batch.
WINDOW: Final = 86_400.0
#: Seconds by which the provider's clock may be behind ours.
_SKEW: Final = 300.0
#: Of batches that are new enough to matter there are never more pages than this.
_MOST_PAGES: Final = 100


@dataclass(frozen=True, slots=True)
class Account:
    """A model's account, as its adapter knows it: where it is, how a request is written and an answer read there.

    `place` tells accounts apart without saying the key, `url` makes an address of a path.
    """

    provider: str
    model: str
    place: str
    url: Callable[[str], str]
    headers: Callable[[], Mapping[str, str]]
    body: Callable[[ModelRequest], bytes]
    read: Callable[[HttpReply], ModelResponse]
    refusal: Callable[[HttpReply], ModelError]
    timeouts: Timeouts

    async def get(self, path: str, transport: Transport) -> HttpReply:
        """What is there. Raises ModelError."""
        # a file takes longer than an answer
        timeouts = replace(self.timeouts, total=max(self.timeouts.total, 1800.0))
        return self._good(await transport.get(self.url(path), self.headers(), timeouts))

    async def post(self, path: str, body: bytes, transport: Transport, kind: str = "application/json") -> HttpReply:
        """The answer to it. Raises ModelError."""
        headers = {**self.headers(), "content-type": kind}
        return self._good(await transport.post(self.url(path), headers, body, self.timeouts))

    async def create(self, path: str, body: bytes, transport: Transport) -> str:
        """Make a batch; its id. What fails inside the provider may have happened all the same. Raises ModelError."""
        try:
            found = self.object(await self.post(path, body, transport))
        except ServerError as error:
            error.may_be_billed = True
            raise
        if not (id := string(found.get("id"))):
            raise BadResponse(f"{self.provider} took a batch and did not say its id", provider=self.provider)
        return id

    async def newest(
        self, path: str, after: str, created: Callable[[dict[str, Any]], float], since: float, transport: Transport
    ) -> list[dict[str, Any]]:
        """The entries of a list that were `created` after `since`, the newest first; `after` asks for the next page."""
        found: list[dict[str, Any]] = []
        more = before = ""
        for _ in range(_MOST_PAGES):
            page = self.object(await self.get(f"{path}?limit=100{more}", transport))
            entries = rows(page.get("data"))
            found += [entry for entry in entries if created(entry) >= since - _SKEW]
            last = string(page.get("last_id")) or (string(entries[-1].get("id")) if entries else "")
            older = any(created(entry) < since - _SKEW for entry in entries)
            if older or not page.get("has_more") or last in ("", before):
                break
            before = last
            more = f"&{after}={segment(last)}"
        return found

    def object(self, reply: HttpReply) -> dict[str, Any]:
        """A body that has to be a JSON object. Raises BadResponse."""
        found = parsed(reply.body)
        if found is None:
            raise BadResponse(f"{self.provider} answered {reply.status} with no JSON object", provider=self.provider)
        return found

    def _good(self, reply: HttpReply) -> HttpReply:
        if not 200 <= reply.status < 300:
            raise self.refusal(reply)
        return reply


def parsed(body: bytes) -> dict[str, Any] | None:
    """A JSON object, None for anything else."""
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def segment(id: str) -> str:
    """An id as a part of an address: it is the provider's text."""
    return quote(id, safe="")
