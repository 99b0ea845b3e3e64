"""Which tiers of a cascade are left out: those that cost more than they save, by price or by what they settle."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.policies.climbing import ENOUGH, PROBE, Climbing

CENT = 0.01


def after(shares: list[float], turns: int = 100, gate_usd: float = 0.0) -> Climbing:
    """Tiers that settled these shares of their turns."""
    climbing = Climbing(len(shares) + 1)
    for tier, share in enumerate(shares):
        for turn in range(turns):
            settled = int((turn + 1) * share) > int(turn * share)
            climbing.answered(tier, settled=settled, gate_usd=gate_usd, output_tokens=10)
    return climbing


def test_nothing_is_left_out_that_pays() -> None:
    assert after([0.5]).leaves_out([1 * CENT, 10 * CENT]) == ()


def test_a_tier_that_is_dearer_than_the_top_is_left_out_at_once() -> None:
    """Whatever it settles: the strong one reads its prompt from a cache, and it does not."""
    assert Climbing(2).leaves_out([4 * CENT, 1 * CENT]) == (0,)


def test_a_tier_that_settles_too_little_is_left_out_once_that_is_known() -> None:
    """$0.03 for one turn in ten that would cost $0.10 otherwise; and it is asked again from time to time."""
    assert after([0.1], ENOUGH - 1).leaves_out([3 * CENT, 10 * CENT]) == ()
    climbing = after([0.1], ENOUGH)
    left_out = [climbing.leaves_out([3 * CENT, 10 * CENT]) for _ in range(2 * PROBE)]
    assert left_out.count(()) == 2
    assert left_out[PROBE - 1] == ()


def test_what_is_hopeless_is_not_even_tried() -> None:
    climbing = after([0.1])
    assert all(climbing.leaves_out([11 * CENT, 10 * CENT]) == (0,) for _ in range(2 * PROBE))


def test_what_its_gate_asks_others_is_a_part_of_its_price() -> None:
    prices = [4 * CENT, 10 * CENT]
    assert after([0.5], gate_usd=0.0).leaves_out(prices) == ()
    assert after([0.5], gate_usd=2 * CENT).leaves_out(prices) == (0,)


def test_a_student_costs_nothing_and_stays_whatever_it_declines() -> None:
    assert after([0.0]).leaves_out([0.0, 10 * CENT]) == ()


def test_a_middle_tier_can_be_left_out_alone() -> None:
    assert after([0.6, 0.1]).leaves_out([0.0, 3 * CENT, 10 * CENT]) == (1,)


def test_an_unknown_price_says_nothing() -> None:
    assert after([0.0]).leaves_out([None, 10 * CENT]) == ()
    assert after([0.0]).leaves_out([10 * CENT, None]) == ()


def test_what_is_long_ago_counts_for_little() -> None:
    climbing = after([1.0], 300)
    for _ in range(600):
        climbing.answered(0, settled=False, gate_usd=0.0, output_tokens=10)
    assert climbing.leaves_out([3 * CENT, 10 * CENT]) == (0,)


def expected(tiers: tuple[int, ...], usd: list[float], shares: list[float]) -> float:
    """What a turn costs that asks these tiers in order, and the top last."""
    cost, arrives = 0.0, 1.0
    for tier in tiers:
        cost += arrives * usd[tier]
        arrives *= 1 - shares[tier]
    return cost + arrives * usd[-1]


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=4),
    st.floats(0.01, 1),
)
def test_no_other_choice_of_tiers_would_be_cheaper(tiers: list[tuple[float, float]], top: float) -> None:
    """Where shares are known and do not depend on who was asked before."""
    climbing = after([share for _, share in tiers], 100)
    shares = [one.share for one in climbing.seen]
    usd = [cost for cost, _ in tiers] + [top]
    everyone = range(len(tiers))
    chosen = tuple(tier for tier in everyone if tier not in climbing.leaves_out(usd))
    best = min(expected(some, usd, shares) for n in range(len(tiers) + 1) for some in combinations(everyone, n))
    assert expected(chosen, usd, shares) == pytest.approx(best)
