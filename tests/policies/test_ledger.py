"""Budgets in force: what the ledger grants, refuses, lets wait and counts (SEMANTICS 5)."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.policies.ledger import (
    MOST_BYPASSES,
    Account,
    Alert,
    Answer,
    Ask,
    Hold,
    Ledger,
    Refusal,
    Ticket,
    Unpriced,
)
from outlay.values.budget import Budget
from outlay.values.price import Price

#: One dollar a token of output, input free: amounts in these tests read as dollars.
DOLLAR = Price.per_million(0, 1_000_000)


def account(name: str = "run", **limits: Any) -> Account:
    return Account(name, Budget(**limits))


def dollars(amount: int, least: int | None = None, price: Price | None = DOLLAR) -> Ask:
    return Ask(price, 0, amount, lambda: amount if least is None else least)


def granted(answer: Answer | Ticket) -> Hold:
    assert isinstance(answer, Hold), answer
    return answer


def refused(answer: Answer | Ticket) -> Refusal:
    assert isinstance(answer, Refusal), answer
    return answer


class Line:
    """Waiting requests and the answers they got."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.answers: dict[str, Answer] = {}
        self.order: list[str] = []

    def ask(self, name: str, chain: tuple[Account, ...], ask: Ask) -> Ticket | None:
        answer = self.ledger.ask(chain, ask, self._answered(name))
        if isinstance(answer, Ticket):
            return answer
        self._answered(name)(answer)
        return None

    def _answered(self, name: str) -> Callable[[Answer], None]:
        def note(answer: Answer) -> None:
            assert name not in self.answers, "a ticket is answered once"
            self.answers[name] = answer
            self.order.append(name)

        return note

    def hold(self, name: str) -> Hold:
        return granted(self.answers[name])


# ── reserve and settle ────────────────────────────────────────────────────────────────────────────────────


def test_a_reservation_is_taken_in_all_ancestors_at_once() -> None:
    """A grant holds the worst case in every account of the chain."""
    run, agent = account(usd=10), account("agent", usd=5)
    hold = granted(Ledger().ask((run, agent), dollars(4)))
    assert (hold.usd, run.held, agent.held) == (4, 4, 4)
    assert (run.usd_left, agent.usd_left) == (6, 1)


def test_a_refusal_leaves_no_trace_in_any_ancestor() -> None:
    """What does not fit one account is held in none, and is not counted as a call."""
    run, agent = account(usd=10), account("agent", usd=3)
    answer = refused(Ledger().ask((run, agent), dollars(4)))
    assert (answer.account, answer.resource, answer.needed, answer.left) == (agent, "usd", 4, 3)
    assert (run.held, agent.held, run.calls, agent.calls) == (0, 0, 0, 0)


def test_settling_gives_back_what_was_not_used() -> None:
    """After settling, only the true cost is spent, in every account of the chain."""
    ledger, run, agent = Ledger(), account(usd=10), account("agent", usd=5)
    ledger.settle(granted(ledger.ask((run, agent), dollars(4))), Decimal(1), 7)
    assert [(a.spent, a.held, a.tokens, a.held_tokens) for a in (run, agent)] == [(1, 0, 7, 0)] * 2


def test_doubt_counts_as_spent() -> None:
    """A call that may have been billed keeps its whole reservation, and room is never made of it."""
    ledger, run = Ledger(), account(usd=5)
    ledger.doubt(granted(ledger.ask((run,), dollars(4))))
    assert (run.spent, run.doubt, run.held, run.usd_left) == (0, 4, 0, 1)
    assert refused(ledger.ask((run,), dollars(2), lambda _: None)).left == 1


def test_a_released_reservation_costs_nothing_and_was_a_call() -> None:
    """What surely cost nothing is given back; the attempt still counts against a limit of calls."""
    ledger, run = Ledger(), account(usd=5, calls=1)
    ledger.release(granted(ledger.ask((run,), dollars(4))))
    assert (run.usd_left, run.calls_left) == (5, 0)


def test_a_hold_is_settled_once() -> None:
    """Closing a reservation twice is a defect of the caller and is not passed over."""
    ledger, run = Ledger(), account(usd=5)
    hold = granted(ledger.ask((run,), dollars(4)))
    ledger.release(hold)
    with pytest.raises(AssertionError, match="once"):
        ledger.release(hold)


