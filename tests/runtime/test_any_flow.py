"""What holds for any flow, however its calls end and whatever stops it."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from flows import cents, dear, of_kind
from hypothesis import example, given, settings
from hypothesis import strategies as st

from outlay import Agent, Budget, Result, RunContext, node, run, run_many
from outlay.errors import BadResponse, BudgetExceeded, ModelTimeout, Overloaded
from outlay.events import CallFailed, CallFinished, CallStarted, NodeFinished, NodeStarted, RunFinished
from outlay.patterns import FanOut, Pipeline
from outlay.policies.ledger import Account
from outlay.protocols.node import Node
from outlay.sim import VirtualLoop
from outlay.testing import Reply

ENDINGS = (None, None, None, Overloaded("busy"), ModelTimeout("late"), BadResponse("cut"), ValueError("bad"))


@dataclass(frozen=True)
class Leaf:
    """An agent: what its calls cost and reserve in cents, how long they take, and how they end in turn."""

    cost: int
    spare: int
    latency: float
    endings: tuple[int, ...]
    optional: bool = False


@dataclass(frozen=True)
class Branch:
    """A pattern or a node over others."""

    kind: str
    parts: tuple[Any, ...]
    limit: Any = None
    optional: bool = False


leaves = st.builds(
    Leaf,
    st.integers(0, 5),
    st.integers(0, 6),
    st.sampled_from([0.0, 1.0, 2.5, 70.0]),
    st.lists(st.integers(0, len(ENDINGS) - 1), min_size=1, max_size=4).map(tuple),
    st.booleans(),
)
limits = st.sampled_from([None, {"usd": "0.06"}, {"calls": 2}, {"seconds": 3}, {"tokens": 500}])
trees = st.recursive(
    leaves,
    lambda inner: st.builds(
        Branch,
        st.sampled_from(["pipeline", "fan", "merge", "group", "gather", "timeout", "catch", "tools", "ask", "detach"]),
        st.lists(inner, min_size=1, max_size=4).map(tuple),
        limits,
        st.booleans(),
    ),
    max_leaves=8,
)
budgets = st.lists(
    st.sampled_from(
        [
            Budget(usd="0.10"),
            Budget(usd="0.03", on_exhausted="pause"),
            Budget(usd="0.20", on_exhausted="raise"),
            Budget(seconds=4),
            Budget(calls=3),
            Budget(tokens=700),
            Budget(fan_out=2),
            Budget(depth=2),
        ]
    ),
    max_size=3,
)


def build(tree: Any, numbers: Counter[str]) -> Node[Any, Any]:
    """The flow that a tree stands for; names are counted, so that siblings differ."""
    kind = "leaf" if isinstance(tree, Leaf) else tree.kind
    numbers[kind] += 1
    name = f"{kind}{numbers[kind]}"
    if isinstance(tree, Leaf):
        answers = iter(tree.endings * 50)

        def answer(_: Any) -> Any:
            ending = ENDINGS[next(answers)]
            return cents(tree.cost, name) if ending is None else ending

        cap = 100 * (tree.cost + tree.spare) or 1
        model = dear(answer, latency=tree.latency)
        return Agent(name, model, max_output_tokens=cap, min_output_tokens=cap, optional=tree.optional)
    parts = [build(part, numbers) for part in tree.parts]
    limit = None if tree.limit is None else Budget(**tree.limit)
    if tree.kind == "pipeline":
        return Pipeline(*parts, name=name, budget=limit, optional=tree.optional)
    if tree.kind in ("fan", "merge"):
        merge = build(Leaf(2, 0, 1.0, (0,)), numbers) if tree.kind == "merge" else None
        return FanOut(parts, merge=merge, name=name, budget=limit, optional=tree.optional)

    if tree.kind == "tools":
        turn = Reply(tool_calls=[(part.name, {"input": "x"}) for part in parts])
        model = dear(lambda request: turn if len(request.messages) == 1 else cents(1, name), latency=1.0)
        return Agent(
            name, model, tools=parts, max_output_tokens=100, min_output_tokens=100, budget=limit, optional=tree.optional
        )

    @node(name=name, children=parts)
    async def any_node(ctx: RunContext, value: Any) -> Any:
        if tree.kind == "ask":
            value = await ctx.ask("What now?")
        if tree.kind == "detach":
            for part in parts[1:]:
                ctx.detach(part, value, grace=float(len(parts)))
        branches = [ctx.run(part, value) for part in (parts[:1] if tree.kind == "detach" else parts)]
        if tree.kind == "group":
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(branch) for branch in branches]
            return [task.result() for task in tasks]
        if tree.kind == "gather":
            return await asyncio.gather(*branches)
        try:
            async with ctx.timeout(2 if tree.kind == "timeout" else 1000):
                return await ctx.gather(*branches)
        except Exception as error:
            if tree.kind == "timeout" and not isinstance(error, TimeoutError):
                raise
            return f"instead: {type(error).__name__}"

    return any_node.replace(budget=limit, optional=tree.optional)


def closed(events: Any) -> None:
    """Every call that was started has ended, once, and so has every node; nothing comes after the end."""
    started = Counter((e.key, e.attempt) for e in events if isinstance(e, CallStarted))
    ended = Counter(
        (e.key, e.attempt) for e in events if isinstance(e, CallFinished | CallFailed) and (e.key, e.attempt) in started
    )
    assert started == ended
    assert max(started.values(), default=1) == 1
    nodes = Counter(e.path for e in events if isinstance(e, NodeStarted))
    assert nodes == Counter(e.path for e in events if isinstance(e, NodeFinished))
    assert [type(e) for e in events].count(RunFinished) == 1
    assert isinstance(events[-1], RunFinished)


def within(result: Result[Any], given: list[Budget]) -> None:
    """What was spent and what is in doubt, against each limit of the run."""
    held = result.bill.at_least + result.bill.in_doubt
    for budget in given:
        if budget.money is not None:
            assert held <= budget.money
        if budget.calls is not None:
            assert len(of_kind(result, CallStarted)) <= budget.calls
        if budget.seconds is not None:
            assert result.seconds <= budget.seconds


@settings(max_examples=150)
@given(trees, budgets, st.integers(0, 3))
@example(Branch("catch", (Leaf(1, 0, 70.0, (0,)), Leaf(1, 0, 0.0, (6,)))), [], 0)
def test_any_run_is_closed_within_its_limits_and_leaves_nothing_behind(
    tree: Any, given: list[Budget], seed: int
) -> None:
    """Whatever the flow: all calls are settled, no budget is overshot, no task is left, the same seed repeats it."""

    async def once() -> tuple[Result[Any], set[Any]]:
        before = asyncio.all_tasks()
        events: list[Any] = []
        flow = build(tree, Counter())
        try:
            result = await run(
                flow, "x", budget=given, seed=seed, run_id="fixed", on_alert=lambda _: None, on_event=events.append
            )
        except BudgetExceeded as stop:
            result = stop.result
        assert events == list(result.events)
        return result, asyncio.all_tasks() - before

    outcomes: list[Result[Any]] = []
    for _ in range(2):
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            result, left = runner.run(once())
        assert not left
        closed(result.events)
        within(result, given)
        outcomes.append(result)
    assert list(outcomes[0].events) == list(outcomes[1].events)


@settings(max_examples=80)
@given(trees, st.floats(0.1, 6))
def test_any_run_can_be_cancelled_at_any_moment(tree: Any, moment: float) -> None:
    """It ends at once, with every call settled or in doubt and no task left."""
    events: list[Any] = []

    async def main() -> None:
        before = asyncio.all_tasks()
        task = asyncio.create_task(run(build(tree, Counter()), "x", on_event=events.append, on_alert=lambda _: None))
        await asyncio.sleep(moment)
        task.cancel()
        await asyncio.wait([task])
        assert asyncio.get_running_loop().time() == moment
        assert asyncio.all_tasks() == before

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())
    closed(events)


@settings(max_examples=80)
@given(trees, st.sampled_from(["0.05", "0.30", "2"]), st.integers(1, 5))
def test_any_map_gives_back_all_that_it_held(tree: Any, usd: str, concurrency: int) -> None:
    """After a map, the shared budget holds nothing and has set nothing aside: what it says is spent was billed."""
    books: list[Account] = []

    async def main() -> Decimal:
        flow = build(tree, Counter())

        @node(name="root", children=[flow])
        async def root(ctx: RunContext, value: Any) -> Any:
            books.extend(account for account in ctx.budget.chain if account not in books)  # pyright: ignore
            return await ctx.run(flow, value)

        billed = Decimal(0)
        rows = [(i, "x") for i in range(5)]
        shared = Budget(usd=usd)
        async for _, result in run_many(root, rows, budget=shared, concurrency=concurrency, on_alert=lambda _: None):
            billed += result.bill.at_least + result.bill.in_doubt
        return billed

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        billed = runner.run(main())
    (account,) = books
    assert (account.held, account.held_tokens, account.aside, account.aside_tokens, account.waiting) == (0, 0, 0, 0, 0)
    assert account.spent + account.doubt == billed <= Decimal(usd)
