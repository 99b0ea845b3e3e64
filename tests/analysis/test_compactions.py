"""What compaction saved, folded from events: on the bill, and in the trace."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from events_of import SONNET, Log

from outlay.analysis.bill import Bill
from outlay.analysis.tree import tree
from outlay.events import Decision


def shortened(log: Log, *, each: Any = "0.002", rewrite: Any = "0.005", **more: Any) -> None:
    data = {"agent": "coder", "way": "clear", "outcome": "done", "why": "8 more requests are expected"}
    sizes = {"tokens_before": 11_444, "tokens_after": 5_505, "each": each, "rewrite": rewrite}
    log.add(Decision, "coder", about="compaction", data={**data, **sizes, **more})


def call(log: Log, key: str, purpose: str = "work", cost: str | None = "0.010", agent: str = "coder") -> None:
    log.start(agent, SONNET, key=key, purpose=purpose)
    log.finish(agent, SONNET, key=key, purpose=purpose, cost=cost)


def test_each_later_call_saves_and_what_shortening_cost_is_taken_off() -> None:
    """Three calls at two mills, less the summary and the rewrite; calls before it and of others save nothing."""
    log = Log()
    call(log, "a")
    call(log, "s", "compaction", "0.001")
    shortened(log, way="summarise", rewrite="0.002")
    for key in "bcd":
        call(log, key)
    call(log, "x", agent="other")
    bill = Bill.of(log.events)
    assert (bill.savings.compactions, bill.savings.by_compaction) == (1, Decimal("0.003"))
    assert "1 compaction saved about $0.0030" in str(bill)


def test_what_a_second_one_saves_comes_on_top() -> None:
    log = Log()
    shortened(log, rewrite="0")
    call(log, "a")
    shortened(log, each="0.003", rewrite="0")
    call(log, "b")
    assert Bill.of(log.events).savings.by_compaction == Decimal("0.007")


def test_a_loss_is_said_as_one() -> None:
    log = Log()
    shortened(log)
    call(log, "a")
    assert "1 compaction cost about $0.0030" in str(Bill.of(log.events))


def test_without_a_price_nothing_is_made_up() -> None:
    """How often is known, what it saved is not."""
    log = Log()
    shortened(log, each=None, rewrite=None)
    call(log, "a", cost=None)
    bill = Bill.of(log.events)
    assert (bill.savings.compactions, bill.savings.by_compaction) == (1, None)
    assert "1 compaction" in str(bill)
    assert "about" not in str(bill)


def test_a_run_without_compaction_says_nothing_of_it() -> None:
    log = Log()
    call(log, "a")
    bill = Bill.of(log.events)
    assert (bill.savings.compactions, bill.savings.by_compaction) == (0, 0)
    assert "compaction" not in str(bill)


def test_bills_of_several_runs_add_up() -> None:
    one, other = Log("1"), Log("2")
    for log in (one, other):
        shortened(log, rewrite="0")
        call(log, "a")
    both = Bill.merge([Bill.of(one.events), Bill.of(other.events)])
    assert (both.savings.compactions, both.savings.by_compaction) == (2, Decimal("0.004"))


def test_the_trace_says_what_was_done_and_what_was_refused() -> None:
    """Sizes before and after, and why; what a model wrote is stripped of controls."""
    log = Log()
    shortened(log)
    shortened(log, outcome="refused", why="it lost errors\x1b[2J")
    shown = tree(log.events)
    assert "✓ compaction: clear · 11,444 → 5,505 tokens · 8 more requests are expected" in shown
    assert "! compaction refused: it lost errors" in shown
    assert "\x1b" not in shown
