"""What a run waits for stands in the inbox of its store: decided once, by anybody, whenever, and the run goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest
from crash import RUN, crashed, go, journal
from flows import cents, dear

from outlay import Agent, Budget, Result, RunContext, approve, deny, node, open_store, run, tool
from outlay.errors import ConfigError, Conflict, InDoubt, StoreFailed
from outlay.events import Answered, Asked, CallFinished, ToolStarted
from outlay.patterns import FanOut, Pipeline
from outlay.runtime.inbox import Inbox
from outlay.runtime.pending import Decided, Pending, dump, load
from outlay.sim import VirtualLoop
from outlay.stores.memory import MemoryStore
from outlay.testing import Reply

A = TypeVar("A")


def do(work: Coroutine[Any, Any, A], *, after: float = 0.0) -> A:
    """On virtual time, which begins at the same moment for every loop, `after` so many seconds."""

    async def main() -> A:
        await asyncio.sleep(after)
        return await work

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


def resumed(flow: Any, store: Any, *, after: float, **options: Any) -> Result[Any]:
    return do(run(flow, "x", store=store, run_id=RUN, **options), after=after)


def open_items(store: MemoryStore) -> list[Pending]:
    return do(Inbox(store).list())


def answered(store: MemoryStore) -> list[tuple[str, str, str]]:
    return [(e.answer, e.by, e.reason) for e in journal(store) if isinstance(e, Answered)]


@node
async def asking(ctx: RunContext, text: str) -> str:
    return await ctx.ask("Go on?", options=["yes", "no"])


@node
async def in_a_hurry(ctx: RunContext, text: str) -> str:
    return await ctx.ask("Go on?", options=["yes", "no"], default="no", deadline=3600)


@node
async def insisting(ctx: RunContext, text: str) -> str:
    return await ctx.ask("Go on?", deadline=3600)


def answer_no(_: Pending) -> str:
    return "no"


class Office:
    """An agent that spends a cent, then wants to send a mail."""

    def __init__(self, **options: Any) -> None:
        self.sent: list[str] = []
        self.told: list[str] = []

        @tool(side_effect=True, **options)
        def send(to: str, text: str) -> str:
            """Send a mail."""
            self.sent.append(to)
            return "sent"

        def answer(request: Any) -> Any:
            if request.messages[-1].role == "tool":
                self.told.append(request.messages[-1].parts[0].content)
                return cents(1, "done")
            reply = cents(1, "")
            return Reply("", tool_calls=[("send", {"to": "bob", "text": "x" * 600})], usage=reply.usage)

        self.agent = Agent("clerk", dear(answer), tools=[send])


# ── the item ──────────────────────────────────────────────────────────────────────────────────────────────


def test_an_approval_is_an_item_with_the_exact_action_and_all_its_arguments() -> None:
    """Nothing is cut off of what is to be approved; the money is what the run had cost."""
    office, store = Office(requires_approval=True), MemoryStore()
    result = go(office.agent, "x", store)
    assert result.stop_reason == "approval"
    (item,) = open_items(store)
    assert result.pending == (item,)
    assert (item.kind, item.action, item.run_id, item.path) == ("approval", "send", RUN, "clerk")
    assert item.arguments == {"to": "bob", "text": "x" * 600}
    assert item.options == ("approve", "deny")
    assert item.spent == Decimal("0.01")
    assert item.created > 0
    assert (item.deadline, item.default, item.decision) == (None, None, None)
    assert len(item.id) == 12
    assert f"outlay approve {item.id}" in str(result.error)


def test_a_question_is_an_item_with_its_deadline_and_default() -> None:
    store = MemoryStore()
    go(in_a_hurry, "x", store)
    (item,) = open_items(store)
    assert (item.kind, item.question, item.options, item.default) == ("ask", "Go on?", ("yes", "no"), "no")
    assert item.deadline == item.created + 3600


def test_an_item_survives_as_json() -> None:
    """Text of any kind; a decision too. What is no item is refused."""
    item = Pending(
        "ask", "a/b", "half \ud800 of it", ("x",), "id", "r", "t", {"a": [1, None, "\ud800"]}, Decimal("0.1")
    )
    assert load(dump(item)) == item
    decided = Pending("ask", "a", "?", decision=Decided("yes", "ada", "why", 3.5, result="it"), deadline=4.0)
    assert load(dump(decided), closed=True).decision == decided.decision
    for broken in (b"[]", b"{}", b"nothing", json.dumps({**json.loads(dump(item)), "version": 2}).encode()):
        with pytest.raises(ValueError, match=r"not an item|another version|Expecting value"):
            load(broken)


def test_a_damaged_item_is_refused_with_its_name() -> None:
    from outlay.protocols.documents import Change

    store = MemoryStore()
    do(store.commit((Change("inbox", "abc", b"{}", 0),)))
    with pytest.raises(StoreFailed, match="item abc of the inbox"):
        do(approve("abc", store=store))


# ── decisions ─────────────────────────────────────────────────────────────────────────────────────────────


def test_an_approved_call_runs_when_the_run_is_resumed_and_nothing_is_paid_twice() -> None:
    """Who decided and why is an event of the run."""
    office, store = Office(requires_approval=True), MemoryStore()
    (item,) = go(office.agent, "x", store).pending
    assert office.sent == []
    do(approve(item.id, store=store, by="ada", reason="a friend"), after=86_400 * 3)
    result = resumed(office.agent, store, after=86_400 * 4)
    assert result.output == "done"
    assert office.sent == ["bob"]
    assert office.told == ["sent"]
    assert result.bill.total == Decimal("0.02")
    assert answered(store) == [("approve", "ada", "a friend")]
    assert sum(isinstance(e, Asked) for e in journal(store)) == 1
    assert open_items(store) == []


def test_a_denied_call_is_told_to_the_model_with_who_and_why() -> None:
    office, store = Office(requires_approval=True), MemoryStore()
    (item,) = go(office.agent, "x", store).pending
    do(deny(item.id, store=store, by="ada", reason="not to strangers"))
    assert go(office.agent, "x", store).output == "done"
    assert office.sent == []
    assert office.told == ["PermissionError: ada denied the call of send: not to strangers"]


def test_a_question_takes_one_of_its_options() -> None:
    store = MemoryStore()
    (item,) = go(asking, "x", store).pending
    with pytest.raises(ConfigError, match="give answer=, one of 'yes', 'no'"):
        do(approve(item.id, store=store))
    with pytest.raises(ConfigError, match="'perhaps' is no answer"):
        do(approve(item.id, store=store, answer="perhaps"))
    do(approve(item.id, store=store, answer="yes"))
    assert go(asking, "x", store).output == "yes"


def test_a_denied_question_raises_where_it_was_asked() -> None:
    store = MemoryStore()
    (item,) = go(asking, "x", store).pending
    do(deny(item.id, store=store, by="ada", reason="ask somebody else"))
    result = go(asking, "x", store)
    assert isinstance(result.error, PermissionError)
    assert str(result.error) == "ada did not answer 'Go on?': ask somebody else"


def test_an_unknown_item_is_said_to_be_unknown() -> None:
    with pytest.raises(ConfigError, match="there is no item 'abc'"):
        do(approve("abc", store=MemoryStore()))


def test_decided_twice_is_a_conflict_with_both_decisions() -> None:
    store = MemoryStore()
    (item,) = go(asking, "x", store).pending
    do(approve(item.id, store=store, by="ada", answer="yes"))
    for again in (approve(item.id, store=store, by="bob", answer="no"), deny(item.id, store=store, by="bob")):
        with pytest.raises(Conflict, match="decided by ada: yes") as conflict:
            do(again)
        assert (conflict.value.theirs.by, conflict.value.mine.by) == ("ada", "bob")
    assert go(asking, "x", store).output == "yes"
    with pytest.raises(Conflict, match="decided by ada: yes"):
        do(deny(item.id, store=store))


async def test_of_two_deciders_at_once_one_wins(tmp_path: Path) -> None:
    """Two stores on one file, as two processes have them; twenty items."""
    path = str(tmp_path / "s.db")

    @node
    async def many(ctx: RunContext, text: str) -> list[str]:
        return await ctx.gather(*(ctx.ask(f"{i}?") for i in range(20)))

    waiting = await run(many, "x", store=path, run_id=RUN)
    asked = sorted(waiting.pending, key=lambda item: int(item.question[:-1]))  # they parked as their writes returned
    assert len(asked) == 20
    async with open_store(path) as one, open_store(path) as two:
        work = [
            approve(item.id, store=store, by=by, answer=by)
            for item in asked
            for by, store in (("one", one), ("two", two))
        ]
        outcomes = await asyncio.gather(*work, return_exceptions=True)
    stands: list[str] = []
    for first, second in zip(outcomes[::2], outcomes[1::2], strict=True):
        refused, accepted = (first, second) if isinstance(first, Conflict) else (second, first)
        assert isinstance(refused, Conflict)
        assert isinstance(accepted, Pending)
        assert accepted.decision is not None
        assert refused.theirs == accepted.decision
        stands.append(accepted.decision.answer)
    assert (await run(many, "x", store=path, run_id=RUN)).output == stands


def test_what_was_decided_while_the_run_was_dead_is_taken() -> None:
    """The process was killed after it asked: the item is there, and so is the decision when it comes back."""
    store = MemoryStore()
    (item,) = go(asking, "x", store).pending
    end = next(i for i, e in enumerate(journal(store)) if isinstance(e, Asked))
    left = crashed(store, end + 1)
    left._documents.update(store._documents)  # pyright: ignore[reportPrivateUsage]
    do(approve(item.id, store=left, answer="no"))
    assert go(asking, "x", left).output == "no"


def test_a_decision_that_comes_while_others_work_is_seen_before_the_run_suspends() -> None:
    """The branch goes on in the same run; nobody has to resume it."""
    store = MemoryStore()

    @node
    async def two(ctx: RunContext, text: str) -> list[Any]:
        return await ctx.gather(ctx.ask("Go on?"), ctx.sleep(100), ctx.ask("Really?"))

    async def main() -> Result[Any]:
        going = asyncio.create_task(run(two, "x", store=store, run_id=RUN))
        await asyncio.sleep(50)
        for item in await Inbox(store).list():
            await approve(item.id, store=store, answer=item.question.lower())
        return await going

    result = do(main())
    assert result.output == ["go on?", None, "really?"]
    assert result.stop_reason == "completed"


def test_what_is_left_unanswered_then_suspends_the_run() -> None:
    """The branch that was answered ends without another sign; the other still waits."""
    store = MemoryStore()

    @node
    async def two(ctx: RunContext, text: str) -> list[Any]:
        return await ctx.gather(ctx.ask("a?"), ctx.sleep(100), ctx.ask("b?"))

    async def main() -> Result[Any]:
        going = asyncio.create_task(run(two, "x", store=store, run_id=RUN))
        await asyncio.sleep(50)
        (item,) = [item for item in await Inbox(store).list() if item.question == "a?"]
        await approve(item.id, store=store, answer="A")
        return await going

    result = do(main())
    assert (result.stop_reason, [item.question for item in result.pending]) == ("approval", ["b?"])
    assert answered(store) == [("A", "", "")]


def test_one_answer_of_two_lets_its_branch_go_on_and_the_run_suspends_on_the_other() -> None:
    store = MemoryStore()

    @node
    async def two(ctx: RunContext, text: str) -> list[Any]:
        return await ctx.gather(ctx.ask("a?"), ctx.ask("b?"))

    first = go(two, "x", store)
    a, b = first.pending
    do(approve(a.id, store=store, answer="A"))
    second = go(two, "x", store)
    assert second.pending == (b,)
    assert [item.id for item in open_items(store)] == [b.id]
    do(approve(b.id, store=store, answer="B"))
    assert go(two, "x", store).output == ["A", "B"]


def test_on_ask_takes_what_the_inbox_has() -> None:
    """Asked by an earlier leg and decided by somebody else: `on_ask` is not asked again."""
    store = MemoryStore()
    (item,) = go(asking, "x", store).pending
    do(approve(item.id, store=store, answer="yes"))
    assert go(asking, "x", store, on_ask=answer_no).output == "yes"


def test_on_ask_answers_an_item_of_an_earlier_leg() -> None:
    store = MemoryStore()
    (item,) = go(asking, "x", store).pending
    assert go(asking, "x", store, on_ask=answer_no).output == "no"
    with pytest.raises(Conflict, match="decided by on_ask: no"):
        do(approve(item.id, store=store, answer="yes"))


# ── deadlines ─────────────────────────────────────────────────────────────────────────────────────────────


def test_after_the_deadline_the_default_stands_also_days_later() -> None:
    store = MemoryStore()
    go(in_a_hurry, "x", store)
    assert resumed(in_a_hurry, store, after=86_400 * 5).output == "no"
    assert answered(store) == [("no", "deadline", "nobody answered in time")]


def test_a_late_decision_is_a_conflict_and_the_default_stands() -> None:
    store = MemoryStore()
    (item,) = go(in_a_hurry, "x", store).pending
    with pytest.raises(Conflict, match="decided by deadline: no") as conflict:
        do(approve(item.id, store=store, answer="yes"), after=3601)
    assert (conflict.value.mine.answer, conflict.value.theirs.answer) == ("yes", "no")
    assert resumed(in_a_hurry, store, after=3700).output == "no"
    with pytest.raises(Conflict):
        do(approve(item.id, store=store, answer="yes"), after=10)  # a clock that goes wrong changes nothing


def test_a_decision_in_time_stands_however_late_the_run_comes_back() -> None:
    store = MemoryStore()
    (item,) = go(in_a_hurry, "x", store).pending
    do(approve(item.id, store=store, answer="yes"), after=3599)
    assert resumed(in_a_hurry, store, after=86_400).output == "yes"


def test_without_a_default_an_expired_question_is_a_time_out_in_the_flow() -> None:
    """And then nobody can answer it any more."""
    store = MemoryStore()
    (item,) = go(insisting, "x", store).pending
    result = resumed(insisting, store, after=3601)
    assert isinstance(result.error, TimeoutError)
    with pytest.raises(Conflict, match=r"the deadline of item \w+ has passed"):
        do(approve(item.id, store=store, answer="x"), after=3602)


def test_a_run_that_a_time_out_ended_asks_anew_when_it_is_resumed() -> None:
    """The failure that ended the run is tried again: with a deadline of its own."""
    store = MemoryStore()
    go(insisting, "x", store)
    resumed(insisting, store, after=3601)
    again = resumed(insisting, store, after=7200)
    (item,) = again.pending
    do(approve(item.id, store=store, answer="at last"), after=7300)
    assert resumed(insisting, store, after=7400).output == "at last"


def test_the_deadline_passes_while_others_work() -> None:
    """The branch takes its default at once, not when the others are done."""
    store = MemoryStore()
    when: list[float] = []

    @node
    async def two(ctx: RunContext, text: str) -> None:
        async def ask() -> None:
            assert await ctx.ask("?", default="d", deadline=10) == "d"
            when.append(asyncio.get_running_loop().time() - began)

        began = asyncio.get_running_loop().time()
        await ctx.gather(ask(), ctx.sleep(100))

    assert go(two, "x", store).stop_reason == "completed"
    assert when == [10]
    assert answered(store) == [("d", "deadline", "nobody answered in time")]


# ── in doubt ──────────────────────────────────────────────────────────────────────────────────────────────


def in_doubt() -> tuple[Office, MemoryStore, Pending]:
    """A mail was under way when the process was killed."""
    before, store = Office(), MemoryStore()
    go(before.agent, "x", store)
    left = crashed(store, next(i for i, e in enumerate(journal(store)) if isinstance(e, ToolStarted)) + 1)
    office = Office()
    (item,) = go(office.agent, "x", left).pending
    assert (item.kind, item.action, item.options) == ("in_doubt", "send", ("happened", "again", "give up"))
    assert item.arguments == {"to": "bob", "text": "x" * 600}
    return office, left, item


def test_it_has_happened() -> None:
    """The model is told so, nothing is sent, and the next resume knows it too."""
    office, store, item = in_doubt()
    do(approve(item.id, store=store, answer="happened", by="ada"))
    result = go(office.agent, "x", store)
    assert result.output == "done"
    assert office.sent == []
    assert office.told == ["it has happened; its result is not known"]
    again = go(office.agent, "x", crashed(store, len(journal(store)) - 3))
    assert again.output == "done"
    assert again.bill.total == result.bill.total == Decimal("0.02")


def test_it_has_happened_and_this_is_what_it_gave() -> None:
    office, store, item = in_doubt()
    do(approve(item.id, store=store, answer="happened", result="queued as 17"))
    assert go(office.agent, "x", store).output == "done"
    assert office.told == ["queued as 17"]


def test_it_is_to_run_again() -> None:
    office, store, item = in_doubt()
    do(approve(item.id, store=store, answer="again"))
    assert go(office.agent, "x", store).output == "done"
    assert office.sent == ["bob"]


@pytest.mark.parametrize("how", ["deny", "give up"])
def test_it_is_given_up(how: str) -> None:
    office, store, item = in_doubt()
    if how == "deny":
        do(deny(item.id, store=store, by="ada", reason="ask support"))
    else:
        do(approve(item.id, store=store, answer="give up", by="ada", reason="ask support"))
    error = go(office.agent, "x", store).error
    assert isinstance(error, InDoubt)
    assert "ada gave it up" in str(error)
    assert "ask support" in str(error)
    assert office.sent == []


def test_an_effect_of_a_node_that_has_happened_gives_none_or_what_is_said() -> None:
    @node
    async def flow(ctx: RunContext, _: str) -> Any:
        return [await ctx.effect("post", lambda: {"id": 1}, side_effect=True), await ctx.ask("And now?")]

    for result, expected in ((None, None), ('{"id": 7}', {"id": 7}), ("no JSON", "no JSON")):
        store = MemoryStore()
        go(flow, "x", store)
        left = crashed(store, next(i for i, e in enumerate(journal(store)) if isinstance(e, ToolStarted)) + 1)
        (item,) = go(flow, "x", left).pending
        do(approve(item.id, store=left, answer="happened", result=result))
        (question,) = go(flow, "x", left).pending
        assert question.question == "And now?"
        do(approve(question.id, store=left, answer="now"))
        assert go(flow, "x", left, strict=True).output == [expected, "now"]


def test_a_result_is_for_effects_in_doubt() -> None:
    store = MemoryStore()
    (item,) = go(asking, "x", store).pending
    with pytest.raises(ConfigError, match="result= says what an effect in doubt gave"):
        do(approve(item.id, store=store, answer="yes", result="x"))


# ── budgets ───────────────────────────────────────────────────────────────────────────────────────────────


def spender(paid: list[str]) -> Any:
    def answer(request: Any) -> Any:
        paid.append(request.text)
        return cents(10, request.text)

    return FanOut(Agent("w", dear(answer, latency=1), max_output_tokens=1000, min_output_tokens=1000), name="many")


def paused(paid: list[str], store: MemoryStore) -> Result[Any]:
    budget = Budget(usd="0.35", on_exhausted="pause")
    return go(spender(paid), list("abcdefgh"), store, budget=budget)


def test_a_pause_is_one_item_and_a_raise_pays_nothing_twice() -> None:
    """Eight branches want 10 cents each, 35 are there; five wait for the same budget."""
    paid: list[str] = []
    store = MemoryStore()
    first = paused(paid, store)
    assert first.stop_reason == "budget"
    (item,) = first.pending
    assert (item.kind, item.run_id, item.spent) == ("budget", RUN, Decimal("0.30"))
    assert len(paid) == 3
    second = go(spender(paid), list("abcdefgh"), store, budget=Budget(usd="2.00"))
    assert second.output == list("abcdefgh")
    assert sorted(paid) == list("abcdefgh")
    assert second.bill.total == Decimal("0.80")
    assert open_items(store) == []


def test_while_the_run_goes_on_under_a_higher_budget_nobody_asks_for_summary_one() -> None:
    store = MemoryStore()
    (item,) = paused([], store).pending

    async def main() -> list[Pending]:
        budget = Budget(usd="2.00", on_exhausted="pause")
        going = asyncio.create_task(run(spender([]), list("abcdefgh"), store=store, run_id=RUN, budget=budget))
        await asyncio.sleep(0.5)
        found = await Inbox(store).list()
        await going
        return found

    assert do(main()) == []
    with pytest.raises(Conflict, match="nobody waits"):
        do(deny(item.id, store=store))


def test_a_pause_that_is_not_raised_enough_asks_anew() -> None:
    """The item says how things stand now."""
    paid: list[str] = []
    store = MemoryStore()
    paused(paid, store)
    second = go(spender(paid), list("abcdefgh"), store, budget=Budget(usd="0.55", on_exhausted="pause"))
    assert [(item.kind, item.spent) for item in second.pending] == [("budget", Decimal("0.50"))]
    assert len(open_items(store)) == 1
    assert len(paid) == 5


@pytest.mark.parametrize("answer", [None, "", "0.35", "0.20", "much", "-1", "inf"])
def test_a_raise_needs_a_higher_limit(answer: str | None) -> None:
    store = MemoryStore()
    (item,) = paused([], store).pending
    assert (item.action, item.arguments) == ("usd", {"scope": "many", "limit": "0.35", "needed": "0.1"})
    with pytest.raises(ConfigError, match="give answer=, a higher limit"):
        do(approve(item.id, store=store, answer=answer))


def test_an_approved_raise_counts_for_all_branches_and_for_later_legs() -> None:
    """To 55 cents: two more are paid, then it pauses anew; a crash after that forgets nothing."""
    paid: list[str] = []
    store = MemoryStore()
    (item,) = paused(paid, store).pending
    do(approve(item.id, store=store, answer="0.55", by="ada"))
    (again,) = paused(paid, store).pending
    assert again.id != item.id
    assert again.spent == Decimal("0.50")
    assert len(paid) == 5
    do(approve(again.id, store=store, answer="$2", by="ada"))
    done = paused(paid, store)
    assert done.output == list("abcdefgh")
    assert (done.stop_reason, sorted(paid), done.bill.total) == ("completed", list("abcdefgh"), Decimal("0.80"))


def test_a_raise_while_others_work_lets_the_branch_go_on() -> None:
    """Also the budget of a node, which the run's own does not reach."""
    store = MemoryStore()
    worker = Agent("w", dear([cents(10, "w")] * 2), max_output_tokens=1000, min_output_tokens=1000)
    frugal = Pipeline(worker, worker, name="frugal", budget=Budget(calls=1, on_exhausted="pause"))

    @node(children=[frugal])
    async def two(ctx: RunContext, text: str) -> list[Any]:
        return await ctx.gather(ctx.run(frugal, text), ctx.sleep(100))

    async def main() -> Result[Any]:
        going = asyncio.create_task(run(two, "x", store=store, run_id=RUN))
        await asyncio.sleep(50)
        (item,) = await Inbox(store).list()
        await approve(item.id, store=store, answer="2")
        return await going

    result = do(main())
    assert (result.output, result.stop_reason) == (["w", None], "completed")


