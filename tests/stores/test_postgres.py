"""What is particular to the store in PostgreSQL: opening, failing, sharing. The rest is in the tests of all stores."""

import asyncio
import os
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from outlay import Agent, run
from outlay.errors import ConfigError, OutlayError, StoreFailed
from outlay.protocols.store import Fence
from outlay.stores import open_store, postgres_tables, store_at
from outlay.stores.postgres import PostgresStore
from outlay.testing import ScriptedModel
from postgres_server import PostgresServer
from stores.rows import put, row, stored_at


@contextmanager
def held(address: str, table: str = "outlay_events") -> Iterator[psycopg.Connection]:
    """A table, locked by somebody else for a while: whoever writes to it waits."""
    with psycopg.connect(address) as other:
        other.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE".encode())
        yield other
        other.rollback()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110  what is waited for is in another process
            await asyncio.sleep(0.005)


def waiting_for_a_lock(other: psycopg.Connection) -> list[int]:
    """The processes of the server that wait for what `other` holds."""
    query = "SELECT pid FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    return [pid for (pid,) in other.execute(query).fetchall()]


def test_the_store_shows_neither_password_nor_settings(postgres: str):
    store = store_at(postgres.replace("outlay@", "outlay:topsecret@"))
    assert repr(store) == "PostgresStore('postgresql://outlay@/postgres')"
    asyncio.run(store.close())


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:topsecret@127.0.0.1:1/runs",
        "postgresql://me@127.0.0.1:1/runs?password=topsecret",
        "postgresql://me:topsecret@127.0.0.1:none/runs",
        "postgresql://me:topsecret@[127.0.0.1/runs",
        "postgresql://me:topsecret/x@127.0.0.1/runs",
        "postgresql://me@127.0.0.1/runs?topsecret",
        "postgresql://me:top%secret@127.0.0.1/runs",
    ],
)
def test_a_password_is_in_no_error(address: str):
    """Neither in what is said nor in what caused it, whatever is wrong with the address."""
    with pytest.raises(ConfigError, match="next: ") as caught:
        store_at(address)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_a_server_that_is_not_there_is_a_config_error():
    with pytest.raises(ConfigError, match=r"127.0.0.1:1/runs: there is no connection.*\n.*see that the server runs"):
        store_at("postgresql://127.0.0.1:1/runs")


def test_without_psycopg_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in sys.modules if name.startswith("outlay.stores.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match=r"needs psycopg.*\n.*pip install 'outlay\[postgres\]'"):
        store_at("postgresql://me:topsecret@localhost/runs")


def test_a_missing_database_is_a_config_error(postgres_server: PostgresServer):
    with pytest.raises(ConfigError, match=r"\"nowhere\" does not exist\)\n.*see that .* database"):
        store_at(postgres_server.url("nowhere"))


def test_a_read_only_server_is_refused(postgres: str):
    with pytest.raises(ConfigError, match=r"is read-only\n.*name the primary"):
        store_at(f"{postgres}%20-cdefault_transaction_read_only%3Don")


def test_a_database_that_cannot_keep_all_text_is_refused(postgres_server: PostgresServer):
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE plain ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'")
    with pytest.raises(ConfigError, match=r"has the encoding SQL_ASCII\n.*ENCODING 'UTF8'"):
        store_at(postgres_server.url("plain"))


def test_a_user_without_rights_is_told_which(postgres_server: PostgresServer, postgres: str):
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute("CREATE ROLE nobody_in_particular LOGIN")
    with pytest.raises(ConfigError, match=r"its user lacks a right .*\n.*grant it CREATE"):
        store_at(postgres.replace("outlay@", "nobody_in_particular@"))


def test_a_newer_schema_is_refused(postgres: str):
    asyncio.run(store_at(postgres).close())
    with psycopg.connect(postgres) as connection:
        connection.execute("UPDATE outlay_meta SET value = '3' WHERE name = 'schema'")
    with pytest.raises(ConfigError, match=r"has schema 3, this Outlay reads up to 2\n.*update Outlay"):
        store_at(postgres)


async def test_many_may_make_the_tables_at_once(postgres: str):
    stores = await asyncio.gather(*[asyncio.to_thread(store_at, postgres) for _ in range(8)])
    for n, store in enumerate(stores):
        assert await store.commit([put("k", b"")]) == (n + 1,)
        await store.close()


async def test_a_server_without_durable_commits_asks_for_summary_them(postgres: str):
    """Whatever is its default: what was flushed must survive a power cut."""
    async with open_store(f"{postgres}%20-csynchronous_commit%3Doff") as store:
        assert isinstance(store, PostgresStore)
        with store._address.open() as connection:
            assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)


