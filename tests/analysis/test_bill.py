"""The bill adds up, whatever happened and in whatever order."""

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.events_of import HAIKU, SONNET, Log
from outlay.analysis import Bill, BillFold
from outlay.errors import ConfigError
from outlay.events import (
    CallFailed,
    CallFinished,
    CallStarted,
    Checked,
    Event,
    NodeFinished,
    RunFinished,
    RunStarted,
    ToolFinished,
)
from outlay.values.price import Price, Rates

MONEY = st.decimals(min_value=0, max_value=1_000, places=9)
TOKENS = st.none() | st.integers(0, 10**7)


@st.composite
def calls(draw: st.DrawFn) -> list[list[Event]]:
    """Some calls, each with its events in order: failed attempts, then an answer, a failure or nothing at all."""
    found: list[list[Event]] = []
    for number in range(draw(st.integers(0, 8))):
        path = draw(st.sampled_from(["a", "a/b", "c[1]"]))
        agent = draw(st.sampled_from(["router", "reply"]))
        purpose = draw(st.sampled_from(["work", "finish"]))
        events: list[Event] = []
        attempts = draw(st.integers(1, 4))
        for attempt in range(1, attempts + 1):
            common = {
                "run": "r",
                "path": path,
                "agent": agent,
                "purpose": purpose,
                "model": draw(st.sampled_from([HAIKU, SONNET])),
                "attempt": attempt,
                "key": str(number),
            }
            start = number * 100 + attempt * 10
            held = draw(st.none() | MONEY)
            events.append(CallStarted(seq=start, time=float(start), reserved=held, **common))
            end = draw(st.sampled_from(["finished", "failed", "open"])) if attempt == attempts else "failed"
            seconds = draw(st.floats(0, 100))
            if end == "finished":
                events.append(
                    CallFinished(
                        seq=start + 1,
                        time=start + 1.0,
                        input_tokens=draw(TOKENS),
                        cache_read_tokens=draw(TOKENS),
                        cache_write_tokens=draw(TOKENS),
                        output_tokens=draw(TOKENS),
                        cost=draw(st.none() | MONEY),
                        seconds=seconds,
                        **common,
                    )
                )
            elif end == "failed":
                billed = draw(st.booleans())
                events.append(
                    CallFailed(
                        seq=start + 1,
                        time=start + 1.0,
                        error="X",
                        maybe_billed=billed,
                        in_doubt=held if billed else None,
                        seconds=seconds,
                        **common,
                    )
                )
        found.append(events)
    return found


def in_turn(calls: list[list[Event]]) -> list[Event]:
    return [event for call in calls for event in call]


@st.composite
def mixed(draw: st.DrawFn) -> tuple[list[Event], list[Event]]:
    """The same calls one after another, and interleaved in some way."""
    found = draw(calls())
    left = [list(call) for call in found if call]
    shuffled: list[Event] = []
    while left:
        call = draw(st.sampled_from(left))
        shuffled.append(call.pop(0))
        left = [call for call in left if call]
    return in_turn(found), shuffled


@given(mixed())
def test_the_order_of_events_of_different_calls_does_not_matter(orders: tuple[list[Event], list[Event]]):
    # whether a cache was read after it was written is a matter of their order
    one, other = (replace(Bill.of(order), cache=()) for order in orders)
    assert one == other
    assert one.render() == other.render()


@given(calls())
def test_lines_sum_to_the_totals_exactly(calls: list[list[Event]]):
    events = in_turn(calls)
    bill = Bill.of(events)
    answers = [event for event in events if isinstance(event, CallFinished)]
    known = sum((event.cost for event in answers if event.cost is not None), Decimal(0))
    assert bill.at_least == sum((line.known_cost for line in bill.lines), Decimal(0)) == known
    assert bill.total == (known if all(event.cost is not None for event in answers) else None)
    for name in ("agent", "model", "path", "purpose"):
        assert sum((line.known_cost for line in bill.by(name).values()), Decimal(0)) == known


