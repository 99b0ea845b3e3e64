"""Workloads over time: money adds up, percentiles are not pretended, and what is out of bounds is told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.analysis.bill import Bill
from outlay.analysis.cachehealth import CacheHealth
from outlay.analysis.escalation import Escalation, TierCount
from outlay.analysis.task import Task, task
from outlay.errors import ConfigError
from outlay.evals.experiment import COLLECTION
from outlay.evals.measured import Checked as Judged
from outlay.evals.measured import Measured, Opinion
from outlay.evals.workloads import (
    DAY,
    WEEK,
    Key,
    Period,
    Report,
    ReportFold,
    as_document,
    as_html,
    as_text,
    report,
    time_of,
)
from outlay.evals.workloads.alerts import at_least
from outlay.events import CallFinished, Checked, Event, RunFinished, RunStarted, encode
from outlay.events.codec import kind_of
from outlay.protocols.documents import Change
from outlay.protocols.store import Row, Store
from outlay.stores import MemoryStore

NOW = 1_790_000_000.0
THIS_WEEK = Period(NOW - WEEK, NOW)


def done(number: int, cost: float | str | None = "0.01", **facts: Any) -> Task:
    """A task of this week, or of the one before (`days` ago)."""
    known = Decimal(0) if cost is None else Decimal(str(cost))
    days: float = facts.pop("days", 1.0)
    fields: dict[str, Any] = {
        "run": f"r{number}",
        "flow": "desk",
        "lane": "live",
        "started": NOW - days * DAY,
        "outcome": "completed",
        "seconds": 2.0,
        "cost": None if cost is None else known,
        "at_least": known,
        "in_doubt": Decimal(0),
        "tokens": 100,
        "calls": 3,
        "passed": None,
    }
    return Task(**fields | facts)


def folded(tasks: Iterable[Task], period: Period = THIS_WEEK) -> Report:
    fold = ReportFold(period)
    for one in tasks:
        fold.add(one)
    return fold.report()


# ── money ─────────────────────────────────────────────────────────────────────────────────────────────────

amounts = st.none() | st.decimals("0", "5", places=7)
starts = st.floats(0, 20)
calls = st.lists(amounts, max_size=3)
runs = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["live", "offline"]), starts, calls), max_size=12)


def events_of(number: int, flow: str, lane: str, days: float, costs: Sequence[Decimal | None]) -> list[Event]:
    run, time = f"r{number}", NOW - days * DAY
    found: list[Event] = [RunStarted(run=run, seq=0, time=time, flow=flow, lane=lane)]
    found += [
        CallFinished(run=run, seq=i, time=time, path="a", agent="a", model="m", attempt=1, key=f"k{i}", cost=cost)
        for i, cost in enumerate(costs, 1)
    ]
    return [*found, RunFinished(run=run, seq=99, time=time, stop_reason="completed", seconds=1.0)]


@given(runs)
def test_money_adds_up_to_the_bill_of_all_runs(runs: list[tuple[str, str, float, list[Decimal | None]]]):
    """Whatever runs there are: no cent is in two workloads, and none in no workload."""
    logs = [events_of(i, *one) for i, one in enumerate(runs)]
    tasks = [found for log in logs if (found := task(log)) is not None]
    found = folded(tasks)
    week = [event for log in logs for event in log if log[0].time in THIS_WEEK]
    before = [event for log in logs for event in log if log[0].time in THIS_WEEK.before]
    assert found.spent == Bill.of(week).at_least
    assert found.spent_before == Bill.of(before).at_least
    assert all(sum(one.now.course, Decimal(0)) == one.now.spent for one in found.workloads)
    assert sum(one.now.tasks for one in found.workloads) == len({event.run for event in week})


@given(runs, st.randoms())
def test_the_order_of_runs_changes_nothing(runs: Any, random: Any):
    tasks = [found for i, one in enumerate(runs) if (found := task(events_of(i, *one))) is not None]
    mixed = tasks[:]
    random.shuffle(mixed)
    assert as_document(folded(tasks)) == as_document(folded(mixed))


def test_a_part_without_a_price_makes_lower_bounds():
    found = folded([*(done(i) for i in range(30)), done(31, None)]).workloads[0].now
    assert (found.unpriced, found.spent) == (1, Decimal("0.30"))
    text = as_text(folded([*(done(i) for i in range(30)), done(31, None)]))
    assert "≥ $0.0100" in text
    assert "1 task with a part whose price is not known" in text
    assert "unpriced" in as_text(folded([done(1, None)]))


# ── percentiles and success ───────────────────────────────────────────────────────────────────────────────


def test_one_run_makes_no_percentile():
    now = folded([done(1, "0.5")]).workloads[0].now
    assert (now.p50, now.p95, now.most, now.seconds(50)) == (None, None, 0.5, None)
    text = as_text(folded([done(1, "0.5")]))
    assert "1 finished task make no P95" not in text
    assert "desk: of 1 finished task there is no P95; the dearest was $0.5000" in text


def test_percentiles_are_of_values_that_were_paid():
    now = folded([done(i, f"0.{i:02}") for i in range(1, 21)]).workloads[0].now
    assert (now.p50, now.p95) == (0.10, 0.19)
    assert folded([done(i) for i in range(19)]).workloads[0].now.p95 is None


def test_what_is_not_over_costs_and_is_in_no_percentile():
    tasks = [*(done(i) for i in range(20)), done(21, "9", outcome="approval"), done(22, "9", outcome="")]
    now = folded(tasks).workloads[0].now
    assert (now.spent, now.unfinished, now.most) == (Decimal("18.20"), 2, 0.01)
    assert "1 approval · 1 not over" in as_text(folded(tasks))


def test_success_is_what_checkers_say_and_else_not_known():
    unknown = folded([done(i) for i in range(9)] + [done(10, outcome="error")]).workloads[0].now
    assert (unknown.success, unknown.judged, unknown.tokens_per_success) == (None, 0, None)
    tasks = [done(1, passed=True), done(2, passed=True), done(3, passed=False), done(4, outcome="error"), done(5)]
    now = folded(tasks).workloads[0].now
    assert (now.succeeded, now.judged) == (2, 4)
    assert now.tokens_per_success == 200
    assert "50 % of 4" in as_text(folded(tasks))
    assert "not known" in as_text(folded([done(1)]))


def test_tokens_a_success_are_not_known_where_one_task_is_not():
    assert folded([done(1, passed=True), done(2, passed=True, tokens=None)]).workloads[0].now.tokens_per_success is None
    assert folded([done(1, passed=False)]).workloads[0].now.tokens_per_success is None


# ── workloads and periods ─────────────────────────────────────────────────────────────────────────────────


def test_stand_ins_and_comparisons_are_workloads_of_their_own():
    tasks = [done(1), done(2, lane="offline"), done(3, run="compare-a-1-2"), done(4, flow="other", cost="2")]
    assert [one.key.name for one in folded(tasks).workloads] == [
        "other",
        "desk",
        "desk (compare)",
        "desk (offline)",
    ]


def test_a_task_belongs_to_the_period_in_which_it_began():
    edges = [done(1, days=0.0), done(2, days=7.0), done(3, days=7.001), done(4, days=14.0), done(5, days=14.01)]
    (found,) = folded(edges).workloads
    assert (found.now.tasks, found.before.tasks) == (1, 2)


@pytest.mark.parametrize(
    ("seconds", "parts", "length", "part"),
    [
        (WEEK, 7, "7 days", "a day"),
        (DAY, 24, "1 day", "an hour"),
        (36 * 3_600, 12, "36 hours", "a twelfth"),
        (31 * DAY, 31, "31 days", "a day"),
        (90 * DAY, 12, "90 days", "a twelfth"),
    ],
)
def test_periods_come_in_parts(seconds: float, parts: int, length: str, part: str):
    period = Period(NOW + 0.123 - seconds, NOW + 0.123)
    assert (period.parts, period.length, period.part) == (parts, length, part)
    assert [period.part_of(period.start), period.part_of(period.end - 1e-6)] == [0, parts - 1]


@given(st.floats(1, 1e8), st.floats(0, 1, exclude_max=True))
def test_each_moment_is_in_one_part(seconds: float, share: float):
    period = Period(NOW - seconds, NOW)
    assert 0 <= period.part_of(period.start + share * seconds) < period.parts


def test_times_are_dates_or_ages():
    assert time_of("2026-11-14", NOW) == 1_794_614_400
    assert time_of("2026-11-14T02:00+02:00", NOW) == 1_794_614_400
    assert NOW - time_of("36h", NOW) == 36 * 3_600
    for text in ("", "yesterday", "-3d", "999999w", "2026-13-01", "1e9", "٣d"):
        with pytest.raises(ConfigError, match="is no time"):
            time_of(text, NOW)


# ── alerts ────────────────────────────────────────────────────────────────────────────────────────────────


def health(expected: int, missed: int) -> CacheHealth:
    return CacheHealth("reply", "m", calls=expected, expected=expected, missed=missed, changes=("system 1 changed",))


def test_a_cache_that_is_never_read_is_an_alert():
    (alert,) = folded([done(i, cache=(health(2, 2),)) for i in range(5)]).alerts
    assert (alert.kind, alert.workload) == ("cache", "desk")
    assert alert.text == ("reply read nothing from the prompt cache in 10 calls that should have: system 1 changed")


def test_a_cache_that_is_read_once_or_hardly_expected_is_none():
    assert folded([*(done(i, cache=(health(2, 2),)) for i in range(5)), done(9, cache=(health(2, 1),))]).alerts == ()
    assert folded([done(i, cache=(health(2, 2),)) for i in range(4)]).alerts == ()
    before = [done(i, cache=(health(2, 2),), days=8) for i in range(50)]
    assert folded(before).alerts == ()


def cascade(turns: int, top: int, passed: int) -> Escalation:
    tiers = [TierCount(turns, turns - top, top, 0, None), TierCount(top, passed, top - passed, 0, None)]
    return Escalation("desk/solver", turns, tiers)


def test_too_many_turns_at_the_top_and_too_many_that_it_does_not_settle():
    found = folded([done(i, escalations=(cascade(4, 2, 1),)) for i in range(10)]).alerts
    assert [one.text for one in found] == [
        "50 % of 40 turns of desk/solver came to the top tier, more than 30 %",
        "the top tier of desk/solver did not settle 50 % of its turns, more than 20 %",
    ]
    assert folded([done(i, escalations=(cascade(4, 1, 1),)) for i in range(10)]).alerts == ()
    assert folded([done(i, escalations=(cascade(4, 4, 0),)) for i in range(4)]).alerts == ()


def two_weeks(before: Sequence[float], now: Sequence[float]) -> Report:
    tasks = [done(i, cost, days=8) for i, cost in enumerate(before)]
    return folded([*tasks, *(done(1_000 + i, cost) for i, cost in enumerate(now))])


def test_a_p95_that_rose_is_an_alert():
    steady = [0.001 * (1 + i % 10) for i in range(200)]
    (alert,) = two_weeks(steady, [cost * 1.5 for cost in steady]).alerts
    assert alert.kind == "drift"
    assert alert.text == (
        "P95 of a task rose by 50 %, from $0.0100 to $0.0150: 40 % of the tasks cost more than the P95 before"
    )


def test_a_p95_that_rose_by_chance_a_little_or_among_few_is_none():
    steady = [0.001 * (1 + i % 10) for i in range(200)]
    assert two_weeks(steady, [cost * 1.2 for cost in steady]).alerts == ()
    assert two_weeks(steady, [*steady[:30], 1.0, 1.0]).alerts == ()  # two dear ones of 32
    assert two_weeks(steady, [cost * 3 for cost in steady[:19]]).alerts == ()
    assert two_weeks([], [cost * 3 for cost in steady]).alerts == ()


@given(st.integers(0, 60), st.integers(1, 60), st.floats(0.01, 0.5))
def test_the_tail_of_a_binomial_falls(k: int, n: int, p: float):
    assert 0 <= at_least(k + 1, n, p) <= at_least(k, n, p) <= 1
    assert at_least(0, n, p) == 1
    assert at_least(n, n, p) == pytest.approx(p**n)


def test_many_are_counted_by_the_normal_curve():
    assert at_least(60, 1_000, 0.05) == pytest.approx(at_least(60, 1_001, 0.05), abs=0.006)


# ── from a store ──────────────────────────────────────────────────────────────────────────────────────────


async def stored(*logs: list[Event]) -> Store:
    store = MemoryStore()
    for log in logs:
        store.append([Row(one.run, one.seq, one.time, kind_of(one), encode(one)) for one in log])
    return store


async def test_an_empty_store_is_an_empty_report():
    found = await report(await stored(), THIS_WEEK)
    assert found.workloads == ()
    assert "0 tasks, $0.0000" in as_text(found)
    assert "No task began in this period" in as_html(found)
    assert as_document(found)["workloads"] == []


async def test_the_runs_of_a_store_are_read_whatever_the_size_of_a_page(monkeypatch: pytest.MonkeyPatch):
    """Many more events than one page has, and runs that go on over its end."""
    logs = [events_of(i, "desk", "live", 1.0, [Decimal("0.001")] * 40) for i in range(300)]
    found = await report(await stored(*logs), THIS_WEEK)
    assert (found.tasks, found.spent) == (300, Decimal("12.000"))


async def test_a_run_that_began_earlier_is_none_of_the_periods():
    """Its end is in the period, its beginning before both."""
    log = events_of(1, "desk", "live", 20.0, [Decimal(1)])
    late = msgspec.structs.replace(log[-1], time=NOW - 60)
    assert (await report(await stored([*log[:-1], late]), THIS_WEEK)).workloads == ()


async def test_one_flow_can_be_asked_for():
    store = await stored(*(events_of(i, flow, "live", 1.0, [Decimal(1)]) for i, flow in enumerate("aab")))
    assert (await report(store, THIS_WEEK, "a")).tasks == 2


async def test_runs_of_a_comparison_count_by_its_checkers_and_not_by_its_judge():
    logs = [events_of(i, "desk", "live", 1.0, []) for i in range(4)]
    for number, log in enumerate(logs):
        log[:] = [msgspec.structs.replace(one, run=f"compare-a-{number}") for one in log]
    store = await stored(*logs)
    judged = [
        Measured("1", "compare-a-0", "completed", answered=True, checks=(Judged("exact"),)),
        Measured("2", "compare-a-1", "completed", answered=True, checks=(Judged("exact", "wrong"),)),
        Measured("3", "compare-a-2", "completed", answered=True, opinion=Opinion(True)),
    ]
    changes = [Change(COLLECTION, one.run_id, msgspec.json.encode(one), None) for one in judged]
    await store.commit([*changes, Change(COLLECTION, "compare-a-3", b"of another version", None)])
    (found,) = (await report(store, THIS_WEEK)).workloads
    assert found.key == Key("desk", "live", True)
    assert (found.now.succeeded, found.now.judged, found.now.tasks) == (1, 2, 4)


# ── words ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_report_in_a_terminal():
    tasks = [done(i, f"0.{10 + i}", days=0.1 + i % 6, passed=True, flow="triage") for i in range(24)]
    tasks += [done(100 + i, "0.2", days=8, passed=i > 0, flow="triage") for i in range(20)]
    tasks += [done(200, "0.00002"), done(201, days=9, flow="gone")]
    rise = "! triage: P95 of a task rose by 60 %, from $0.2000 to $0.3200"
    assert as_text(folded(tasks)).splitlines() == [
        "report · 7 days, 2026-09-14 14:13 to 2026-09-21 14:13 UTC",
        "25 tasks, $5.1600 · the 7 days before: 21 tasks, $4.0100 (+29 %)",
        "",
        "workload           tasks       P50       P95       total       success   tokens a success   dollars a day",
        "triage                24   $0.2100   $0.3200     $5.1600   100 % of 24                100   ·██▇▇▇▇",
        "  against before   +20 %      +5 %     +60 %       +29 %   +5.0 points               −5 %",
        "desk                   1         –         –   $0.000020     not known                  –",
        "",
        "desk: of 1 finished task there is no P95; the dearest was $0.000020",
        "",
        "only in the 7 days before: gone",
        "",
        f"{rise}: 54 % of the tasks cost more than the P95 before",
    ]


def test_what_is_fine_says_so():
    assert as_text(folded([done(1)])).endswith("✓ no alerts")


NAME = "a\x1b[31m\u202e<script>alert(1)</script>\"'&\nb"


class Tags(HTMLParser):
    """The tags of a page, and whatever would be loaded or run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.bad: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.bad += [name for name, _ in attrs if name.startswith("on") or name in ("src", "href", "srcset")]


