"""What every store does for retention: deleting runs, and contents that nobody is about to name."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from outlay.protocols.documents import Document
from outlay.protocols.store import Store
from outlay.protocols.upkeep import TOUCH_SECONDS, Span
from outlay.stores import MemoryStore, database
from outlay.stores.sqlite import SqliteStore
from stores.rows import put, row


class Clock:
    """A clock in the test's hands."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[Store]:
    found: Store
    if request.param == "memory":
        found = MemoryStore(clock=clock)
    elif request.param == "sqlite":
        found = SqliteStore(tmp_path / "outlay.db", clock=clock)
    else:
        from outlay.stores.postgres import PostgresStore

        found = PostgresStore(request.getfixturevalue("postgres"), clock=clock)
    yield found
    await found.close()


async def test_it_lists_its_runs_by_start_with_their_size(store: Store):
    store.append([row("z", 0, body=b"12"), row("a", 0, time=9.5, body=b"123"), row("z", 1, time=4.0, body=b"1")])
    await store.flush()
    assert await store.runs() == [Span("z", 2, 1, 4.0, 3), Span("a", 1, 0, 9.5, 3)]


@pytest.mark.parametrize("most", [1, 2, 3, 100])
async def test_all_events_can_be_read_in_pages(store: Store, most: int):
    """Of any size, each event once, a run's together and in order, whatever order they were written in."""
    store.append([row("z", 0), row("a", 0), row("z", 1), row("a", 1), row("b", 0), row("z", 2)])
    await store.flush()
    assert await _paged(store, most) == [("z", 0), ("z", 1), ("z", 2), ("a", 0), ("a", 1), ("b", 0)]


async def test_pages_have_the_kinds_and_the_time_that_are_asked_for(store: Store):
    rows = [row("a", 0, time=1.0), row("a", 1, time=5.0), row("b", 0, kind="drawn", time=5.0), row("c", 0, time=4.0)]
    store.append(rows)
    await store.flush()
    assert await _paged(store, 1, ("fact",), since=4.0) == [("a", 1), ("c", 0)]
    assert await _paged(store, 1, ("asked",)) == []


async def test_a_forgotten_run_is_in_no_page(store: Store):
    store.append([row("a", 0), row("b", 0), row("c", 0)])
    await store.flush()
    await store.forget({"b": 0})
    assert await _paged(store, 1) == [("a", 0), ("c", 0)]


async def _paged(store: Store, most: int, kinds: tuple[str, ...] = (), since: float = 0.0) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    after: int | None = 0
    while after is not None:
        page = await store.page(after, kinds, since=since, most=most)
        assert len(page.rows) <= most
        found += [(one.run, one.seq) for one in page.rows]
        after = page.next
    return found


async def test_a_forgotten_run_is_gone_and_its_neighbours_stay(store: Store):
    store.append([row("a", 0), row("b", 0), row("a", 1), row("c", 0)])
    await store.flush()
    assert await store.forget({"a": 1, "c": 0}) == ["a", "c"]
    assert [(r.run, r.seq) for r in await store.events()] == [("b", 0)]
    assert [span.run for span in await store.runs()] == ["b"]


async def test_a_run_that_has_gone_on_is_not_forgotten(store: Store):
    """Who decided to delete it had not seen its last event."""
    store.append([row("a", 0), row("a", 1)])
    await store.flush()
    store.append([row("a", 2)])
    assert await store.forget({"a": 1, "unknown": 0}) == []
    assert len(await store.events("a")) == 3


async def test_a_forgotten_run_can_begin_again(store: Store):
    """Also in a process that remembers it."""
    store.append([row("a", 0, body=b"first"), row("a", 1)])
    await store.flush()
    assert await store.forget({"a": 1}) == ["a"]
    store.append([row("a", 0, body=b"second")])
    await store.flush("a")
    assert [r.body for r in await store.events("a")] == [b"second"]


async def test_contents_that_were_kept_before_a_time_are_swept(store: Store, clock: Clock):
    store.keep([(b"1", b"one"), (b"2", b"two"), (b"3", b"three")])
    await store.flush()
    assert await store.sweep([b"1", b"2", b"nothing"], clock.now + 1) == 2
    assert await store.digests() == [b"3"]
    assert await store.sweep([b"3"], clock.now) == 0


