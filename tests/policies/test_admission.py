"""Whether many runs under one budget may start another."""

from __future__ import annotations

import random
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from outlay.policies.admission import Admission


def test_one_run_may_always_start() -> None:
    """Whether its first call fits is the ledger's question, even where all is spent."""
    assert Admission(Decimal(0)).admits(0, Decimal(5))


def test_the_number_in_flight_grows_with_what_is_known() -> None:
    """Nothing is known before a run has ended: the window opens as runs finish cheaply."""
    admission = Admission(Decimal(1000))
    widths: list[int] = []
    for _ in range(4):
        width = 0
        while admission.admits(width, admission.spent):
            width += 1
        widths.append(width)
        for _run in range(width):
            admission.record(Decimal("0.01"))
    assert widths == [1, 3, 9, 27]


def test_by_batch_the_worst_that_one_run_reserved_stands_for_what_it_costs() -> None:
    """Nobody waits a day to learn it: once the first has reserved, as many start as the limit has room for."""
    admission = Admission(Decimal(10), by_batch=True)
    assert admission.admits(0, Decimal(0))
    assert not admission.admits(1, Decimal(0))  # it has not come to a call yet
    width, held = 1, Decimal(2)
    while admission.admits(width, Decimal(0), held):
        width += 1  # and those that were started have not reserved anything yet
    assert width == 5
    admission.record(Decimal("0.5"))
    assert admission.admits(12, Decimal("0.5"), Decimal(2))


def test_a_run_is_not_started_that_the_others_leave_nothing_for() -> None:
    """Runs in flight are expected to cost what the dearest has cost, less what they have spent already."""
    admission = Admission(Decimal(10))
    for cost in (1, 3, 2):
        admission.record(Decimal(cost))
    assert admission.admits(0, Decimal(6))
    assert not admission.admits(1, Decimal(6))
    assert admission.spent == 6
    assert not admission.admits(1, Decimal(8))
    plenty = Admission(Decimal(12), finished=3, spent=Decimal(6), dearest=Decimal(3))
    assert plenty.admits(1, Decimal(6))
    assert plenty.admits(1, Decimal(9))
    assert not plenty.admits(1, Decimal("9.01"))


@given(st.integers(1, 200), st.integers(1, 10), st.randoms(use_true_random=False))
def test_runs_of_one_price_are_never_left_half_done(limit: int, cost: int, dice: random.Random) -> None:
    """Whatever order they end in: what was started could be paid for, and all that fits is started."""
    admission, spent, flying = Admission(Decimal(limit)), 0, 0
    started = 0
    for _ in range(1000):
        while spent + flying * cost < limit and admission.admits(flying, Decimal(spent)) and started < 500:
            flying += 1
            started += 1
        if not flying:
            break
        flying -= 1
        spent += cost
        admission.record(Decimal(cost))
        assert flying == 0 or spent + flying * cost <= limit
    assert started in (limit // cost, -(-limit // cost))
