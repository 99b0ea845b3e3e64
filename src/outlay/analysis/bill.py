"""The bill: what a run, or many, cost. A fold over events, so it can never disagree with the trace."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from outlay.analysis import receipt
from outlay.analysis.batches import distinct
from outlay.analysis.billlines import ZERO, BillLine, RunHead, grouped
from outlay.analysis.cachehealth import CacheFold, CacheHealth, merged
from outlay.analysis.savings import Savings, SavingsFold, total
from outlay.errors import ConfigError
from outlay.events import (
    BatchEnded,
    CallFailed,
    CallFinished,
    CallStarted,
    Checked,
    Event,
    RunFinished,
    RunResumed,
    RunStarted,
    ToolFinished,
)
from outlay.protocols.prices import PriceBook
from outlay.values.price import MILLION

_GROUPS = ("agent", "model", "path", "purpose")


@dataclass(frozen=True, slots=True)
class Bill:
    """Money in US dollars, exact; tokens in four disjoint buckets.

    `in_doubt` is held for the `doubtful` attempts whose fate is unknown (sent, and no answer seen), and for the
    `unreported` ones that were answered without a word on their usage, which leave no `total`: it is outside `total`,
    and a lower bound if the price of some of them is unknown (`doubtful_unpriced`). The invoice is thus between
    `at_least` and `at_least + in_doubt`, as long as providers keep to their caps. `billed_twice` of the doubtful
    were sent again, so that the provider may bill the call twice. `checks` are the names
    of the checkers that outputs met, `refused` how many outputs they refused.
    """

    lines: tuple[BillLine, ...] = ()
    in_doubt: Decimal = ZERO
    doubtful: int = 0
    doubtful_unpriced: int = 0
    runs: tuple[RunHead, ...] = ()
    checks: tuple[str, ...] = ()
    refused: int = 0
    tools: int = 0
    failed_tools: int = 0
    billed_twice: int = 0
    #: What the prompt cache did for each agent.
    cache: tuple[CacheHealth, ...] = ()
    #: The batches that ended, each in the bill of one run.
    batches: tuple[BatchEnded, ...] = ()
    unreported: int = 0
    #: What else the cost ladder saved.
    savings: Savings = field(default_factory=Savings)

    @staticmethod
    def of(events: Iterable[Event]) -> Bill:
        """The bill of these events, of one run or of several, complete or not."""
        fold = BillFold()
        for event in events:
            fold.add(event)
        return fold.bill()

    @staticmethod
    def merge(bills: Iterable[Bill]) -> Bill:
        """One bill of several; they must not share calls."""
        all_bills = list(bills)
        heads = {head.run: head for bill in all_bills for head in bill.runs}
        return Bill(
            lines=tuple(grouped((line for bill in all_bills for line in bill.lines), *_GROUPS).values()),
            in_doubt=sum((bill.in_doubt for bill in all_bills), ZERO),
            doubtful=sum(bill.doubtful for bill in all_bills),
            doubtful_unpriced=sum(bill.doubtful_unpriced for bill in all_bills),
            runs=tuple(heads.values()),
            checks=tuple(sorted({check for bill in all_bills for check in bill.checks})),
            refused=sum(bill.refused for bill in all_bills),
            tools=sum(bill.tools for bill in all_bills),
            failed_tools=sum(bill.failed_tools for bill in all_bills),
            billed_twice=sum(bill.billed_twice for bill in all_bills),
            cache=merged(health for bill in all_bills for health in bill.cache),
            batches=distinct(batch for bill in all_bills for batch in bill.batches),
            unreported=sum(bill.unreported for bill in all_bills),
            savings=Savings.merge(bill.savings for bill in all_bills),
        )

    def __add__(self, other: Bill) -> Bill:
        return Bill.merge((self, other))

    @property
    def at_least(self) -> Decimal:
        """The sum of all known costs."""
        return sum((line.known_cost for line in self.lines), ZERO)

    @property
    def total(self) -> Decimal | None:
        """What it cost; None if a call is unpriced or its usage unknown."""
        return None if any(line.unpriced for line in self.lines) else self.at_least

    @property
    def calls(self) -> int:
        """Logical model calls, however often each was tried."""
        return sum(line.calls for line in self.lines)

    @property
    def tokens(self) -> int | None:
        """Read and written, None if a call's usage is unknown."""
        known = [line.tokens for line in self.lines if line.tokens is not None]
        return sum(known) if len(known) == len(self.lines) else None

    def by(self, name: str) -> dict[str, BillLine]:
        """Lines added up by `agent`, `model`, `path` or `purpose`, in order of first use."""
        if name not in _GROUPS:
            raise ConfigError(f"a bill has no {name!r} to group by", hint=f"use one of {', '.join(_GROUPS)}")
        return {key: line for (key,), line in grouped(self.lines, name).items()}

    @property
    def batched(self) -> int:
        """Calls that were answered in a batch."""
        return sum(line.batched for line in self.lines)

    @property
    def saved_by_batch(self) -> Decimal | None:
        """What they would have cost more at once, at list prices, in US dollars; None if that is unknown."""
        return total([line.saved_by_batch for line in self.lines])

    def saved_by_cache(self, prices: PriceBook | None = None) -> Decimal | None:
        """What the same tokens would have cost more without a prompt cache, in US dollars; negative where writing
        the cache cost more than reading saved. None if a price or a usage is unknown.

        Exact, as each call recorded it at its own price. Only where a call did not, `prices` give an estimate, without
        the dearer rates of long contexts and of one-hour writes.
        """
        saved = ZERO
        for line in self.lines:
            read, written = line.cache_read_tokens, line.cache_write_tokens
            if read == 0 and written == 0:
                continue
            if line.saved is not None:
                saved += line.saved
                continue
            if prices is None:
                return None
            provider, _, model = line.model.rpartition(":")
            price = prices.find(provider, model)
            if price is None or read is None or written is None:
                return None
            rates = price.rates
            saved += (read * (rates.input - rates.cache_read) - written * (rates.cache_write - rates.input)) / MILLION
        return saved

    def render(self, prices: PriceBook | None = None, *, width: int = receipt.WIDTH) -> str:
        """The receipt: aligned plain text without colour. With prices it says what the cache saved, and which model may
        have been meant by a name that has no price. `width` in characters: long names are cut to it, figures never."""
        return receipt.text(self, self.saved_by_cache(prices), prices, width=width)

    def __str__(self) -> str:
        return self.render()

    def _repr_html_(self) -> str:
        """The receipt in a notebook."""
        return receipt.html(self, self.saved_by_cache())


