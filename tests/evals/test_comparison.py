"""Comparisons, verdicts and what would flip them: pure folds over what was measured."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.evals import Checked, Comparison, Measured, Opinion, Setup, Side, cautions, flips, report, verdict_on
from outlay.evals.handled import handled

PASS, FAIL = (Checked("exact"),), (Checked("exact", "got '2', expected '1'"),)


def measured(case, success, cost="0.001", seconds=1.0, **facts):
    checks = PASS if success else FAIL
    price = None if cost is None else Decimal(cost)
    known = Decimal(0) if price is None else price
    given = {"answered": True, "checks": checks, "tokens": 100, "calls": 1, **facts}
    return Measured(str(case), f"r{case}", given.pop("stop_reason", "completed"), **given, cost=price,
                    at_least=known, seconds=seconds)  # fmt: skip


def side(name, outcomes, agents=1, limit=None, **facts):
    cases = tuple(measured(case, bool(ok), **facts) for case, ok in enumerate(outcomes))
    return Side(name, agents, cases, limit)


def comparison(a, b, **setup):
    return Comparison(a, b, Setup("cases.jsonl", setup.pop("checkers", ("exact",)), **setup))


ONE = side("one", [1, 0] * 10)


# ── one side ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_side_adds_up_what_its_cases_came_to():
    found = Side("x", 1, (measured(1, True, "0.001"), measured(2, False, "0.003", 3.0)), Decimal("0.01"))
    assert (found.successes, found.cost, found.dollars(50), found.dollars(95)) == (1, Decimal("0.004"), 0.001, 0.003)
    assert (found.seconds(95), found.seconds_a_case, found.tokens_per_useful_unit) == (3.0, 2.0, 200)
    assert (found.quality_per_dollar, found.used) == (250, (0.2, 0.3))


def test_an_unknown_price_is_not_zero():
    found = Side("x", 1, (measured(1, True), measured(2, True, None)))
    assert (found.cost, found.dollars_a_case, found.quality_per_dollar, found.at_least) == (
        None, None, None, Decimal("0.001"),
    )  # fmt: skip


def test_no_success_gives_no_tokens_a_success_rather_than_endlessly_many():
    assert side("x", [0, 0]).tokens_per_useful_unit is None
    assert side("x", [1, 1], tokens=None).tokens_per_useful_unit is None


RAISED = (Checked("mine", "KeyError: 'x'", raised=True),)


@pytest.mark.parametrize(
    ("facts", "success", "failure"),
    [
        ({}, True, ""),
        ({"checks": FAIL}, False, "wrong: exact"),
        ({"checks": FAIL, "stop_reason": "budget"}, False, "wrong: exact, budget"),
        ({"checks": PASS, "stop_reason": "budget"}, True, ""),  # the best so far may do
        ({"checks": (), "answered": False, "stop_reason": "budget"}, False, "stopped: budget"),
        ({"checks": (), "answered": False, "stop_reason": "error", "error": "Refused"}, False, "error: Refused"),
        ({"checks": RAISED}, None, "checker raised: mine"),
        ({"checks": (*RAISED, *FAIL)}, None, "checker raised: mine"),
        ({"checks": (), "answered": False, "stop_reason": "approval"}, None, "not over: approval"),
        ({"checks": (), "opinion": Opinion(True)}, True, ""),
        ({"checks": (), "opinion": Opinion(False)}, False, "judge: not ok"),
        ({"checks": (), "opinion": Opinion(None)}, None, "judge gave no opinion"),
        ({"checks": FAIL, "opinion": Opinion(True)}, False, "wrong: exact"),  # a check goes before an opinion
    ],
)  # fmt: skip
def test_each_end_is_a_success_a_failure_of_one_kind_or_unknown(facts, success, failure):
    found = measured(1, True, **facts)
    assert (found.success, found.failure) == (success, failure)


# ── two sides ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_difference_is_taken_case_by_case():
    found = comparison(side("a", [1, 1, 0, 0, 1, 0, 1]), side("b", [1, 0, 1, 1, 1, 1, 1], cost="0.003"))
    assert (found.only_a, found.only_b, found.p) == (1, 3, 0.625)
    assert found.success.value == pytest.approx(2 / 7)
    assert (found.multiplier.value, found.dollars.value) == (pytest.approx(3), pytest.approx(0.002))
    assert found.price_of_a_success == pytest.approx(0.007)


def test_cases_that_cannot_be_judged_count_for_neither_side():
    a, b = side("a", [1] * 8), side("b", [0] * 7)
    odd = Side("b", 1, (*b.cases, measured(7, True, checks=RAISED)))
    found = comparison(a, odd)
    assert (len(found.pairs), found.only_a, odd.unmeasured, odd.successes) == (7, 7, 1, 0)
    assert "nobody can say" in cautions(found)[0]
    assert "KeyError: 'x'" in cautions(found)[0]


@settings(max_examples=8)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_the_other_way_round_is_the_same_comparison(outcomes):
    a, b = side("a", [x for x, _ in outcomes]), side("b", [y for _, y in outcomes], cost="0.002")
    ours, theirs = comparison(a, b), comparison(b, a)
    assert (ours.p, ours.only_a, ours.price_of_a_success) == (theirs.p, theirs.only_b, theirs.price_of_a_success)
    assert verdict_on(ours).kind == verdict_on(theirs).kind
    assert verdict_on(ours).ship == verdict_on(theirs).ship
    if ours.success is not None:
        assert ours.success.value == pytest.approx(-theirs.success.value)


# ── verdicts ──────────────────────────────────────────────────────────────────────────────────────────────

MANY = [1] * 6 + [0] * 14
CREW = {"agents": 3, "cost": "0.004"}


@pytest.mark.parametrize(
    ("a", "b", "setup", "kind", "ship"),
    [
        (side("one", [1] * 10), side("crew", [1] * 10, **CREW), {}, "no difference", "one"),
        (side("one", [1, 0] * 5), side("crew", [1] * 10, **CREW), {}, "no difference", "one"),
        (side("one", MANY), side("crew", [1] * 20, **CREW), {}, "depends", ""),
        (side("one", MANY), side("crew", [1] * 20, **CREW), {"value": Decimal("1")}, "worth it", "crew"),
        (side("one", MANY), side("crew", [1] * 20, **CREW), {"value": Decimal("0.001")}, "worth it", "one"),
        (side("one", MANY), side("crew", [1] * 20, agents=3, cost="0.0005"), {}, "better", "crew"),
        (side("one", [1] * 20), side("crew", MANY, **CREW), {}, "better", "one"),
        (side("one", [1] * 3), side("crew", [0] * 3, **CREW), {}, "too few", ""),
        (side("one", [1] * 20), side("crew", [1] * 20, agents=3), {}, "no difference", "one"),  # same cost: simpler
        (side("a", [1] * 20, seconds=9.0), side("b", [1] * 20), {}, "no difference", "b"),  # same in all: faster
        (side("a", [1] * 20, cost=None), side("b", MANY, agents=2, cost=None), {}, "depends", ""),
        (
            side("one", MANY, checks=(), answered=False, stop_reason="error", error="AuthFailed"),
            side("crew", MANY), {}, "set-up", "",
        ),
        (side("one", MANY, checks=RAISED), side("crew", MANY), {}, "not measured", ""),
    ],
)  # fmt: skip
def test_the_verdict_follows_from_the_figures(a, b, setup, kind, ship):
    found = comparison(a, b, **setup)
    verdict = verdict_on(found)
    assert (verdict.kind, verdict.ship) == (kind, ship)
    assert "\n" not in verdict.text
    assert report(found)


def test_a_single_agent_that_is_as_good_and_cheaper_is_the_one_to_ship():
    said = verdict_on(comparison(side("one", [1] * 10), side("crew", [1] * 10, **CREW))).text
    assert said.startswith("Ship the single agent, one: it is cheaper, and there is no evidence that they differ")
    assert "crew costs 4.0 × what one costs" in said


def test_the_threshold_of_a_dearer_success_is_where_both_are_worth_the_same():
    """14 of 20 more succeed for $0.003 more a case: $0.003 / 0.7."""
    found = comparison(side("one", MANY), side("crew", [1] * 20, **CREW))
    assert "where a success is worth more than $0.004286, else one" in verdict_on(found).text
    price = found.price_of_a_success
    for value, ship in ((price * 1.6, "crew"), (price * 0.4, "one")):
        assert verdict_on(comparison(found.a, found.b, value=Decimal(str(value)))).ship == ship


def test_what_would_flip_it_is_computed():
    found = flips(comparison(side("one", [1, 0] * 5), side("crew", [1] * 8 + [0, 1], **CREW)))
    assert found == [
        "Value: above $0.007500 a success crew is worth its price, below it one is, if the difference of "
        "+40.0 points is real.",
        "Price: crew would have to cost 75 % less to cost what one does.",
        "Success: for as many successes a dollar as one, crew would have to succeed in 200 % of cases, which cannot "
        "be.",
        "Evidence: 3 more cases that only crew wins would show a difference (McNemar p < 0.05).",
    ]


def test_evidence_is_undone_by_as_many_cases_as_it_says():
    """10 against 1 is evidence, 9 against 2 is not."""
    found = comparison(side("a", [1] + [0] * 19), side("b", [0] + [1] * 10 + [0] * 9))
    assert found.differs
    assert flips(found)[-1].startswith("Evidence: if 1 case that only b won had gone to a")
    moved = comparison(side("a", [1, 1] + [0] * 18), side("b", [0, 0] + [1] * 9 + [0] * 9))
    assert not moved.differs


def test_an_opinion_is_called_one():
    sides = [side(name, [], 1) for name in "ab"]
    sides = [
        Side(s.name, 1, tuple(measured(i, True, checks=(), opinion=Opinion(True)) for i in range(8))) for s in sides
    ]
    found = comparison(*sides, checkers=(), judge="editor", kinship="Claude")
    assert "by the opinion of editor, a model" in verdict_on(found).text
    assert any("one family (Claude)" in said for said in cautions(found))


@pytest.mark.parametrize(("kin", "said"), [
    (("a", "b"), "Judge and judged are one family (Claude): "),
    (("b",), "Judge and b are one family (Claude) and a is not: "),
])  # fmt: skip
def test_a_judge_that_is_akin_to_one_side_favours_it(kin, said):
    found = comparison(side("a", [1] * 8), side("b", [1] * 8), judge="editor", kinship="Claude", kin=kin)
    assert any(one.startswith(said) for one in cautions(found))


def test_all_equal_is_said_of_what_was_judged():
    raised = measured(9, True, checks=(Checked("exact", "boom", raised=True),))
    found = comparison(side("a", [1] * 8), Side("b", 1, (*side("b", [1] * 7).cases, raised)))
    assert any("both succeeded in every case that was judged" in one for one in cautions(found))


# ── cautions ──────────────────────────────────────────────────────────────────────────────────────────────


def test_three_cases_have_a_useless_interval():
    found = comparison(side("a", [1, 0, 1]), side("b", [1, 1, 1]), limit=Decimal("0.05"))
    assert any(said.startswith("3 cases: the interval of the difference is useless") for said in cautions(found))
    assert "(interval useless)" in report(found)
    assert " … " not in report(found)
    assert "the best that can come of them is p = 0.250" in verdict_on(found).text


@pytest.mark.parametrize(("ok", "said"), [(1, "both succeeded in every case"), (0, "both failed in every case")])
def test_equal_outcomes_are_said_to_tell_nothing(ok, said):
    found = comparison(side("a", [ok] * 40), side("b", [ok] * 40))
    assert any(said in one for one in cautions(found))
    assert (found.success.low, found.success.high) == (0, 0)


def test_what_the_budget_did_is_said():
    limit = Decimal("0.05")
    stopped = side("b", [1] * 40, limit=limit, stop_reason="budget")
    found = comparison(side("a", [1] * 40, limit=limit), stopped, limit=limit)
    assert any(said.startswith("b used up its $0.05 in 40 cases") for said in cautions(found))
    assert not any("--budget" in said for said in cautions(found))
    assert any("neither side was limited" in said for said in cautions(comparison(ONE, ONE)))


def test_stand_ins_scripts_and_unpriced_models_are_named():
    assert any("Offline stand-ins" in said for said in cautions(comparison(ONE, ONE, lane="offline")))
    assert any("Scripted models" in said for said in cautions(comparison(ONE, ONE, lane="scripted")))
    unpriced = comparison(ONE, side("b", [1] * 20, cost=None))
    assert unpriced.multiplier is None
    assert any(said.startswith("Of 20 cases the cost is not known") for said in cautions(unpriced))


def test_one_case_of_unknown_price_leaves_all_of_the_money_unknown():
    cases = [measured(i, True) for i in range(19)]
    found = comparison(ONE, Side("b", 1, (*cases, measured(19, True, None))), value=Decimal(1))
    assert (found.dollars, found.multiplier, found.worth, found.price_of_a_success) == (None, None, None, None)


def test_an_interval_that_the_exact_test_does_not_bear_out_is_pointed_at():
    found = comparison(side("a", [1] * 8 + [0] * 4), side("b", [1] * 12))
    assert 0 not in (found.success.low, found.success.high)
    assert not found.differs
    assert any("exact test is right" in said for said in cautions(found))


def test_failure_modes_are_named_as_on_their_page():
    """Each mode stands in docs/failure-modes.md under the name that the memo gives it."""
    from pathlib import Path

    a = side("a", [1] * 10, retries=2, refused=1, skipped=1, in_doubt=Decimal("0.001"), limit=Decimal("1"))
    b = side("b", [0] * 10, agents=3, stop_reason="deadline", limit=Decimal("1"))
    c = side("c", [0] * 10, agents=3, stop_reason="turn_limit", limit=Decimal("1"))
    page = (Path(__file__).parents[2] / "docs/failure-modes.md").read_text("utf-8")
    modes = [m for other in (b, c) for m in handled(comparison(a, other, limit=Decimal("1"), judge="j"))]
    assert len({mode.mode for mode in modes}) == 10
    for mode in modes:
        assert f"| {mode.mode}" in page
