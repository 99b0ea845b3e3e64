"""A process of its own for the tests of durability: `child.py WHAT PATH NAME`."""

import asyncio
import os
import resource
import signal
import sys

from outlay.errors import Conflict, OutlayError
from outlay.protocols.documents import Change
from outlay.protocols.store import Row
from outlay.stores import open_store, store_at


def row(run: str, seq: int) -> Row:
    return Row(run, seq, 1.5, "fact", b"x" * (seq * 37 % 700))


async def until_killed(path: str, name: str) -> None:
    """20 runs at once; each writes, waits for durability, and only then says so on stdout."""
    store = store_at(path)

    async def work(run: str) -> None:
        seq = 0
        while True:
            store.append([row(run, seq), row(run, seq + 1)])
            await store.flush(run)
            os.write(1, f"{run} {seq + 1}\n".encode())
            seq += 2

    await asyncio.gather(*[work(f"{name}.{i}") for i in range(20)])


async def write(path: str, name: str) -> None:
    """5 runs at once of 40 rows each."""
    store = store_at(path)

    async def work(run: str) -> None:
        for seq in range(40):
            store.append([row(run, seq)])
            await store.flush(run)

    await asyncio.gather(*[work(f"{name}.{i}") for i in range(5)])
    await store.close()


async def forget(path: str, name: str) -> None:
    """Enqueue and end, without a flush or a close."""
    store_at(path).append([row(name, seq) for seq in range(3_000)])


async def count(address: str, times: str) -> None:
    """Add 1 to a document, so many times; whoever was faster makes us read again. Says how often that was."""
    conflicts = 0
    async with open_store(address) as store:
        await store.read("count", "one")
        print("ready", flush=True)
        sys.stdin.readline()
        for n in range(int(times)):
            while True:
                found = await store.read("count", "one")
                number, version = (int(found.body), found.version) if found else (0, 0)
                if n % 10 == 0:
                    await asyncio.sleep(0.002)  # so that the other one does get in between
                try:
                    await store.commit([Change("count", "one", b"%d" % (number + 1), version)])
                except Conflict:
                    conflicts += 1
                    continue
                break
    print(conflicts)


async def until_full(address: str, name: str) -> None:
    """Write until the file may not grow; say how much was acknowledged, and what everybody else is told."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = store_at(address)
    seq = 0
    try:
        while True:
            store.append([Row(name, seq, 1.5, "fact", b"x" * 1_000)])
            waiters = [asyncio.create_task(store.flush()) for _ in range(10)]
            await asyncio.gather(*waiters)
            seq += 1
    except OutlayError:
        results = await asyncio.gather(*waiters, store.commit([]), store.flush(), return_exceptions=True)
    print(seq, flush=True)
    for result in results:
        print(type(result).__name__, flush=True)
    os._exit(0)


if __name__ == "__main__":
    what, path, name = sys.argv[1:]
    asyncio.run(globals()[what](path, name))
