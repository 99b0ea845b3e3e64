"""Budgets in force during a run (SEMANTICS 4 and 5)."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Literal

import pytest
from flows import at_once, cents, dear, echo, of_kind, paths, worker

from outlay import Agent, Budget, RunContext, Usage, node, run, run_many, run_sync, tool
from outlay.errors import BudgetExceeded, ContextTooLong, DeadlineExceeded, UnpricedModel
from outlay.events import BudgetAlert, CallFinished, CallStarted, Decision, NodeFinished, Overrun
from outlay.patterns import FanOut, Pipeline, Supervisor
from outlay.testing import Reply, ScriptedModel, virtual_time
from outlay.values.plan import Plan, Subtask


def spent(result: Any) -> Decimal:
    assert result.bill.total is not None
    return result.bill.total


# ── money ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_sixteen_parallel_children_spend_at_most_the_budget_and_keep_what_they_paid_for() -> None:
    """16 children of a dollar under $1.50: at most $1.50 is spent, and each paid answer is in the result."""
    child = worker(cost=20, cap=100)
    result = at_once(run(FanOut(child), [str(i) for i in range(16)], budget=Budget(usd="1.50")))
    assert result.stop_reason == "budget"
    assert spent(result) <= Decimal("1.50")
    paid = of_kind(result, CallFinished)
    assert len(paid) >= 3
    assert len(result.output) == len(paid)
    assert [p.cost for p in result.partial] == [Decimal("0.20")] * len(paid)


def test_waiting_lets_more_calls_finish_than_refusing_would() -> None:
    """200 calls of a cent that each reserve four: $1.50 pays for at least 147 of them."""
    result = at_once(run(FanOut(worker(cost=1, cap=4)), [str(i) for i in range(200)], budget=Budget(usd="1.50")))
    assert len(result.output) >= 147
    assert spent(result) <= Decimal("1.50")


def test_budgets_hold_at_every_level_at_once() -> None:
    """Of the run, the pattern and the agent, the tightest one binds, and the error names it."""
    for levels, scope in (((100, 5, 100), "fan"), ((5, 100, 100), "fan"), ((100, 100, 5), "worker")):
        total, pattern, agent = (Budget(usd=f"0.{n:02}" if n < 100 else 1) for n in levels)
        fan = FanOut(worker(budget=agent), name="fan", budget=pattern)
        result = at_once(run(fan, [str(i) for i in range(9)], budget=total))
        assert spent(result) == Decimal("0.05")
        assert isinstance(result.error, BudgetExceeded)
        assert (result.error.scope, result.error.resource) == (scope, "usd")


def test_several_budgets_all_hold() -> None:
    """`budget=` takes a list, and each limit counts."""
    result = at_once(run(FanOut(worker()), list("abcdef"), budget=[Budget(usd=1), Budget(calls=2), Budget(usd=2)]))
    assert (len(result.output), result.error.resource) == (2, "calls")  # pyright: ignore


def test_an_agents_budget_is_one_for_all_its_calls_in_a_run() -> None:
    """Wherever in the flow the same agent stands, its calls draw on one account."""
    agent = worker(budget=Budget(usd="0.03"))
    flow = Pipeline(FanOut(agent, name="first"), FanOut(agent, name="second"))
    result = at_once(run(flow, ["a", "b"]))
    assert result.stop_reason == "budget"
    assert spent(result) == Decimal("0.03")


def test_the_error_says_what_was_needed_and_what_was_left() -> None:
    """The facts of a budget stop are attributes, and its text says what to do next."""
    result = at_once(run(worker("a", cost=7, cap=7), "", budget=Budget(usd="0.05")))
    error = result.error
    assert isinstance(error, BudgetExceeded)
    assert (error.limit, error.spent, error.needed) == (Decimal("0.05"), 0, Decimal("0.07"))
    assert "raise usd=" in error.hint
    assert result.output is None


def test_nothing_is_sent_where_the_first_call_does_not_fit() -> None:
    """No call starts that could overshoot."""
    model = dear(["x"])
    result = at_once(run(Agent("a", model), "", budget=Budget(usd="0.0001")))
    assert result.stop_reason == "budget"
    assert model.calls == []
    assert not of_kind(result, CallStarted)


def test_near_the_end_the_output_cap_is_clipped_and_recorded() -> None:
    """A smaller answer is better than none, down to what the agent declares; the decision is in the events."""
    agent = Agent("a", dear(["short"]), max_output_tokens=1000, min_output_tokens=100)
    result = at_once(run(agent, "", budget=Budget(usd="0.05")))
    assert result.unwrap() == "short"
    assert of_kind(result, CallStarted)[0].max_output_tokens == 500
    assert [d.data["max_output_tokens"] for d in of_kind(result, Decision) if d.about == "clip"] == [500]


def test_an_answer_that_the_clip_broke_off_is_a_budget_stop() -> None:
    """It is the budget that was too small, not the agent's cap; the stop names the limit that binds."""
    agent = Agent("a", dear(["long " * 500]), max_output_tokens=1000, min_output_tokens=100)
    result = at_once(run(agent, "", budget=Budget(tokens=300)))
    error = result.error
    assert result.stop_reason == "budget"
    assert isinstance(error, BudgetExceeded)
    assert (error.resource, error.limit, error.scope) == ("tokens", 300, "a")


