"""Two processes on one run, for real: one works on it, whoever that is; clocks may go backwards."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from owner_child import flow

from outlay import open_store, run
from outlay.analysis.journal import Journal
from outlay.analysis.runs import runs
from outlay.errors import Conflict
from outlay.events import decode, encode
from outlay.events.records import RunResumed
from outlay.protocols.documents import Change
from outlay.protocols.store import Row

CHILD = Path(__file__).parent / "owner_child.py"
SOURCE = Path(__file__).resolve().parents[2] / "src"


class Child:
    """A process that works on the run, until it is told otherwise."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        self.store = folder / "outlay.db"
        self.process = subprocess.Popen(
            [sys.executable, str(CHILD), str(self.store), "r", str(self.log)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
        )

    def written(self) -> list[int]:
        return [int(line) for line in self.log.read_text().split()] if self.log.exists() else []

    def has_written(self, number: int) -> None:
        """Wait until so many effects have happened."""
        end = time.monotonic() + 20
        while len(self.written()) < number:
            assert time.monotonic() < end, "the child does not get on"
            assert self.process.poll() is None, "the child is done"
            time.sleep(0.005)

    def send(self, what: signal.Signals) -> None:
        self.process.send_signal(what)

    def stop(self) -> None:
        """Stop it at a moment at which it does not hold the file: nobody could take over from it then."""
        while True:
            self.process.send_signal(signal.SIGSTOP)
            _, status = os.waitpid(self.process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            hand = sqlite3.connect(self.store, timeout=0.05, isolation_level=None)
            try:
                hand.execute("BEGIN IMMEDIATE")
                hand.execute("ROLLBACK")
                return
            except sqlite3.OperationalError:
                self.process.send_signal(signal.SIGCONT)
                time.sleep(0.01)
            finally:
                hand.close()

    def said(self) -> list[str]:
        return self.process.communicate(timeout=30)[0].strip().split("|")


@contextmanager
def working(folder: Path) -> Iterator[Child]:
    child = Child(folder)
    try:
        child.has_written(3)
        yield child
    finally:
        if child.process.poll() is None:
            child.send(signal.SIGCONT)
            child.process.kill()
        child.process.wait()
        assert child.process.stdout is not None
        child.process.stdout.close()


def go_on(child: Child, log: Path | None = None) -> Any:
    """Take the run up in this process."""

    async def main() -> Any:
        async with open_store(child.store) as store:
            return await run(flow(log or child.log), "x", store=store, run_id="r")

    return asyncio.run(main())


def run_out_the_lease(child: Child) -> None:
    """What the time does to a process that no longer renews it: its document is there to be read by all."""

    async def main() -> None:
        async with open_store(child.store) as store:
            (lease,) = await store.list("owners")
            until = json.loads(lease.body)["until"]
            assert until > time.time()
            await store.commit([Change("owners", lease.key, json.dumps({"until": time.time() - 1}).encode(), None)])

    asyncio.run(main())


def events_of(child: Child) -> list[Any]:
    async def main() -> list[Any]:
        async with open_store(child.store) as store:
            return [decode(row.body) for row in await store.events("r")]

    return asyncio.run(main())


def test_the_second_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    """It is told who works on the run, and when it would be free; the first comes to its end."""
    with working(tmp_path) as child:
        with pytest.raises(Conflict) as refused:
            go_on(child)
        assert f":{child.process.pid}:" in refused.value.message
        assert "wait for it" in refused.value.hint
        assert child.said() == ["completed", "NoneType", "said 190"]
        assert child.written() == list(range(20))


def test_a_killed_one_is_taken_over_at_once(tmp_path: Path) -> None:
    """Its lease has not run out: that the process is gone can be seen. No finished effect is repeated."""
    with working(tmp_path) as child:
        child.send(signal.SIGKILL)
        child.process.wait()
        done = child.written()
        result = go_on(child)
        assert result.output == "said 190"
        assert sorted(set(child.written())) == list(range(20))
        assert len(child.written()) <= 21  # the one that was under way may have happened
        assert child.written()[: len(done)] == done


def test_a_stopped_one_is_taken_over_when_its_lease_ran_out_and_writes_nothing_more(tmp_path: Path) -> None:
    """It wakes up in the middle of the run, which somebody else has finished."""
    with working(tmp_path) as child:
        child.stop()
        with pytest.raises(Conflict):
            go_on(child)
        run_out_the_lease(child)
        before = child.written()
        result = go_on(child)
        assert result.output == "said 190"
        finished, written = events_of(child), child.written()
        child.send(signal.SIGCONT)
        reason, error, output = child.said()
        assert (reason, error, output) == ("error", "RunTaken", "None")
        assert events_of(child) == finished
        assert len(child.written()) <= len(written) + 4  # reading goes on until the store has said no
        assert written[: len(before)] == before
        again = go_on(child)
        assert (again.output, events_of(child)) == ("said 190", finished)


@pytest.mark.parametrize("offset", [-86_400.0, 86_400.0])
def test_a_clock_that_was_set_anew_between_legs(offset: float, tmp_path: Path) -> None:
    """Order is that of places, and no duration is negative: neither of the run nor of what it counts."""
    with working(tmp_path) as child:
        child.send(signal.SIGKILL)
        child.process.wait()
        events = events_of(child)

        async def moved() -> None:
            """The first leg as a machine with another clock would have written it."""
            async with open_store(tmp_path / "moved.db") as store, open_store(child.store) as old:
                store.keep((await old.blobs(await old.digests())).items())
                for event, row in zip(events, await old.events("r"), strict=True):
                    other = msgspec.structs.replace(event, time=event.time - offset)
                    store.append([Row("r", row.seq, other.time, row.kind, encode(other))])
                await store.flush()

        asyncio.run(moved())
        child.store = tmp_path / "moved.db"
        result = go_on(child)
        assert result.output == "said 190"
        assert result.seconds >= 0
        found = events_of(child)
    assert [event.seq for event in found] == list(range(len(found)))
    assert sum(isinstance(event, RunResumed) for event in found) == 1
    assert Journal.of(found).active >= 0
    assert all(event.seconds >= 0 for event in found if hasattr(event, "seconds"))
    (summary,) = runs(found)
    assert summary.seconds is not None
    assert summary.seconds >= 0
    assert all(line.seconds >= 0 for line in result.bill.lines)