def test_a_raise_that_is_denied_ends_the_run_with_what_it_has() -> None:
    paid: list[str] = []
    store = MemoryStore()
    (item,) = paused(paid, store).pending
    do(deny(item.id, store=store, by="ada", reason="enough"))
    result = paused(paid, store)
    assert (result.stop_reason, result.pending) == ("budget", ())
    assert result.bill.total == Decimal("0.30")
    assert ("deny", "ada", "enough") in answered(store)


def test_seconds_count_while_the_run_works_and_not_while_it_waits() -> None:
    """20 s of work and a night in between, under 25 s; with 15 s it would not be enough."""

    @node
    async def flow(ctx: RunContext, _: str) -> str:
        await ctx.sleep(10)
        said = await ctx.ask("?")
        await ctx.sleep(10)
        return said

    for seconds, reason in ((25, "completed"), (15, "deadline")):
        store = MemoryStore()
        (item,) = go(flow, "x", store, budget=Budget(seconds=seconds)).pending
        do(approve(item.id, store=store, answer="on"), after=40_000)
        assert resumed(flow, store, after=50_000, budget=Budget(seconds=seconds)).stop_reason == reason


# ── the end ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_items_of_a_run_that_ended_are_closed() -> None:
    """One branch waits when the other fails: nobody will ever ask for the answer."""
    store = MemoryStore()

    @node
    async def fails(ctx: RunContext, text: str) -> None:
        async def fail() -> None:
            await ctx.sleep(1)
            raise ValueError("no")

        await ctx.gather(ctx.ask("Go on?"), fail())

    assert go(fails, "x", store).stop_reason == "error"
    assert open_items(store) == []
    (item,) = do(Inbox(store).list(closed=True))
    assert item.closed
    with pytest.raises(Conflict, match="nobody waits for item"):
        do(approve(item.id, store=store, answer="x"))