def test_a_call_that_costs_more_than_it_reserved_is_an_overrun() -> None:
    """Where the provider does not honour its cap, the event says by how much, and the truth is billed."""
    result = at_once(run(worker(cost=9, cap=2), "x", budget=Budget(usd="0.05")))
    found = of_kind(result, Overrun)
    assert [(e.reserved, e.cost) for e in found] == [(Decimal("0.02"), Decimal("0.09"))]
    assert spent(result) == Decimal("0.09")
    assert result.stop_reason == "completed"


# ── other limits ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_limit_of_calls_counts_retries() -> None:
    """Each attempt is a call."""
    from outlay.errors import Overloaded

    agent = Agent("a", ScriptedModel([Overloaded("busy"), "fine"]))
    result = at_once(run(agent, "", budget=Budget(calls=1)))
    assert (result.stop_reason, result.error.resource) == ("budget", "calls")  # pyright: ignore
    assert (
        at_once(run(Agent("a", ScriptedModel([Overloaded("busy"), "fine"])), "", budget=Budget(calls=2))).output
        == "fine"
    )


def test_a_limit_of_tokens_counts_all_buckets() -> None:
    """Cache reads and writes are tokens too."""
    usage = Usage(input_tokens=10, cache_read_tokens=20, cache_write_tokens=30, output_tokens=40)
    agent = Agent("a", ScriptedModel(lambda _: Reply("x", usage=usage)), max_output_tokens=40, min_output_tokens=40)
    result = at_once(run(FanOut(agent, max_parallel=1), ["a", "b", "c", "d"], budget=Budget(tokens=300)))
    assert result.stop_reason == "budget"
    assert len(result.output) == 3


def test_seconds_end_as_a_deadline_on_time() -> None:
    """A time limit of the run cancels the call down to the socket, and the call stays in doubt."""

    async def timed() -> tuple[Any, float]:
        import asyncio

        result = await run(worker(latency=100), "x", budget=[Budget(seconds=7), Budget(usd=1)])
        return result, asyncio.get_running_loop().time()

    result, elapsed = at_once(timed())
    assert (result.stop_reason, elapsed) == ("deadline", 7)
    assert isinstance(result.error, DeadlineExceeded)
    assert result.bill.in_doubt == Decimal("0.01")


def test_seconds_of_one_agent_end_that_agent_only() -> None:
    """A fan-out goes on with what the others gave, and the run says why it is not complete."""
    slow, fast = worker("slow", latency=100, budget=Budget(seconds=3)), worker("fast", latency=2)
    result = at_once(run(FanOut([slow, fast], merge=lambda found: sorted(found)), "x"))
    assert (result.output, result.stop_reason, result.degraded) == (["fast"], "deadline", True)