def test_names_of_others_are_text_on_the_page_and_in_the_terminal():
    tasks = [
        done(i, flow=NAME, days=1 + i % 3, cache=(CacheHealth(NAME, NAME, expected=9, missed=9),)) for i in range(40)
    ]
    page, text = as_html(folded(tasks)), as_text(folded(tasks))
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.names
    assert tags.bad == []
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    for shown in (page, text):
        assert "\x1b" not in shown
        assert "\u202e" not in shown


def test_the_page_is_one_file_for_light_and_dark():
    page = as_html(folded([done(i, days=1 + i % 5) for i in range(40)]))
    assert "default-src 'none'" in page
    assert "prefers-color-scheme:dark" in page
    assert "http://" not in page
    assert "https://" not in page
    assert page.count("<svg") == 1
    assert page.count('<rect class="now"') == 5


def test_the_document_is_json_with_exact_money():
    found = json.loads(json.dumps(as_document(folded([done(1, "0.1234567"), done(2, None)]))))
    now = found["workloads"][0]["now"]
    assert (now["spent"], now["unpriced"], now["dollars"]["p95"], now["success"]) == ("0.1234567", 1, None, None)
    assert found["period"] == {"from": "2026-09-14T14:13:20+00:00", "to": "2026-09-21T14:13:20+00:00"}


def test_checks_that_a_flow_recorded_are_its_success():
    log = events_of(1, "desk", "live", 1.0, [])
    bad = Checked(run="r1", seq=50, time=log[0].time, path="a", agent="a", checks=("short",), problem="too long")
    one = task([*log[:-1], bad, log[-1]])
    assert one is not None
    assert folded([one]).workloads[0].now.judged == 1
