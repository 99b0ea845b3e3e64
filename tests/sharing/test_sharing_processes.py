"""Real processes on one store: racing, and killed between a commit and its message."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

from outlay.sharing import Outbox, State
from outlay.stores import open_store

CHILD = Path(__file__).with_name("sharing_child.py")
KILLED = -9


def start(what: str, address: str, name: str = "", n: int = 0) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(CHILD), what, address, name, str(n)], stdout=subprocess.PIPE)


def finish(child: subprocess.Popen[bytes], code: int = 0) -> list[str]:
    out, _ = child.communicate()
    assert child.returncode == code
    return out.decode().splitlines()


async def test_two_processes_lose_no_update(address: str):
    """`python -m bench sharing` does the same with 10,000 each."""
    for child in [start("increment", address, n=150) for _ in range(2)]:
        finish(child)
    async with open_store(address) as store:
        entry = await State(store, "team").get("count")
        assert (entry.value, entry.version) == (300, 300)


async def test_processes_append_without_loss_and_each_writer_in_order(address: str):
    for child in [start("append", address, name, 15) for name in "ab"]:
        finish(child)
    async with open_store(address) as store:
        records = [record.value for record in await State(store, "team").log("steps").read()]
    assert len(records) == 90
    for writer in ("a0", "a1", "a2", "b0", "b1", "b2"):
        assert [n for name, n in records if name == writer] == list(range(15))


async def test_a_crash_between_commit_and_relay_loses_no_message(address: str):
    """The change is there and its writer is dead: the message goes out, once."""
    finish(start("commit_and_die", address), KILLED)
    sent = finish(start("publish_and_die", address))
    assert [line.split()[1] for line in sent] == ["paid"]
    assert finish(start("publish_and_die", address)) == []
    async with open_store(address) as store:
        assert (await State(store, "team").get("order")).value == "paid"


def test_a_crash_between_publish_and_forget_repeats_under_the_same_id(address: str):
    """At least once on the bus, exactly once for a consumer that knows the id."""
    finish(start("commit_and_die", address), KILLED)
    first = finish(start("publish_and_die", address, "die"), KILLED)
    second = finish(start("publish_and_die", address))
    assert first == second
    assert len(first) == 1
    assert finish(start("publish_and_die", address)) == []


def test_killed_anywhere_there_is_a_message_for_each_change(address: str):
    """SIGKILL during commits, four times on one file: as many messages as changes, and all that was told is there."""

    async def stored() -> tuple[int, int]:
        async with open_store(address) as store:
            return (await State(store, "team").get("count")).value, len(await Outbox(store).waiting())

    told = 0
    for n in range(4):
        child = start("write_until_killed", address)
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(0.01 + 0.013 * n)
        child.kill()
        lines = (first + child.stdout.read()).splitlines()
        child.stdout.close()
        child.wait()
        told = int(lines[-1])
    changes, messages = asyncio.run(stored())
    assert changes == messages >= told > 0
