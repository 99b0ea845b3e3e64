"""State: versions, conflicts, and what happens exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from outlay.errors import ConfigError, Conflict
from outlay.protocols.documents import Change
from outlay.protocols.store import Store
from outlay.sharing import Entry, Outbox, Outgoing, State
from outlay.sharing.actor import Outside, Work
from outlay.stores import MemoryStore


@pytest.fixture
def team(store: Store) -> State:
    return State(store, "team")


async def test_what_is_not_there_has_version_0(team: State):
    assert await team.get("stock") == Entry("stock", None, 0)


async def test_each_write_raises_the_version(team: State):
    first = await team.set("stock", {"bolts": 3}, version=0)
    second = await team.set("stock", {"bolts": 2}, version=first.version)
    assert (first.version, second.version) == (1, 2)
    assert await team.get("stock") == second == Entry("stock", {"bolts": 2}, 2)


async def test_a_stale_write_is_a_conflict_with_both_values(team: State):
    """Nothing is changed, and the conflict holds all that a merge needs."""
    seen = await team.set("stock", 3, version=0)
    await team.set("stock", 2, version=seen.version)
    with pytest.raises(Conflict) as caught:
        await team.set("stock", {"mine": 4}, version=seen.version)
    conflict = caught.value
    assert (conflict.mine, conflict.theirs, conflict.version) == ({"mine": 4}, 2, 2)
    assert (await team.get("stock")).value == 2
    assert (await team.set("stock", 6, version=conflict.version)).version == 3


async def test_a_new_name_conflicts_with_one_that_is_there_and_an_old_one_with_one_that_is_gone(team: State):
    entry = await team.set("stock", 1, version=0)
    with pytest.raises(Conflict) as taken:
        await team.set("stock", 2, version=0)
    assert (taken.value.theirs, taken.value.version) == (1, 1)
    await team.delete("stock", version=entry.version)
    with pytest.raises(Conflict) as gone:
        await team.set("stock", 2, version=entry.version)
    assert (gone.value.theirs, gone.value.version) == (None, 0)


async def test_a_version_never_comes_twice(team: State):
    """Deleted and made again, a name is not what an old reader saw."""
    old = await team.set("stock", 1, version=0)
    await team.delete("stock", version=old.version)
    new = await team.set("stock", 1, version=0)
    assert new.version > old.version
    with pytest.raises(Conflict):
        await team.set("stock", 2, version=old.version)


async def test_last_writer_wins_when_asked_for_by_name(team: State):
    await team.set("stock", 1, version=0)
    assert (await team.overwrite("stock", 5)).version == 2
    assert (await team.get("stock")).value == 5


@pytest.mark.parametrize("version", [None, -1, True, 1.0, "1", Entry("stock", 1, 1)])
async def test_what_is_no_version_is_refused_with_the_ways_to_write(team: State, version: Any):
    with pytest.raises(ConfigError, match=r"version=entry\.version .* overwrite"):
        await team.set("stock", 1, version=version)


async def test_a_stale_delete_is_a_conflict(team: State):
    old = await team.set("stock", 1, version=0)
    await team.set("stock", 2, version=1)
    with pytest.raises(Conflict):
        await team.delete("stock", version=old.version)
    assert (await team.get("stock")).value == 2


async def test_updates_at_once_are_all_there(team: State):
    """Nobody's increment is lost, and everybody gets what they wrote."""
    got = await asyncio.gather(*(team.update("count", lambda n: n + 1, default=0) for _ in range(20)))
    assert sorted(entry.value for entry in got) == list(range(1, 21))
    assert (await team.get("count")).value == 20


async def test_an_update_that_forgets_to_return_is_refused(team: State):
    await team.set("seen", ["a"], version=0)
    with pytest.raises(ConfigError, match="returned None"):
        await team.update("seen", lambda seen: seen.append("b"))
    assert (await team.get("seen")).value == ["a"]


async def test_an_update_gives_up_after_its_attempts():
    """A writer that always comes between: the update ends with a reason."""

    class Busy(MemoryStore):
        async def commit(self, changes: Sequence[Change]) -> tuple[int, ...]:
            await super().commit([Change("shared.state", "team/count", b'{"value":"theirs"}', None)])
            return await super().commit(changes)

    with pytest.raises(Conflict, match="1000 times in a row") as caught:
        await State(Busy(), "team").update("count", lambda _: "mine", default="")
    assert (caught.value.theirs, caught.value.version) == ("theirs", 1_000)