@given(calls())
def test_its_tokens_are_those_of_all_answers_or_unknown(calls: list[list[Event]]):
    answers = [event for event in in_turn(calls) if isinstance(event, CallFinished)]
    buckets = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
    known = all(getattr(event, bucket) is not None for event in answers for bucket in buckets)
    assert Bill.of(in_turn(calls)).tokens == (sum(event.known_tokens for event in answers) if known else None)


@given(calls())
def test_retries_are_never_counted_as_calls(calls: list[list[Event]]):
    """One call each, however many attempts it took and whichever model answered; the rest are retries."""
    bill = Bill.of(in_turn(calls))
    attempts = sum(isinstance(event, CallStarted) for event in in_turn(calls))
    assert bill.calls == len(calls)
    assert sum(line.retries for line in bill.lines) == attempts - len(calls)
    assert all(line.calls >= 0 and line.retries >= 0 for line in bill.lines)


@given(calls())
def test_what_is_in_doubt_is_what_was_held_without_an_answer(calls: list[list[Event]]):
    events = in_turn(calls)
    held = [e.in_doubt for e in events if isinstance(e, CallFailed) and e.maybe_billed]
    held += [e.reserved for call in calls if isinstance(e := call[-1], CallStarted)]
    silent = [
        began.reserved
        for call in calls
        for began, ended in pairwise(call)
        if isinstance(began, CallStarted) and isinstance(ended, CallFinished) and ended.output_tokens is None
    ]
    bill = Bill.of(events)
    assert bill.in_doubt == sum((amount for amount in held + silent if amount is not None), Decimal(0))
    assert bill.unreported == len(silent)
    assert bill.doubtful == len(held)
    assert bill.doubtful_unpriced == held.count(None)


@given(calls(), st.data())
def test_bills_of_parts_add_up_to_the_bill_of_the_whole(calls: list[list[Event]], data: st.DataObject):
    cut = data.draw(st.integers(0, len(calls)))
    parts = Bill.of(in_turn(calls[:cut])) + Bill.of(in_turn(calls[cut:]))
    whole = Bill.of(in_turn(calls))
    assert (parts.total, parts.at_least, parts.in_doubt) == (whole.total, whole.at_least, whole.in_doubt)
    for ours, theirs in ((parts.by("path"), whole.by("path")), (parts.by("model"), whole.by("model"))):
        assert ours.keys() == theirs.keys()
        for key, line in ours.items():
            assert (line.calls, line.retries, line.cost) == (theirs[key].calls, theirs[key].retries, theirs[key].cost)


@given(st.lists(MONEY, min_size=1, max_size=12))
def test_the_costs_shown_add_up_to_the_total_shown(costs: list[Decimal]):
    """And none is off by a whole unit of its last place."""
    log = Log()
    for i, cost in enumerate(costs):
        log.call(f"agent{i:02}", cost=str(cost))
    rows = [line.rsplit("$", 1)[1] for line in str(Bill.of(log.events)).splitlines() if "$" in line]
    *shown, total = (Decimal(cell.replace(",", "")) for cell in rows)
    assert sum(shown, Decimal(0)) == total
    unit = Decimal(1).scaleb(int(str(total.as_tuple().exponent)))
    assert all(abs(a - b) < unit for a, b in zip(shown, costs, strict=True))


def test_an_unpriced_call_makes_the_total_unknown_and_not_zero():
    log = Log()
    log.call("router", cost="0.004")
    log.call("reply", "openai-chat:local", cost=None)
    bill = Bill.of(log.events)
    assert bill.total is None
    assert bill.at_least == Decimal("0.004")
    assert bill.by("agent")["reply"].cost is None
    assert bill.by("agent")["router"].cost == Decimal("0.004")


