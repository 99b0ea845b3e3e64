"""What models were given and what they said, read back from a store for the trace."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from outlay.events import CallFailed, CallFinished, CallStarted, Event
from outlay.protocols.store import Store
from outlay.values.message import DIGEST_SIZE

#: Role and parts of a message, as `Message.canonical` has them.
Spoken = tuple[str, list[Any]]


class Contents:
    """The stored messages and instructions of some events. What a store does not have is left out."""

    def __init__(self, links: Mapping[bytes, bytes], preludes: Mapping[bytes, bytes]) -> None:
        self._links = links
        self._preludes = preludes

    @staticmethod
    async def of(store: Store, events: Sequence[Event]) -> Contents:
        """Read what these calls were given and said, each message once."""
        calls = [event for event in events if isinstance(event, CallStarted | CallFinished)]
        links: dict[bytes, bytes] = {}
        wanted = {bytes.fromhex(call.head) for call in calls if call.head}
        while wanted:
            found = await store.blobs(sorted(wanted))
            links.update(found)
            # Every link begins with the digest of the one before it.
            wanted = {link[:DIGEST_SIZE] for link in found.values()} - links.keys() - {bytes(DIGEST_SIZE)}
        started = [call.prelude for call in calls if isinstance(call, CallStarted) and call.prelude]
        return Contents(links, await store.blobs(sorted({bytes.fromhex(prelude) for prelude in started})))

    def pairs(self, events: Iterable[Event]) -> list[tuple[str | None, str | None]]:
        """Input and output of each attempt that ended, in the order of the rows of `analysis.trace`."""
        found: list[tuple[str | None, str | None]] = []
        starts: dict[tuple[str, str, str, int], CallStarted] = {}
        for event in events:
            if isinstance(event, CallStarted):
                starts[event.run, event.path, event.key, event.attempt] = event
            elif isinstance(event, CallFinished | CallFailed):
                started = starts.pop((event.run, event.path, event.key, event.attempt), None)
                output = self._said(event.head) if isinstance(event, CallFinished) else None
                found.append((None if started is None else self._given(started), output))
        return found

    def _given(self, call: CallStarted) -> str | None:
        """The whole request as JSON: instructions, tools, output schema, messages."""
        prelude = self._preludes.get(bytes.fromhex(call.prelude)) if call.prelude else None
        messages = [{"role": role, "content": parts} for role, parts in self._conversation(call.head)]
        if prelude is None and not messages:
            return None
        fixed: dict[str, Any] = {} if prelude is None else json.loads(prelude)
        return json.dumps({**fixed, "messages": messages}, ensure_ascii=False)

    def _said(self, head: str) -> str | None:
        """The newest message: its text, or its parts as JSON where it is more than text."""
        link = self._links.get(bytes.fromhex(head)) if head else None
        if link is None:
            return None
        _, parts = _message(link)
        if all(isinstance(part, str) for part in parts):
            return "".join(parts)
        return json.dumps(parts, ensure_ascii=False)

    def _conversation(self, head: str) -> list[Spoken]:
        """From the oldest message to the newest."""
        found: list[Spoken] = []
        digest = bytes.fromhex(head) if head else bytes(DIGEST_SIZE)
        while (link := self._links.get(digest)) is not None:
            found.append(_message(link))
            digest = link[:DIGEST_SIZE]
        return found[::-1]


def _message(link: bytes) -> Spoken:
    role, parts = json.loads(link[DIGEST_SIZE:])
    return role, parts
