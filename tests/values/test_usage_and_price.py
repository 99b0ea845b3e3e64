"""Tokens in four buckets, and what they cost."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from outlay import Usage
from outlay.values.price import Price, Rates

counts = st.integers(0, 10**9)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    writes = draw(counts)
    return Usage(draw(counts), draw(counts), writes, draw(counts), draw(st.integers(0, writes)))


rates = st.decimals(0, 1000, places=4)
sheets = st.builds(Rates, rates, rates, rates, rates, rates)
prices = st.builds(
    lambda base, tiers: Price(base, tuple(sorted(tiers.items()))),
    sheets,
    st.dictionaries(st.integers(1, 10**6), sheets, max_size=2),
)


def test_each_bucket_is_charged_at_its_own_rate() -> None:
    """Four disjoint buckets, and writes that last an hour apart; the sum is exact."""
    price = Price(Rates(*map(Decimal, ("3", "15", "0.30", "3.75", "6"))))
    usage = Usage(1_000_000, 1_000_000, 1_000_000, 1_000_000, cache_write_1h_tokens=400_000)
    assert price.cost(usage) == Decimal("3") + 15 + Decimal("0.30") + Decimal("3.75") * 6 / 10 + 6 * Decimal("0.4")


def test_a_long_input_pays_the_dearer_rates_for_all_of_its_tokens() -> None:
    """The tier goes by the whole input, cached or not, and not by what is above the mark."""
    base, dear = Rates(*[Decimal(1)] * 5), Rates(*[Decimal(2)] * 5)
    price = Price(base, ((100, dear),))
    assert price.cost(Usage(60, cache_read_tokens=40)) == Decimal(100) / 10**6
    assert price.cost(Usage(61, cache_read_tokens=40)) == Decimal(202) / 10**6


def test_usage_adds_up_bucket_by_bucket() -> None:
    """The total is the sum of the disjoint buckets; hour-long writes are part of the writes."""
    total = Usage(1, 2, 3, 4, 1) + Usage(10, 20, 30, 40, 5)
    assert total == Usage(11, 22, 33, 44, 6)
    assert (total.all_input_tokens, total.total_tokens) == (66, 110)


def test_the_providers_own_report_is_kept_and_not_compared() -> None:
    """Two equal counts are equal whatever else the provider said."""
    assert Usage(1, raw={"service_tier": "standard"}) == Usage(1)


@given(usages(), usages(), usages())
def test_adding_usage_is_associative_and_commutative(a: Usage, b: Usage, c: Usage) -> None:
    """The order in which calls finish does not change a bill."""
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + Usage() == a


@given(prices, usages())
def test_no_call_costs_more_than_its_worst_case(price: Price, usage: Usage) -> None:
    """A reservation by counts is an upper bound, whatever the cache does and whichever tier applies."""
    assert price.cost(usage) <= price.worst(usage.all_input_tokens, usage.output_tokens)


@given(prices, st.decimals(0, 100, places=6), st.integers(0, 10**6), st.integers(0, 10**5))
def test_what_money_buys_is_the_most_that_fits(price: Price, money: Decimal, inputs: int, more: int) -> None:
    """The output cap for an amount fits into it, one token more does not; below zero not even the input fits."""
    cap = price.output_tokens_for(money, inputs)
    if cap < 0:
        assert price.worst(inputs, 0) > money
    else:
        assert price.worst(inputs, cap) <= money
        free = price.worst(inputs, 1) == price.worst(inputs, 0)
        assert free or price.worst(inputs, cap + 1) > money


@given(usages(), usages())
def test_the_cost_of_many_is_the_sum_of_their_costs(a: Usage, b: Usage) -> None:
    """Without tiers, money is linear in tokens to the last digit."""
    price = Price(Rates(*map(Decimal, ("0.8", "4", "0.08", "1", "1.6"))))
    assert price.cost(a) + price.cost(b) == price.cost(a + b)