def test_unknown_usage_is_none_and_not_zero():
    """One answer without usage makes the sums of its line unknown; others stay."""
    log = Log()
    log.call("reply", key="1")
    log.call("reply", key="2", tokens=(None, None, None, None), cost=None)
    log.call("router")
    bill = Bill.of(log.events)
    assert bill.by("agent")["reply"].output_tokens is None
    assert bill.by("agent")["router"].output_tokens == 5
    assert bill.by("agent")["router"].tokens == 15
    assert bill.tokens is None


def test_a_fallback_counts_as_a_call_of_the_model_that_answered():
    log = Log()
    log.start("reply", SONNET)
    log.fail("reply", SONNET)
    log.start("reply", HAIKU, attempt=2)
    log.finish("reply", HAIKU, attempt=2)
    models = Bill.of(log.events).by("model")
    assert (models[SONNET].calls, models[SONNET].retries) == (0, 1)
    assert (models[HAIKU].calls, models[HAIKU].retries) == (1, 0)


def test_a_call_without_an_end_is_in_doubt_until_it_ends():
    log = Log()
    log.start("reply", reserved=Decimal("0.02"))
    fold = BillFold()
    fold.add(log.events[0])
    assert (fold.bill().in_doubt, fold.bill().doubtful, fold.bill().total) == (Decimal("0.02"), 1, 0)
    log.finish("reply")
    fold.add(log.events[1])
    assert (fold.bill().in_doubt, fold.bill().doubtful, fold.bill().total) == (0, 0, Decimal("0.001"))


def test_a_call_that_was_answered_without_its_usage_has_no_total_and_holds_what_was_reserved():
    """Unknown is not zero: the invoice is between what is known and that with what is held."""
    log = Log()
    log.call("reply", cost="0.004")
    log.start("router", key="q", reserved=Decimal("0.02"))
    log.finish("router", key="q", tokens=(None, None, None, None), cost=None)
    bill = Bill.of(log.events)
    assert (bill.total, bill.at_least, bill.in_doubt) == (None, Decimal("0.004"), Decimal("0.02"))
    assert (bill.doubtful, bill.unreported, (bill + bill).unreported) == (0, 1, 2)
    assert "in doubt $0.0200: 1 call answered without usage, outside the total" in str(bill)
    log.start("router", key="r", reserved=Decimal("0.01"))
    assert "in doubt $0.0300: 1 call without an answer, 1 call answered without usage" in str(Bill.of(log.events))


def test_a_call_sent_again_after_a_crash_leaves_the_first_attempt_in_doubt():
    log = Log()
    log.start("reply", reserved=Decimal("0.02"))
    log.start("reply", attempt=2)
    log.finish("reply", attempt=2)
    bill = Bill.of(log.events)
    assert (bill.in_doubt, bill.doubtful, bill.lines[0].calls, bill.lines[0].retries) == (Decimal("0.02"), 1, 1, 1)
    assert bill.billed_twice == 1
    assert "without an answer, outside the total · 1 possibly billed twice" in str(bill)


def test_what_was_not_sent_again_is_not_billed_twice():
    """Neither a call that is still open nor one whose failure the provider does not bill."""
    log = Log()
    log.start("reply", reserved=Decimal("0.02"))
    log.start("other")
    log.fail("other", maybe_billed=False)
    log.start("other", attempt=2)
    log.finish("other", attempt=2)
    bill = Bill.of(log.events)
    assert (bill.doubtful, bill.billed_twice) == (1, 0)
    assert "billed twice" not in str(bill)


def test_so_does_one_that_is_sent_again_under_its_old_number():
    log = Log()
    log.start("reply", reserved=Decimal("0.02"))
    log.start("reply", reserved=None)
    log.start("reply")
    log.finish("reply")
    bill = Bill.of(log.events)
    assert (bill.in_doubt, bill.doubtful, bill.doubtful_unpriced) == (Decimal("0.02"), 2, 1)
    assert (bill.lines[0].calls, bill.lines[0].retries) == (1, 2)
    assert "in doubt ≥ $0.0200: 2 calls without an answer" in str(bill)


