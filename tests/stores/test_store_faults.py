"""What a disk, a hand or a clock can do to a store: refused or recovered, never silently wrong."""

import asyncio
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from outlay.errors import ConfigError, StoreFailed
from outlay.protocols.documents import Document
from outlay.protocols.store import Fence, Row, Store
from outlay.stores import open_store, store_at
from stores.rows import put, row, stored

CHILD = Path(__file__).with_name("child.py")
ROWS = [row("ab"[n % 2], n // 2, body=b"%04d " % n * (1 + n * 37 % 300)) for n in range(240)]
BLOBS = {b"digest %d" % n: b"content %d " % n * (1 + n * 53 % 400) for n in range(60)}


async def fill(path: Path) -> None:
    """120 rows of each of two runs, 60 contents, 20 documents, in many commits."""
    async with open_store(path) as store:
        for n in range(0, len(ROWS), 4):
            store.append(ROWS[n : n + 4])
            store.keep(list(BLOBS.items())[n // 4 : n // 4 + 1])
            await store.commit([put(str(n % 20), b"%d" % n)] if n % 12 == 0 else [])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "outlay.db"
    asyncio.run(fill(path))
    return path


@pytest.fixture(scope="module")
def with_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the file and its log as a power cut leaves them: the log not yet emptied into the file."""
    folder = tmp_path_factory.mktemp("log")

    async def copy() -> None:
        store = store_at(folder / "live.db")
        for n in range(0, len(ROWS), 4):
            store.append(ROWS[n : n + 4])
            await store.flush()
        for end in ("", "-wal"):
            shutil.copy(folder / f"live.db{end}", folder / f"outlay.db{end}")
        await store.close()

    asyncio.run(copy())
    return folder / "outlay.db"


def copied(path: Path, folder: Path) -> Path:
    for end in ("", "-wal"):
        if Path(f"{path}{end}").exists():
            shutil.copy(f"{path}{end}", folder / f"outlay.db{end}")
    return folder / "outlay.db"


async def seen(path: Path) -> tuple[list[Row], dict[bytes, bytes], list[Document]]:
    async with open_store(path) as store:
        return await store.events(), await store.blobs(list(BLOBS)), await store.list("c")


def in_order(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda found: (found.run, found.seq))


@pytest.mark.parametrize("seed", range(40))
async def test_a_torn_log_is_recovered_to_a_commit(with_log: Path, tmp_path: Path, seed: int):
    """Cut off or garbled anywhere: what is there is what was written, in order and without holes, and it goes on."""
    dice = random.Random(seed)
    path = copied(with_log, tmp_path)
    log = path.with_name(f"{path.name}-wal")
    where = dice.randrange(os.stat(log).st_size)
    if seed % 2:
        os.truncate(log, where)
    else:
        garble(log, where, dice.randbytes(64))
    async with open_store(path) as store:
        found = await store.events()
        assert found == in_order(ROWS[: len(found)])
        assert len(found) % 4 == 0
        store.append([row("c", 0)])
        await store.flush()
    assert stored(path)["c"] == [0]


@pytest.mark.parametrize("cut", [1, 100, 4096, 5000, 3 * 4096, 20 * 4096])
def test_a_file_whose_end_is_missing_is_refused(whole: Path, tmp_path: Path, cut: int):
    """SQLite would read zeros there."""
    path = copied(whole, tmp_path)
    os.truncate(path, path.stat().st_size - cut)
    with pytest.raises(ConfigError, match=r"is damaged.*\n.*restore it from a copy"):
        asyncio.run(seen(path))


@pytest.mark.parametrize("seed", range(25))
async def test_a_file_whose_last_page_is_garbled_is_refused_or_whole(whole: Path, tmp_path: Path, seed: int):
    dice = random.Random(seed)
    path = copied(whole, tmp_path)
    size = path.stat().st_size
    garble(path, size - 4096 + dice.randrange(4000), dice.randbytes(96))
    assert await refused(path) or await seen(path) == await seen(whole)


@pytest.mark.parametrize("seed", range(50))
async def test_garbled_bytes_anywhere_are_never_given_out(whole: Path, tmp_path: Path, seed: int):
    """At worst something is missing: a reader of a run sees that by the places of its events."""
    dice = random.Random(seed)
    path = copied(whole, tmp_path)
    garble(path, dice.randrange(path.stat().st_size), dice.randbytes(16))
    if not await refused(path):
        events, blobs, documents = await seen(path)
        assert set(events) <= set(ROWS)
        assert blobs.items() <= BLOBS.items()
        assert set(documents) <= set((await seen(whole))[2])


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("UPDATE events SET body = replace(body, '0100', '0900') WHERE id = (1 << 32) + 50", "event 50 of run a"),
        ("UPDATE events SET kind = 'other' WHERE id = (1 << 32) + 7", "event 7 of run a"),
        ("UPDATE events SET time = 2.5 WHERE id = (2 << 32) + 7", "event 7 of run b"),
        ("UPDATE events SET id = (2 << 32) + 300 WHERE id = (1 << 32) + 9", "event 300 of run b"),
        ("UPDATE blobs SET content = 'x' WHERE digest = CAST('digest 3' AS BLOB)", f"content {b'digest 3'.hex()}"),
        ("UPDATE documents SET version = version + 1 WHERE key = '8'", "document '8' of 'c'"),
        ("UPDATE documents SET body = 'x' WHERE key = '4'", "document '4' of 'c'"),
    ],
)
async def test_what_a_hand_has_changed_is_refused_by_name(whole: Path, tmp_path: Path, change: str, what: str):
    path = copied(whole, tmp_path)
    by_hand = sqlite3.connect(path, isolation_level=None)
    by_hand.execute(change)
    by_hand.close()
    with pytest.raises(ConfigError, match=f"is damaged: the {what} is not|is damaged: {what} is not"):
        await seen(path)


def content(path: Path) -> bytes:
    return path.read_bytes()


def garble(path: Path, where: int, noise: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(where)
        file.write(noise[: path.stat().st_size - where])


async def refused(path: Path) -> bool:
    """Whether reading it all is an error that says what to do."""
    try:
        await seen(path)
    except ConfigError as error:
        return bool(error.hint)
    return False


def test_a_disk_that_fills_up_fails_every_waiter_and_keeps_what_it_acknowledged(path: Path):
    """The system's own refusal to let a file grow, in a process of its own; then there is room again."""
    child = subprocess.run(
        [sys.executable, str(CHILD), "until_full", str(path), "a"], capture_output=True, text=True, timeout=60
    )
    acknowledged, *said = child.stdout.splitlines()
    assert int(acknowledged) > 20
    assert set(said) == {"StoreFailed"}
    assert len(said) == 12
    found = stored(path)["a"]
    assert found == list(range(len(found)))
    assert len(found) >= int(acknowledged)

    async def go_on() -> None:
        async with open_store(path) as store:
            store.append([row("a", len(found))])
            await store.flush()

    asyncio.run(go_on())
    assert len(stored(path)["a"]) == len(found) + 1


async def test_a_file_that_is_replaced_by_another_is_refused(path: Path, whole: Path):
    store = store_at(path)
    store.append([row("a", 0)])
    await store.flush()
    shutil.copy(whole, path.with_name("other"))
    path.with_name("other").replace(path)
    before = content(path)
    store.append([row("a", 1)])
    with pytest.raises(StoreFailed, match="removed or replaced"):
        await store.flush()
    with pytest.raises(StoreFailed, match="removed or replaced"):
        await store.commit([put("k", b"")])
    with pytest.raises(StoreFailed):
        await store.close()
    assert content(path) == before


async def test_a_store_does_not_care_for_the_clock(store: Store):
    """Rows keep their places and documents their versions whatever times they carry: clocks go backwards."""
    times = [5.0, 3.0, 4.0, -1.0, 1e300, 0.0]
    fence = Fence("c", "k", *await store.commit([put("k", b"")]))
    for seq, time in enumerate(times):
        store.append([row("a", seq, time=time)], fence)
    await store.flush()
    assert [found.time for found in await store.events("a")] == times
