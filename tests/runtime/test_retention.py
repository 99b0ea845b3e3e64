"""Retention: what is old goes, what anybody still needs stays, whoever works on the store meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from flows import cents, dear
from hypothesis import given
from hypothesis import strategies as st

from outlay import Agent, RunContext, fork, node, open_store, run
from outlay.analysis.bill import BillFold
from outlay.analysis.retention import Life, lives, plan
from outlay.errors import JournalMismatch, RunTaken
from outlay.events import RunFinished, RunStarted, decode
from outlay.events.records import ContentsPruned
from outlay.patterns import Pipeline
from outlay.protocols.documents import Change
from outlay.protocols.store import Store
from outlay.protocols.upkeep import Span
from outlay.runtime.retention import Pruned, plan_for, prune, sweep
from outlay.stores.memory import MemoryStore

DAY = 86_400.0


class Clock:
    """The time at which a store keeps contents."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def flow(name: str = "a", **options: Any) -> Any:
    return Pipeline(
        Agent(name, dear(lambda request: cents(1, f"{name}:{request.text}")), **options),
        Agent("b", dear(lambda request: cents(1, f"b:{request.text}"))),
        name="line",
    )


async def after(store: Store, seconds: float, **options: Any) -> Pruned:
    """Prune as if so many seconds had passed; contents too, however lately they were kept."""
    keep_events = options.get("keep_events", False)
    chosen = await plan_for(store, time.time() + 1, keep_events=keep_events)
    return await prune(store, chosen, keep_events=keep_events, grace=-seconds)


# ── the decision ──────────────────────────────────────────────────────────────────────────────────────────


def life(run: str, ended: float, outcome: str = "completed", parent: str = "", *, pruned: bool = False) -> Life:
    return Life(run, "f", ended, outcome, "", parent, pruned, 1, 0, 1)


def known(*found: Life) -> dict[str, Life]:
    return {one.run: one for one in found}


def test_a_run_goes_by_when_it_ended_not_by_when_it_began() -> None:
    chosen = plan(known(life("old", 10), life("new", 30)), 20)
    assert [one.run for one in chosen.go] == ["old"]
    assert chosen.kept == {}


def test_a_run_that_broke_off_goes_unless_somebody_works_on_it() -> None:
    chosen = plan(known(life("broken", 10, ""), life("busy", 10, "")), 20, busy=["busy"])
    assert [one.run for one in chosen.go] == ["broken"]
    assert chosen.kept == {"busy": "is being worked on"}


def test_a_run_that_waits_for_a_human_stays() -> None:
    """By its end, or by what stands in the inbox."""
    chosen = plan(known(life("asked", 10, "approval"), life("paused", 10, "budget")), 20, waiting=["paused"])
    assert chosen.go == ()
    assert chosen.kept == {"asked": "waits for a human", "paused": "waits for a human"}


def test_a_run_whose_turn_a_session_has_not_taken_over_stays() -> None:
    """It holds the session: it may have died between its answer and the session's document."""
    chosen = plan(known(life("held", 10), life("free", 10)), 20, held=["held"])
    assert [one.run for one in chosen.go] == ["free"]
    assert chosen.kept == {"held": "a session goes on from it"}


async def test_the_run_that_holds_a_session_is_read_from_its_document(store: Store) -> None:
    await run(flow(), "x", store=store, run_id="r")
    for number, holder in enumerate((None, {"owner": "o", "run": "r", "since": 0, "token": "t"})):
        body = json.dumps({"holder": holder, "tips": {}}).encode()
        await store.commit([Change("sessions", f"s{number}", body, 0)])
    chosen = await plan_for(store, time.time() + 1)
    assert (chosen.go, chosen.kept) == ((), {"r": "a session goes on from it"})


def test_what_a_living_fork_stands_on_stays_down_to_the_first() -> None:
    runs = known(life("first", 1), life("second", 2, parent="first"), life("third", 30, parent="second"))
    chosen = plan(runs, 20)
    assert chosen.go == ()
    assert chosen.kept == dict.fromkeys(("first", "second"), "a fork stands on it")


def test_a_fork_goes_before_what_it_stands_on() -> None:
    """Who is killed in between leaves no fork without its parent."""
    runs = known(life("first", 1), life("second", 2, parent="first"))
    assert [one.run for one in plan(runs, 20).go] == ["second", "first"]


def test_a_fork_without_contents_needs_nobody() -> None:
    runs = known(life("first", 1), life("second", 30, parent="first", pruned=True))
    assert [one.run for one in plan(runs, 20).go] == ["first"]


def test_contents_are_taken_once() -> None:
    runs = known(life("before", 1, pruned=True), life("now", 2))
    assert [one.run for one in plan(runs, 20, keep_events=True).go] == ["now"]
    assert [one.run for one in plan(runs, 20).go] == ["now", "before"]


def test_a_run_whose_contents_were_taken_is_as_old_as_it_was() -> None:
    """The mark is younger than the run's end, and does not keep it."""
    events = [
        RunStarted(run="r", seq=0, time=1.0, flow="f"),
        RunFinished(run="r", seq=1, time=2.0, stop_reason="completed"),
        ContentsPruned(run="r", seq=2, time=99.0, ended=2.0),
    ]
    assert lives([Span("r", 3, 2, 99.0, 10)], events)["r"].ended == 2.0


