"""One window, several real processes, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from outlay.policies.window import Books
from outlay.runtime.windows import COLLECTION
from outlay.stores import open_store

CHILD = Path(__file__).with_name("window_child.py")


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return request.getfixturevalue("postgres")
    return str(tmp_path / "outlay.db")


def start(address: str, calls: int, cents: int, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(CHILD), address, str(calls), str(cents), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def books(address: str) -> Books:
    async with open_store(address) as store:
        (found,) = await store.list(COLLECTION)
    return Books.load(found.body)


@pytest.mark.parametrize("processes", [2, 4])
async def test_processes_never_overshoot_and_leave_nothing_lying(address: str, processes: int) -> None:
    """Twice as much demand as there is money: at most the limit is spent, and at least 95 % of it."""
    children = [start(address, 400 // processes, 200) for _ in range(processes)]
    spent = [int(child.communicate()[0]) for child in children]
    found = await books(address)
    assert int(found.spent.usd * 100) == sum(spent)
    assert found.leases == {}
    assert 190 <= sum(spent) <= 200


async def test_a_killed_process_keeps_what_it_had_from_all_others(address: str) -> None:
    """What it held may have been billed: it is in doubt, and the others go on below it without waiting for it."""
    dead = start(address, 8, 100, "hang")
    assert dead.stdout is not None
    assert dead.stdout.readline() == "ready\n"
    dead.kill()
    dead.communicate()
    left = (await books(address)).committed.usd
    assert left > 0
    spent = int(start(address, 150, 100).communicate()[0])
    found = await books(address)
    assert sum((lease.amount for lease in found.leases.values()), start=found.doubt).usd == left
    assert 95 <= spent + left * 100 <= 100


async def test_a_resumed_run_says_what_its_dead_process_had_used(address: str) -> None:
    """What the journal shows goes from the lease to the books; nothing is refunded, and nothing is counted twice."""
    dead = start(address, 8, 100, "hang")
    assert dead.stdout is not None
    assert dead.stdout.readline() == "ready\n"
    await asyncio.sleep(0.3)
    dead.kill()
    dead.communicate()
    before = await books(address)
    (lease,) = before.leases.values()
    billed = int(start(address, 8, 100, "again").communicate()[0])
    found = await books(address)
    assert int(found.spent.usd * 100) == billed == 8
    assert int(found.doubt.usd * 100) == 4  # the one call in flight, which was sent again
    (rest,) = found.leases.values()
    assert rest.amount.usd < lease.amount.usd
    assert rest.gone.usd == 0
    finished_before = 7
    assert found.committed.usd == lease.amount.usd + Decimal(8 - finished_before) / 100
