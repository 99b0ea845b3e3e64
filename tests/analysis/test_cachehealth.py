"""The health of the cache as a fold: hit rates, writes in vain, expected reads that missed, dollars."""

from __future__ import annotations

from decimal import Decimal

from events_of import HAIKU, Log

from outlay.analysis.bill import Bill
from outlay.events import CacheAlert, Decision


def decided(
    log: Log, agent: str, key: str, expect: int, marks: tuple[str, ...] = ("system 1 5m",), why: str = ""
) -> None:
    data = {"agent": agent, "model": HAIKU, "key": key, "marks": list(marks), "expect_read": expect, "why": why}
    log.add(Decision, agent, about="cache", data=data)


def test_what_each_agent_read_wrote_and_missed() -> None:
    """A write, two reads, and one expected read that found nothing."""
    log = Log()
    for key, expect, tokens, saved in (
        ("a", 0, (10, 0, 900, 5), "-0.000225"),
        ("b", 900, (10, 900, 0, 5), "0.00081"),
        ("c", 900, (10, 900, 0, 5), "0.00081"),
        ("d", 900, (10, 0, 900, 5), "-0.000225"),
    ):
        decided(log, "clerk", key, expect)
        log.call("clerk", key=key, tokens=tokens, saved=Decimal(saved))
    (clerk,) = Bill.of(log.events).cache
    assert (clerk.calls, clerk.input_tokens, clerk.read, clerk.written) == (4, 3640, 1800, 1800)
    assert (clerk.expected, clerk.missed, clerk.unread) == (3, 1, 900)
    assert clerk.saved == Decimal("0.00117")
    assert clerk.hit_rate == 1800 / 3640


def test_a_growing_conversation_reads_what_it_wrote_but_for_the_last_turn() -> None:
    """What is written begins where the writer's own read ended."""
    log = Log()
    for key, read, written in (("a", 0, 1000), ("b", 1000, 200), ("c", 1200, 300)):
        log.call("coder", key=key, tokens=(0, read, written, 5), saved=Decimal(0))
    assert Bill.of(log.events).cache[0].unread == 300


def test_an_unknown_price_makes_the_savings_unknown_and_not_zero() -> None:
    log = Log()
    log.call("clerk", tokens=(10, 900, 0, 5))
    assert Bill.of(log.events).cache[0].saved is None


def test_reasons_changes_and_alerts_are_kept_once_each_and_shown() -> None:
    """On the bill they stand below the figures."""
    log = Log()
    for key in "ab":
        decided(log, "clerk", key, 0, (), "too short")
        change = {"agent": "clerk", "model": HAIKU, "key": key, "change": "system 1 changed (a time): '01' → '02'"}
        log.add(Decision, "clerk", about="prefix_changed", data=change)
        log.call("clerk", key=key)
    log.add(CacheAlert, "clerk", agent="clerk", model=HAIKU, text="nothing was read")
    bill = Bill.of(log.events)
    (clerk,) = bill.cache
    assert (clerk.why_not, clerk.alerts) == (("too short",), ("nothing was read",))
    assert bill.render().splitlines()[-1] == "cache of clerk: system 1 changed (a time): '01' → '02'"


def test_bills_of_several_runs_add_up_their_caches() -> None:
    parts: list[Bill] = []
    for run in ("a", "b"):
        log = Log(run)
        log.call("clerk", tokens=(10, 900, 0, 5), saved=Decimal("0.00081"))
        parts.append(Bill.of(log.events))
    (clerk,) = Bill.merge(parts).cache
    assert (clerk.calls, clerk.read, clerk.saved) == (2, 1800, Decimal("0.00162"))


def test_saved_by_cache_is_what_the_calls_recorded_at_their_own_price() -> None:
    """No price list is needed, and the receipt says it; a call without a record needs one."""
    log = Log()
    log.call("clerk", tokens=(10, 900, 0, 5), saved=Decimal("2.625"))
    assert Bill.of(log.events).saved_by_cache() == Decimal("2.625")
    assert "saved $2.62 by cache" in Bill.of(log.events).render()
    log.call("clerk", key="l", tokens=(10, 900, 0, 5))
    assert Bill.of(log.events).saved_by_cache() is None
