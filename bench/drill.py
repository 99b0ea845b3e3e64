"""The drill of the message bus: publishers and consumers in processes of their own, consumers killed at random.

    python -m bench.drill bus.db --messages 10000 --kills 40 --seed 1

Two publishers, three consumers. Each says what it does in one file before it goes on, so kill -9 cuts off nobody's
testimony. Then the file is judged: was a message lost, delivered more often than kills explain, or out of order?
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from outlay.bus import BusLimits, Message, open_bus
from outlay.errors import Conflict

PUBLISHERS = 2
CONSUMERS = 3
#: Keys of each publisher, and messages that a consumer has in hand.
KEYS = 25
IN_FLIGHT = 8
TOPIC, GROUP = "drill", "workers"
#: Every twentieth message is published twice.
AGAIN = 20
#: Seconds of work on a message, at most.
WORK = 0.004
#: Seconds without any progress after which the rest counts as lost.
STALL = 30.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the log says. `redelivered` is explained by `in_flight` (messages in the hands of the killed) and `expired`
    (leases that ran out on the living); the last four have to be 0."""

    messages: int
    seconds: float
    kills: int
    in_flight: int
    expired: int
    redelivered: int
    lost: int
    unexplained: int
    disordered: int
    overlapping: int

    @property
    def ok(self) -> bool:
        return not (self.lost or self.unexplained or self.disordered or self.overlapping)


def judge(lines: Iterable[str], killed: Collection[int], expected: int, seconds: float) -> Verdict:
    """A line: what happened, process, key, number of the message within its key."""
    # The deliveries of each message in turn: to whom, and how it ended, which the killed could not say.
    deliveries: dict[tuple[str, int], list[tuple[int, str]]] = defaultdict(list)
    done: set[tuple[str, int]] = set()
    latest: dict[str, int] = defaultdict(lambda: -1)
    disordered = overlapping = 0
    for line in lines:
        what, number, key, n = line.split()
        process, message = int(number), (key, int(n))
        mine = deliveries[message]
        if what == "start":
            # The same again is a redelivery, the next one is next, everything else is out of order.
            disordered += message[1] not in (latest[key], latest[key] + 1)
            overlapping += message[1] > 0 and (key, message[1] - 1) not in done
            latest[key] = max(latest[key], message[1])
            mine.append((process, ""))
        elif what == "done":
            done.add(message)
        else:
            mine[mine.index((process, ""))] = (process, what)
    # Whoever had it before must have died with it, or have been too slow.
    cut_off = [each for mine in deliveries.values() for each in mine if each[1] == "" and each[0] in killed]
    earlier = [each for mine in deliveries.values() for each in mine[:-1]]
    return Verdict(
        messages=expected,
        seconds=round(seconds, 2),
        kills=len(killed),
        in_flight=len(cut_off),
        expired=sum(how == "expired" for mine in deliveries.values() for _, how in mine),
        redelivered=len(earlier),
        lost=expected - len(done),
        unexplained=sum(how == "acked" or (how == "" and process not in killed) for process, how in earlier),
        disordered=disordered,
        overlapping=overlapping,
    )


def drill(url: str, *, messages: int, kills: int, seed: int, visibility: float) -> Verdict:
    """Let it happen: so many messages of each publisher, and kills whenever `seed` says."""
    rng = random.Random(seed)
    expected = messages * PUBLISHERS
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        log.touch()

        def child(role: str, number: int) -> subprocess.Popen[bytes]:
            settings = [url, str(log), str(visibility), str(messages), str(number)]
            return subprocess.Popen([sys.executable, "-m", "bench.drill", "--child", role, *settings])

        began = time.monotonic()
        publishers = [child("publish", number) for number in range(PUBLISHERS)]
        consumers = [child("consume", number) for number in range(CONSUMERS)]
        killed: list[int] = []

        def kill_one() -> None:
            victim = rng.randrange(CONSUMERS)
            consumers[victim].kill()
            consumers[victim].wait()
            killed.append(consumers[victim].pid)
            consumers[victim] = child("consume", CONSUMERS + len(killed))

        try:
            moments = sorted(rng.randrange(expected) for _ in range(kills))
            _watch(log, expected, visibility, moments, kill_one)
            seconds = time.monotonic() - began
        finally:
            for process in [*publishers, *consumers]:
                process.kill()
                process.wait()
        return judge(log.read_text().splitlines(), killed, expected, seconds)


def _watch(log: Path, expected: int, visibility: float, moments: list[int], kill_one: Callable[[], None]) -> None:
    """Kill when so many messages are done; return when all are settled, or nothing happens any more."""
    done: set[str] = set()
    settled: set[str] = set()
    progress = time.monotonic()
    line = ""
    with log.open() as lines:
        # Whoever died between the acknowledgement and saying so leaves a message that is done, and silence.
        while len(settled) < expected and time.monotonic() - progress < (
            STALL if len(done) < expected else 3 * visibility
        ):
            line += lines.readline()
            if not line.endswith("\n"):  # nothing new, or half of it so far
                time.sleep(0.002)
                continue
            progress = time.monotonic()
            what, _, message = line.split(maxsplit=2)
            line = ""
            if what == "done":
                done.add(message)
            elif what == "acked":
                settled.add(message)
            while moments and len(done) > moments[0]:
                moments.pop(0)
                kill_one()


# ── the children ──────────────────────────────────────────────────────────────────────────────────────────


async def _publish(url: str, limits: BusLimits, number: int, messages: int) -> None:
    async with open_bus(url, limits=limits) as bus:

        async def one_key(key: str, count: int) -> None:
            for n in range(count):
                for _ in range(2 if n % AGAIN == 0 else 1):
                    await bus.publish(TOPIC, n, key=key, id=f"{key}/{n}")

        counts = [len(range(k, messages, KEYS)) for k in range(KEYS)]
        await asyncio.gather(*[one_key(f"{number}-{k}", count) for k, count in enumerate(counts)])


async def _consume(url: str, limits: BusLimits, number: int, log: str) -> None:
    file = os.open(log, os.O_WRONLY | os.O_APPEND)
    process = os.getpid()
    rng = random.Random(number)

    def say(what: str, message: Message) -> None:
        os.write(file, f"{what} {process} {message.key} {message.body}\n".encode())

    async def work(message: Message) -> None:
        say("start", message)
        await asyncio.sleep(rng.random() * WORK)
        say("done", message)
        try:
            await message.ack()
        except Conflict:
            say("expired", message)
        else:
            say("acked", message)

    async with open_bus(url, limits=limits) as bus, asyncio.TaskGroup() as tasks:
        async for message in bus.consume(TOPIC, group=GROUP, max_in_flight=IN_FLIGHT):
            tasks.create_task(work(message))


def main(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["--child"]:
        role, url, log, visibility, messages, number = arguments[1:]
        # Deliveries to the dying count, and this drill is not about giving up.
        limits = BusLimits(visibility=float(visibility), max_deliveries=1_000, high_water=2_000)
        if role == "publish":
            asyncio.run(_publish(url, limits, int(number), int(messages)))
        else:
            asyncio.run(_consume(url, limits, int(number), log))
        return 0
    parser = argparse.ArgumentParser("bench.drill", description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("url")
    parser.add_argument("--messages", type=int, default=10_000, help="of each of two publishers")
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--visibility", type=float, default=2.0, help="seconds")
    chosen = parser.parse_args(arguments)
    verdict = drill(
        chosen.url, messages=chosen.messages, kills=chosen.kills, seed=chosen.seed, visibility=chosen.visibility
    )
    print(json.dumps(asdict(verdict)))
    return 0 if verdict.ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
