"""The health of the prompt cache, agent by agent: what was read, written in vain, expected and missed, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal

from outlay.analysis.billlines import ZERO
from outlay.events import CacheAlert, CallFinished, CallStarted, Decision, Event

#: Changes, reasons and alerts that are kept of each agent.
_MOST_TEXTS = 5


@dataclass(frozen=True, slots=True)
class CacheHealth:
    """The cache of one agent on one model, in tokens; figures of calls whose usage is unknown are left out.

    `unread` was written and not read by a later call of this agent among the events folded; adding up what was folded
    apart adds it up, too, and is an upper bound. `expected` calls had a prefix that should have
    been there, `missed` of them read nothing. `saved` is in US dollars against the same calls without a cache,
    negative where writing cost more than reading saved, None where a price is unknown. `changes` names the parts of
    the prompt that broke a prefix, `why_not` the reasons for caching nothing.
    """

    agent: str
    model: str
    calls: int = 0
    input_tokens: int = 0
    read: int = 0
    written: int = 0
    unread: int = 0
    expected: int = 0
    missed: int = 0
    saved: Decimal | None = ZERO
    changes: tuple[str, ...] = ()
    why_not: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()

    @property
    def hit_rate(self) -> float | None:
        """Of all input tokens, the part that was read from the cache; None where there was no input."""
        return self.read / self.input_tokens if self.input_tokens else None

    def __add__(self, other: CacheHealth) -> CacheHealth:
        return CacheHealth(
            self.agent,
            self.model,
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.read + other.read,
            self.written + other.written,
            self.unread + other.unread,
            self.expected + other.expected,
            self.missed + other.missed,
            None if self.saved is None or other.saved is None else self.saved + other.saved,
            _first(self.changes, other.changes),
            _first(self.why_not, other.why_not),
            _first(self.alerts, other.alerts),
        )


@dataclass(slots=True)
class _Line:
    health: CacheHealth
    #: Of each call: its place in the order of starts, tokens read, tokens written.
    calls: list[tuple[int, int, int]] = field(default_factory=list[tuple[int, int, int]])


class CacheFold:
    """Grows by one event at a time; the events of one call in their order."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], _Line] = {}
        #: Tokens that a call under way is expected to read.
        self._expected: dict[tuple[str, str], int] = {}
        #: The order in which calls were sent: who reads early may be done before who writes.
        self._started: dict[tuple[str, str], int] = {}
        self._count = 0

    def add(self, event: Event) -> None:
        self._count += 1
        if isinstance(event, CallStarted):
            self._started[event.run, event.key] = self._count
        elif isinstance(event, Decision):
            self._decided(event)
        elif isinstance(event, CacheAlert):
            line = self._line(event.agent, event.model)
            line.health = replace(line.health, alerts=(*line.health.alerts, event.text))
        elif isinstance(event, CallFinished):
            self._finished(event)

    def health(self) -> tuple[CacheHealth, ...]:
        """One for each agent and model of which there is anything to say."""
        found = [replace(line.health, unread=_unread(line.calls)) for line in self._lines.values()]
        return tuple(one for one in found if _is_worth_telling(one))

    def _decided(self, event: Decision) -> None:
        data = event.data
        if event.about not in ("cache", "prefix_changed"):
            return
        line = self._line(str(data.get("agent", "")), str(data.get("model", "")))
        if event.about == "prefix_changed":
            line.health += replace(_EMPTY, changes=(str(data.get("change", "")),))
            return
        expected = data.get("expect_read")
        self._expected[event.run, str(data.get("key", ""))] = expected if isinstance(expected, int) else 0
        if not data.get("marks"):
            line.health += replace(_EMPTY, why_not=(str(data.get("why", "")),))

    def _finished(self, event: CallFinished) -> None:
        place = self._started.pop((event.run, event.key), self._count)
        expected = self._expected.pop((event.run, event.key), 0)
        uncached, read, written = event.input_tokens, event.cache_read_tokens, event.cache_write_tokens
        if uncached is None or read is None or written is None:
            return
        line = self._line(event.agent, event.model)
        line.calls.append((place, read, written))
        line.health += replace(
            _EMPTY,
            calls=1,
            input_tokens=uncached + read + written,
            read=read,
            written=written,
            expected=int(expected > 0),
            missed=int(expected > 0 and not read),
            saved=event.saved if read or written else ZERO,
        )

    def _line(self, agent: str, model: str) -> _Line:
        line = self._lines.get((agent, model))
        if line is None:
            line = self._lines[agent, model] = _Line(CacheHealth(agent, model))
        return line


def _is_worth_telling(one: CacheHealth) -> bool:
    """Also where a read was expected and nothing came of it."""
    return bool(one.read or one.written or one.expected or one.changes or one.why_not or one.alerts)


_EMPTY = CacheHealth("", "")


def merged(parts: Iterable[CacheHealth]) -> tuple[CacheHealth, ...]:
    """One for each agent and model."""
    found: dict[tuple[str, str], CacheHealth] = {}
    for one in parts:
        key = (one.agent, one.model)
        found[key] = found[key] + one if key in found else one
    return tuple(found.values())


def _first(texts: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    """Each once, and not more than anybody would read."""
    return tuple(dict.fromkeys((*texts, *more)))[:_MOST_TEXTS] if more else texts


def _unread(calls: list[tuple[int, int, int]]) -> int:
    """Tokens written that no later call read into: what is written begins where the writer's own read ended."""
    unread = most_later = 0
    for _, read, written in sorted(calls, reverse=True):
        if written and most_later <= read:
            unread += written
        most_later = max(most_later, read)
    return unread
