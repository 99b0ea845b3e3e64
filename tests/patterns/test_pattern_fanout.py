"""FanOut: one worker over many items, or many workers over one input, at the same time."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay import Agent, Budget, RunContext, node, run_sync
from outlay.errors import BudgetExceeded, ConfigError, DeadlineExceeded, Overloaded
from outlay.patterns import Claim, FanOut, Pipeline
from outlay.testing import Reply, ScriptedModel, virtual_time


def agent(name, answer, *, latency=0.0, price=(1, 1), **options):
    return Agent(name, ScriptedModel(answer, latency=latency, price=price), **options)


def busy():
    return Overloaded("busy", retryable=False)


def upper(request):
    return request.text.upper()


def some_fail(request):
    return busy() if request.text.startswith("bad") else request.text.upper()


@node
async def sleeper(ctx: RunContext, seconds: float) -> float:
    await ctx.sleep(seconds)
    return seconds


@settings(max_examples=40)
@given(st.lists(st.integers(0, 50), max_size=12), st.none() | st.integers(1, 12))
def test_order_is_the_inputs_and_time_is_the_schedule(delays, limit):
    """Results stand in input order whatever finishes first; without a limit it takes as long as the slowest item."""
    with virtual_time() as clock:
        assert run_sync(FanOut(sleeper, max_parallel=limit), delays).unwrap() == delays
    free = [0.0] * (limit or max(1, len(delays)))
    for delay in delays:  # each starts on the worker that is free first
        free[free.index(min(free))] += delay
    assert clock.elapsed == max(free)


def test_a_list_of_workers_gets_the_same_input_and_gives_a_dict():
    """By name, in the workers' order, at the same time."""
    workers = [agent(name, lambda r, n=name: f"{n}:{r.text}", latency=wait) for name, wait in (("a", 3), ("b", 1))]
    with virtual_time() as clock:
        found = run_sync(FanOut(workers), "go").unwrap()
    assert list(found.items()) == [("a", "a:go"), ("b", "b:go")]
    assert clock.elapsed == 3


def test_split_makes_the_items():
    """`split=` is a function of the input; a generator will do."""
    assert run_sync(FanOut(agent("a", upper), split=str.split), "x y z").unwrap() == ["X", "Y", "Z"]

    async def later(text):
        await asyncio.sleep(0)
        return iter(text)

    assert run_sync(FanOut(agent("a", upper), split=later), "xy").unwrap() == ["X", "Y"]


def test_merge_makes_one_of_the_list_or_the_dict():
    """A function or a node; its input is what the fan-out would have given."""
    assert run_sync(FanOut(agent("a", upper), merge="+".join), ["x", "y"]).unwrap() == "X+Y"
    judge = agent("judge", lambda r: f"judged {r.text}")
    assert (
        run_sync(FanOut([agent("a", upper), agent("b", upper)], merge=judge), "x").unwrap()
        == 'judged {"a":"X","b":"X"}'
    )


def test_merge_sees_the_original_input():
    """`ctx.origin` is the fan-out's input."""

    @node
    async def merge(ctx: RunContext, found: list) -> str:
        return f"{ctx.origin} -> {found}"

    assert run_sync(FanOut(agent("a", upper), str.split, merge), "x y").unwrap() == "x y -> ['X', 'Y']"


def test_failures_are_left_out_and_stand_in_skipped():
    """The others' results keep their order; the result is degraded and names each failure."""
    result = run_sync(FanOut(agent("a", some_fail)), ["x", "bad", "y", "bad 2"])
    assert (result.output, result.stop_reason, result.degraded) == (["X", "Y"], "completed", True)
    assert [(s.path, type(s.error)) for s in result.skipped] == [
        ("fanout/a[1]", Overloaded),
        ("fanout/a[3]", Overloaded),
    ]
    workers = run_sync(FanOut([agent("a", some_fail), agent("b", lambda r: "fine")]), "bad")
    assert (workers.output, [s.path for s in workers.skipped]) == ({"b": "fine"}, ["fanout/a"])


def test_below_min_success_the_first_error_is_raised():
    """First by input order; what succeeded stands in `.partial`."""

    def fail(request):
        raise LookupError(request.text) if request.text != "x" else None

    def answer(request):
        return "X" if request.text == "x" else LookupError(request.text)

    result = run_sync(FanOut(agent("a", answer), min_success=2), ["bad 1", "x", "bad 2"])
    assert isinstance(result.error, LookupError)
    assert str(result.error) == "bad 1"
    assert [(p.path, p.output) for p in result.partial] == [("fanout/a[1]", "X")]


def test_all_failed_is_a_failure_and_min_success_zero_allows_it():
    """Nothing is an answer only where you say so."""
    assert isinstance(run_sync(FanOut(agent("a", some_fail)), ["bad"]).error, Overloaded)
    assert run_sync(FanOut(agent("a", some_fail), min_success=0), ["bad"]).output == []


