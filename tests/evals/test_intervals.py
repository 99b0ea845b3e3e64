"""Statistics of a comparison: against published values, and by the laws that they follow."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.evals.chains import Chain, fit_chain
from outlay.evals.intervals import bootstrap, t_cdf, t_quantile, widened_tail, wilson
from outlay.evals.mcnemar import least_cases, mcnemar, needed


def difference(means):
    return means[1] - means[0]


# ── shares ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # Newcombe 1998, table I, method 3 (score, no continuity correction)
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_intervals(successes, n, low, high):
    found = wilson(successes, n)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_is_symmetric_and_narrows_with_more_cases(counted):
    successes, n = counted
    found, mirrored, ten_times = wilson(successes, n), wilson(n - successes, n), wilson(10 * successes, 10 * n)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert (found.low, found.high) == (pytest.approx(1 - mirrored.high), pytest.approx(1 - mirrored.low))
    assert ten_times.high - ten_times.low < found.high - found.low


@pytest.mark.parametrize(("successes", "n"), [(3, 2), (-1, 2), (0, 0)])
def test_what_is_no_share_is_refused(successes, n):
    with pytest.raises(ValueError, match="no share"):
        wilson(successes, n)


# ── Student's t ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("df", "quantile"), [(1, 12.7062), (2, 4.3027), (5, 2.5706), (9, 2.2622), (10, 2.2281), (30, 2.0423), (120, 1.9799)]
)
def test_the_t_quantiles_of_the_tables(df, quantile):
    assert t_quantile(0.975, df) == pytest.approx(quantile, abs=5e-5)


@given(st.floats(0.5, 0.9995), st.integers(1, 200))
def test_the_quantile_undoes_the_distribution(p, df):
    assert t_cdf(t_quantile(p, df), df) == pytest.approx(p, abs=1e-9)


def test_few_cases_widen_the_percentiles_and_many_leave_them():
    """Hesterberg 2015, table 4: for n = 10 the ends are at 0.9 %, not 2.5 %."""
    assert widened_tail(10) == pytest.approx(0.0086, abs=5e-4)
    assert widened_tail(20_000) == pytest.approx(0.025, abs=1e-4)


# ── bootstrap ─────────────────────────────────────────────────────────────────────────────────────────────


def test_pairs_stay_together():
    """B is one more than A in each case, however much the cases differ: the difference is certain."""
    rows = [(float(i * i), float(i * i + 1)) for i in range(30)]
    found = bootstrap(rows, difference)
    assert (found.low, found.value, found.high) == (1, 1, 1)


def test_the_same_seed_gives_the_same_interval():
    rows = [(float(i % 7), float(i % 5)) for i in range(40)]
    assert bootstrap(rows, difference, seed=4) == bootstrap(rows, difference, seed=4)
    assert bootstrap(rows, difference, seed=4) != bootstrap(rows, difference, seed=5)


def test_one_case_has_no_interval_and_neither_has_a_ratio_to_nothing():
    assert bootstrap([(1.0, 2.0)], difference) is None
    assert bootstrap([(0.0, 2.0), (1.0, 2.0)] * 3, lambda m: m[1] / m[0] if m[0] else float("nan")) is None


@settings(max_examples=12)
@given(
    st.lists(st.tuples(st.floats(-10, 10), st.floats(-10, 10)), min_size=2, max_size=12),
    st.floats(-5, 5),
    st.integers(0, 3),
)
def test_the_interval_holds_its_value_and_moves_with_the_data(rows, shift, seed):
    found = bootstrap(rows, difference, seed=seed)
    moved = bootstrap([(a, b + shift) for a, b in rows], difference, seed=seed)
    assert found.low <= found.value <= found.high
    assert (moved.low, moved.high) == (pytest.approx(found.low + shift), pytest.approx(found.high + shift))


def test_ninety_five_per_cent_of_intervals_hold_the_truth_with_ten_cases():
    chance = random.Random(3)
    held = 0
    for seed in range(30):
        rows = [(0.0, chance.gauss(1, 2)) for _ in range(10)]
        held += 1.0 in bootstrap(rows, difference, seed=seed)
    assert held / 30 >= 0.83  # three standard errors under 95 %


# ── McNemar ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"),
    [(0, 0, 1.0), (1, 1, 1.0), (0, 5, 0.0625), (0, 6, 0.03125), (1, 9, 0.021484375), (6, 16, 0.0524787903)],
)
def test_mcnemar_is_the_exact_binomial(only_a, only_b, p):
    assert mcnemar(only_a, only_b) == pytest.approx(p, rel=1e-9)


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_symmetric_and_falls_as_the_split_grows(a, b):
    p = mcnemar(a, b)
    assert 0 < p <= 1
    assert p == mcnemar(b, a)
    assert mcnemar(min(a, b), max(a, b) + 1) <= p


def test_mcnemar_of_thousands_of_cases_does_not_overflow():
    assert 0 <= mcnemar(1_900, 2_100) < 0.01


def test_fewer_than_six_cases_that_differ_are_never_evidence():
    assert least_cases() == 6
    assert (needed(0, 0), needed(0, 5), needed(0, 6), needed(3, 1)) == (6, 1, 0, 5)


def test_a_count_below_zero_is_refused():
    with pytest.raises(ValueError, match="not negative"):
        mcnemar(-1, 2)


# ── p^N ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_length_gives_the_root_of_its_share():
    """With one N the maximum is exact: share^(1/N); and for N = 1 the interval is near Wilson's."""
    assert fit_chain([Chain(12, 50, 100)]).value == pytest.approx(0.5 ** (1 / 12))
    one, score = fit_chain([Chain(1, 70, 100)]), wilson(70, 100)
    assert (one.low, one.high) == (pytest.approx(score.low, abs=0.01), pytest.approx(score.high, abs=0.01))


@settings(max_examples=40)
@given(st.floats(0.5, 0.999), st.integers(1, 40))
def test_shares_that_follow_the_law_give_its_p_again(p, longest):
    runs = 10**7
    measured = [Chain(n, round(runs * p**n), runs) for n in range(1, longest + 1)]
    found = fit_chain(measured)
    assert found.value == pytest.approx(p, abs=1e-4)
    assert found.low <= found.value <= found.high


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 30)), min_size=1, max_size=8))
def test_the_interval_holds_the_best_p_and_narrows_with_ten_times_the_runs(given_chains):
    few = fit_chain([Chain(n, s, 30) for n, s in given_chains])
    many = fit_chain([Chain(n, 10 * s, 300) for n, s in given_chains])
    assert 0 <= few.low <= few.value <= few.high <= 1
    assert many.value == pytest.approx(few.value, abs=1e-6)
    assert many.high - many.low < few.high - few.low


def test_all_or_none_leave_one_side_open():
    assert fit_chain([Chain(5, 20, 20)]).high == 1.0
    assert 0.9 < fit_chain([Chain(5, 20, 20)]).low < 1.0
    assert fit_chain([Chain(5, 0, 20)]).low == 0.0


def test_what_cannot_have_been_measured_is_refused():
    with pytest.raises(ValueError, match="no such measurement"):
        Chain(0, 1, 1)
    with pytest.raises(ValueError, match="nothing"):
        fit_chain([])