@dataclass(slots=True)
class _Line:
    """A line in the making. `first` is the earliest (time, seq) seen of it: lines stand in that order."""

    first: tuple[float, int]
    attempts: int = 0
    calls: int = 0
    input: int | None = 0
    cache_read: int | None = 0
    cache_write: int | None = 0
    output: int | None = 0
    cost: Decimal = ZERO
    unpriced: int = 0
    # A list and not a float: floats add up differently in another order, and the bill must not.
    seconds: list[float] = field(default_factory=list[float])
    saved: Decimal | None = ZERO
    batched: int = 0
    saved_by_batch: Decimal | None = ZERO


class BillFold:
    """A bill that grows by one event at a time; `bill()` may be asked at any moment.

    The events of one call must come in their order; those of different calls may mix in any way.
    """

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str, str, str], _Line] = {}
        #: The line in which each logical call counts.
        self._calls: dict[tuple[str, str, str], _Line] = {}
        #: What is reserved for each attempt that has not ended.
        self._open: dict[tuple[str, str, str, int], Decimal | None] = {}
        #: Logical calls whose last attempt has no answer, and may be billed.
        self._unsettled: set[tuple[str, str, str]] = set()
        self._twice = 0
        self._runs: dict[str, tuple[float, RunHead]] = {}
        self._checks: set[str] = set()
        self._in_doubt = ZERO
        self._doubtful = 0
        self._doubtful_unpriced = 0
        self._unreported = 0
        self._refused = 0
        self._tools = 0
        self._failed_tools = 0
        self._cache = CacheFold()
        self._batches: list[BatchEnded] = []
        self._savings = SavingsFold()

    def add(self, event: Event) -> None:
        self._cache.add(event)
        self._savings.add(event)
        if isinstance(event, CallStarted):
            self._attempt(event)
            call = (event.run, event.path, event.key)
            attempt = (*call, event.attempt)
            self._twice += call in self._unsettled
            self._unsettled.add(call)
            if attempt in self._open:
                # Sent again under its old number, after a crash: no end of the first will ever be seen.
                self._doubt(self._open[attempt])
            self._open[attempt] = event.reserved
        elif isinstance(event, CallFinished):
            self._finish(event)
        elif isinstance(event, CallFailed):
            line = self._end(event)
            line.seconds.append(event.seconds)
            if not event.maybe_billed and event.in_doubt is None:
                self._unsettled.discard((event.run, event.path, event.key))
            if event.maybe_billed or event.in_doubt is not None:
                self._doubt(event.in_doubt)
        elif isinstance(event, ToolFinished):
            self._tools += 1
            self._failed_tools += bool(event.error)
        elif isinstance(event, Checked):
            self._checks.update(event.checks)
            self._refused += bool(event.problem)
        elif isinstance(event, BatchEnded):
            self._batches.append(event)
        elif isinstance(event, RunStarted):
            self._head(event, flow=event.flow, outcome="", seconds=None, degraded=False)
        elif isinstance(event, RunResumed):
            self._head(event, outcome="", seconds=None, degraded=False)
        elif isinstance(event, RunFinished):
            self._head(event, outcome=event.stop_reason, seconds=event.seconds, degraded=event.degraded)

    def bill(self) -> Bill:
        """The bill of the events so far."""
        found = sorted(self._lines.items(), key=lambda item: (item[1].first, item[0]))
        heads = sorted(self._runs.values(), key=lambda item: (item[0], item[1].run))
        return Bill(
            lines=tuple(_frozen(key, line) for key, line in found),
            in_doubt=sum((held for held in self._open.values() if held is not None), self._in_doubt),
            doubtful=self._doubtful + len(self._open),
            doubtful_unpriced=self._doubtful_unpriced + sum(held is None for held in self._open.values()),
            runs=tuple(head for _, head in heads),
            checks=tuple(sorted(self._checks)),
            refused=self._refused,
            tools=self._tools,
            failed_tools=self._failed_tools,
            billed_twice=self._twice,
            cache=self._cache.health(),
            batches=distinct(self._batches),
            unreported=self._unreported,
            savings=self._savings.savings(),
        )

    def _attempt(self, event: CallStarted | CallFinished | CallFailed) -> _Line:
        line = self._line(event)
        line.attempts += 1
        call = (event.run, event.path, event.key)
        if call not in self._calls:
            self._calls[call] = line
            line.calls += 1
        return line

    def _end(self, event: CallFinished | CallFailed) -> _Line:
        attempt = (event.run, event.path, event.key, event.attempt)
        if attempt not in self._open:
            # Its start is not among the events that were given.
            return self._attempt(event)
        del self._open[attempt]
        return self._line(event)

    def _doubt(self, held: Decimal | None) -> None:
        self._doubtful += 1
        if held is None:
            self._doubtful_unpriced += 1
        else:
            self._in_doubt += held

    def _finish(self, event: CallFinished) -> None:
        call = (event.run, event.path, event.key)
        held = self._open.get((*call, event.attempt))
        line = self._end(event)
        self._unsettled.discard(call)
        if event.output_tokens is None:  # the reservation is the only figure there is
            self._unreported += 1
            self._in_doubt += held or ZERO
        before = self._calls[call]
        if before is not line:
            before.calls -= 1
            line.calls += 1
            self._calls[call] = line
        line.input = _sum(line.input, event.input_tokens)
        line.cache_read = _sum(line.cache_read, event.cache_read_tokens)
        line.cache_write = _sum(line.cache_write, event.cache_write_tokens)
        line.output = _sum(line.output, event.output_tokens)
        line.seconds.append(event.seconds)
        if event.cache_read_tokens != 0 or event.cache_write_tokens != 0:
            line.saved = None if line.saved is None or event.saved is None else line.saved + event.saved
        if event.lane:
            line.batched += 1
            line.saved_by_batch = total([line.saved_by_batch, event.lane_saved])
        if event.cost is None:
            line.unpriced += 1
        else:
            line.cost += event.cost

    def _line(self, event: CallStarted | CallFinished | CallFailed) -> _Line:
        key = (event.path, event.agent, event.model, event.purpose)
        line = self._lines.get(key)
        place = (event.time, event.seq)
        if line is None:
            line = self._lines[key] = _Line(place)
        elif place < line.first:
            line.first = place
        return line

    def _head(self, event: Event, **facts: Any) -> None:
        started, head = self._runs.get(event.run, (event.time, RunHead(event.run)))
        self._runs[event.run] = (min(started, event.time), replace(head, **facts))


def _frozen(key: tuple[str, str, str, str], line: _Line) -> BillLine:
    return BillLine(
        *key,
        line.calls,
        line.attempts - line.calls,
        line.input,
        line.cache_read,
        line.cache_write,
        line.output,
        line.cost,
        line.unpriced,
        math.fsum(line.seconds),
        line.saved,
        line.batched,
        line.saved_by_batch,
    )


def _sum(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b