async def test_a_default_is_not_changed(team: State):
    """Nor is it shared: each attempt begins with it as it was given."""
    none: list[str] = []
    for name in "ab":
        assert (await team.update(name, lambda seen: (seen.append("x"), seen)[1], default=none)).value == ["x"]
    assert none == []


async def test_names_are_listed_by_prefix_in_order(team: State, store: Store):
    for name in ("b", "a/2", "a/10", "a b"):
        await team.overwrite(name, name)
    await State(store, "other").overwrite("a/3", "not mine")
    assert [entry.name for entry in await team.list("a/")] == ["a/10", "a/2"]
    assert [entry.value for entry in await team.list()] == ["a b", "a/10", "a/2", "b"]


async def test_spaces_do_not_see_each_other(store: Store):
    """Shared spaces, and the spaces of runs: also where they have the same name."""
    shared, run = State(store, "a"), State.of_run(store, "a")
    await shared.overwrite("x", "shared")
    await run.overwrite("x", "run")
    assert (await shared.get("x")).value == "shared"
    assert (await run.space("a").get("x")).value == "shared"
    assert (await shared.space("b").get("x")).version == 0
    assert (await State.of_run(store, "a").get("x")).value == "run"


@pytest.mark.parametrize("name", ["", "a/b", "@a", "x" * 129, "a\n", "ä", None])
async def test_a_space_has_a_plain_name(store: Store, name: Any):
    with pytest.raises(ConfigError, match="space"):
        State(store, name)


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800", "x" * 513, "line\nbreak", "\u202eevil", None])
async def test_a_name_is_printable_text(team: State, name: Any):
    with pytest.raises(ConfigError, match="is not allowed"):
        await team.get(name)
    with pytest.raises(ConfigError, match="is not allowed"):
        await team.set(name, 1, version=0)


# ── a repeat of what was done ─────────────────────────────────────────────────────────────────────────────


class Again(Outside):
    """A run that was killed after its commit and goes on: every effect is asked for twice, under the same name."""

    def __init__(self) -> None:
        self.n = 0
        self.between: Any = None

    async def effect(self, name: str, arguments: Mapping[str, Any], work: Work) -> Any:
        self.n += 1
        once = f"run/{self.n}"
        await work(once)  # its answer is lost
        if self.between is not None:
            await self.between()
        return await work(once)


async def test_a_repeated_write_happens_once(store: Store):
    """An increment that may have happened is done again on resume: it counts once, and conflicts with nobody."""
    again, team = Again(), State(store, "team")
    mine = State(store, "team", actor=again)
    assert await mine.set("count", 1, version=0) == Entry("count", 1, 1)
    assert await mine.update("count", lambda n: n + 1) == Entry("count", 2, 2)
    assert await mine.overwrite("count", 7) == Entry("count", 7, 3)
    await mine.delete("count", version=3)
    assert await team.get("count") == Entry("count", None, 0)


async def test_a_repeated_update_gives_what_it_wrote_whatever_was_written_since(store: Store):
    again, team = Again(), State(store, "team")
    mine = State(store, "team", actor=again)
    await team.set("count", 5, version=0)
    again.between = lambda: team.update("count", lambda n: n * 100)
    assert await mine.update("count", lambda n: n + 1) == Entry("count", 6, 2)
    assert await team.get("count") == Entry("count", 600, 3)


async def test_a_repeated_append_has_one_record_and_its_position(store: Store):
    log = State(store, "team", actor=Again()).log("steps")
    assert [await log.append(step) for step in "abc"] == [0, 1, 2]
    assert [record.value for record in await log.read()] == ["a", "b", "c"]


async def test_a_repeated_write_sends_its_message_once(store: Store):
    mine = State(store, "team", actor=Again())
    await mine.overwrite("order", 1, outbox=[Outgoing("orders", {"n": 1})])
    assert [message.body for message in await Outbox(store).waiting()] == [{"n": 1}]


async def test_a_repeated_write_that_was_written_over_is_stale(store: Store):
    """Whoever wrote since is not written over: the version that the repeat gives is an old one."""
    again, team = Again(), State(store, "team")
    mine = State(store, "team", actor=again)
    again.between = lambda: team.overwrite("x", "theirs")
    entry = await mine.overwrite("x", "mine")
    again.between = None
    with pytest.raises(Conflict) as caught:
        await team.set("x", "mine again", version=entry.version)
    assert caught.value.theirs == "theirs"