def test_an_unknown_cost_is_marked_and_not_zero() -> None:
    """Settling without a price says so in the accounts."""
    ledger, run = Ledger(), account(tokens=100)
    ledger.settle(granted(ledger.ask((run,), dollars(4, price=None))), None, 10)
    assert (run.unpriced, run.tokens) == (True, 10)


# ── waiting ───────────────────────────────────────────────────────────────────────────────────────────────


def test_waiting_finishes_what_refusing_does_not() -> None:
    """$1.50, 200 calls of $0.01 whose bound is four times too high: refusing finishes 37, waiting at least 147."""

    def finished(wait: bool) -> tuple[int, Decimal]:
        cent, bound = Decimal("0.01"), Ask(Price.per_million(0, 40_000), 0, 1)
        ledger, run = Ledger(), account(usd="1.50")
        flying: list[Hold] = []
        done = 0
        for _ in range(200):
            answer = ledger.ask(
                (run,), bound, (lambda a: flying.append(granted(a)) if isinstance(a, Hold) else None) if wait else None
            )
            if isinstance(answer, Hold):
                flying.append(answer)
        while flying:
            ledger.settle(flying.pop(0), cent, 1)
            done += 1
        return done, run.spent

    assert finished(wait=False) == (37, Decimal("0.37"))
    done, spent = finished(wait=True)
    assert done >= 147
    assert spent <= Decimal("1.50")


def test_a_request_that_no_live_hold_can_make_room_for_is_refused_at_once() -> None:
    """Waiting is for what calls in flight could give back, not for money that is gone."""
    ledger, run = Ledger(), account(usd=5)
    ledger.settle(granted(ledger.ask((run,), dollars(3))), Decimal(3), 1)
    granted(ledger.ask((run,), dollars(1)))
    assert isinstance(ledger.ask((run,), dollars(3), lambda _: None), Refusal)
    assert isinstance(ledger.ask((run,), dollars(2), lambda _: None), Ticket)


def test_the_oldest_is_answered_first() -> None:
    """Requests of one size are granted in the order in which they came."""
    ledger, run = Ledger(), account(usd=4)
    line = Line(ledger)
    for name in "abcd":
        line.ask(name, (run,), dollars(4))
    for name in "abcd":
        assert line.order[-1] == name
        ledger.release(line.hold(name))


def test_a_large_request_is_overtaken_only_so_often() -> None:
    """Small requests may pass a large one that waits, at most MOST_BYPASSES times; then they queue behind it."""
    ledger, run = Ledger(), account(usd=10)
    line = Line(ledger)
    line.ask("first", (run,), dollars(6))
    line.ask("large", (run,), dollars(9))
    passed = 0
    while line.ask(f"small {passed}", (run,), dollars(1)) is None:
        ledger.release(line.hold(f"small {passed}"))
        passed += 1
        assert passed <= MOST_BYPASSES
    ledger.release(line.hold("first"))
    assert isinstance(line.answers["large"], Hold)


def test_who_waits_on_one_account_does_not_stop_another() -> None:
    """First come, first served holds per account: a crowd before one agent's budget leaves another agent's alone."""
    ledger, slow, quick = Ledger(), account("slow", usd=1), account("quick", usd=1)
    line = Line(ledger)
    line.ask("slow", (slow,), dollars(1))
    line.ask("quick", (quick,), dollars(1))
    for i in range(3 * MOST_BYPASSES):
        line.ask(f"slow {i}", (slow,), dollars(1))
    line.ask("next", (quick,), dollars(1))
    ledger.settle(line.hold("quick"), Decimal(0), 0)
    assert isinstance(line.answers["next"], Hold)


def test_withdrawing_lets_the_next_one_in() -> None:
    """Whoever gives up waiting is not answered any more, and those behind are looked at."""
    ledger, run = Ledger(), account(usd=10)
    line = Line(ledger)
    line.ask("first", (run,), dollars(6))
    large = line.ask("large", (run,), dollars(9))
    assert large is not None
    large.bypassed = MOST_BYPASSES
    line.ask("small", (run,), dollars(4))
    ledger.withdraw(large)
    assert line.order == ["first", "small"]
    ledger.release(line.hold("first"))
    assert "large" not in line.answers