async def test_an_old_content_that_is_kept_again_is_not_swept(store: Store, clock: Clock):
    """The counter-example to a sweep by what is named: a new run keeps what is there already (nothing is written),
    a sweep that looked before that finds it named nowhere, and the new run's event comes after the sweep."""
    store.keep([(b"shared", b"text"), (b"other", b"text")])
    await store.flush()
    clock.now += 10 * TOUCH_SECONDS
    looked_at = clock.now - 1
    store.keep([(b"shared", b"text")])
    await store.flush()
    assert await store.sweep([b"shared", b"other"], looked_at) == 1
    store.append([row("new", 0, body=b"names it")])
    await store.flush()
    assert await store.blobs([b"shared", b"other"]) == {b"shared": b"text"}


async def test_a_content_that_was_swept_can_be_kept_again(store: Store, clock: Clock):
    store.keep([(b"1", b"one")])
    await store.flush()
    await store.sweep([b"1"], clock.now + 1)
    store.keep([(b"1", b"one")])
    await store.flush()
    assert await store.blobs([b"1"]) == {b"1": b"one"}


async def test_documents_of_all_collections(store: Store):
    await store.commit([put("k", b"2", collection="d"), put("z", b"1"), put("a", b"0"), put("gone", b"x")])
    await store.commit([put("gone", None)])
    assert await store.documents() == [
        Document("c", "a", 1, b"0"),
        Document("c", "z", 1, b"1"),
        Document("d", "k", 1, b"2"),
    ]


async def test_a_store_that_nobody_touched_has_no_faults_and_can_be_compacted(store: Store):
    store.append([row("a", seq, body=b"x" * 2_000) for seq in range(300)])
    store.keep([(b"1", b"one")])
    await store.commit([put("k", b"1")])
    assert await store.faults() == []
    await store.forget({"a": 299})
    assert await store.compact() >= 0
    assert await store.faults() == []
    store.append([row("b", 0)])
    await store.flush()


async def test_compacting_gives_the_space_of_a_file_back(tmp_path: Path):
    path = tmp_path / "outlay.db"
    store = SqliteStore(path)
    store.append([row("a", seq, body=b"x" * 2_000) for seq in range(500)])
    await store.flush()
    await store.forget({"a": 499})
    freed = await store.compact()
    assert freed > 500_000 or path.stat().st_size < 100_000  # the rest was still in the log
    assert path.stat().st_size < 100_000
    await store.close()


async def test_every_fault_of_a_file_is_named(tmp_path: Path):
    path = tmp_path / "outlay.db"
    store = SqliteStore(path)
    store.append([row("a", seq) for seq in range(3)])
    store.keep([(b"\x01", b"one")])
    await store.commit([put("k", b"1")])
    await store.close()
    with sqlite3.connect(path) as hand:
        hand.execute("UPDATE events SET body = x'7b7d7d' WHERE seq = 1")
        hand.execute("UPDATE events SET time = 7 WHERE seq = 2")
        hand.execute("UPDATE blobs SET content = x'00'")
        hand.execute("UPDATE documents SET version = 9")
        hand.execute("INSERT INTO events (id, time, kind, body) VALUES ((99 << 32) | 4, 0, 'x', x'')")
    hand.close()
    store = SqliteStore(path)
    assert await store.faults() == [
        "event 1 of run a is not what was written",
        "event 2 of run a is not what was written",
        "event 4 belongs to run number 99, which is not there",
        "the content 01 is not what was written",
        "the document 'k' of 'c' is not what was written",
    ]
    await store.close()


async def test_a_file_of_an_older_schema_protects_what_is_kept_from_now_on(tmp_path: Path):
    """Contents from before there were times count as old until they are kept again."""
    path = tmp_path / "outlay.db"
    old = sqlite3.connect(path)
    for step in database.STEPS[:3]:
        old.executescript(step)
    old.execute("INSERT INTO blobs (digest, content) VALUES (x'01', x'01'), (x'02', x'02')")
    old.commit()
    old.close()
    store = SqliteStore(path)
    store.keep([(b"\x01", b"\x01")])
    assert await store.sweep([b"\x01", b"\x02"], 1_000.0) == 1
    assert await store.digests() == [b"\x01"]
    await store.close()