async def test_a_server_that_isolates_more_than_is_needed_fails_nobody(postgres: str):
    """Under its default, who waits for another's commit would get an error instead of what that one wrote."""
    strict = f"{postgres}%20-cdefault_transaction_isolation%3Dserializable"
    first, second = await asyncio.gather(*[asyncio.to_thread(store_at, strict) for _ in range(2)])
    for n in range(50):
        versions = await asyncio.gather(first.commit([put("k", b"")]), second.commit([put("k", b"")]))
        assert sorted(versions) == [(2 * n + 1,), (2 * n + 2,)]
    await first.close()
    await second.close()


async def test_a_run_takes_the_address(postgres: str):
    result = await run(Agent("reply", ScriptedModel(["done"])), "hello", store=postgres)
    assert result.output == "done"
    assert stored_at(postgres) == {result.run_id: list(range(len(result.events)))}


async def test_the_loop_does_not_wait_for_a_connection():
    """A server that takes the connection and says nothing."""
    ticks = 0
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]

        async def opened() -> None:
            async with open_store(f"postgresql://127.0.0.1:{port}/runs"):
                pass

        opening = asyncio.create_task(opened())
        while ticks < 20:
            await asyncio.sleep(0.001)
            ticks += 1
        assert not opening.done()
        deaf.accept()[0].close()
    with pytest.raises(ConfigError, match="there is no connection"):
        await opening


async def test_the_loop_does_not_wait_for_a_commit(postgres: str):
    async with open_store(postgres) as store:
        with held(postgres) as other:
            store.append([row("a", 0)])
            flushed = asyncio.create_task(store.flush())
            await until(lambda: bool(waiting_for_a_lock(other)))
            for _ in range(20):
                await asyncio.sleep(0.001)
            assert not flushed.done()
        await flushed


async def test_a_lost_connection_fails_every_waiter_and_every_later_call(postgres: str):
    """In the middle of a transaction, flushes and commits alike. Reading goes on, and so does a new store."""
    store = store_at(postgres)
    store.append([row("a", 0)])
    await store.flush()
    message = r"cannot write to the store postgresql://outlay@/postgres: there is no connection .*\n.*next: see"
    with held(postgres) as other:
        store.append([row("a", 1)])
        flushes = [asyncio.create_task(store.flush()) for _ in range(10)]
        await until(lambda: bool(waiting_for_a_lock(other)))
        flushes.append(asyncio.create_task(store.flush()))
        commits = [asyncio.create_task(store.commit([put("k", b"")])) for _ in range(5)]
        await asyncio.sleep(0)
        other.execute("SELECT pg_terminate_backend(%s)", waiting_for_a_lock(other))
        results = await asyncio.gather(*flushes, *commits, return_exceptions=True)
    assert {type(result) for result in results} == {StoreFailed}
    assert len({id(result) for result in results}) == 16
    with pytest.raises(StoreFailed, match=message):
        store.append([row("a", 2)])
    with pytest.raises(StoreFailed, match=message):
        store.keep([(b"1", b"one")])
    with pytest.raises(StoreFailed, match=message):
        await store.flush()
    with pytest.raises(StoreFailed, match=message):
        await store.room()
    with pytest.raises(StoreFailed, match=message):
        await store.commit([put("k", b"")])
    assert await store.events("a") == [row("a", 0)]
    assert await store.list("c") == []
    async with open_store(postgres) as again:
        again.append([row("a", 1)])
        await again.flush()
    with pytest.raises(StoreFailed):
        await store.close()
    await store.close()


async def test_reading_outlives_its_connection(postgres: str):
    async with open_store(postgres) as store:
        await store.commit([put("k", b"1")])
        with psycopg.connect(postgres, autocommit=True) as other:
            for _ in range(3):
                assert await store.read("c", "k") is not None
                other.execute("""
                    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                    WHERE application_name = 'outlay' AND query LIKE '%body IS NOT NULL%' AND pid <> pg_backend_pid()
                """)


async def test_a_server_that_crashes_keeps_what_it_acknowledged():
    """A server of its own, gone in the middle of commits, three times: no acknowledged row or document is lost."""
    server = PostgresServer()
    acknowledged: dict[str, int] = {}
    try:
        address = server.url()
        for n in range(3):
            store = store_at(address)

            async def work(name: str, store=store) -> None:
                seq = 0
                while True:
                    store.append([row(name, seq), row(name, seq + 1)])
                    await store.flush(name)
                    acknowledged[name] = seq + 1
                    await store.commit([put(name, b"%d" % seq)])
                    seq += 2

            tasks = [asyncio.create_task(work(f"{n}.{i}")) for i in range(10)]
            await until(lambda n=n: acknowledged.get(f"{n}.9", 0) > 20)
            await asyncio.to_thread(server.crash)
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(result) for result in results} == {StoreFailed}
            with pytest.raises(ConfigError, match="there is no connection"):
                await store.events()
            await asyncio.to_thread(server.start)
            found = {name: [r.seq for r in await store.events(name)] for name in acknowledged}
            with pytest.raises(StoreFailed):
                await store.close()
            documents = {d.key: int(d.body) for d in await _documents(address)}
            for name, seq in acknowledged.items():
                assert found[name] == list(range(len(found[name])))
                assert len(found[name]) > seq
                assert documents[name] >= seq - 3
        assert len(acknowledged) == 30
    finally:
        await asyncio.to_thread(server.close)