def test_on_error_raise_stops_new_calls_and_keeps_paid_ones_on_the_bill():
    """The first failure ends it; a sibling's call in flight is drained and billed, one not started is not made."""
    quick, slow = agent("quick", busy, latency=1), agent("slow", lambda r: "paid", latency=9)
    flow = FanOut([Pipeline(slow, slow.replace(name="next"), name="chain"), quick], on_error="raise")
    quick.model._replies = lambda r: busy()
    with virtual_time() as clock:
        result = run_sync(flow, "go")
    assert isinstance(result.error, Overloaded)
    assert {line.path: line.calls for line in result.bill.lines if line.cost} == {"fanout/chain/slow": 1}
    assert clock.elapsed == 9


def test_identical_items_are_worked_on_each():
    """Two equal items are two calls, and both results count."""
    numbers = iter(range(9))
    assert sorted(run_sync(FanOut(agent("a", lambda r: str(next(numbers)))), ["x", "x", "x"]).unwrap()) == [
        "0",
        "1",
        "2",
    ]


def test_an_empty_list_gives_an_empty_list():
    """Nothing to do is done; a merge still runs on it."""
    assert run_sync(FanOut(agent("a", upper)), []).unwrap() == []
    assert run_sync(FanOut(agent("a", upper), merge=len), []).unwrap() == 0


@pytest.mark.parametrize("input", ["text", b"bytes", 5, None])
def test_one_worker_needs_a_list(input):
    """Text is not a list of letters: the error says what to give."""
    model = ScriptedModel([])
    with pytest.raises(ConfigError, match="needs a list"):
        run_sync(FanOut(Agent("a", model)), input)


@pytest.mark.parametrize("items", [(1, 2), range(1, 3), {1: "a", 2: "b"}], ids=lambda i: type(i).__name__)
def test_any_iterable_is_a_list(items):
    """A tuple, a range, the keys of a dict; an iterator where a stage before gives one."""
    assert run_sync(FanOut(lambda x: x * 10), items).unwrap() == [10, 20]
    assert run_sync(Pipeline(iter, FanOut(lambda x: x * 10)), items).unwrap() == [10, 20]


def test_an_iterator_is_no_input_of_a_run():
    """A run's input is recorded, which would use an iterator up: it is refused instead of read as empty."""
    with pytest.raises(ConfigError, match="iterator"):
        run_sync(FanOut(lambda x: x * 10), iter([1, 2]))


# ── budgets ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("limit", [1, 3, None])
def test_at_the_budget_every_paid_result_is_kept(limit):
    """Four calls of ten: four results, in order, and the reason."""
    result = run_sync(
        FanOut(agent("a", upper, latency=1), max_parallel=limit), list("abcdefghij"), budget=Budget(calls=4)
    )
    assert (result.output, result.stop_reason, result.degraded) == (["A", "B", "C", "D"], "budget", True)
    assert sum(line.calls for line in result.bill.lines) == 4
    assert len(result.skipped) == 6


def test_a_money_budget_is_never_overshot_and_loses_nothing():
    """Many at once under a limit: at most the limit is spent, and each paid answer is in the output."""
    result = run_sync(
        FanOut(agent("a", lambda r: "x" * 400, latency=1, price=(0, 100), max_output_tokens=100)),
        [f"item {i}" for i in range(16)],
        budget=Budget(usd="0.055"),
    )
    assert result.bill.total == sum(1 for _ in result.output) * result.bill.lines[0].cost
    assert (len(result.output), result.stop_reason) == (5, "budget")


def test_at_the_budget_the_merge_still_answers_from_its_reserve():
    """What the merge may cost is set aside from the start."""
    judge = agent("judge", lambda r: f"judged {r.text[:5]}", max_output_tokens=10, max_input_tokens=1000)
    flow = FanOut(agent("a", upper, max_output_tokens=10), merge=judge, max_parallel=1)
    result = run_sync(flow, [f"i{i}" for i in range(3000)], budget=Budget(usd="0.0012"))
    assert result.stop_reason == "budget"
    assert result.degraded
    assert result.output == 'judged ["I0"'
    assert result.bill.total <= result.bill.total.__class__("0.0012")
    assert [line.purpose for line in result.bill.lines if line.agent == "judge"] == ["finish"]


def test_a_stop_without_any_result_is_a_stop():
    """There is nothing to answer with."""
    result = run_sync(FanOut(agent("a", upper)), ["x"], budget=Budget(calls=0))
    assert isinstance(result.error, BudgetExceeded)
    assert (result.output, result.stop_reason) == (None, "budget")


def test_a_deadline_keeps_what_is_done():
    """The deadline ends everything at once; what is finished is the output, and stands in `.partial`."""
    with virtual_time() as clock:
        result = run_sync(FanOut(sleeper), [1, 50, 2], budget=Budget(seconds=10))
    assert isinstance(result.error, DeadlineExceeded)
    assert (result.output, result.stop_reason, clock.elapsed) == ([1, 2], "deadline", 10)
    assert [p.output for p in result.partial] == [1, 2]
    assert [(p.path, p.reason) for p in result.skipped] == [("fanout/sleeper[1]", "not finished: deadline")]


