"""What is particular to the store in a file: group commit, waiting, failing, sharing."""

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from outlay import sqlite
from outlay.errors import ConfigError, OutlayError, StoreFailed
from outlay.stores import database, open_store, store_at
from outlay.stores.sqlite import SqliteStore
from stores.rows import row, stored


@contextmanager
def held(path: Path) -> Iterator[None]:
    """The file's write lock, in somebody else's hands for a while."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def test_rows_that_nobody_waits_for_are_written_soon(path: Path):
    store = store_at(path)
    store.append([row("a", 0)])
    end = time.monotonic() + 5
    while not stored(path):
        assert time.monotonic() < end
        time.sleep(0.005)
    asyncio.run(store.close())


async def test_waiters_share_commits_and_wake_the_loop_once_each(path: Path, monkeypatch: pytest.MonkeyPatch):
    """200 flushes that wait for one slow commit need one more, and two wake-ups."""
    async with open_store(path) as store:
        loop = asyncio.get_running_loop()
        wakes: list[object] = []
        wake = loop.call_soon_threadsafe

        def counted(callback, *args, context=None):
            wakes.append(callback)
            return wake(callback, *args, context=context)

        with held(path):
            store.append([row("slow", 0)])
            slow = asyncio.create_task(store.flush())
            await asyncio.sleep(0.05)
            monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
            store.append([row("a", i) for i in range(200)])
            waiters = [asyncio.create_task(store.flush()) for _ in range(200)]
            await asyncio.sleep(0)
            assert not any(task.done() for task in [slow, *waiters])
        await asyncio.gather(slow, *waiters)
        monkeypatch.undo()
    assert len(wakes) == 2


async def test_the_loop_goes_on_while_the_file_is_held(path: Path):
    async with open_store(path) as store:
        with held(path):
            store.append([row("a", 0)])
            flushed = asyncio.create_task(store.flush())
            for _ in range(10):
                await asyncio.sleep(0.001)
            assert not flushed.done()
        await flushed


async def test_above_the_high_water_mark_room_waits_for_the_writer(path: Path):
    """10 KB in the queue against a mark of 5 KB: nothing new starts until they are written."""
    store = SqliteStore(path, high_water=5_000)
    with held(path):
        await store.room()
        store.append([row("a", i, body=b"x" * 1_000) for i in range(10)])
        waiting = asyncio.create_task(store.room())
        await asyncio.sleep(0.03)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 5)
    await store.room()
    assert len(stored(path)["a"]) == 10
    await store.close()


async def test_several_loops_share_a_store(path: Path):
    async with open_store(path) as store:

        async def work(run: str) -> None:
            for i in range(20):
                store.append([row(run, i)])
                await store.flush()

        threads = [threading.Thread(target=lambda n=n: asyncio.run(work(f"loop{n}"))) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
    assert stored(path) == {f"loop{n}": list(range(20)) for n in range(4)}


async def test_a_loop_that_is_gone_does_not_stop_the_others(path: Path):
    async with open_store(path) as store:
        with held(path):

            async def leave() -> None:
                store.append([row("gone", 0)])
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(store.flush(), 0.02)

            thread = threading.Thread(target=lambda: asyncio.run(leave()))
            thread.start()
            await asyncio.to_thread(thread.join)
        store.append([row("here", 0)])
        await store.flush()
    assert set(stored(path)) == {"gone", "here"}


async def test_a_full_disk_fails_every_waiter_and_every_later_call(path: Path, monkeypatch: pytest.MonkeyPatch):
    """SQLite's own SQLITE_FULL, from a cap on the file's pages. What was acknowledged before is there afterwards."""
    connect = database.connect

    def small(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute("PRAGMA max_page_count = 60")
        return connection

    monkeypatch.setattr(database, "connect", small)
    store = store_at(path)
    acknowledged: list[int] = []
    message = r"cannot write to the store .*outlay\.db: the disk is full .*\n.*next: free some space and resume"
    with pytest.raises(StoreFailed, match=message):  # noqa: PT012
        for i in range(1_000):
            store.append([row("a", i, body=b"x" * 1_000)])
            await store.flush()
            acknowledged.append(i)
    assert 50 < len(acknowledged) < 300
    with pytest.raises(StoreFailed, match=message):
        store.append([row("a", 1_000)])
    with pytest.raises(StoreFailed, match=message):
        store.keep([(b"1", b"one")])
    with pytest.raises(StoreFailed, match=message):
        await store.flush()
    with pytest.raises(StoreFailed, match=message):
        await store.room()
    assert len(await store.events("a")) == len(acknowledged)
    with pytest.raises(StoreFailed, match=message):
        await store.close()
    await store.close()
    assert stored(path) == {"a": acknowledged}


async def test_all_waiters_of_a_failed_commit_are_told(path: Path):
    """The file is removed under the store: SQLite itself would go on writing into nowhere."""
    store = store_at(path)
    path.unlink()  # noqa: ASYNC240
    store.append([row("a", 0)])
    results = await asyncio.gather(*[store.flush() for _ in range(20)], store.room(), return_exceptions=True)
    failures = results[:20]
    assert all(isinstance(error, StoreFailed) for error in failures)
    assert all("removed or replaced" in str(error) and str(path) in str(error) for error in failures)
    assert len({id(error) for error in failures}) == 20
    with pytest.raises(StoreFailed):
        await store.close()


async def test_a_file_that_is_held_for_too_long_is_an_error_with_a_next_step(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    store = store_at(path)
    with held(path):
        store.append([row("a", 0)])
        with pytest.raises(OutlayError, match=r"another process holds it .*\n.*next: end the process"):
            await store.flush()
    with pytest.raises(StoreFailed):
        await store.close()


async def test_two_stores_that_continue_one_run_are_told_apart(path: Path):
    """Whoever is second gets the conflict; the first goes on."""
    first, second = store_at(path), store_at(path)
    for store in (first, second):
        store.append([row("a", 0), row(repr(id(store)), 0)])
        await asyncio.gather(store.flush(), return_exceptions=True)
    first.append([row("a", 1)])
    await first.flush()
    with pytest.raises(OutlayError, match="run a was continued by somebody else"):
        second.append([row("a", 1)])
    await second.flush(repr(id(second)))
    await first.close()
    await second.close()
    assert stored(path)["a"] == [0, 1]
    assert len(stored(path)) == 3


async def test_a_place_outside_its_range_is_refused_where_it_is_given(path: Path):
    async with open_store(path) as store:
        for seq in (-1, 2**32):
            with pytest.raises(ValueError, match="seq must be from 0"):
                store.append([row("a", seq)])
        store.append([row("a", 2**32 - 1)])
        await store.flush()
        assert [r.seq for r in await store.events("a")] == [2**32 - 1]


async def test_a_closed_store_is_one_file(path: Path):
    """Nothing is left beside it that a copy would have to take along."""
    async with open_store(path) as store:
        store.append([row("a", 0)])
        await store.flush()
        await store.events()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Python 3.12 warns of forks beside threads
def test_a_store_of_the_parent_process_is_refused_after_a_fork(path: Path):
    store = store_at(path)
    store.append([row("a", 0)])
    child = os.fork()
    if child == 0:
        try:
            store.append([row("a", 1)])
        except ConfigError as error:
            os._exit(0 if "open it in each process" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    asyncio.run(store.close())
    assert stored(path) == {"a": [0]}