def test_calls_of_two_runs_with_one_key_are_two_calls():
    one, other = Log("one"), Log("other")
    one.call("reply")
    other.call("reply")
    assert Bill.of([*one.events, *other.events]).lines[0].calls == 2


def test_grouping_by_something_else_is_a_config_error():
    with pytest.raises(ConfigError, match=r"no 'provider' to group by\n.*agent, model, path, purpose"):
        Bill().by("provider")


def test_what_the_cache_saved_is_told_at_list_prices():
    """A million tokens read at $0.30 instead of $3.00, 100,000 written at $3.75."""
    rates = Rates(*map(Decimal, ("3", "15", "0.30", "3.75", "6")))

    class Prices:
        def find(self, provider: str, model: str, tier: str = "") -> Price | None:
            return Price(rates) if (provider, model) == ("anthropic", "claude-sonnet-4-6") else None

    log = Log()
    log.call("reply", SONNET, tokens=(0, 1_000_000, 100_000, 0))
    log.call("router", HAIKU)
    bill = Bill.of(log.events)
    assert bill.saved_by_cache(Prices()) == Decimal("2.625")
    assert "saved $2.62 by cache · 91 % of input read from cache" in bill.render(Prices())
    log.call("other", HAIKU, tokens=(0, 10, 0, 0))
    assert Bill.of(log.events).saved_by_cache(Prices()) is None


RECEIPT = """\
run 7f3a · triage · completed in 41.2 s · 0 degraded

agent      model              calls  retries  uncached  cache rd  cache wr   output     cost
router     claude-haiku-4-5       1        1    73,120   408,800       280   14,614  $0.1874
knowledge  claude-sonnet-4-6      1        0   151,020   292,140     1,204   88,030  $1.8675
reply      claude-sonnet-4-6      1        0   190,450   260,330     1,104  142,880  $2.7969
total                             3        1   414,590   961,270     2,588  245,524  $4.8518

70 % of input read from cache
in doubt $0.0081: 1 call without an answer, outside the total · 1 possibly billed twice
2 tool calls, 1 failed · checked by: citations, length (1 output refused)"""


def triage(*, priced: bool = True) -> list[Event]:
    log = Log()
    log.add(RunStarted, flow="triage")
    log.start("router")
    log.fail("router", maybe_billed=True, in_doubt=Decimal("0.0081"))
    log.start("router", attempt=2)
    log.finish("router", attempt=2, tokens=(73_120, 408_800, 280, 14_614), cost="0.1874")
    log.call("knowledge", SONNET, tokens=(151_020, 292_140, 1_204, 88_030), cost="1.8675")
    log.add(ToolFinished, "knowledge", agent="knowledge", tool="search", key="t")
    log.add(ToolFinished, "knowledge", agent="knowledge", tool="search", key="u", error="OSError: no")
    log.call("reply", SONNET, tokens=(190_450, 260_330, 1_104, 142_880), cost="2.7969" if priced else None)
    log.add(Checked, "reply", agent="reply", checks=("length", "citations"), problem="210 words")
    log.add(NodeFinished, "reply", name="reply", outcome="completed", seconds=3.0)
    log.add(RunFinished, stop_reason="completed", seconds=41.23)
    return log.events


def test_the_receipt():
    assert str(Bill.of(triage())) == RECEIPT


def test_what_nobody_has_is_no_column_and_what_nobody_knows_is_one():
    """No retries and no cache here; of the other run's cache nobody knows."""
    known, unknown = Log(), Log("other")
    known.call("reply", tokens=(10, 0, 0, 20), cost="1")
    assert str(Bill.of(known.events)).splitlines()[2].split() == [
        "agent",
        "model",
        "calls",
        "uncached",
        "output",
        "cost",
    ]
    unknown.call("reply", tokens=(10, None, 0, 20), cost=None)
    head = str(Bill.of(known.events) + Bill.of(unknown.events)).splitlines()[2]
    assert "cache rd" in head
    assert "cache wr" not in head