@given(
    st.lists(
        st.tuples(
            st.integers(0, 40), st.integers(-1, 8), st.booleans(), st.sampled_from(["", "completed", "approval"])
        ),
        max_size=9,
    ),
    st.booleans(),
)
def test_no_run_that_stays_loses_what_it_stands_on(runs: list[tuple[int, int, bool, str]], keep_events: bool) -> None:
    """Whatever the ages and the tree of forks; and everything that is old goes or has a reason to stay."""
    found = known(
        *(
            life(str(i), ended, outcome, str(parent) if 0 <= parent < i else "", pruned=pruned)
            for i, (ended, parent, pruned, outcome) in enumerate(runs)
        )
    )
    chosen = plan(found, 20, keep_events=keep_events)
    going = {one.run for one in chosen.go}
    for one in found.values():
        if one.run not in going and not one.pruned:
            assert one.parent not in going
        if one.ended < 20 and not (keep_events and one.pruned):
            assert (one.run in going) != (one.run in chosen.kept)
        else:
            assert one.run not in going


# ── what is deleted ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    async with open_store(None if request.param == "memory" else tmp_path / "outlay.db") as found:
        yield found


async def test_a_pruned_run_leaves_nothing_and_its_neighbour_everything(store: Store) -> None:
    """The two share instructions and an input."""
    await run(flow(), "x", store=store, run_id="old")
    kept_for_old = set(await store.digests())
    await asyncio.sleep(0.01)
    cut = time.time()
    await run(flow(), "x", store=store, run_id="new")
    shared = await store.blobs(sorted(await store.digests()))
    done = await prune(store, await plan_for(store, cut), grace=-10)
    assert [one.run for one in done.runs] == ["old"]
    assert {row.run for row in await store.events()} == {"new"}
    assert await store.blobs(sorted(await store.digests())) == shared  # of one flow on one input all is shared
    assert kept_for_old <= set(shared)
    again = await run(flow(), "x", store=store, run_id="new")
    assert again.output == "b:a:x"


async def test_contents_of_its_own_go_with_a_run(store: Store) -> None:
    await run(flow(), "x", store=store, run_id="one")
    await run(flow(), "another", store=store, run_id="two")
    there = len(await store.digests())
    done = await prune(store, await plan_for(store, time.time() + 1), grace=-10)
    assert len(done.runs) == 2
    assert done.contents == there
    assert await store.digests() == []


async def test_without_contents_the_bill_stays_and_a_resume_says_so(store: Store) -> None:
    first = await run(flow(), "x", store=store, run_id="r")
    done = await after(store, 10, keep_events=True)
    assert [one.run for one in done.runs] == ["r"]
    assert await store.digests() == []
    fold = BillFold()
    for row in await store.events("r"):
        fold.add(decode(row.body))
    assert fold.bill().total == first.bill.total
    with pytest.raises(JournalMismatch, match=r"contents of run r were pruned.*\n.*outlay bill r"):
        await run(flow(), "x", store=store, run_id="r")
    with pytest.raises(JournalMismatch, match="were pruned"):
        await fork("r", flow(), store=store)
    assert (await after(store, 10, keep_events=True)).runs == ()


async def test_a_pruned_run_id_begins_anew(store: Store) -> None:
    await run(flow(), "x", store=store, run_id="r")
    await after(store, 10)
    assert (await run(flow(), "another input", store=store, run_id="r")).output == "b:a:another input"


async def test_what_a_fork_stands_on_stays_and_the_fork_goes_on(store: Store) -> None:
    """Also where only contents were to go."""
    asked: list[str] = []

    def counting(request: Any) -> Any:
        asked.append(request.text)
        return cents(1, f"a:{request.text}")

    line = Pipeline(Agent("a", dear(counting)), Agent("b", dear(lambda request: cents(1, f"b:{request.text}"))))
    await run(line, "x", store=store, run_id="parent")
    await asyncio.sleep(0.01)
    cut = time.time()
    changed = Pipeline(line.children[0], Agent("b", dear(lambda request: cents(1, "other")), instructions="otherwise"))
    await fork("parent", changed, store=store, fork_id="child")
    for keep_events in (True, False):
        chosen = await plan_for(store, cut, keep_events=keep_events)
        assert chosen.kept == {"parent": "a fork stands on it"}
        assert (await prune(store, chosen, keep_events=keep_events, grace=-10)).contents == 0
    assert (await run(changed, "x", store=store, run_id="child")).output == "other"
    assert asked == ["x"]


async def test_a_run_that_waits_for_a_human_is_kept_and_said(store: Store) -> None:
    @node
    async def careful(ctx: RunContext, text: str) -> str:
        return await ctx.ask("Shall I?")

    await run(careful, "x", store=store, run_id="waiting")
    done = await after(store, 10)
    assert (done.runs, done.kept) == ((), {"waiting": "waits for a human"})


