"""What every store does, whatever it keeps things in."""

import asyncio

import pytest

from outlay.errors import ConfigError, Conflict
from outlay.protocols.store import Store
from stores.rows import put, row


async def test_it_gives_back_what_was_flushed(store: Store):
    """Every field of a row comes back as it was, whatever bytes the body holds."""
    rows = [row("a", 0, kind="run_started", body=b'{"x":"\xc3\xa9"}'), row("a", 1, time=2.25, body=b"\x00\xff")]
    store.append(rows)
    await store.flush()
    assert await store.events("a") == rows


async def test_an_empty_store_has_no_events(store: Store):
    assert await store.events() == []
    assert await store.events("a") == []
    assert await store.blobs([b"digest"]) == {}


async def test_events_of_all_runs_come_by_run_start_then_by_place(store: Store):
    """Runs that interleave are told apart; the first to start comes first, not the first by name."""
    store.append([row("z", 0), row("a", 0), row("z", 1)])
    store.append([row("a", 1), row("z", 2)])
    await store.flush()
    assert [(r.run, r.seq) for r in await store.events()] == [("z", 0), ("z", 1), ("z", 2), ("a", 0), ("a", 1)]


async def test_events_can_be_asked_for_by_kind(store: Store):
    store.append([row("a", 0, kind="x"), row("a", 1, kind="y"), row("b", 0, kind="x"), row("b", 1, kind="z")])
    await store.flush()
    assert [(r.run, r.seq) for r in await store.events(kinds=["x", "z"])] == [("a", 0), ("b", 0), ("b", 1)]
    assert [(r.run, r.seq) for r in await store.events("b", ["x"])] == [("b", 0)]


async def test_a_run_whose_name_begins_like_another_is_another(store: Store):
    store.append([row("a", 0), row("a%", 0), row("A", 0), row("a ", 0)])
    await store.flush()
    assert [r.run for r in await store.events("a")] == ["a"]


async def test_contents_are_kept_once_by_digest(store: Store):
    """A digest names one content for good; a second one under it changes nothing."""
    store.keep([(b"1", b"one"), (b"2", b"two")])
    store.keep([(b"1", b"other")])
    await store.flush()
    assert await store.blobs([b"1", b"2", b"3"]) == {b"1": b"one", b"2": b"two"}


async def test_many_contents_can_be_asked_for_at_once(store: Store):
    contents = {b"%d" % i: b"content %d" % i for i in range(1_200)}
    store.keep(contents.items())
    await store.flush()
    assert await store.blobs(list(contents)) == contents


async def test_a_large_batch_keeps_its_order(store: Store):
    """More rows than one commit takes, of a run that starts late."""
    store.append([row("a", i) for i in range(2_000)])
    store.append([row("b", i) for i in range(3)])
    await store.flush()
    assert [(r.run, r.seq) for r in await store.events()] == [("a", i) for i in range(2_000)] + [
        ("b", i) for i in range(3)
    ]


async def test_flushes_at_once_all_return(store: Store):
    async def work(run: str) -> None:
        for i in range(10):
            store.append([row(run, i)])
            await store.flush(run)

    await asyncio.gather(*[work(f"run{i}") for i in range(50)])
    assert len(await store.events()) == 500


async def test_a_cancelled_flush_harms_nobody(store: Store):
    store.append([row("a", 0)])
    task = asyncio.create_task(store.flush())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await store.flush()
    assert len(await store.events("a")) == 1


async def test_a_taken_place_is_a_conflict_of_that_run_only(store: Store):
    """Two who continue one run: the second is told, nothing is written over, its neighbours go on."""
    store.append([row("a", 0, body=b"first")])
    await store.flush()
    store.append([row("b", 0), row("a", 0, body=b"second"), row("a", 1), row("b", 1)])
    await store.flush("b")
    with pytest.raises(Conflict, match="run a was continued by somebody else: event 0 is already"):
        await store.flush("a")
    with pytest.raises(Conflict):
        await store.flush()
    with pytest.raises(Conflict):
        store.append([row("a", 2)])
    store.append([row("b", 2)])
    await store.flush("b")
    first, *_ = await store.events("a")
    assert first.body == b"first"
    assert len(await store.events("b")) == 3


async def test_there_is_room_in_an_idle_store(store: Store):
    await asyncio.wait_for(store.room(), 1)


async def test_closing_twice_is_safe_and_use_after_it_is_a_config_error(store: Store):
    store.append([row("a", 0)])
    await store.close()
    await store.close()
    with pytest.raises(ConfigError, match=r"closed.*\n.*next: keep it open"):
        store.append([row("a", 1)])
    with pytest.raises(ConfigError, match="closed"):
        store.keep([(b"1", b"one")])
    with pytest.raises(ConfigError, match="closed"):
        await store.flush()
    with pytest.raises(ConfigError, match="closed"):
        await store.room()
    with pytest.raises(ConfigError, match="closed"):
        await store.events()
    with pytest.raises(ConfigError, match="closed"):
        await store.blobs([b"1"])
    with pytest.raises(ConfigError, match="closed"):
        await store.read("c", "k")
    with pytest.raises(ConfigError, match="closed"):
        await store.list("c")
    with pytest.raises(ConfigError, match="closed"):
        await store.commit([put("k", b"")])


async def test_the_same_place_twice_is_a_conflict_even_with_the_same_row(store: Store):
    same = row("a", 0)
    store.append([same])
    store.append([same])
    with pytest.raises(Conflict):
        await store.flush("a")
