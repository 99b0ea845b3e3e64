"""compare(): the same cases, checkers and budget for both; it goes on where it broke off, and pays nothing twice."""

import asyncio
from decimal import Decimal

import pytest

from outlay import Agent, Budget, node, open_store
from outlay.errors import ConfigError, Overloaded, UnpricedModel
from outlay.evals import Case, Dataset, Flow, Terms, cautions, compare, compare_sync, verdict_on
from outlay.patterns import Critique, Pipeline, Refine
from outlay.testing import Reply, ScriptedModel, virtual_time

CASES = Dataset(tuple(Case(f"c{i}", f"double {i}", str(2 * i)) for i in range(1, 9)))
PRICE = (1000, 1000)


def doubling(every=1, **options):
    """Right on each `every`th number."""

    def answer(request):
        n = int(request.text.split()[-1])
        return str(2 * n if n % every == 0 else -1)

    return ScriptedModel(answer, price=PRICE, **options)


def one(name="one", model=None, **options):
    return Agent(name, doubling() if model is None else model, max_output_tokens=20, **options)


def crew(model=None, latency=0.0):
    thinker = Agent("thinker", ScriptedModel(lambda r: r.text, price=PRICE, latency=latency), max_output_tokens=20)
    return Pipeline(thinker, one("writer", model), name="crew")


def compared(a, b, dataset=CASES, **terms):
    with virtual_time():
        return compare_sync(a, b, dataset, Terms(**{"checkers": ["exact"], **terms}))


# ── what is measured ──────────────────────────────────────────────────────────────────────────────────────


def test_both_sides_get_every_case_in_its_order():
    found = compared(one(model=doubling(2, latency=2)), crew(latency=1))
    assert [case.case for case in found.a.cases] == [case.id for case in CASES] == [c.case for c in found.b.cases]
    assert found.a.outcomes == (False, True) * 4
    assert (found.b.successes, found.only_b, found.only_a) == (8, 4, 0)
    assert (found.a.agents, found.b.agents, found.b.calls_a_case) == (1, 2, 2)
    assert found.a.seconds_a_case == pytest.approx(2)
    assert found.b.seconds_a_case == pytest.approx(1)
    assert found.seconds.value == pytest.approx(-1)


def test_the_cost_of_a_side_is_that_of_its_bills():
    found = compared(one(), crew())
    assert found.a.cost == sum(case.cost for case in found.a.cases)
    assert found.multiplier.value > 1.5
    assert found.setup.lane == "scripted"


def test_each_case_has_the_same_budget_on_both_sides_and_no_case_passes_it():
    """The crew's second call does not fit; what each used is told."""
    limit = Decimal("0.022")
    wordy = Agent("wordy", ScriptedModel(lambda r: f"well, let me think: {r.text}", price=PRICE), max_output_tokens=20)
    found = compared(one(), Pipeline(wordy, wordy.replace(name="wordier"), one("writer")), budget=limit)
    assert all(case.cost <= limit for side in (found.a, found.b) for case in side.cases)
    assert (found.a.stopped("budget"), found.b.stopped("budget")) == (0, 8)
    assert found.a.used[1] <= 1
    assert found.b.failures == {"stopped: budget": 8}


def test_a_budget_of_the_flows_own_that_raises_is_a_result_too():
    strict = one(budget=Budget(usd="0.000001", on_exhausted="raise"))
    found = compared(strict, one("other"))
    assert found.a.failures == {"stopped: budget": 8}


def test_a_run_that_fails_is_a_failure_of_its_side():
    found = compared(one(model=ScriptedModel(lambda r: Overloaded("busy"), price=PRICE)), crew())
    assert found.a.failures == {"error: Overloaded": 8}
    assert (found.a.successes, found.a.unmeasured) == (0, 0)


def test_a_checker_that_fails_is_not_a_failure_of_the_flow():
    def fragile(output, expected):
        if expected == "6":
            raise ValueError("cannot read it")

    found = compared(one(), crew(), checkers=[fragile, "exact"])
    assert (found.a.successes, found.a.unmeasured, found.a.failures) == (7, 1, {"checker raised: fragile": 1})
    assert len(found.pairs) == 7
    assert "ValueError: cannot read it" in cautions(found)[0]


def test_a_flow_may_be_compared_with_itself():
    """An A/A test: two sides, each with runs of its own, and no difference."""
    flow = one(model=doubling(2))
    found = compared(flow, flow)
    assert (found.a.name, found.b.name) == ("A one", "B one")
    assert {c.run_id for c in found.a.cases}.isdisjoint(c.run_id for c in found.b.cases)
    assert verdict_on(found).kind == "no difference"