def test_depth_is_how_many_nodes_stand_under_one_another() -> None:
    """A child too deep is refused before it exists."""

    @node
    async def down(ctx: RunContext, levels: int) -> int:
        return 0 if levels == 0 else 1 + await ctx.run(down, levels - 1)

    assert at_once(run(down, 3, budget=Budget(depth=3))).unwrap() == 3
    result = at_once(run(down, 4, budget=Budget(depth=3)))
    assert (result.stop_reason, result.error.resource) == ("budget", "depth")  # pyright: ignore
    assert len(paths(result)) == 4


def test_fan_out_is_how_many_children_run_at_once() -> None:
    """Children one after another are not counted together, and a pool within the limit is fine."""
    many = [str(i) for i in range(9)]
    assert at_once(run(FanOut(worker(), max_parallel=3), many, budget=Budget(fan_out=3))).stop_reason == "completed"
    result = at_once(run(FanOut(worker()), many, budget=Budget(fan_out=3)))
    assert result.stop_reason == "budget"
    assert len(of_kind(result, CallStarted)) == 3


def test_fan_out_holds_for_agents_that_start_agents_by_tool() -> None:
    """Tools called in one turn run at once, and so do the agents behind them: they count as the agent's children."""
    helper = worker("helper")
    calls = [("helper", {"input": str(i)}) for i in range(6)]
    boss = Agent("boss", ScriptedModel([Reply(tool_calls=calls), "done"]), tools=[helper])
    result = at_once(run(boss, "", budget=Budget(fan_out=2)))
    assert result.stop_reason == "budget"
    assert len([p for p in paths(result) if p.endswith("helper")]) == 2


def test_depth_holds_for_agents_that_start_agents_by_tool() -> None:
    """A tool is no way around the depth of a flow."""
    inner = worker("inner")
    middle = Agent("middle", ScriptedModel([Reply(tool_calls=[("inner", {"input": "x"})]), "m"]), tools=[inner])
    outer = Agent("outer", ScriptedModel([Reply(tool_calls=[("middle", {"input": "x"})]), "o"]), tools=[middle])
    assert at_once(run(outer.replace(), "", budget=Budget(depth=1))).stop_reason == "budget"


# ── alerts ────────────────────────────────────────────────────────────────────────────────────────────────


def test_alerts_come_during_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    """At 50, 80 and 95 per cent of a limit, while there is still something to decide; as events, on stderr."""
    result = at_once(
        run(FanOut(worker(), max_parallel=1, name="fan"), [str(i) for i in range(20)], budget=Budget(usd="0.20"))
    )
    alerts = of_kind(result, BudgetAlert)
    assert [(a.percent, a.spent, a.scope, a.resource) for a in alerts] == [
        (50, Decimal("0.10"), "fan", "usd"),
        (80, Decimal("0.16"), "fan", "usd"),
        (95, Decimal("0.19"), "fan", "usd"),
    ]
    assert [type(e) for e in result.events].index(BudgetAlert) < len(result.events) - 40
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines()[0] == "outlay: budget of fan at 50 % ($0.1000 of $0.20)"


def test_alerts_reach_on_alert_stderr_and_the_events(capsys: pytest.CaptureFixture[str]) -> None:
    """All three at the same moment; a list says exactly who is told, so that an empty one is silence."""
    seen: list[BudgetAlert] = []
    result = at_once(run(worker(cost=1, cap=1), "", budget=Budget(usd="0.02"), on_alert=seen.append))
    assert [a.percent for a in seen] == [50]
    assert of_kind(result, BudgetAlert) == seen
    assert capsys.readouterr().err == "outlay: budget of worker at 50 % ($0.0100 of $0.02)\n"
    for listeners in ([seen.append], ()):
        at_once(run(worker(cost=1, cap=1), "", budget=Budget(usd="0.02"), on_alert=listeners))
    assert [a.percent for a in seen] == [50, 50]
    assert capsys.readouterr().err == ""


