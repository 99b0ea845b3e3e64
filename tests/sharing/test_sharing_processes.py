"""Real processes on one file: racing, and killed between a commit and its message."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from outlay.sharing import Outbox, State
from outlay.stores import open_store

CHILD = Path(__file__).with_name("sharing_child.py")
KILLED = -9


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outlay.db"


def start(what: str, path: Path, name: str = "", n: int = 0) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(CHILD), what, str(path), name, str(n)], stdout=subprocess.PIPE)


def finish(child: subprocess.Popen[bytes], code: int = 0) -> list[str]:
    out, _ = child.communicate()
    assert child.returncode == code
    return out.decode().splitlines()


async def test_two_processes_lose_no_update(path: Path):
    """`python -m bench sharing` does the same with 10,000 each."""
    for child in [start("increment", path, n=150) for _ in range(2)]:
        finish(child)
    async with open_store(path) as store:
        entry = await State(store, "team").get("count")
        assert (entry.value, entry.version) == (300, 300)


async def test_processes_append_without_loss_and_each_writer_in_order(path: Path):
    for child in [start("append", path, name, 15) for name in "ab"]:
        finish(child)
    async with open_store(path) as store:
        records = [record.value for record in await State(store, "team").log("steps").read()]
    assert len(records) == 90
    for writer in ("a0", "a1", "a2", "b0", "b1", "b2"):
        assert [n for name, n in records if name == writer] == list(range(15))


async def test_a_crash_between_commit_and_relay_loses_no_message(path: Path):
    """The change is there and its writer is dead: the message goes out, once."""
    finish(start("commit_and_die", path), KILLED)
    sent = finish(start("publish_and_die", path))
    assert [line.split()[1] for line in sent] == ["paid"]
    assert finish(start("publish_and_die", path)) == []
    async with open_store(path) as store:
        assert (await State(store, "team").get("order")).value == "paid"


def test_a_crash_between_publish_and_forget_repeats_under_the_same_id(path: Path):
    """At least once on the bus, exactly once for a consumer that knows the id."""
    finish(start("commit_and_die", path), KILLED)
    first = finish(start("publish_and_die", path, "die"), KILLED)
    second = finish(start("publish_and_die", path))
    assert first == second
    assert len(first) == 1
    assert finish(start("publish_and_die", path)) == []


def test_killed_anywhere_there_is_a_message_for_each_change(path: Path):
    """SIGKILL during commits, four times on one file: as many messages as changes, and all that was told is there."""

    async def stored() -> tuple[int, int]:
        async with open_store(path) as store:
            return (await State(store, "team").get("count")).value, len(await Outbox(store).waiting())

    told = 0
    for n in range(4):
        child = start("write_until_killed", path)
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
