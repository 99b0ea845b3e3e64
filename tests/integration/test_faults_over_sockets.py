"""The simulator's laws over real sockets: random flows against the emulator, which fails in every way it can.

A smaller number of seeds than on virtual time, because these wait in earnest; those of one test run beside each other.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import socket_flows
from socket_flows import RUN

from outlay import Budget, open_store
from outlay.analysis.journal import Journal
from outlay.emulator import BilledUsage, Emulator, Record
from outlay.events import CallFailed, CallFinished, CallStarted, Event, RunResumed, decode
from outlay.runtime.directory import default_prices
from outlay.values.usage import Usage

FEW = range(30)
KILLED = range(5)
ENDS = {"completed", "budget", "deadline", "error"}


def cost_of(record: Record) -> Decimal:
    """What the provider charges for it, at the list price."""
    billed = record.usage or BilledUsage()
    usage = Usage(
        input_tokens=billed.input_tokens,
        cache_read_tokens=billed.cache_read_tokens,
        cache_write_tokens=billed.cache_write_tokens,
        output_tokens=billed.output_tokens,
        cache_write_1h_tokens=billed.cache_write_1h_tokens,
    )
    price = default_prices().find(record.provider, str(record.body["model"]))
    assert price is not None
    return price.cost(usage)


def broken(events: Sequence[Event], emulator: Emulator, budget: Budget | None) -> list[str]:
    """Which laws do not hold between a run's events and the provider's own books."""
    found: list[str] = []
    records = {r.request_id: r for r in emulator.requests if r.path.rpartition("/")[2] in ("messages", "responses")}
    started = [event for event in events if isinstance(event, CallStarted)]
    answered = [event for event in events if isinstance(event, CallFinished)]
    failed = [event for event in events if isinstance(event, CallFailed)]
    if len(records) > len(started):
        found.append(f"{len(records)} requests, and {len(started)} intents")
    if twice := [id for id, n in Counter(event.request_id for event in answered).items() if n > 1]:
        found.append(f"answers in the journal twice: {twice}")
    for event in answered:
        record = records.get(event.request_id)
        if record is None or record.usage is None:
            found.append(f"an answer that nobody billed: {event.request_id}")
        elif event.cost != cost_of(record):
            found.append(f"{event.path} is recorded at {event.cost}, billed at {cost_of(record)}")
    seen = {event.request_id for event in answered}
    unseen = [record for id, record in records.items() if record.usage is not None and id not in seen]
    doubtful = sum(event.maybe_billed for event in failed) + len(started) - len(answered) - len(failed)
    if len(unseen) > doubtful:
        found.append(f"{len(unseen)} calls were billed and not answered, {doubtful} are in doubt")
    spent = Journal.of(events).spent
    billed = sum(map(cost_of, records.values()), Decimal(0))
    if not spent.usd <= billed <= spent.usd + spent.doubt:
        found.append(f"billed {billed}, the journal says {spent.usd} and {spent.doubt} in doubt")
    if budget is not None and budget.money is not None and spent.usd + spent.doubt > budget.money:
        found.append(f"{spent.usd} and {spent.doubt} in doubt of {budget.money}")
    if budget is not None and budget.calls is not None and len(started) > budget.calls:
        found.append(f"{len(started)} calls of {budget.calls}")
    return found


def lets_go(emulator: Emulator) -> bool:
    """Does the provider see all its clients leave?"""
    end = time.monotonic() + 10
    while emulator.in_flight and time.monotonic() < end:
        time.sleep(0.01)
    return emulator.in_flight == 0


def one(seed: int, log: Path) -> tuple[list[str], set[str]]:
    """One run under faults: the laws that it broke, and what it met."""
    with Emulator(behaviour=socket_flows.says, faults=socket_flows.faults(seed), latency=0.01) as emulator:

        async def played() -> Any:
            async with asyncio.timeout(120):
                return await socket_flows.play(seed, emulator.url, log)

        result = asyncio.run(played())
        found = broken(result.events, emulator, socket_flows.budget(seed))
        if result.stop_reason not in ENDS:
            found.append(f"it ended as {result.stop_reason}")
        if not lets_go(emulator):
            found.append(f"{emulator.in_flight} requests are left open")
        return found, {record.fault.kind for record in emulator.requests if record.fault is not None}


def killed(seed: int, folder: Path) -> tuple[list[str], int]:
    """A run whose processes are killed: the laws that were broken, and how many legs it took."""
    store, log = folder / "outlay.db", folder / "log"
    with Emulator(behaviour=socket_flows.says, faults=socket_flows.faults(seed), latency=0.02) as emulator:
        arguments = [socket_flows.__file__, str(store), str(seed), emulator.url, str(log)]
        done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=180, check=False)

        async def recorded() -> list[Event]:
            async with open_store(store) as opened:
                return [decode(row.body) for row in await opened.events(RUN)]

        events = asyncio.run(recorded())
        found = broken(events, emulator, socket_flows.budget(seed))
        if done.stdout.strip() not in ENDS:
            found.append(f"it ended as {done.stdout!r}: {done.stderr[-2000:]}")
        sends = Counter(log.read_text().splitlines()) if log.exists() else Counter[str]()
        found += [f"{line} was done {n} times" for line, n in sends.items() if n > 1 and line.startswith("send")]
        return found, 1 + sum(isinstance(event, RunResumed) for event in events)


def test_every_law_holds_over_real_sockets(tmp_path: Path) -> None:
    """429 with a hostile Retry-After, 529, 500, half-open, time-outs, slow loris, broken bodies, resets after billing,
    events that come twice: the ledger is the emulator's own books but for what is in doubt, no budget is passed, every
    run ends, and every connection is closed."""
    with ThreadPoolExecutor(15) as pool:
        played = list(pool.map(lambda seed: one(seed, tmp_path / f"log{seed}"), FEW))
    assert {seed: found for seed, (found, _) in zip(FEW, played, strict=True) if found} == {}
    met = set[str]().union(*(kinds for _, kinds in played))
    assert met >= {"http", "timeout", "reset", "drip", "half_stream"}


def test_every_law_holds_for_processes_that_are_killed(tmp_path: Path) -> None:
    """The same with kill -9 and a resume from the store's file, up to three times: and no side effect twice."""
    folders = [tmp_path / str(seed) for seed in KILLED]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor(len(KILLED)) as pool:
        played = list(pool.map(killed, KILLED, folders))
    assert {seed: found for seed, (found, _) in zip(KILLED, played, strict=True) if found} == {}
    assert sum(legs for _, legs in played) > len(KILLED)
