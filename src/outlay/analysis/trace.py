"""The trace of model calls: one row for every attempt that ended, as a table for other tools."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import msgspec

from outlay.analysis.billlines import ZERO
from outlay.events import CallFailed, CallFinished, CallStarted, Event, Fact


@dataclass(frozen=True, slots=True)
class CallRow:
    """One attempt at a model.

    `time` is when it was sent, in seconds since the epoch; `trace_id` the run. Token buckets do not overlap and are
    None where usage is unknown. `ttft_ms` is the time to the first token. `tools` are the names the model called.
    `route` and `confidence` are those of the nearest enclosing router. `retries` counts the attempts before this one
    at the same call. `cost` is in US dollars, None if unknown or in doubt, 0 for a failure that was not billed.
    """

    time: float
    trace_id: str
    path: str
    agent: str
    model: str
    returned_model: str
    input_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    output_tokens: int | None
    ttft_ms: float | None
    latency_ms: float
    stop_reason: str
    tools: tuple[str, ...]
    thinking: str
    confidence: float | None
    route: str | None
    retries: int
    error_type: str | None
    cost: Decimal | None
    input: str | None = None
    output: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The row by column; `input` and `output` only where they are known."""
        row = {name: getattr(self, name) for name in COLUMNS}
        for name in ("input", "output"):
            if (content := getattr(self, name)) is not None:
                row[name] = content
        return row


#: The columns that every row has, in order.
COLUMNS = tuple(name for name in CallRow.__slots__ if name not in ("input", "output"))
_encoder = msgspec.json.Encoder(decimal_format="number")


class TraceFold:
    """Rows from events, one event at a time; the events of one run in their order.

    `inputs` are texts by the transcript's head before a call, `outputs` by the head after it (`head` of CallStarted
    and CallFinished): without them no contents are in the rows. `redact` is applied to every text of a person or a
    model before it enters a row.
    """

    def __init__(
        self,
        *,
        inputs: Mapping[str, str] | None = None,
        outputs: Mapping[str, str] | None = None,
        redact: Callable[[str], str] | None = None,
    ) -> None:
        self._inputs = inputs or {}
        self._outputs = outputs or {}
        self._redact = redact or _as_it_is
        self._rows: list[CallRow] = []
        #: Of each attempt under way: when it was sent, the attempts before it, the head before it.
        self._open: dict[tuple[str, str, str, int], tuple[float, int, str]] = {}
        self._attempts: dict[tuple[str, str, str], int] = {}
        self._facts: dict[tuple[str, str], dict[str, Any]] = {}

    def add(self, event: Event) -> None:
        if isinstance(event, CallStarted):
            self._open[event.run, event.path, event.key, event.attempt] = (event.time, self._before(event), event.head)
        elif isinstance(event, CallFinished):
            self._rows.append(self._finished(event))
        elif isinstance(event, CallFailed):
            self._rows.append(self._failed(event))
        elif isinstance(event, Fact) and not event.data.keys().isdisjoint(("route", "label")):
            self._facts.setdefault((event.run, event.path), {}).update(event.data)

    def rows(self) -> list[CallRow]:
        """In the order in which the attempts ended. A router's own call knows its route only now."""
        return [self._routed(row) for row in self._rows]

    def _before(self, event: CallStarted | CallFinished | CallFailed) -> int:
        call = (event.run, event.path, event.key)
        before = self._attempts.get(call, 0)
        self._attempts[call] = before + 1
        return before

    def _start(self, event: CallFinished | CallFailed) -> tuple[float, int, str]:
        started = self._open.pop((event.run, event.path, event.key, event.attempt), None)
        return started or (event.time - event.seconds, self._before(event), "")

    def _finished(self, event: CallFinished) -> CallRow:
        time, retries, head = self._start(event)
        return CallRow(
            time,
            event.run,
            event.path,
            event.agent,
            event.model,
            event.returned,
            event.input_tokens,
            event.cache_read_tokens,
            event.cache_write_tokens,
            event.output_tokens,
            None if event.first_token is None else _ms(event.first_token),
            _ms(event.seconds),
            event.stop,
            event.tools,
            self._redact(event.thinking) if event.thinking else "",
            confidence=None,
            route=None,
            retries=retries,
            error_type=None,
            cost=event.cost,
            input=self._content(self._inputs, head),
            output=self._content(self._outputs, event.head),
        )

    def _failed(self, event: CallFailed) -> CallRow:
        time, retries, head = self._start(event)
        return CallRow(
            time,
            event.run,
            event.path,
            event.agent,
            event.model,
            returned_model="",
            input_tokens=None,
            cache_read_tokens=None,
            cache_write_tokens=None,
            output_tokens=None,
            ttft_ms=None,
            latency_ms=_ms(event.seconds),
            stop_reason="error",
            tools=(),
            thinking="",
            confidence=None,
            route=None,
            retries=retries,
            error_type=event.error.partition(":")[0],
            cost=None if event.maybe_billed or event.in_doubt is not None else ZERO,
            input=self._content(self._inputs, head),
        )

    def _content(self, contents: Mapping[str, str], head: str) -> str | None:
        content = contents.get(head)
        return None if content is None else self._redact(content)

    def _routed(self, row: CallRow) -> CallRow:
        if not self._facts:
            return row
        for path in _enclosing(row.path):
            if facts := self._facts.get((row.trace_id, path)):
                route = facts.get("route", facts.get("label"))
                confidence = facts.get("confidence")
                return replace(
                    row,
                    route=None if route is None else str(route),
                    confidence=float(confidence) if isinstance(confidence, int | float) else None,
                )
        return row


def trace(
    events: Iterable[Event],
    *,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    redact: Callable[[str], str] | None = None,
) -> list[CallRow]:
    """The rows of these events (see `TraceFold`)."""
    fold = TraceFold(inputs=inputs, outputs=outputs, redact=redact)
    for event in events:
        fold.add(event)
    return fold.rows()


def jsonl(rows: Iterable[CallRow]) -> Iterator[str]:
    """One JSON object a line, without line ends; costs are numbers with all their digits."""
    for row in rows:
        yield _encoder.encode(row.as_dict()).decode()


def _enclosing(path: str) -> Iterator[str]:
    """The path and those of the nodes around it, from the inside out."""
    while path:
        yield path
        path = path.rpartition("/")[0]
    yield ""


def _ms(seconds: float) -> float:
    return round(seconds * 1_000, 3)


def _as_it_is(text: str) -> str:
    return text