def test_a_question_that_was_given_up_is_closed_and_the_others_stay_open() -> None:
    store = MemoryStore()

    @node
    async def flow(ctx: RunContext, text: str) -> str:
        try:
            async with ctx.timeout(5):
                await ctx.gather(ctx.ask("first"), ctx.sleep(10))
        except TimeoutError:
            pass
        return await ctx.ask("second")

    assert [item.question for item in go(flow, "x", store).pending] == ["second"]
    assert [item.question for item in open_items(store)] == ["second"]


def test_a_finished_run_touches_no_item() -> None:
    office, store = Office(requires_approval=True), MemoryStore()
    (item,) = go(office.agent, "x", store).pending
    do(approve(item.id, store=store))
    first = go(office.agent, "x", store)
    before = dict(store._documents)  # pyright: ignore[reportPrivateUsage]
    assert go(office.agent, "x", store).output == first.output
    kept = {place: held for place, held in store._documents.items() if place[0].startswith("inbox")}  # pyright: ignore[reportPrivateUsage]
    assert kept == {place: held for place, held in before.items() if place[0].startswith("inbox")}
    assert len(office.sent) == 1


def test_a_crash_after_any_event_asks_once_and_takes_the_decision() -> None:
    """Two approvals in two stages: wherever the run is cut off, each is decided once and each mail is sent once."""
    first, second = Office(requires_approval=True), Office(requires_approval=True)
    flow = Pipeline(first.agent, second.agent.replace(name="other"))
    store = MemoryStore()

    def decided(left: MemoryStore, office_flow: Any) -> Result[Any]:
        result = go(office_flow, "x", left)
        while result.stop_reason == "approval":
            for item in result.pending:
                answer = "happened" if item.kind == "in_doubt" else None
                do(approve(item.id, store=left, answer=answer, by="ada"))
            result = go(office_flow, "x", left)
        return result

    whole = decided(store, flow)
    assert (whole.output, first.sent, second.sent) == ("done", ["bob"], ["bob"])
    events = journal(store)
    for length in range(1, len(events)):
        one, two = Office(requires_approval=True), Office(requires_approval=True)
        left = crashed(store, length)
        result = decided(left, Pipeline(one.agent, two.agent.replace(name="other")))
        assert result.output == "done", (length, result.error)
        started = sum(isinstance(e, ToolStarted) for e in events[:length])
        assert len(one.sent) + len(two.sent) + started == 2, length
        paid = sum(isinstance(e, CallFinished) for e in journal(left))
        assert paid == 4, length