def test_the_receipt_fits_a_narrower_terminal():
    """Long names give way, figures do not."""
    log = Log()
    for n in (1, 2):
        log.call(f"billing-specialist-of-the-north-{n}", SONNET, tokens=(1_000_000, 2_000_000, 0, 300_000), cost="12.5")
    bill = Bill.of(log.events)
    assert bill.render(width=75).splitlines()[2:] == [
        "agent         model          calls   uncached   cache rd   output      cost",
        "billin…rth-1  claude…et-4-6      1  1,000,000  2,000,000  300,000  $12.5000",
        "billin…rth-2  claude…et-4-6      1  1,000,000  2,000,000  300,000  $12.5000",
        "total                            2  2,000,000  4,000,000  600,000  $25.0000",
        "",
        "67 % of input read from cache",
    ]
    assert max(map(len, str(bill).splitlines())) <= 100


def test_the_receipt_of_a_run_with_an_unknown_price():
    lines = str(Bill.of(triage(priced=False))).splitlines()
    assert lines[5].endswith("  unpriced")
    assert lines[6].endswith("  ≥ $2.0549")


def test_a_receipt_of_which_no_price_is_known_has_no_total():
    """Not `≥ $0.0000`."""
    log = Log()
    log.call("reply", cost=None)
    assert str(Bill.of(log.events)).splitlines()[4].split()[-1] == "unpriced"


def test_the_receipt_of_unknown_usage_shows_a_question_mark():
    log = Log()
    log.call("reply", tokens=(None, 0, 0, None), cost=None)
    assert str(Bill.of(log.events)).splitlines()[3].split()[2:] == ["1", "?", "?", "unknown"]


def test_small_costs_are_shown_with_six_decimals():
    log = Log()
    log.call("reply", cost="0.0000485")
    assert str(Bill.of(log.events)).splitlines()[3].endswith("$0.000048")


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("budget", "stopped by the budget after 1.0 s · 1 degraded"),
        ("approval", "waiting for approval after 1.0 s"),
        ("error", "failed after 1.0 s"),
    ],
)
def test_the_head_says_how_it_ended(reason: str, said: str):
    log = Log()
    log.add(RunStarted, flow="triage")
    assert str(Bill.of(log.events)).startswith("run 7f3a · triage · not finished")
    log.add(RunFinished, stop_reason=reason, seconds=1.0, degraded=True)
    assert said in str(Bill.of(log.events))


def test_the_receipt_of_nothing():
    assert str(Bill()).splitlines()[0] == "no run"
    assert str(Bill()).splitlines()[-1].split() == ["total", "0", "0", "0", "$0.0000"]


def test_the_receipt_of_several_runs_counts_them():
    one, other = Log("one"), Log("other")
    for log, reason in ((one, "completed"), (other, "budget")):
        log.add(RunStarted, flow="triage")
        log.call("reply", cost="0.5")
        log.add(RunFinished, stop_reason=reason, seconds=1.0, degraded=reason == "budget")
    both = Bill.of(one.events) + Bill.of(other.events)
    assert str(both).splitlines()[0] == "2 runs · triage · 1 budget, 1 completed · 1 degraded"
    assert both.total == 1


def test_names_cannot_reach_the_terminal_or_the_notebook_as_code():
    log = Log("\x1b[2J<b>")
    log.add(RunStarted, flow="<script>")
    log.call("a", "x:<i>\u202e", cost="1")
    bill = Bill.of(log.events)
    assert "\x1b" not in str(bill)
    assert "\u202e" not in str(bill)
    page = bill._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "&lt;i&gt;" in page
