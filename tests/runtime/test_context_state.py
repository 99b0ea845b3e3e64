"""`ctx.state`: what nodes share in a run and over runs, and what travels with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from outlay import RunContext, node, run, run_sync
from outlay.errors import ConfigError, Conflict
from outlay.sharing import Entry, Outbox, Outgoing, State
from outlay.stores import MemoryStore, open_store
from outlay.testing import virtual_time
from outlay.values.label import TRUSTED, Integrity, Labelled, untrusted


@node
async def increment(ctx: RunContext, _: Any) -> int:
    return (await ctx.state.update("count", lambda n: n + 1, default=0)).value


@node
async def increment_for_all(ctx: RunContext, _: Any) -> int:
    return (await ctx.state.space("team").update("count", lambda n: n + 1, default=0)).value


def test_the_nodes_of_a_run_share_its_state_without_a_store():
    """Forty branches at once lose nothing; the next run begins anew."""

    @node
    async def flow(ctx: RunContext, _: str) -> tuple[list[int], Entry]:
        counts = await ctx.gather(*(ctx.run(increment, i, key=str(i)) for i in range(40)))
        return sorted(counts), await ctx.state.get("count")

    with virtual_time() as clock:
        for _ in range(2):
            counts, entry = run_sync(flow, "").unwrap()
            assert counts == list(range(1, 41))
            assert entry == Entry("count", 40, 40)
    assert clock.elapsed < 30


async def test_a_runs_own_space_is_its_own_and_a_named_one_is_shared():
    store = MemoryStore()

    @node
    async def flow(ctx: RunContext, _: str) -> tuple[int, int]:
        return await ctx.run(increment, ""), await ctx.run(increment_for_all, "")

    first, second = [(await run(flow, "", store=store, run_id=f"r{n}")).unwrap() for n in (1, 2)]
    assert (first, second) == ((1, 1), (1, 2))
    assert (await State(store, "team").get("count")).value == 2
    assert (await State.of_run(store, "r1").get("count")).value == 1


async def test_a_conflict_reaches_the_flow_and_says_where(tmp_path: Path):
    @node
    async def flow(ctx: RunContext, _: str) -> str:
        seen = await ctx.state.set("plan", "a", version=0)
        await ctx.state.overwrite("plan", "b")
        try:
            await ctx.state.set("plan", "c", version=seen.version)
        except Conflict as conflict:
            return f"{conflict.path}: {conflict.mine} against {conflict.theirs} of version {conflict.version}"
        return "no conflict"

    for store in (None, str(tmp_path / "outlay.db")):
        assert (await run(flow, "", store=store)).unwrap() == "flow: c against b of version 2"


async def test_state_outlives_the_run_that_wrote_it(tmp_path: Path):
    """Another process would find it, too: the file is all they share."""
    path = str(tmp_path / "outlay.db")
    for n in (1, 2, 3):
        assert (await run(increment_for_all, "", store=path)).unwrap() == n
    async with open_store(path) as store:
        assert (await State(store, "team").get("count")).version == 3


async def test_an_outbox_needs_a_store_that_a_relay_can_find():
    @node
    async def flow(ctx: RunContext, _: str) -> None:
        await ctx.state.overwrite("order", "paid", outbox=[Outgoing("orders", "paid")])

    with pytest.raises(ConfigError, match="would be lost"):
        await run(flow, "")
    store = MemoryStore()
    assert (await run(flow, "", store=store)).error is None
    assert [message.body for message in await Outbox(store).waiting()] == ["paid"]


async def test_many_branches_that_count_leave_one_event_each(tmp_path: Path):
    """However many of them want the same name at once: they take turns, and none is recorded as a lost race."""

    @node
    async def flow(ctx: RunContext, n: int) -> int:
        await ctx.gather(*(ctx.state.update("count", lambda count: count + 1, default=0) for _ in range(n)))
        return (await ctx.state.get("count")).value

    async with open_store(tmp_path / "outlay.db") as store:
        assert (await run(flow, 60, store=store, run_id="r")).unwrap() == 60
        assert len(await store.events("r", ["shared_done"])) == 61


# ── labels ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_labels_travel_with_what_is_shared():
    """Who reads what somebody else's text went into is no longer trusted: by value, log, artifact or conflict."""
    store = MemoryStore()
    seen: dict[str, Integrity] = {}

    @node
    async def write(ctx: RunContext, text: str) -> None:
        team = ctx.state.space("team")
        await team.set("note", text, version=0)
        await team.log("notes").append(text)
        await team.artifacts.put("note.md", text)

    def reading(name: str, read: Any) -> Any:
        @node(name=name)
        async def reader(ctx: RunContext, _: str) -> None:
            assert ctx.label == TRUSTED
            await read(ctx.state.space("team"))
            seen[name] = ctx.label.integrity
            assert ctx.label == untrusted("web", "pii")

        return reader

    async def lose(team: Any) -> None:
        with pytest.raises(Conflict):
            await team.set("note", "x", version=7)

    assert (await run(write, Labelled("hello", untrusted("web", "pii")), store=store)).error is None
    ways = {
        "get": lambda team: team.get("note"),
        "list": lambda team: team.list(),
        "log": lambda team: team.log("notes").read(),
        "artifact": lambda team: team.artifacts.text("note.md"),
        "artifacts": lambda team: team.artifacts.list(),
        "conflict": lose,
    }
    for name, read in ways.items():
        result = await run(reading(name, read), "", store=store)
        assert result.error is None, result.error
    assert seen == dict.fromkeys(ways, Integrity.UNTRUSTED)


