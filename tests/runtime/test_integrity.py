"""The integrity check: a store that was changed by hand is found out, with what and where."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flows import cents, dear

from outlay import Agent, RunContext, fork, node, open_store, run, tool
from outlay.patterns import Pipeline
from outlay.runtime.integrity import examine
from outlay.runtime.retention import plan_for, prune
from outlay.stores.memory import MemoryStore
from outlay.testing import Reply, ScriptedModel


@tool
def look(what: str) -> str:
    """Look something up."""
    return f"{what} found"


@node
async def share(ctx: RunContext, text: str) -> str:
    await ctx.state.set("note", text, version=0)
    await ctx.state.artifacts.put("a.txt", text)
    return text


@node
async def confirm(ctx: RunContext, text: str) -> str:
    return await ctx.ask("Shall I?")


def flow() -> Any:
    replies = ScriptedModel([Reply(tool_calls=[("look", {"what": "x"})]), "done"], price=(1, 2))
    return Pipeline(Agent("a", replies, tools=[look], instructions="look well"), share, confirm)


async def filled(store: Any) -> None:
    """A run of everything, a fork, a turn of a conversation, and one that waits."""
    agent = Agent("a", dear(lambda request: cents(1, "answer")))
    result = await run(flow(), "x", store=store, run_id="r", on_ask=lambda _: "yes")
    assert result.output == "yes"
    await run(agent, "y", store=store, run_id="parent")
    await fork("parent", agent.replace(instructions="otherwise"), store=store, fork_id="child")
    await run(agent, "z", store=store, run_id="spoken", session="s")
    await run(confirm, "x", store=store, run_id="waiting")


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "postgres":
        return request.getfixturevalue("postgres")
    return None if request.param == "memory" else str(tmp_path / "outlay.db")


async def test_a_store_that_nobody_touched_is_well(address: str | None) -> None:
    """Also where contents were pruned, and what was pruned is counted."""
    async with open_store(address) as store:
        await filled(store)
        health = await examine(store)
        assert health.troubles == []
        assert (health.runs, health.waiting, health.pruned, health.broken_off) == (5, 1, 0, [])
        assert health.events == len(await store.events())
        await prune(store, await plan_for(store, time.time() + 1, keep_events=True), keep_events=True, grace=-10)
        health = await examine(store)
        assert health.troubles == []
        assert health.pruned == 4


async def test_a_run_that_broke_off_is_named() -> None:
    store, left = MemoryStore(), MemoryStore()
    await filled(store)
    left.keep((await store.blobs(await store.digests())).items())
    left.append((await store.events("r"))[:6])
    health = await examine(left)
    assert health.broken_off == ["r"]
    assert health.troubles == []


def body(**changes: Any) -> Callable[[sqlite3.Connection], None]:
    """Change an event's JSON and its sum, as somebody would who knows how."""

    def tamper(hand: sqlite3.Connection) -> None:
        from outlay.protocols.store import Row
        from outlay.stores.checksums import of_row

        id, time, kind, old = hand.execute(
            "SELECT id, time, kind, body FROM events WHERE id & 4294967295 = 3"
        ).fetchone()
        new = json.dumps(json.loads(old) | changes).encode()
        (name,) = hand.execute("SELECT run FROM runs WHERE id = ?", (id >> 32,)).fetchone()
        hand.execute(
            "UPDATE events SET body = ?, crc = ? WHERE id = ?", (new, of_row(Row(name, 3, time, kind, new)), id)
        )

    return tamper


def does(*statements: str) -> Callable[[sqlite3.Connection], None]:
    def tamper(hand: sqlite3.Connection) -> None:
        for statement in statements:
            hand.execute(statement)

    return tamper


def torn_page(path: Path) -> None:
    """A page in the middle of the file as a disk may leave it."""
    with path.open("r+b") as file:
        file.seek(4096 * 4)
        file.write(b"\xff" * 4096)


FIRST_RUN = "(SELECT id FROM runs WHERE run = 'r')"
ONE_ANSWER = "(SELECT json_extract(body, '$.head') FROM events WHERE kind = 'call_finished' ORDER BY id LIMIT 1)"


@pytest.mark.parametrize(
    ("tamper", "where", "what"),
    [
        (
            does(f"UPDATE events SET body = replace(body, '\"', ' ') WHERE id = {FIRST_RUN} << 32 | 2"),
            "run r",
            "event 2 of run r is not what was written",
        ),
        (does(f"DELETE FROM events WHERE id = {FIRST_RUN} << 32 | 4"), "run r", "event 4 is missing"),
        (does(f"DELETE FROM events WHERE id = {FIRST_RUN} << 32"), "run r", "event 0 is missing"),
        (body(kind=7), "run r", "event 3 cannot be read"),
        (body(seq=9), "run r", "event 3 says that it is event 9 of run r"),
        (body(run="other"), "run r", "event 3 says that it is event 3 of run other"),
        (
            does(f"DELETE FROM blobs WHERE hex(digest) = upper({ONE_ANSWER})"),
            "run r, event ",
            "that it names is not there",
        ),
        (
            does(f"UPDATE blobs SET content = x'5b5d', crc = NULL WHERE hex(digest) = upper({ONE_ANSWER})"),
            "run r, event ",
            "that it names is not what was written",
        ),
        (does("UPDATE blobs SET content = x'00'"), "store", "is not what was written"),
        (does("DELETE FROM blobs WHERE length(digest) = 32"), "document ", "that it names is not there"),
        (
            does("UPDATE documents SET body = '[]', crc = NULL WHERE collection = 'owners'"),
            "document ",
            "cannot be read",
        ),
        (
            does("UPDATE documents SET body = '[]', crc = NULL WHERE collection LIKE 'inbox%'"),
            "document ",
            "not an item",
        ),
        (
            does("UPDATE documents SET version = 77 WHERE collection = 'shared.state'"),
            "store",
            "is not what was written",
        ),
        (
            does("DELETE FROM events WHERE id >> 32 = (SELECT id FROM runs WHERE run = 'parent')"),
            "run child",
            "it is a fork of run parent, which is not there",
        ),
        (does("DELETE FROM runs WHERE run = 'parent'"), "store", "which is not there"),
    ],
)
async def test_what_was_changed_is_named(tamper: Any, where: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "outlay.db"
    async with open_store(path) as store:
        await filled(store)
    hand = sqlite3.connect(path)
    tamper(hand)
    hand.commit()
    hand.close()
    async with open_store(path) as store:
        health = await examine(store)
    found = [trouble for trouble in health.troubles if trouble.where.startswith(where) and what in trouble.what]
    assert found, health.troubles


async def test_a_torn_page_is_named(tmp_path: Path) -> None:
    path = tmp_path / "outlay.db"
    async with open_store(path) as store:
        await filled(store)
    torn_page(path)
    async with open_store(path) as store:
        faults = await store.faults()
    assert faults
    assert any("SQLite" in fault or "cannot be read" in fault for fault in faults)
