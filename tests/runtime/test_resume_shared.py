"""A run that broke off and shares things goes on: what it read it reads again, what it wrote it wrote once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from crash import RUN, go, journal

from outlay import Agent, RunContext, fork, node, tool
from outlay.errors import Conflict
from outlay.events import NodeStarted, SharedDone
from outlay.protocols.documents import Change, Document
from outlay.protocols.store import Fence, Row
from outlay.sharing import Outbox, Outgoing, State
from outlay.sim import VirtualLoop
from outlay.stores import MemoryStore
from outlay.testing import Reply, ScriptedModel
from outlay.values.label import Label, Labelled, untrusted


class Witnessed(MemoryStore):
    """Remembers what was shared when each event was written: a crash just before leaves exactly that.

    Slow enough that branches get in each other's way.
    """

    def __init__(self) -> None:
        super().__init__()
        self.before: list[dict[Any, Any]] = []

    def append(self, rows: Sequence[Row], fence: Fence | None = None) -> None:
        self.before += [dict(self._documents) for _ in rows]
        super().append(rows, fence)

    async def read(self, collection: str, key: str) -> Document | None:
        await asyncio.sleep(0)
        return await super().read(collection, key)

    async def commit(self, changes: Sequence[Change]) -> tuple[int, ...]:
        await asyncio.sleep(0)
        return await super().commit(changes)

    def crashed(self, length: int) -> Witnessed:
        """What is left of it if the process dies with the last writes done and event `length` not yet stored."""
        left = Witnessed()
        left.append(asyncio.run(self.events(RUN))[:length])
        left.keep(self._blobs.items())
        left._documents.update(self.before[length])  # pyright: ignore[reportPrivateUsage]
        return left


@node
async def step(ctx: RunContext, name: str) -> list[Any]:
    """One of everything, in a space that others may write to as well."""
    team = ctx.state.space("team")
    mine = await ctx.state.update("mine", lambda n: n + 1, default=0)
    total = await team.update("total", lambda n: n + 1, default=0, outbox=[Outgoing("done", name)])
    position = await team.log("steps").append(name)
    await ctx.state.artifacts.put(f"{name}.md", f"# {name}")
    await ctx.sleep(1)
    seen = [entry.value for entry in await team.list()], [r.value for r in await team.log("steps").read()]
    return [mine.value, total.value, position, *seen, await ctx.state.artifacts.text(f"{name}.md")]


@node
async def flow(ctx: RunContext, _: str) -> Any:
    return await ctx.gather(*(ctx.run(step, name, key=name) for name in "abc"))


def shared(store: MemoryStore) -> Any:
    async def look() -> Any:
        team, own = State(store, "team"), State.of_run(store, RUN)
        return (
            [(entry.value, entry.version) for entry in (await own.get("mine"), await team.get("total"))],
            sorted(record.value for record in await team.log("steps").read()),
            sorted(message.body for message in await Outbox(store).waiting()),
            [(artifact.name, artifact.version) for artifact in await own.artifacts.list()],
        )

    return asyncio.run(look())


def test_a_crash_after_any_event_changes_no_answer_and_repeats_no_write() -> None:
    """Also where the last write was done and its record is lost."""
    store = Witnessed()
    first = go(flow, "x", store)
    assert first.error is None
    wanted = shared(store)
    assert wanted[0] == [(3, 3), (3, 3)]
    length = len(store.before)
    assert length > 30
    for cut in range(1, length):
        left = store.crashed(cut)
        second = go(flow, "x", left)
        assert second.stop_reason == "completed", second.error
        assert shared(left) == wanted, cut
        mine, total, positions, *_ = map(sorted, zip(*second.unwrap(), strict=True))
        assert (mine, total, positions) == ([1, 2, 3], [1, 2, 3], [0, 1, 2]), cut


def test_a_run_reads_again_what_it_saw_whatever_has_been_written_since() -> None:
    store = Witnessed()

    @node
    async def reader(ctx: RunContext, _: str) -> Any:
        team = ctx.state.space("team")
        before = (await team.get("plan")).value
        seen = await team.log("steps").read(), await team.log("steps").end(), await team.list()
        try:
            await team.set("plan", "mine", version=0)
        except Conflict as conflict:
            await ctx.sleep(1)
            return before, [r.value for r in seen[0]], seen[1], [e.value for e in seen[2]], conflict.theirs

    async def write(store: MemoryStore, text: str) -> None:
        await State(store, "team").overwrite("plan", text)
        await State(store, "team").log("steps").append(text)

    asyncio.run(write(store, "old"))
    first = go(reader, "x", store).unwrap()
    assert first == ("old", ["old"], 1, ["old"], "old")
    last_seen = max(e.seq for e in journal(store) if isinstance(e, SharedDone))
    left = store.crashed(last_seen + 1)
    asyncio.run(write(left, "new"))
    assert go(reader, "x", left).unwrap() == first


def test_labels_are_met_again() -> None:
    """Also those that a tool came across, whose result is given again without running it."""
    store, labels = Witnessed(), list[Label]()

    @tool
    async def look_up(ctx: RunContext) -> str:
        """Read the note."""
        return (await ctx.state.space("team").get("note")).value

    agent = Agent("a", ScriptedModel(lambda r: "done" if r.messages[-1].role == "tool" else ASK), tools=[look_up])

    @node
    async def reader(ctx: RunContext, _: str) -> None:
        await ctx.run(agent, "look")
        labels.append(ctx.label)
        await ctx.state.space("team").get("note")
        labels.append(ctx.label)
        await ctx.sleep(1)

    @node
    async def writer(ctx: RunContext, text: str) -> None:
        await ctx.state.space("team").overwrite("note", text)

    ASK = Reply(tool_calls=[("look_up", {})])
    go(writer, Labelled("secret", untrusted("web", "pii")), store, run_id="w")
    store.before.clear()
    assert go(reader, "x", store).error is None
    assert [label.tags for label in labels] == [{"pii"}, {"pii"}]
    again = labels.copy()
    labels.clear()
    assert go(reader, "x", store.crashed(len(store.before) - 1)).error is None
    assert labels == again


def test_a_finished_run_shares_nothing_again() -> None:
    store = Witnessed()
    first = go(flow, "x", store).unwrap()
    before = dict(store._documents)  # pyright: ignore[reportPrivateUsage]
    assert go(flow, "x", store).unwrap() == first
    assert store._documents == before  # pyright: ignore[reportPrivateUsage]


def test_what_was_shared_is_among_the_events() -> None:
    store = MemoryStore()
    go(flow, "x", store)
    done = [event for event in journal(store) if isinstance(event, SharedDone)]
    assert {event.what for event in done} == {
        *("state.update", "state.list", "log.append", "log.read", "artifact.put", "artifact.get")
    }
    assert {event.name for event in done if event.what == "log.append"} == {"team/steps"}
    assert {event.path for event in done} == {f"flow/step[{name}]" for name in "abc"}
    assert sum(isinstance(event, NodeStarted) for event in journal(store)) == 4


@pytest.mark.parametrize("strict", [True, False])
def test_a_strict_resume_finds_everything_in_its_place(strict: bool) -> None:
    """Lost races, and the pauses after them, leave nothing that a resume would miss."""
    store = Witnessed()
    go(flow, "x", store)
    assert go(flow, "x", store.crashed(len(store.before) - 1), strict=strict).stop_reason == "completed"


def test_a_fork_has_a_space_of_its_own_and_shares_what_was_shared_once() -> None:
    """Its own space is filled again as the parent's was; what the parent wrote for all is not written twice."""
    store = MemoryStore()
    first = go(flow, "x", store).unwrap()

    async def branch() -> Any:
        forked = await fork(RUN, flow, store=store, at="flow/step[b]", fork_id="f")
        own = State.of_run(store, "f")
        return forked.unwrap(), [entry.value for entry in await own.list()], len(await own.artifacts.list())

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        again, mine, artifacts = runner.run(branch())
    assert (mine, artifacts) == ([3], 3)
    assert sorted(one[0] for one in again) == sorted(one[0] for one in first)
    assert shared(store)[0][1] == (4, 4)  # b was done again, a and c were not