async def test_what_is_not_read_leaves_no_label():
    store = MemoryStore()
    await State(store, "team").overwrite("note", "ours")

    @node
    async def flow(ctx: RunContext, _: str) -> bool:
        await ctx.state.space("team").get("note")
        return ctx.label == TRUSTED

    assert (await run(flow, "", store=store)).unwrap()


# ── authors ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_artifact_knows_its_author_and_its_run(tmp_path: Path):
    @node
    async def analyst(ctx: RunContext, text: str) -> Any:
        return await ctx.state.artifacts.put("docs/req.md", text, type="text/markdown", source="the customer")

    @node
    async def flow(ctx: RunContext, text: str) -> Any:
        return await ctx.run(analyst, text)

    async with open_store(tmp_path / "outlay.db") as store:
        put = (await run(flow, "fast", store=store, run_id="r1")).unwrap()
        assert (put.author, put.agent, put.run, put.source) == ("flow/analyst", "analyst", "r1", "the customer")
        assert await State.of_run(store, "r1").artifacts.get("docs/req.md") == put


def test_a_workspace_works_inside_a_run_under_virtual_time(tmp_path: Path):
    """Files are read and written off the loop; under the simulated one, in line."""

    @node
    async def developer(ctx: RunContext, _: str) -> list[tuple[str, int, str]]:
        await ctx.state.artifacts.put("a.txt", "one")
        workspace = ctx.state.artifacts.folder(tmp_path / "work")
        await workspace.fill()
        (tmp_path / "work" / "a.txt").write_text("two")
        done = await workspace.collect()
        return [(a.name, a.version, a.author) for a in done.artifacts]

    wanted = [("a.txt", 2, "developer")]
    with virtual_time():
        assert run_sync(developer, "").unwrap() == wanted
    (tmp_path / "work" / "a.txt").unlink()
    assert run_sync(developer, "").unwrap() == wanted


# ── the end of a run ──────────────────────────────────────────────────────────────────────────────────────


async def test_nothing_is_shared_after_the_run_is_over():
    """A state that leaked out of its run writes nothing any more."""
    leaked: list[Any] = []

    @node
    async def flow(ctx: RunContext, _: str) -> None:
        leaked.append(ctx.state)

    store = MemoryStore()
    await run(flow, "", store=store, run_id="r1")
    with pytest.raises(Exception, match="the run is over"):
        await leaked[0].overwrite("x", 1)
    assert await State.of_run(store, "r1").list() == []