def test_who_waits_is_refused_when_the_money_is_gone() -> None:
    """A ticket is answered with a refusal once no live hold is left that could make room."""
    ledger, run = Ledger(), account(usd=5)
    line = Line(ledger)
    line.ask("first", (run,), dollars(5))
    line.ask("second", (run,), dollars(5))
    ledger.settle(line.hold("first"), Decimal(5), 1)
    assert isinstance(line.answers["second"], Refusal)


# ── clipping ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_output_cap_is_clipped_to_what_is_left() -> None:
    """What cannot fit even when all is given back is granted with a smaller output cap."""
    ledger, run = Ledger(), account(usd=3)
    hold = granted(ledger.ask((run,), dollars(10, least=2), lambda _: None))
    assert (hold.output_tokens, hold.usd) == (3, 3)
    assert hold.clipped is not None
    assert (hold.clipped.account, hold.clipped.resource) == (run, "usd")


def test_waiting_comes_before_clipping() -> None:
    """Where calls in flight could make room for the full cap, the request waits instead of being cut."""
    ledger, run = Ledger(), account(usd=10)
    granted(ledger.ask((run,), dollars(5)))
    assert isinstance(ledger.ask((run,), dollars(8, least=1), lambda _: None), Ticket)


def test_a_cap_is_not_clipped_below_the_least() -> None:
    """An answer that would surely break off is not paid for."""
    ledger, run = Ledger(), account(usd=3)
    assert refused(ledger.ask((run,), dollars(10, least=4))).needed == 4


def test_the_least_asks_for_summary_when_it_comes_to_clipping() -> None:
    """What answers need is learned while others wait, so the floor of the moment counts."""
    floor = 9
    ledger, run = Ledger(), account(usd=10)
    line = Line(ledger)
    line.ask("first", (run,), dollars(10))
    line.ask("second", (run,), Ask(DOLLAR, 0, 10, lambda: floor))
    floor = 2
    ledger.settle(line.hold("first"), Decimal(6), 1)
    assert line.hold("second").output_tokens == 4


def test_an_input_that_is_too_dear_is_refused_even_where_output_is_free() -> None:
    """A model that charges for input only cannot slip past a budget that its input does not fit."""
    ledger, run = Ledger(), account(usd=1)
    ask = Ask(Price.per_million(1_000_000, 0), 2, 100)
    assert refused(ledger.ask((run,), ask)).needed == 2
    assert run.held == 0


def test_tokens_clip_the_cap_as_money_does() -> None:
    """A limit of tokens counts input and output cap together."""
    ledger, run = Ledger(), account(tokens=100)
    hold = granted(ledger.ask((run,), Ask(None, 60, 80, lambda: 10)))
    assert (hold.tokens, hold.output_tokens) == (100, 40)
    assert refused(ledger.ask((run,), Ask(None, 1, 1))).resource == "tokens"


# ── limits that are not money ─────────────────────────────────────────────────────────────────────────────


def test_a_limit_of_calls_counts_what_is_in_flight() -> None:
    """No more calls start than the limit says, whether earlier ones have ended or not; no waiting helps."""
    ledger, run = Ledger(), account(calls=2)
    granted(ledger.ask((run,), dollars(1)))
    granted(ledger.ask((run,), dollars(1)))
    answer = refused(ledger.ask((run,), dollars(1), lambda _: None))
    assert (answer.resource, answer.needed, answer.left) == ("calls", 1, 0)


def test_a_limit_of_zero_lets_nothing_start() -> None:
    """Zero is a limit, not the absence of one."""
    for limits in ({"usd": 0}, {"tokens": 0}, {"calls": 0}):
        assert isinstance(Ledger().ask((account(**limits),), dollars(1)), Refusal)


def test_a_money_budget_refuses_an_unknown_price() -> None:
    """Unknown is not zero: without a price the limit could not hold."""
    run = account(usd=5)
    assert Ledger().ask((account("other", calls=3), run), dollars(1, price=None)) == Unpriced(run)


def test_an_unknown_price_can_be_allowed() -> None:
    """`allow_unpriced` lets such a model run, reserving no money."""
    run = account(usd=5, allow_unpriced=True)
    assert granted(Ledger().ask((run,), dollars(1, price=None))).usd == 0