def test_time_that_runs_out_is_told_too(capsys: pytest.CaptureFixture[str]) -> None:
    """By the clock, while the run is still at work."""
    flow = FanOut(worker(latency=3), max_parallel=1, name="fan")
    result = at_once(run(flow, ["a", "b", "c", "d"], budget=Budget(seconds=10)))
    alerts = of_kind(result, BudgetAlert)
    assert [(a.percent, a.spent, a.limit, a.scope, a.resource) for a in alerts] == [
        (50, Decimal(5), Decimal(10), "fan", "seconds"),
        (80, Decimal(8), Decimal(10), "fan", "seconds"),
        (95, Decimal("9.5"), Decimal(10), "fan", "seconds"),
    ]
    assert [alert.time - result.events[0].time for alert in alerts] == [5, 8, 9.5]
    assert capsys.readouterr().err.splitlines()[2] == "outlay: budget of fan at 95 % (9.5 of 10 seconds)"
    assert result.stop_reason == "deadline"


def test_rows_that_share_their_time_are_told_once() -> None:
    """A row that begins later is told of what is still to come."""
    heard: list[tuple[int, str]] = []

    async def rows() -> None:
        limit, work = Budget(seconds=10), worker(latency=3)
        each = [(n, "x") for n in range(8)]
        async for _ in run_many(
            work, each, concurrency=2, budget=limit, on_alert=[lambda a: heard.append((a.percent, a.resource))]
        ):
            pass

    at_once(rows())
    assert heard == [(50, "seconds"), (80, "seconds"), (95, "seconds")]


def test_a_broken_on_alert_loses_no_paid_call() -> None:
    """A listener that raises is logged; the call that set it off is answered and billed."""

    def broken(_: BudgetAlert) -> None:
        raise RuntimeError("no")

    result = at_once(run(worker(), "fine", budget=Budget(usd="0.01"), on_alert=broken))
    assert result.unwrap() == "fine"
    assert spent(result) == Decimal("0.01")


# ── what happens at the end ───────────────────────────────────────────────────────────────────────────────


def test_finish_returns_the_best_so_far() -> None:
    """The default: a result with what was reached, and the reason."""
    result = at_once(run(FanOut(worker()), list("abc"), budget=Budget(usd="0.02")))
    assert (result.output, result.stop_reason, result.degraded) == (["a", "b"], "budget", True)


def test_raise_raises_with_the_result() -> None:
    """The error carries what was reached, so that nothing paid for is lost."""
    with pytest.raises(BudgetExceeded) as caught:
        at_once(run(FanOut(worker()), list("abc"), budget=Budget(usd="0.02", on_exhausted="raise")))
    assert caught.value.result.output == ["a", "b"]
    assert spent(caught.value.result) == Decimal("0.02")


def test_only_the_budget_that_binds_decides_what_happens() -> None:
    """One budget that raises does not make another do so."""
    limits = [Budget(usd=1, on_exhausted="raise"), Budget(calls=1)]
    assert at_once(run(FanOut(worker()), list("ab"), budget=limits)).stop_reason == "budget"
    limits = [Budget(usd=1), Budget(calls=1, on_exhausted="raise")]
    with pytest.raises(BudgetExceeded):
        at_once(run(FanOut(worker()), list("ab"), budget=limits))


def test_pause_parks_the_branch_and_says_what_it_waits_for() -> None:
    """Calls in flight end, no answer is made up, and the run waits for its budget to be raised."""
    result = at_once(run(FanOut(worker()), list("abc"), budget=Budget(usd="0.02", on_exhausted="pause")))
    assert (result.output, result.stop_reason) == (None, "budget")
    assert [p.kind for p in result.pending] == ["budget"]
    assert [p.output for p in result.partial] == ["a", "b"]
    assert isinstance(result.error, BudgetExceeded)


@pytest.mark.parametrize(
    ("limit", "reason"),
    [({"seconds": 1.5}, "deadline"), ({"fan_out": 2}, "budget"), ({"depth": 0}, "budget")],
    ids=str,
)
@pytest.mark.parametrize("on_exhausted", ["finish", "pause"])
def test_what_cannot_be_raised_in_the_middle_is_not_paused_for(
    limit: dict[str, Any], reason: str, on_exhausted: Any
) -> None:
    """Time goes on, and a node too many is one too many: the run ends with what it has."""
    flow = FanOut(worker(), max_parallel=None if "fan_out" in limit else 1)
    result = at_once(run(flow, list("abc"), budget=Budget(**limit, on_exhausted=on_exhausted)))
    assert (result.stop_reason, result.pending, result.degraded) == (reason, (), True)
    assert [part.output for part in result.partial] == (result.output or [])