def test_flows_may_take_their_inputs_in_their_own_way():
    @node
    async def counting(ctx, number: int):
        return str(2 * number)

    flow = Flow(counting, "counting", lambda text: int(text.split()[-1]))
    assert compared(one(), flow).b.successes == 8


def test_neither_side_always_goes_first():
    order = []

    async def main():
        terms = Terms(checkers=["exact"], concurrency=1)
        await compare(one(), crew(), CASES, terms, lambda side, found: order.append(side + found.case))

    asyncio.run(main())
    assert order[:6] == ["ac1", "bc1", "bc2", "ac2", "ac3", "bc3"]


# ── a judge ───────────────────────────────────────────────────────────────────────────────────────────────


def judge(ok=lambda text: True, name="judge"):
    return Agent(name, ScriptedModel(lambda r: Critique(ok(r.text), "hm", 0.5), name="anthropic:claude-x", price=PRICE),
                 output_type=Critique)  # fmt: skip


def test_a_judge_is_counted_and_billed_apart():
    with_judge, without = compared(one(), crew(), judge=judge()), compared(one(), crew())
    assert (with_judge.a.opinions, with_judge.a.judge_cost > 0) == ((8, 8), True)
    assert with_judge.a.cost == without.a.cost
    assert with_judge.setup.judge == "judge"


def test_a_judge_decides_only_where_no_checker_does():
    harsh = judge(lambda text: False)
    assert compared(one(), crew(), judge=harsh).a.successes == 8
    assert compared(one(), crew(), judge=harsh, checkers=[]).a.successes == 0


def test_a_judge_that_fails_has_no_opinion():
    broken = Agent("judge", ScriptedModel(lambda r: Overloaded("busy"), price=PRICE), output_type=Critique)
    found = compared(one(), crew(), judge=broken, checkers=[])
    assert found.a.failures == {"judge gave no opinion": 8}
    assert verdict_on(found).kind == "not measured"


def test_judge_and_judged_of_one_family_are_warned_about():
    of_kin = Agent("one", ScriptedModel(["x"] * 8, name="anthropic:claude-y", price=PRICE))
    found = compared(of_kin, crew(), judge=judge())
    assert (found.setup.kinship, found.setup.kin) == ("Claude", ("one",))
    assert compared(one(), crew(), judge=judge()).setup.kinship == ""


def test_a_judge_is_not_told_whose_output_it_sees():
    seen = []
    compared(one(), crew(), judge=judge(lambda text: seen.append(text) or True))
    assert sorted(seen[::2]) == sorted(set(seen)) or len(set(seen)) == 8
    assert all("one" not in text.replace('"one"', "") and "crew" not in text for text in seen)


# ── going on ──────────────────────────────────────────────────────────────────────────────────────────────


async def counted(path, calls, **terms):
    """A comparison on a store; `calls` collects what the models were asked."""

    def answer(request):
        calls.append(request.text)
        return str(2 * int(request.text.split()[-1]))

    model = ScriptedModel(answer, price=PRICE)
    return await compare(one(model=model), crew(model), CASES, Terms(**{"checkers": ["exact"], "store": path, **terms}))


async def test_a_comparison_that_is_done_costs_nothing_again(tmp_path):
    calls: list[str] = []
    first = await counted(tmp_path / "s.db", calls)
    asked = len(calls)
    again = await counted(tmp_path / "s.db", calls)
    assert len(calls) == asked == 16
    assert (again.a.cases, again.b.cases) == (first.a.cases, first.b.cases)
    assert (first.stored, again.stored) == (0, len(CASES) * 2)


async def test_another_checker_judges_the_stored_outputs(tmp_path):
    calls: list[str] = []
    await counted(tmp_path / "s.db", calls)
    stricter = await counted(tmp_path / "s.db", calls, checkers=["exact", "regex=^1"])
    assert len(calls) == 16
    assert stricter.a.successes == 4  # 10, 12, 14, 16
    assert stricter.a.seconds_a_case > 0


async def test_another_name_budget_or_case_is_measured_anew(tmp_path):
    calls: list[str] = []
    for terms in ({}, {"name": "second"}, {"budget": "1"}):
        await counted(tmp_path / "s.db", calls, **terms)
    assert len(calls) == 48


async def test_one_that_broke_off_goes_on_with_what_is_missing(tmp_path):
    calls: list[str] = []
    seen: list[str] = []

    def stop_after_five(side, found):
        seen.append(side)
        if len(seen) == 5:
            raise InterruptedError

    def answer(request):
        calls.append(request.text)
        return "x"

    a, b = one(model=ScriptedModel(answer, price=PRICE)), crew()
    terms = Terms(checkers=["exact"], store=tmp_path / "s.db", concurrency=1)
    with pytest.raises(InterruptedError):
        await compare(a, b, CASES, terms, stop_after_five)
    before = len(calls)
    found = await compare(a, b, CASES, terms)
    assert before < 8
    assert len(calls) == 8
    assert len(found.a.cases) == 8


