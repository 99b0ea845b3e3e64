"""A process of its own for the tests of sharing: `sharing_child.py WHAT ADDRESS NAME N`."""

import asyncio
import os
import signal
import sys
from typing import Any

from outlay.sharing import Outbox, Outgoing, State
from outlay.stores import open_store


async def increment(address: str, name: str, n: int) -> None:
    """n increments of one counter, and as many of one's own."""
    async with open_store(address) as store:
        team = State(store, "team")
        for _ in range(n):
            await team.update("count", lambda count: count + 1, default=0)


async def append(address: str, name: str, n: int) -> None:
    """n records of one log, from three writers."""
    async with open_store(address) as store:
        log = State(store, "team").log("steps")

        async def writer(which: int) -> None:
            for i in range(n):
                await log.append([f"{name}{which}", i])

        await asyncio.gather(*map(writer, range(3)))


async def commit_and_die(address: str, name: str, n: int) -> None:
    """A change and its message are committed; the process dies before anybody relays it."""
    async with open_store(address) as store:
        await State(store, "team").set("order", "paid", version=0, outbox=[Outgoing("orders", "paid")])
        os.kill(os.getpid(), signal.SIGKILL)


async def publish_and_die(address: str, name: str, n: int) -> None:
    """The message is on the bus (stdout); the process dies before the outbox forgets it."""

    class Stdout:
        async def publish(self, topic: str, body: Any, *, id: str | None = None, **options: Any) -> None:
            os.write(1, f"{id} {body}\n".encode())
            if name == "die":
                os.kill(os.getpid(), signal.SIGKILL)

    async with open_store(address) as store:
        await Outbox(store).publish(Stdout())


async def write_until_killed(address: str, name: str, n: int) -> None:
    """Changes with messages, one after the other; each is told on stdout when it is durable."""
    async with open_store(address) as store:
        team = State(store, "team")
        while True:
            entry = await team.update("count", lambda count: count + 1, default=0, outbox=[Outgoing("t", "m")])
            os.write(1, f"{entry.value}\n".encode())


if __name__ == "__main__":
    what, address, name, n = sys.argv[1:]
    works = [increment, append, commit_and_die, publish_and_die, write_until_killed]
    asyncio.run({work.__name__: work for work in works}[what](address, name, int(n)))