async def test_a_run_that_is_going_in_this_process_is_kept(store: Store) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def answer(request: Any) -> Any:
        begun.set()
        await go_on.wait()
        return cents(1, "done")

    going = asyncio.create_task(run(Agent("a", dear(answer)), "x", store=store, run_id="r"))
    await begun.wait()
    done = await after(store, 10)
    assert (done.runs, done.kept) == ((), {"r": "is being worked on"})
    go_on.set()
    result = await going
    assert result.output == "done"
    assert (await run(Agent("a", dear(answer)), "x", store=store, run_id="r")).output == "done"


async def test_what_documents_name_is_kept(store: Store) -> None:
    """Artifacts outlive the run that put them."""

    @node
    async def write(ctx: RunContext, text: str) -> str:
        await ctx.state.space("team").artifacts.put("a.txt", text)
        return text

    @node
    async def look(ctx: RunContext, text: str) -> str:
        return await ctx.state.space("team").artifacts.text("a.txt")

    await run(write, "kept text", store=store, run_id="writer")
    await after(store, 10)
    assert await store.events("writer") == []
    assert (await run(look, "", store=store, run_id="reader")).output == "kept text"


async def test_a_conversation_outlives_the_runs_that_made_it(store: Store) -> None:
    """Seventy turns: more than stand on one page."""
    heard: list[int] = []

    def answer(request: Any) -> str:
        heard.append(len(request.messages))
        return "yes"

    agent = Agent("a", dear(answer))
    for turn in range(70):
        await run(agent, f"turn {turn}", store=store, session="s")
    assert len((await after(store, 10)).runs) == 70
    await run(agent, "and now?", store=store, session="s")
    assert heard[-1] == 2 * 70 + 1


# ── beside runs that are going ────────────────────────────────────────────────────────────────────────────


async def test_a_content_that_a_new_run_is_about_to_name_stays() -> None:
    """It was there already, from a run that goes: what a sweep goes by alone would take it."""
    clock = Clock()
    store = MemoryStore(clock=clock)
    await run(flow(), "x", store=store, run_id="old")
    clock.now += 30 * DAY
    there = await store.digests()
    some = await store.blobs(there[:2])
    store.keep(some.items())  # a new run begins; its first event is still on the way
    clock.now += 1
    assert await store.forget({"old": len(await store.events("old")) - 1}) == ["old"]
    swept = await sweep(store, grace=time.time() - (clock.now - DAY))
    assert swept == len(there) - 2
    assert await store.blobs(list(some)) == some


async def test_a_run_that_was_resumed_since_the_plan_stays(store: Store) -> None:
    attempts: list[int] = []

    def answer(request: Any) -> Any:
        attempts.append(1)
        if len(attempts) == 1:
            raise ValueError("no")
        return cents(1, "yes")

    agent = Agent("a", dear(answer))
    await run(agent, "x", store=store, run_id="r")
    chosen = await plan_for(store, time.time() + 1)
    assert [one.run for one in chosen.go] == ["r"]
    await run(agent, "x", store=store, run_id="r")
    store.append([])
    assert (await prune(store, chosen, grace=-10)).runs == ()
    assert any(row.kind == "run_resumed" for row in await store.events("r"))


class Between(MemoryStore):
    """A store in which something else happens after the past of a run was read."""

    def __init__(self) -> None:
        super().__init__()
        self.then: Any = None

    async def blobs(self, digests: Any) -> dict[bytes, bytes]:
        found = await super().blobs(digests)
        if self.then is not None:
            then, self.then = self.then, None
            await then()
        return found


@pytest.mark.parametrize("keep_events", [True, False])
@pytest.mark.parametrize("way", ["resume", "fork"])
async def test_a_run_that_is_pruned_while_it_is_taken_up_sends_nothing(way: str, keep_events: bool) -> None:
    """It had been read, and was deleted before the first event of the new leg."""
    store, asked = Between(), list[str]()

    def answer(request: Any) -> Any:
        asked.append(request.text)
        if len(asked) == 1:
            raise ValueError("no")
        return cents(1, "yes")

    agent = Agent("a", dear(answer))
    await run(agent, "x", store=store, run_id="r")
    chosen = await plan_for(store, time.time() + 1, keep_events=keep_events)

    async def pruned() -> None:
        assert len((await prune(store, chosen, keep_events=keep_events, grace=-10)).runs) == 1

    store.then = pruned
    taken_up = {
        "resume": lambda: run(agent, "x", store=store, run_id="r"),
        "fork": lambda: fork("r", agent, store=store, fork_id="f"),
    }
    with pytest.raises(RunTaken):
        await taken_up[way]()
    assert asked == ["x"]


def test_a_run_whose_owner_is_dead_goes(tmp_path: Path) -> None:
    """A process that was killed owns nothing."""
    path = tmp_path / "outlay.db"

    async def die(request: Any) -> Any:
        os._exit(0)

    child = os.fork()
    if child == 0:
        try:
            asyncio.run(run(Agent("a", dear(die)), "x", store=path, run_id="r"))
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0

    async def look() -> None:
        async with open_store(path) as store:
            assert [one.run for one in (await after(store, 10)).runs] == ["r"]
            assert await store.digests() == []

    asyncio.run(look())