def test_what_can_be_skipped_is_not_paused_for() -> None:
    """Nobody is asked for money for a part that the result can do without."""
    spare = Pipeline(worker("spare", cap=99), optional=True, name="spare")
    flow = Pipeline(spare, worker("needed"), name="p")
    result = at_once(run(flow, "x", budget=Budget(usd="0.10", on_exhausted="pause")))
    assert (result.output, result.stop_reason, result.pending) == ("x", "completed", ())


# ── prices ────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_unpriced_model_is_refused_before_anything_is_spent() -> None:
    """A money budget over a model without a price is a ConfigError that names it, wherever in the flow it is."""
    free = ScriptedModel(["x"], name="mystery")
    flow = Pipeline(worker(), Agent("late", free))
    with pytest.raises(UnpricedModel, match="mystery") as caught:
        at_once(run(flow, "x", budget=Budget(usd=1)))
    assert caught.value.model == "mystery"
    assert free.calls == []


def test_an_unpriced_model_may_be_allowed_and_stays_unknown() -> None:
    """The total is then unknown, not zero."""
    flow = Pipeline(worker(), Agent("late", ScriptedModel(["x"])))
    result = at_once(run(flow, "x", budget=Budget(usd=1, allow_unpriced=True)))
    assert result.unwrap() == "x"
    assert (result.bill.total, result.bill.at_least) == (None, Decimal("0.01"))


def test_an_unpriced_model_that_turns_up_in_the_middle_is_an_error_and_no_call() -> None:
    """A node that was not known before the run meets the budget all the same."""
    late = ScriptedModel(["x"])

    @node
    async def surprise(ctx: RunContext, text: str) -> str:
        await ctx.run(worker(), text)
        return await ctx.run(Agent("late", late), text)

    result = at_once(run(surprise, "x", budget=Budget(usd=1)))
    assert isinstance(result.error, UnpricedModel)
    assert late.calls == []
    assert spent(result) == Decimal("0.01")


# ── short of money ────────────────────────────────────────────────────────────────────────────────────────


def test_optional_parts_are_skipped_first_and_pass_their_input_on() -> None:
    """From 80 % on, what is optional is left out; what is needed still runs."""
    draft, polish, check = worker("draft", cost=8), worker("polish", optional=True), worker("check", cost=1)
    result = at_once(run(Pipeline(draft, polish, check, name="p"), "text", budget=Budget(usd="0.10")))
    assert result.unwrap() == "text"
    assert [(s.path, s.reason) for s in result.skipped] == [("p/polish", "optional, and 80 % of the budget is used")]
    assert (result.stop_reason, result.degraded) == ("completed", True)


def test_an_optional_part_that_does_not_fit_is_skipped_and_the_run_goes_on() -> None:
    """A budget stop below an optional node is made up for: the run is complete, and says that it is degraded."""
    for broken in (
        worker("x", cap=50, optional=True),
        worker("x", cost=1, max_turns=1, verify=[lambda _: "no"], optional=True),
    ):
        result = at_once(run(Pipeline(broken, echo, name="p"), "in", budget=Budget(usd="0.40")))
        assert (result.output, result.stop_reason, result.degraded) == ("in", "completed", True)
        assert result.skipped[0].error is not None


def test_an_optional_part_that_takes_too_long_is_skipped_and_the_run_goes_on() -> None:
    """Its own time is its own; the run's is not."""
    slow = worker("slow", latency=100, optional=True, budget=Budget(seconds=3))
    flow = Pipeline(slow, echo, name="p")
    result = at_once(run(flow, "in"))
    assert (result.output, result.stop_reason, result.degraded) == ("in", "completed", True)
    assert [(part.path, part.reason) for part in result.skipped] == [("p/slow", "optional, and its time is up")]
    assert 3 <= result.seconds < 4
    assert result.bill.in_doubt == Decimal("0.01")

    late = at_once(run(flow, "in", budget=Budget(seconds=2)))
    assert (late.output, late.stop_reason, late.skipped) == (None, "deadline", ())


