"""SimStore: what a crash leaves is a prefix of what was written, and nothing of a dead process gets out."""

import asyncio
import random

import pytest

from outlay.errors import Conflict, StoreFailed
from outlay.protocols.documents import Change
from outlay.protocols.store import Fence, Row
from outlay.sim.loop import VirtualLoop
from outlay.sim.process import Process
from outlay.stores.memory import MemoryStore
from outlay.testing import SimStore


def row(seq):
    return Row("r", seq, float(seq), "custom", b"{}")


def on(disk, process, *, delay=0.01, torn=0.0):
    process.now = asyncio.get_running_loop().time
    store = SimStore(disk, process, delay=lambda: delay, torn=lambda: torn)
    process.on_death = store.die
    return store


def run(work):
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


async def left(disk):
    return [found.seq for found in await disk.events("r")]


def test_a_flush_takes_its_commits_and_makes_everything_before_it_durable():
    """Half a second for the batch that began with the first append, and as much for the rest."""

    async def body():
        disk = MemoryStore()
        store = on(disk, Process("a"), delay=0.5)
        for seq in range(5):
            store.append([row(seq)])
        assert await left(disk) == []
        await store.flush()
        return asyncio.get_running_loop().time(), await left(disk)

    assert run(body()) == (1.0, [0, 1, 2, 3, 4])


@pytest.mark.parametrize("seed", range(20))
def test_a_crash_leaves_all_that_was_flushed_and_of_the_rest_a_prefix(seed):
    """In the order of the appends, wherever in the commit it came."""
    draw = random.Random(seed)

    async def body():
        disk, process = MemoryStore(), Process("a", dies_at=draw.randint(2, 40))
        store = on(disk, process, torn=draw.random())
        flushed = -1
        for seq in range(30):
            store.append([row(seq)])
            if draw.random() < 0.2:
                try:
                    await store.flush()
                    flushed = seq
                except StoreFailed:
                    break
        return flushed, process.alive, await left(disk)

    flushed, alive, seqs = run(body())
    assert seqs == list(range(len(seqs)))
    assert len(seqs) > flushed
    assert not alive or len(seqs) <= 30


def test_a_dead_process_reaches_nobody():
    """Its appends go nowhere; what it waits for, waits or writes raises."""

    async def body():
        disk, process = MemoryStore(), Process("a", dies_at=2)
        store = on(disk, process)
        store.append([row(0)])
        waiting = asyncio.ensure_future(store.flush())
        await asyncio.sleep(0)
        with pytest.raises(StoreFailed):
            await waiting
        store.append([row(1)])
        store.keep([(b"d", b"x")])
        for call in (store.flush, store.events, store.runs):
            with pytest.raises(StoreFailed):
                await call()
        with pytest.raises(StoreFailed):
            await store.commit([Change("c", "k", b"{}", None)])
        await asyncio.sleep(10)
        return await left(disk), await disk.digests(), await disk.documents()

    assert run(body()) == ([], [], [])


def test_a_stalled_process_wakes_up_and_is_refused_what_another_has_taken():
    """Its queue waits as long as it stalls, and loses to the owner that came meanwhile."""

    async def body():
        disk = MemoryStore()
        first = on(disk, Process("a", stalls_at=1, stall=60))
        first.append([row(0)])
        second = on(disk, Process("b"))
        await second.commit([Change("owners", "r", b"{}", None)])
        second.append([row(0)], Fence("owners", "r", 1))
        await second.flush("r")
        with pytest.raises(Conflict):
            await first.flush("r")
        return asyncio.get_running_loop().time(), len(await left(disk))

    assert run(body()) == (60, 1)
