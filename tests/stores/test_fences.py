"""A writer that is no longer the owner of its run cannot write, in any store."""

import asyncio

import pytest

from outlay.errors import Conflict
from outlay.protocols.store import Fence, Store
from outlay.stores import open_store, store_at
from stores.rows import put, row


async def lease(store: Store, run: str, expect: int | None = None) -> Fence:
    """Become the owner: what a runtime does by a document that every owner raises."""
    (version,) = await store.commit([put(run, b"", expect, collection="leases")])
    return Fence("leases", run, version)


async def places(store: Store, run: str) -> list[int]:
    return [found.seq for found in await store.events(run)]


async def test_the_owner_writes(store: Store):
    mine = await lease(store, "a")
    for seq in range(3):
        store.append([row("a", seq)], mine)
        await store.flush("a")
    store.append([row("a", 3)], Fence(mine.collection, mine.key, mine.version))
    await store.flush()
    assert await places(store, "a") == [0, 1, 2, 3]


async def test_a_paused_owner_that_wakes_up_cannot_write(store: Store):
    """And is told so as with a taken place: at the flush, and at every later append."""
    mine = await lease(store, "a")
    store.append([row("a", 0)], mine)
    await store.flush("a")
    await lease(store, "a")
    with pytest.raises(Conflict, match=r"run a was taken over by somebody else.*version 1\n.*let the other") as caught:  # noqa: PT012
        store.append([row("a", 1), row("a", 2)], mine)
        await store.flush("a")
    assert caught.value.mine == mine
    with pytest.raises(Conflict, match="run a was taken over"):
        store.append([row("a", 3)], mine)
    with pytest.raises(Conflict):
        store.append([row("a", 3)])
    with pytest.raises(Conflict):
        await store.flush()
    assert await places(store, "a") == [0]


async def test_a_lost_fence_is_that_runs_only(store: Store):
    """Runs with and without fences in one batch: those that hold go on, and so do the contents and commits."""
    old, good = await lease(store, "a"), await lease(store, "b")
    await lease(store, "a")
    store.append([row("a", seq) for seq in range(5)], old)
    for seq in range(5):
        store.append([row("b", seq)], good)
        store.append([row("c", seq)])
    store.keep([(b"1", b"one")])
    versions, *flushes = await asyncio.gather(
        store.commit([put("k", b"")]), *[store.flush(run) for run in "abc"], return_exceptions=True
    )
    assert versions == (1,)
    assert [type(result) for result in flushes] == [Conflict, type(None), type(None)]
    assert [await places(store, run) for run in "abc"] == [[], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
    assert await store.blobs([b"1"]) == {b"1": b"one"}


async def test_one_fence_may_guard_several_runs(store: Store):
    old = await lease(store, "family")
    store.append([row("a", 0), row("b", 0)], old)
    await store.flush()
    await lease(store, "family")
    store.append([row("a", 1), row("b", 1)], old)
    for run in "ab":
        with pytest.raises(Conflict):
            await store.flush(run)
    assert await places(store, "a") == await places(store, "b") == [0]


@pytest.mark.parametrize("version", [0, 1, 2])
async def test_a_fence_without_a_document_never_holds(store: Store, version: int):
    """Neither on what never was nor on what was deleted."""
    for run in ("never", "deleted"):
        if run == "deleted":
            await lease(store, run)
            await store.commit([put(run, None, collection="leases")])
        store.append([row(run, 0)], Fence("leases", run, version))
        with pytest.raises(Conflict):
            await store.flush(run)
    assert await store.events() == []


async def test_an_old_fence_does_not_fit_a_document_that_was_made_anew(store: Store):
    old = await lease(store, "a")
    await store.commit([put("a", None, collection="leases")])
    new = await lease(store, "a", 0)
    store.append([row("a", 0)], old)
    with pytest.raises(Conflict):
        await store.flush("a")
    store.append([row("a", 0)], new)
    await store.flush("a")
    assert await places(store, "a") == [0]


async def test_what_was_appended_before_the_fence_is_raised_is_kept(store: Store):
    """An owner that gives its run away, without waiting in between; what it appends after that is dropped."""
    mine = await lease(store, "a")
    store.append([row("a", 0), row("a", 1)], mine)
    given = store.commit([put("a", None, mine.version, collection="leases")])
    task = asyncio.create_task(given)
    await asyncio.sleep(0)
    store.append([row("a", 2)], mine)
    store.append([row("b", 0)])
    assert await task == (0,)
    await store.flush("b")
    with pytest.raises(Conflict):
        await store.flush("a")
    assert await places(store, "a") == [0, 1]
    assert await places(store, "b") == [0]


async def test_the_next_owner_may_be_in_the_same_process(store: Store):
    """A run that was lost comes back with a fence of its own; the old owner's task stays out."""
    first = await lease(store, "a")
    second = await lease(store, "a")
    store.append([row("a", 0)], first)
    with pytest.raises(Conflict):
        await store.flush("a")
    store.append([row("a", 0)], second)
    await store.flush("a")
    store.append([row("a", 1)], first)
    with pytest.raises(Conflict):
        await store.flush("a")
    with pytest.raises(Conflict):
        store.append([row("a", 1)], first)
    store.append([row("a", 1)], second)
    await store.flush("a")
    assert await places(store, "a") == [0, 1]


async def test_rows_may_follow_the_commit_that_makes_their_fence(store: Store):
    task = asyncio.create_task(lease(store, "a"))
    await asyncio.sleep(0)
    store.append([row("b", 0)])
    store.append([row("a", 0)], Fence("leases", "a", 1))
    await store.flush()
    assert await task == Fence("leases", "a", 1)
    assert await places(store, "a") == [0]


async def test_owners_that_change_within_one_batch_write_each_their_own(store: Store):
    """The rows before and after a change of owner are told apart, however few commits they share."""
    fences = [await lease(store, "a")]
    tasks: list[asyncio.Task[tuple[int, ...]]] = []
    for n in range(5):
        store.append([row("a", 2 * n), row("a", 2 * n + 1)], fences[-1])
        tasks.append(asyncio.create_task(store.commit([put("a", b"", fences[-1].version, collection="leases")])))
        await asyncio.sleep(0)
        fences.append(Fence("leases", "a", n + 2))
    await store.flush("a")
    assert await asyncio.gather(*tasks) == [(n + 2,) for n in range(5)]
    assert await places(store, "a") == list(range(10))


async def test_a_fence_holds_between_processes(address: str):
    """Two stores on one address, as two processes have them."""
    async with open_store(address) as theirs:
        mine = store_at(address)
        old = await lease(mine, "a")
        mine.append([row("a", 0)], old)
        await mine.flush("a")
        new = await lease(theirs, "a", old.version)
        mine.append([row("a", 1)], old)
        mine.append([row("b", 0)])
        theirs.append([row("a", 1, body=b"theirs")], new)
        await theirs.flush("a")
        await mine.flush("b")
        with pytest.raises(Conflict, match="run a was taken over"):
            await mine.flush("a")
        await mine.close()
        assert [found.body for found in await theirs.events("a")] == [b"{}", b"theirs"]