def test_a_stop_beside_an_optional_part_is_not_forgotten_with_it() -> None:
    """What one branch makes up for says nothing about another's."""
    spare = worker("spare", cap=50, latency=3, optional=True, budget=Budget(usd="0.01"))

    @node
    async def both(ctx: RunContext, text: str) -> Any:
        async def needed() -> None:
            try:
                await ctx.run(worker("needed", cap=50), text)
            except BudgetExceeded:
                ctx.emit("caught")

        async def wait(ctx: RunContext, text: str) -> str:
            await ctx.sleep(1)
            return await ctx.run(worker("inner", cap=50), text)

        return await ctx.gather(ctx.run(node(name="slow")(wait).replace(optional=True), text), needed())

    assert spare.optional
    result = at_once(run(both, "in", budget=Budget(usd="0.10")))
    assert result.stop_reason == "budget"


def test_a_cheaper_model_takes_over_at_80_per_cent() -> None:
    """The agent goes on with `cheaper`, and the decision is recorded with its reason."""
    cheap = ScriptedModel(lambda _: "cheap", name="cheap", price=(0, 1))
    agent = Agent("a", dear(lambda _: cents(8, "dear")), cheaper=cheap, max_output_tokens=900, min_output_tokens=1)

    @node
    async def twice(ctx: RunContext, _: str) -> list[str]:
        return [await ctx.run(agent, "1"), await ctx.run(agent, "2")]

    result = at_once(run(twice, "", budget=Budget(usd="0.10")))
    assert result.unwrap() == ["dear", "cheap"]
    assert [d.data for d in of_kind(result, Decision) if d.about == "cheaper_model"] == [
        {"model": "cheap", "percent_used": 80}
    ]


def test_an_input_over_its_limit_is_refused_before_it_is_paid_for() -> None:
    """`max_input_tokens` names the largest parts, so that the right one is shortened."""
    model = ScriptedModel(["x"])
    agent = Agent("a", model, instructions="long " * 500, max_input_tokens=100)
    result = at_once(run(agent, "short"))
    assert "the largest parts: instructions 1 2,500 bytes, message 1 (user)" in str(result.error)
    assert model.calls == []


def test_the_largest_parts_are_named_for_what_they_are() -> None:
    """A tool's result by its tool, the schema by the argument that it comes from."""

    def look(query: str) -> str:
        """Looks."""
        return "found " * 1000

    answers = ScriptedModel([Reply(tool_calls=[("look", {"query": "x"})]), "unread"])
    agent = Agent("a", answers, tools=[look], max_input_tokens=1000, output_type=Literal["yes " * 300, "no"])
    result = at_once(run(agent, "short"))
    assert isinstance(result.error, ContextTooLong)
    parts = result.error.message.partition("the largest parts: ")[2]
    assert re.fullmatch(r"message 3 \(results of look\) 6,\d+ bytes, the schema of output_type 1,\d+ bytes, .*", parts)


# ── the finishing reserve ─────────────────────────────────────────────────────────────────────────────────


def test_a_fan_out_can_still_merge_when_the_money_is_gone() -> None:
    """What its merge may cost is set aside from the start, so that a budget stop ends with an answer."""
    merge = Agent("merge", dear(lambda _: cents(3, "merged")), max_output_tokens=300, max_input_tokens=1000)
    fan = FanOut(worker(), merge=merge, name="fan")
    result = at_once(run(fan, [str(i) for i in range(20)], budget=Budget(usd="0.10")))
    assert (result.output, result.stop_reason, result.degraded) == ("merged", "budget", True)
    assert spent(result) == Decimal("0.10")
    assert [e.purpose for e in of_kind(result, CallFinished)] == ["work"] * 7 + ["finish"]


