"""What this process knows of the providers' prompt caches: which prefixes stand there, who is writing one, how often
prefixes and conversations come back. Knowledge and not truth: a provider may drop what it likes, and usage corrects it.

One for each thread, because runs of different threads must not wait for each other's event loop.
"""

from __future__ import annotations

import asyncio
import struct
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final, TypeAlias

from outlay.policies.reuse import Turns
from outlay.values.caching import SECONDS, Life
from outlay.values.message import Message
from outlay.values.request import Prelude

#: Reads expected and not seen, one after another, before a provider's cache is left alone for five minutes.
MOST_MISSES: Final = 3
_MOST_KNOWN: Final = 20_000
_MOST_STARTS: Final = 256
_ENTRY: Final = struct.Struct(">16sI")


#: What tells one prefix from another: whose cache and model, and hashes of what stands in it.
Prefix: TypeAlias = tuple[str | bytes, ...]


@dataclass(slots=True)
class Writer:
    """A call that writes a prefix; those that begin with the same wait for `done`, its first token."""

    done: asyncio.Future[None]


@dataclass(slots=True)
class Provider:
    """One model at one address: tokens per estimated token, expected reads that missed, and since when."""

    scale: float = 1.0
    misses: int = 0
    missed_at: float = 0.0


@dataclass(slots=True)
class Prefixes:
    """Times in seconds of the event loop, which go on from loop to loop."""

    written: dict[Prefix, float] = field(default_factory=dict[Prefix, float])
    #: Prefixes that are not worth waiting for, until when.
    no_wait: dict[Prefix, float] = field(default_factory=dict[Prefix, float])
    writers: dict[Prefix, Writer] = field(default_factory=dict[Prefix, Writer])
    #: When conversations began with a prefix.
    begun: dict[Prefix, deque[float]] = field(default_factory=dict[Prefix, "deque[float]"])
    #: When a conversation was answered, and whether that was taken for its end.
    answered: dict[Prefix, tuple[float, bool]] = field(default_factory=dict[Prefix, tuple[float, bool]])
    turns: dict[tuple[str, str], Turns] = field(default_factory=dict[tuple[str, str], Turns])
    #: The prompt that an agent last began with, when, and how many times in a row it was one never seen before.
    last: dict[tuple[str, str], tuple[Prelude, float, int]] = field(
        default_factory=dict[tuple[str, str], "tuple[Prelude, float, int]"]
    )
    providers: dict[tuple[str, str], Provider] = field(default_factory=dict[tuple[str, str], Provider])

    def is_warm(self, prefix: Prefix, now: float) -> bool:
        return self.written.get(prefix, 0.0) > now

    def wrote(self, prefix: Prefix, life: Life, now: float) -> None:
        self._sweep(now)
        self.written[prefix] = max(now + SECONDS[life], self.written.get(prefix, 0.0))

    def begin(self, prefix: Prefix, now: float) -> None:
        begun = self.begun.setdefault(prefix, deque(maxlen=_MOST_STARTS))
        if begun and begun[-1] > now:
            begun.clear()  # of a loop whose clock was ahead of this one's
        begun.append(now)

    def starts(self, prefix: Prefix, now: float, life: Life) -> int:
        """Conversations that began with this prefix within the last life of an entry."""
        begun = self.begun.get(prefix)
        return 0 if begun is None else bisect_right(begun, now) - bisect_right(begun, now - SECONDS[life])

    def change(
        self, agent: tuple[str, str], prelude: Prelude, prefix: Prefix, now: float
    ) -> tuple[Prelude, int] | None:
        """The prompt before this one, where this one takes its place and was never seen before within five minutes;
        and how many such changes came in a row."""
        before, time, row = self.last.get(agent, (prelude, now, 0))
        if before.digest == prelude.digest:
            self.last[agent] = (prelude, now, 0)
            return None
        known = self.starts(prefix, now, "1h") > 0 or now - time >= SECONDS["5m"]
        row = 0 if known else row + 1
        self.last[agent] = (prelude, now, row)
        return None if known else (before, row)

    def goes_on(self, agent: tuple[str, str], conversation: Prefix, now: float) -> None:
        """A conversation that was `answered` here counts, from now on, as one that was continued."""
        time, taken_for_ended = self.answered.pop(conversation)
        turns = self.turns.setdefault(agent, Turns())
        turns.ended -= taken_for_ended
        if now - time < SECONDS["5m"]:
            turns.soon += 1
        elif now - time < SECONDS["1h"]:
            turns.later += 1
        else:
            turns.ended += 1

    def was_answered(self, agent: tuple[str, str], conversation: Prefix, now: float, *, ended: bool) -> None:
        self.turns.setdefault(agent, Turns()).ended += ended
        self.answered[conversation] = (now, ended)

    def _sweep(self, now: float) -> None:
        if len(self.written) > _MOST_KNOWN:
            self.written = {key: until for key, until in self.written.items() if until > now}
        if len(self.answered) > _MOST_KNOWN:
            self.answered = {key: seen for key, seen in self.answered.items() if seen[0] > now - SECONDS["1h"]}
        if len(self.begun) > _MOST_KNOWN:
            self.begun = {key: times for key, times in self.begun.items() if times[-1] > now - SECONDS["1h"]}


class _Known(threading.local):
    def __init__(self) -> None:
        self.prefixes = Prefixes()


_known: Final = _Known()


def prefixes() -> Prefixes:
    """What is known in this thread."""
    return _known.prefixes


def forget() -> None:
    """Know nothing: for tests, and for a process that changes its providers."""
    _known.prefixes = Prefixes()


def chain(prelude: Prelude) -> Iterator[tuple[bytes, int]]:
    """Of each part of a prelude (all tools, then each system text) the hash of everything up to its end, and its
    length in characters; tools first, with length 0 where there are none."""
    return _ENTRY.iter_unpack(prelude.wire("prefix chain", _chain))


def _chain(prelude: Prelude) -> bytes:
    tools = "".join(tool.name + tool.description + tool.schema for tool in prelude.tools)
    # The output schema is part of what stands before the conversation, and is no part that a mark could follow.
    unseen = "" if prelude.output is None else prelude.output.schema
    digest = blake2b(unseen.encode(errors="surrogatepass") + b"\0", digest_size=16)
    found = b""
    for text in (tools, *prelude.system):
        digest.update(b"%d:" % len(text) + text.encode(errors="surrogatepass"))
        found += _ENTRY.pack(digest.digest(), len(text))
    return found


def characters(message: Message) -> int:
    return len(message.canonical)