async def test_a_failure_is_not_tried_again_until_it_is_a_success(tmp_path):
    """What a comparison measured stands: to ask again only where it went wrong would favour the unreliable."""
    answers = iter([Overloaded("busy")] * 24 + ["2"] * 100)
    flaky = one(model=ScriptedModel(lambda r: next(answers), price=PRICE))
    terms = Terms(checkers=["exact"], store=tmp_path / "s.db")
    first = await compare(flaky, one("other"), CASES, terms)
    again = await compare(flaky, one("other"), CASES, terms)
    assert first.a.failures == again.a.failures
    assert first.a.failures["error: Overloaded"] >= 1


async def test_a_run_that_waits_for_a_human_is_not_over_and_goes_on(tmp_path):
    @node
    async def asking(ctx, text):
        return await ctx.ask("how much?")

    from outlay import approve
    from outlay.runtime.inbox import Inbox

    cases = Dataset(CASES.cases[:1])
    async with open_store(tmp_path / "s.db") as store:
        terms = Terms(checkers=["exact"], store=store)
        waiting = await compare(asking, one(), cases, terms)
        assert (waiting.a.unmeasured, waiting.a.failures) == (1, {"not over: approval": 1})
        (item,) = await Inbox(store).list()
        await approve(item.id, store=store, answer="2")
        assert (await compare(asking, one(), cases, terms)).a.successes == 1


# ── before anything is spent ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"checkers": []}, "nothing to judge outputs by"),
        ({"checkers": ["exact", "exact"]}, "two checkers are called exact"),
        ({"checkers": ["exakt"]}, "no checker 'exakt'"),
        ({"concurrency": 0}, "concurrency"),
        ({"judge": Agent("judge", ScriptedModel([]))}, "no agent that gives a Critique"),
        ({"models": "offline"}, None),
    ],
)
def test_terms_that_cannot_be_are_refused(terms, said):
    model = doubling()
    if said is None:
        compared(one(model=model), crew(), **terms)
        return
    with pytest.raises(ConfigError, match=said):
        compared(one(model=model), crew(), **terms)
    assert model.calls == []


def test_both_flows_are_looked_at_before_the_first_call():
    model = doubling()
    unpriced = Agent("unpriced", ScriptedModel(["x"] * 8))
    with pytest.raises(UnpricedModel):
        compared(one(model=model), unpriced, budget="0.05")
    assert model.calls == []


def test_an_input_that_does_not_fit_is_found_first():
    model = doubling()
    with pytest.raises(ValueError, match="invalid literal"):
        compared(one(model=model), Flow(one("other"), "other", int))
    assert model.calls == []


def test_nothing_is_limited_without_a_price_to_limit_by():
    found = compared(Agent("a", ScriptedModel(["x"] * 8)), one())
    assert (found.a.cost, found.multiplier, found.dollars) == (None, None, None)
    assert "not known, because a model has no price" in verdict_on(found).text


async def test_under_a_running_loop_the_right_call_is_named():
    with pytest.raises(ConfigError, match="compare_sync") as error:
        compare_sync(one(), crew(), CASES, Terms(checkers=["exact"]))
    assert "await compare" in error.value.hint


def test_retries_corrections_and_parts_left_out_are_counted():
    answers = iter(["bad", "2"])
    flow = Refine(
        Agent("w", ScriptedModel(lambda r: next(answers), price=PRICE)), lambda d: None if d != "bad" else "no"
    )
    found = compared(flow, one(), Dataset(CASES.cases[:1]))
    assert (found.a.cases[0].calls, found.a.successes) == (2, 1)


def test_a_flow_that_gives_structured_outputs_is_checked_as_it_is():
    @node
    async def structured(ctx, text):
        return {"answer": 2 * int(text.split()[-1])}

    def right(output, expected):
        return None if output["answer"] == int(expected) else "wrong"

    assert compared(structured, structured, checkers=[right]).a.successes == 8


def test_replies_with_tools_are_calls_of_the_same_case():
    from outlay import tool

    @tool
    def double(n: int) -> int:
        """Twice n."""
        return 2 * n

    def answer(request):
        if request.messages[-1].role == "user":
            return Reply(tool_calls=[("double", {"n": int(request.text.split()[-1])})])
        return request.messages[-1].parts[0].content

    found = compared(Agent("t", ScriptedModel(answer, price=PRICE), tools=[double]), one())
    assert (found.a.successes, found.a.calls_a_case) == (8, 2)