def test_a_supervisor_can_still_synthesize_when_the_money_is_gone() -> None:
    """The synthesizer's worst case is reserved from the start, and it is told what has failed."""
    plan = Plan([Subtask(str(i), "worker", "do") for i in range(9)])
    synthesizer = Agent("synth", dear(lambda r: cents(3, r.text)), max_output_tokens=300, max_input_tokens=1000)
    result = at_once(
        run(Supervisor(lambda _: plan, [worker()], synthesizer, name="crew"), "goal", budget=Budget(usd="0.08"))
    )
    assert result.stop_reason == "budget"
    assert result.output is not None
    assert '"failed":{"5":"BudgetExceeded' in result.output
    assert spent(result) == Decimal("0.08")


def test_a_finishing_reserve_that_is_not_used_is_given_back() -> None:
    """A pattern that ends without its final step leaves the money to what comes after."""
    merge = Agent("merge", dear(["never"]), max_output_tokens=300)

    async def fails(_: str) -> str:
        raise ValueError("no")

    broken = FanOut(fails, merge=merge, name="broken", optional=True)
    late = worker("late", cost=9, cap=9)
    result = at_once(run(Pipeline(broken, lambda _: "x", late), ["a"], budget=Budget(usd="0.10")))
    assert (result.output, result.stop_reason) == ("x", "completed")


def test_what_is_left_can_be_asked_for() -> None:
    """`ctx.budget` is the tightest of all budgets above, None where nothing limits."""
    seen: list[Any] = []

    @node
    async def look(ctx: RunContext, _: str) -> None:
        await ctx.run(worker(), "x")
        seen.append(
            (
                ctx.budget.usd_left,
                ctx.budget.calls_left,
                ctx.budget.tokens_left,
                ctx.budget.seconds_left,
                ctx.budget.percent_used,
            )
        )

    at_once(run(look, "", budget=[Budget(usd="0.10", calls=5), Budget(usd="0.05", seconds=10)]))
    at_once(run(look, ""))
    assert seen == [(Decimal("0.04"), 4, None, 9.0, 20), (None, None, None, None, 0)]


def test_a_tool_cannot_spend_past_the_agents_budget() -> None:
    """What a tool runs stands below its agent."""
    inner = worker("inner")

    @tool
    async def ask(ctx: RunContext, q: str) -> str:
        """Ask."""
        return await ctx.run(inner, q)

    boss = Agent(
        "boss",
        dear([Reply(tool_calls=[("ask", {"q": "x"})] * 5, usage=Usage()), "done"]),
        tools=[ask],
        max_output_tokens=1,
        budget=Budget(usd="0.03"),
    )
    result = at_once(run(boss, "", budget=Budget(usd=9)))
    assert result.stop_reason == "budget"
    assert spent(result) <= Decimal("0.03")
    assert all(e.outcome != "failed" for e in of_kind(result, NodeFinished))


def test_agents_that_state_their_usage_stay_under_the_budget_however_many_they_are() -> None:
    """Sixteen different agents at $1.00 an answer under $1.50: a cap that the budget lowered is a cap for a script."""
    dollar = ScriptedModel(lambda request: Reply("ok", usage=Usage(output_tokens=1_000)), price=(0, 1_000), latency=1)
    crew = FanOut([Agent(f"a{i}", dollar, max_output_tokens=1_000) for i in range(16)])
    with virtual_time():
        result = run_sync(crew, "go", budget=Budget(usd="1.50"), on_alert=lambda alert: None)
    assert result.stop_reason == "budget"
    assert result.bill.total is not None
    assert Decimal("1.00") <= result.bill.total <= Decimal("1.50")
    assert list(result.output or {}) == ["a0"]


def test_listed_replies_that_state_their_input_are_reserved_for() -> None:
    """Sixteen calls whose replies state $1.00 of input each: one fits under $1.50, and one is made."""
    replies = [Reply("ok", usage=Usage(input_tokens=1_000_000))] * 16
    model = ScriptedModel(replies, price=(1, 1), latency=1)
    with virtual_time():
        result = run_sync(
            FanOut(Agent("a", model)),
            [str(i) for i in range(16)],
            budget=Budget(usd="1.50"),
            on_alert=lambda alert: None,
        )
    assert (result.bill.total, len(model.calls), result.output) == (1, 1, ["ok"])
