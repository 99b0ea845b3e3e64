"""What was said: the texts of calls, put together from the messages that a store keeps once each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from outlay.events import CallFinished, CallStarted, Event
from outlay.values.message import DIGEST_SIZE
from outlay.values.transcript import EMPTY


class Contents:
    """The texts before and after the calls in `events`, for the columns `input` and `output` of the trace.

    A store keeps a message under the head of the transcript that ends in it, behind the head before it. Which
    others are needed shows only when one is there, so ask in rounds:

        while digests := contents.missing():
            contents.add(digests, await store.blobs(digests))
    """

    def __init__(self, events: Iterable[Event]) -> None:
        self._before: set[str] = set()
        self._after: set[str] = set()
        for event in events:
            if isinstance(event, CallStarted):
                self._before.add(event.head)
            elif isinstance(event, CallFinished):
                self._after.add(event.head)
        self._links: dict[str, tuple[str, str]] = {}
        self._gone: set[str] = {"", EMPTY.head.hex()}
        self._wanted = {*self._before, *self._after} - self._gone

    def missing(self) -> list[bytes]:
        """The heads to ask the store for next; empty when all is known."""
        return [bytes.fromhex(head) for head in sorted(self._wanted)]

    def add(self, asked: Iterable[bytes], found: Mapping[bytes, bytes]) -> None:
        """What the store had of what it was asked for; the rest is taken as gone (pruned, or never stored)."""
        for digest in asked:
            head, content = digest.hex(), found.get(digest)
            self._wanted.discard(head)
            if content is None:
                self._gone.add(head)
                continue
            parent = content[:DIGEST_SIZE].hex()
            self._links[head] = (parent, _said(content[DIGEST_SIZE:]))
            if parent not in self._links and parent not in self._gone:
                self._wanted.add(parent)

    @property
    def inputs(self) -> dict[str, str]:
        """The conversation before each call, by its head: one paragraph a message, oldest first."""
        return {head: self._conversation(head) for head in self._before if head in self._links}

    @property
    def outputs(self) -> dict[str, str]:
        """The answer of each call, by the head after it."""
        return {head: self._links[head][1] for head in self._after if head in self._links}

    def _conversation(self, head: str) -> str:
        said: list[str] = []
        while link := self._links.get(head):
            head, text = link
            said.append(text)
        if head != EMPTY.head.hex():
            said.append("(earlier messages are no longer in the store)")
        return "\n\n".join(reversed(said))


def _said(canonical: bytes) -> str:
    """A message's canonical bytes as text, led by who said it."""
    role, parts = msgspec.json.decode(canonical, type=tuple[str, list[Any]])
    return f"{role}: " + "\n".join(part if isinstance(part, str) else _described(part) for part in parts)


def _described(part: list[Any]) -> str:
    match part:
        case ["call", _, name, arguments]:
            return f"[calls {name} {arguments}]"
        case ["result", _, name, content, is_error]:
            return f"[{name} {'failed' if is_error else 'gave'}: {content}]"
        case [kind, *_]:
            return f"[{kind}]"
        case _:
            return "[empty]"