def test_huge_numbers_stay_exact() -> None:
    """The largest budget, less a ten-thousandth of a cent, is still a ten-thousandth of a cent away."""
    ledger, run = Ledger(), account(usd="1000000000000")
    all_but = Ask(Price.per_million(0, 1), 0, 10**18 - 1)
    ledger.settle(granted(ledger.ask((run,), all_but)), all_but.worst_usd(10**18 - 1), 1)
    assert run.usd_left == Decimal("0.000001")
    assert isinstance(ledger.ask((run,), Ask(Price.per_million(0, 1), 0, 2)), Refusal)
    granted(ledger.ask((run,), Ask(Price.per_million(0, 1), 0, 1)))


# ── the finishing reserve ─────────────────────────────────────────────────────────────────────────────────


def test_the_finishing_reserve_is_out_of_reach_for_ordinary_work() -> None:
    """What is set aside for the final step cannot be reserved by others, and waiting for it is useless."""
    ledger, run = Ledger(), account(usd=10)
    aside = ledger.set_aside((run,), dollars(4))
    assert refused(ledger.ask((run,), dollars(7), lambda _: None)).left == 6
    ledger.put_back(aside)
    granted(ledger.ask((run,), dollars(7)))


def test_the_final_step_draws_on_its_reserve_and_never_waits() -> None:
    """It is granted at once, while everything else is held by others."""
    ledger, run = Ledger(), account(usd=10)
    aside = ledger.set_aside((run,), dollars(4))
    granted(ledger.ask((run,), dollars(6)))
    assert granted(ledger.ask((run,), dollars(4), finish=aside)).usd == 4
    assert (run.aside, run.usd_left) == (0, 0)


def test_a_final_step_that_needs_less_gives_the_rest_to_who_waits() -> None:
    """What was set aside and not drawn is room for others at once."""
    ledger, run = Ledger(), account(usd=10)
    line = Line(ledger)
    aside = ledger.set_aside((run,), dollars(5))
    line.ask("first", (run,), dollars(4))
    line.ask("second", (run,), dollars(4))
    granted(ledger.ask((run,), dollars(1), finish=aside))
    assert line.order == ["first", "second"]


def test_the_finishing_reserve_leaves_at_least_half_for_the_work() -> None:
    """A small budget is not all set aside for an end that nothing leads to."""
    ledger, run = Ledger(), account(usd=10, tokens=100)
    ledger.set_aside((run,), Ask(DOLLAR, 0, 90))
    assert (run.usd_left, run.tokens_left) == (5, 50)


def test_the_finishing_reserve_keeps_a_call_free() -> None:
    """Under a limit of calls the final step has one of its own, unless it is the only one left."""
    ledger, run = Ledger(), account(calls=2)
    aside = ledger.set_aside((run,), dollars(1))
    granted(ledger.ask((run,), dollars(1)))
    assert refused(ledger.ask((run,), dollars(1), lambda _: None)).resource == "calls"
    granted(ledger.ask((run,), dollars(1), finish=aside))
    assert (run.calls, run.calls_left) == (2, 0)
    only = account(calls=1)
    ledger.set_aside((only,), dollars(1))
    assert only.calls_left == 1


# ── alerts ────────────────────────────────────────────────────────────────────────────────────────────────


def test_alerts_come_once_each_at_50_80_and_95_per_cent() -> None:
    """Every threshold is announced when it is crossed, in order, and not again."""
    ledger, run = Ledger(), account(usd=100)
    found: list[Alert] = []
    for _ in range(100):
        found += ledger.settle(granted(ledger.ask((run,), dollars(1))), Decimal(1), 1)
    assert [(a.percent, a.spent, a.resource) for a in found] == [(50, 50, "usd"), (80, 80, "usd"), (95, 95, "usd")]


def test_doubt_sets_off_alerts() -> None:
    """Money that may be gone is money that the alert must speak of."""
    ledger, run = Ledger(), account(usd=10)
    assert [a.percent for a in ledger.doubt(granted(ledger.ask((run,), dollars(9))))] == [50, 80]