@pytest.mark.parametrize("merge", [None, len])
def test_a_deadline_does_not_hide_what_failed_before_it(merge):
    """Each item without a result stands in `.skipped` once, with its reason, whatever ended the rest."""

    @node
    async def work(ctx: RunContext, seconds: float) -> float:
        if seconds == 0:
            raise ValueError("no good")
        await ctx.sleep(seconds)
        return seconds

    fan = FanOut(work, merge=merge)
    result = run_sync(fan, [1, 0, 50], budget=Budget(seconds=10))
    assert [(p.path, p.reason) for p in result.skipped] == [
        ("fanout/work[1]", "the worker failed"),
        ("fanout/work[2]", "not finished: deadline"),
    ]
    inner = run_sync(Pipeline(fan, name="around"), [1, 0, 50], budget=Budget(seconds=10))
    assert [p.path for p in inner.skipped] == ["around/fanout/work[1]"]


def test_a_fan_outs_own_budget_and_option():
    """`budget=` and `optional=` hold for the pattern as a whole."""
    limited = FanOut(agent("a", upper), budget=Budget(calls=1), max_parallel=1, name="few")
    assert run_sync(Pipeline(limited, len), ["x", "y"]).stop_reason == "budget"
    skipped = FanOut(agent("a", some_fail), optional=True, name="maybe")
    assert run_sync(Pipeline(skipped, len), ["bad", "bad 2"]).output == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"worker": []},
        {"worker": [len], "split": str.split},
        {"max_parallel": 0},
        {"min_success": -1},
        {"on_error": "ignore"},
        {"worker": 42},
        {"merge": 42},
        {"split": 42},
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_when_it_is_made(wrong):
    """A ConfigError, before anything is spent."""
    with pytest.raises(ConfigError):
        FanOut(**({"worker": len} | wrong))


def test_two_workers_of_one_name_are_refused():
    """The dict could hold only one of them."""
    with pytest.raises(ConfigError, match="two children named 'a'"):
        run_sync(FanOut([agent("a", upper), agent("a", upper)]), "x")


def test_the_same_worker_twice_in_a_list_is_refused():
    """The dict could hold only one answer of it; for several there are Vote and a list of items."""
    worker = agent("a", upper)
    with pytest.raises(ConfigError, match="twice"):
        FanOut([worker, worker])


def test_replace_changes_one_thing():
    """The other options stay."""
    flow = FanOut(lambda x: x + 1, max_parallel=3, name="f")
    changed = flow.replace(merge=sum)
    assert (changed.name, changed.max_parallel, run_sync(changed, [1, 2]).output) == ("f", 3, 5)
    assert run_sync(flow, [1, 2]).output == [2, 3]


def test_one_workers_turn_limit_does_not_stop_the_others() -> None:
    """An agent that runs out of turns is left out and named; the rest goes on, and the run says what happened."""

    def lookup(word: str) -> str:
        """Look a word up."""
        return word

    def says(request: Any) -> Any:
        return Reply(tool_calls=[("lookup", {"word": "x"})]) if "b" in request.text else "done"

    agent = Agent("a", ScriptedModel(says), tools=[lookup], max_turns=2)
    result = run_sync(FanOut(agent, max_parallel=1), ["a", "b", "c", "d"])
    assert result.output == ["done"] * 3
    assert (result.stop_reason, result.degraded) == ("turn_limit", True)
    assert [type(part.error).__name__ for part in result.skipped] == ["TurnLimit"]


# ── long results ──────────────────────────────────────────────────────────────────────────────────────────


def long(size):
    return node(name=f"long{size}")(lambda x: "word " * size)


def test_an_agent_that_merges_reads_long_results_by_their_beginning():
    """Of a list and of a dict; short ones as they are."""
    for worker in ([long(20_000), long(2)], long(20_000)):
        last = Agent("last", ScriptedModel(["merged"]))
        flow = FanOut(worker, merge=last)
        assert run_sync(flow, "go" if isinstance(worker, list) else ["go"]).unwrap() == "merged"
        text = last.model.calls[0].text
        assert "100,000 characters in all" in text
        assert len(text) < 2_500
        assert isinstance(worker, list) == ('"word word "' in text)


def test_a_function_that_merges_gets_the_results_as_they_are():
    """It computes with values, whatever their size."""
    assert run_sync(FanOut(long(20_000), merge=lambda found: len(found[0])), ["go"]).unwrap() == 100_000


def test_what_long_results_claim_keeps_its_speaker_in_a_merge():
    """By the whole, not by what is shown of it."""
    claims = [Claim(f"s{i}", i, source="x" * 80) for i in range(500)]
    scout = Agent("scout", ScriptedModel([claims]), output_type=list[Claim], max_output_tokens=100_000)
    last = Agent("last", ScriptedModel([[Claim("s7", 7)]]), output_type=list[Claim])
    (claim,) = run_sync(FanOut(scout, merge=last), ["go"]).unwrap()
    assert (claim.by, claim.source) == ("fanout/scout[0]", "x" * 80)