async def _documents(address: str):
    async with open_store(address) as store:
        return await store.list("c")


async def test_a_row_that_is_held_for_too_long_is_an_error_with_a_next_step(
    postgres: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(postgres_tables, "BUSY_SECONDS", 0.05)
    store = store_at(postgres)
    with held(postgres):
        store.append([row("a", 0)])
        with pytest.raises(OutlayError, match=r"another process holds it .*\n.*next: end the transaction"):
            await store.flush()
    with pytest.raises(StoreFailed):
        await store.close()


async def test_writers_that_meet_in_opposite_order_do_not_block_each_other(postgres: str):
    """New and old documents, new runs and contents, named forwards by one and backwards by the other."""
    first, second = store_at(postgres), store_at(postgres)
    for n in range(30):
        names = [f"{n // 3}/{i}" for i in range(20)]
        for store, order in ((first, names), (second, names[::-1])):
            store.append([row(name, 2 * n + (store is first)) for name in order])
            store.keep([(name.encode(), b"") for name in order])
        await asyncio.gather(
            first.commit([put(name, b"") for name in names]), second.commit([put(name, b"") for name in names[::-1]])
        )
    await first.close()
    await second.close()
    assert {len(seqs) for seqs in stored_at(postgres).values()} == {6}


async def test_a_refused_commit_leaves_nothing_behind(postgres: str):
    """Not even the rows that it locked."""
    async with open_store(postgres) as store:
        results = await asyncio.gather(
            store.commit([put("a", b"", 0), put("b", b"", 1)]), store.commit([put("d", None)]), return_exceptions=True
        )
        assert isinstance(results[0], OutlayError)
        with psycopg.connect(postgres) as connection:
            assert connection.execute("SELECT count(*) FROM outlay_documents").fetchone() == (0,)


async def test_a_new_owner_waits_for_rows_that_are_being_written(postgres: str):
    """Between the look at a fence and the commit of the rows nobody can raise it."""
    owner, heir = store_at(postgres), store_at(postgres)
    (version,) = await owner.commit([put("a", b"", collection="leases")])
    fence = Fence("leases", "a", version)
    owner.append([row("a", 0)], fence)
    await owner.flush()
    with held(postgres) as other:
        owner.append([row("a", 1)], fence)
        flushed = asyncio.create_task(owner.flush())
        await until(lambda: len(waiting_for_a_lock(other)) == 1)
        raised = asyncio.create_task(heir.commit([put("a", b"", version, collection="leases")]))
        await asyncio.sleep(0.05)
        assert not raised.done()
    await flushed
    await raised
    assert stored_at(postgres) == {"a": [0, 1]}
    await owner.close()
    await heir.close()


async def test_a_store_shares_a_schema_with_other_tables(postgres: str):
    with psycopg.connect(postgres) as connection:
        connection.execute("CREATE TABLE events (id INT)")
    async with open_store(postgres) as store:
        store.append([row("a", 0)])
        await store.flush()
    assert stored_at(postgres) == {"a": [0]}


async def test_any_number_of_loops_may_use_it(postgres: str):
    async with open_store(postgres) as store:

        async def work(name: str) -> None:
            store.append([row(name, 0)])
            await store.flush(name)

        threads = [threading.Thread(target=lambda i=i: asyncio.run(work(str(i)))) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        assert len(await store.events()) == 4


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Python 3.12 warns of forks beside threads
def test_a_store_of_the_parent_process_is_refused_after_a_fork(postgres: str):
    """For reading too: two processes on one connection would get each other's answers."""
    store = store_at(postgres)
    store.append([row("a", 0)])
    assert len(asyncio.run(store.events())) <= 1
    child = os.fork()
    if child == 0:
        refused = 0
        for use in (lambda: store.append([row("a", 1)]), lambda: asyncio.run(store.events())):
            try:
                use()
            except ConfigError as error:
                refused += "open it in each process" in str(error)
        os._exit(2 - refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    asyncio.run(store.close())
    assert stored_at(postgres) == {"a": [0]}