def test_calls_and_tokens_have_alerts_too() -> None:
    """Whatever is limited is announced."""
    ledger, run = Ledger(), account(calls=2, tokens=10)
    found = ledger.settle(granted(ledger.ask((run,), dollars(1, price=None))), None, 8)
    assert {(a.resource, a.percent) for a in found} == {("calls", 50), ("tokens", 50), ("tokens", 80)}


# ── laws ──────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.randoms(use_true_random=False), st.integers(1, 60))
def test_no_schedule_overshoots_and_nobody_waits_for_nothing(dice: random.Random, steps: int) -> None:
    """For any interleaving: spent + doubt + held + aside never exceeds a limit, holds add up, every ticket whose
    accounts hold nothing is answered, and each answer comes once."""
    ledger = Ledger()
    run = account("run", usd=dice.randint(0, 40), tokens=dice.choice([None, 60]), calls=dice.choice([None, 25]))
    agents = [account(f"agent {i}", usd=dice.choice([None, 5, 15]), tokens=dice.choice([None, 30])) for i in range(3)]
    flying: list[Hold] = []
    aside: list[Hold] = []
    waiting: dict[int, Ticket] = {}

    def answer_to(number: int) -> Callable[[Answer], None]:
        def answered(answer: Answer) -> None:
            del waiting[number]  # KeyError: answered twice, or after it was withdrawn
            if isinstance(answer, Hold):
                flying.append(answer)

        return answered

    def check() -> None:
        for a in (run, *agents):
            assert a.held == sum(h.usd for h in flying if a in h.chain)
            assert a.aside == sum(h.usd for h in aside if a in h.chain and h.open)
            assert a.waiting == sum(a in t.chain for t in waiting.values())
            if a.usd_limit is not None:
                assert a.spent + a.doubt + a.held + a.aside <= a.usd_limit
            if a.tokens_limit is not None:
                assert a.tokens + a.held_tokens + a.aside_tokens <= a.tokens_limit
            if a.calls_limit is not None:
                assert a.calls + a.aside_calls <= a.calls_limit
            if a.calls_limit is not None:
                assert a.calls <= a.calls_limit
        for ticket in waiting.values():
            assert any(a.held or a.held_tokens for a in ticket.chain)

    for number in range(steps):
        chain = (run, dice.choice(agents))
        move = dice.randrange(8)
        if move < 3:
            cap = dice.randint(1, 12)
            ask = Ask(
                dice.choice([DOLLAR, Price.per_million(1_000_000, 0)]), dice.randint(0, 3), cap, lambda c=cap: c // 3
            )
            answer = ledger.ask(chain, ask, answer_to(number))
            if isinstance(answer, Ticket):
                waiting[number] = answer
            elif isinstance(answer, Hold):
                flying.append(answer)
        elif move < 6 and flying:
            hold = flying.pop(dice.randrange(len(flying)))
            how = dice.randrange(4)
            if how == 0:
                ledger.doubt(hold)
            elif how == 1:
                ledger.release(hold)
            else:
                ledger.settle(hold, Decimal(dice.randint(0, int(hold.usd))), dice.randint(0, hold.tokens))
        elif move == 6 and waiting:
            ledger.withdraw(waiting.pop(dice.choice(sorted(waiting))))
        elif move == 7 and not aside:
            aside.append(ledger.set_aside(chain, dollars(dice.randint(1, 6))))
        elif move == 7:
            reserve = aside.pop()
            final = ledger.ask(reserve.chain, dollars(3, least=1), finish=reserve)
            if isinstance(final, Hold):
                flying.append(final)
        check()
    while flying:
        ledger.release(flying.pop())
        check()
    assert not waiting


@given(st.integers(1, 40), st.integers(1, 20), st.randoms(use_true_random=False))
def test_every_small_enough_request_is_served_in_the_end(requests: int, limit: int, dice: random.Random) -> None:
    """Where calls cost nothing in the end, everybody who fits is granted, whatever the order of endings."""
    ledger, run = Ledger(), account(usd=limit)
    line = Line(ledger)
    for i in range(requests):
        line.ask(str(i), (run,), dollars(dice.randint(1, limit)))
    closed: set[str] = set()
    while ready := [name for name in line.order if name not in closed]:
        name = dice.choice(ready)
        closed.add(name)
        ledger.release(line.hold(name))
    assert len(line.answers) == requests
