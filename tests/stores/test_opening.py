"""From a name to a store, and what is said when that cannot be."""

import asyncio
import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from outlay.errors import ConfigError
from outlay.stores import MemoryStore, open_store, store_at
from outlay.stores.sqlite import SqliteStore
from stores.rows import put, row


@pytest.mark.parametrize("name", [None, ":memory:", "sqlite://", "sqlite:///:memory:"])
def test_no_name_is_memory(name: str | None):
    assert isinstance(store_at(name), MemoryStore)


async def test_a_path_and_an_address_name_the_same_file(path: Path):
    for name in (path, str(path), f"sqlite:///{path}"):
        async with open_store(name) as store:
            assert isinstance(store, SqliteStore)
            assert store.path == path


async def test_an_address_with_three_slashes_is_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    async with open_store("sqlite:///here.db"):
        assert (tmp_path / "here.db").exists()


@pytest.mark.parametrize("name", ["mysql://localhost", "sqlite://server/file.db", ""])
def test_other_names_are_refused(name: str):
    with pytest.raises(ConfigError, match="next: write a path"):
        store_at(name)


async def test_what_was_enqueued_is_durable_after_the_block(path: Path):
    async with open_store(path) as store:
        store.append([row("a", 0)])
    async with open_store(path) as store:
        assert len(await store.events("a")) == 1


async def test_the_missing_folder_is_made_and_only_the_owner_may_read(tmp_path: Path):
    path = tmp_path / "new" / "deep" / "outlay.db"
    async with open_store(path) as store:
        store.append([row("a", 0)])
        await store.flush()
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"outlay.db": 0o600, "outlay.db-wal": 0o600, "outlay.db-shm": 0o600}


def test_a_folder_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"is a folder, not a file\n.*outlay.db"):
        store_at(tmp_path)


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path):
    path.write_text("id,text\n" * 200)
    with pytest.raises(ConfigError, match=r"cannot open the store .*: it is not an Outlay store.*\n.*name another"):
        store_at(path)
    assert path.read_text().startswith("id,text\n")


def test_somebody_elses_database_is_refused_and_left_alone(path: Path):
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE customers (name)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="a SQLite database, but not an Outlay store"):
        store_at(path)
    assert path.read_bytes() == before


async def test_a_newer_schema_is_refused(path: Path):
    async with open_store(path):
        pass
    newer = sqlite3.connect(path)
    newer.execute("UPDATE meta SET value = '5' WHERE name = 'schema'")
    newer.commit()
    newer.close()
    with pytest.raises(ConfigError, match=r"has schema 5, this Outlay reads up to 4\n.*update Outlay"):
        store_at(path)


#: The tables as version 1 made them.
VERSION_1 = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE runs (id INTEGER PRIMARY KEY, run TEXT NOT NULL UNIQUE);
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    kind TEXT NOT NULL,
    body BLOB NOT NULL,
    run INTEGER GENERATED ALWAYS AS (id >> 32) VIRTUAL,
    seq INTEGER GENERATED ALWAYS AS (id & 4294967295) VIRTUAL
);
CREATE TABLE blobs (digest BLOB NOT NULL UNIQUE, content BLOB NOT NULL);
INSERT INTO meta VALUES ('schema', '1');
INSERT INTO runs VALUES (1, 'a');
INSERT INTO events (id, time, kind, body) VALUES (1 << 32 | 0, 1.5, 'fact', CAST('{}' AS BLOB));
INSERT INTO blobs VALUES (CAST('1' AS BLOB), CAST('one' AS BLOB));
"""


async def test_a_file_of_version_1_is_brought_up_to_date_in_place(path: Path):
    """What was in it stays, and it can do what version 1 could not; by whoever opens it first."""
    old = sqlite3.connect(path)
    old.executescript(VERSION_1)
    old.close()
    stores = await asyncio.gather(*[asyncio.to_thread(store_at, path) for _ in range(4)])
    for n, store in enumerate(stores):
        assert await store.commit([put("k", b"new")]) == (n + 1,)
        store.append([row("a", n + 1)])
        await store.close()
    async with open_store(path) as store:
        assert await store.events() == [row("a", seq) for seq in range(5)]
        assert await store.blobs([b"1"]) == {b"1": b"one"}


def test_a_parent_that_is_a_file_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot be opened.*\n.*a folder that can be made"):
        store_at(tmp_path / "file" / "outlay.db")


@pytest.fixture
def ordinary_user() -> Iterator[Path]:
    """A folder of somebody whom permissions stop; root, in containers, they would not."""
    folder = Path(tempfile.mkdtemp())
    root = os.geteuid() == 0
    if root:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    try:
        yield folder
    finally:
        folder.chmod(0o700)
        if root:
            os.seteuid(0)
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


def test_a_read_only_file_is_refused(ordinary_user: Path):
    path = ordinary_user / "outlay.db"
    path.write_bytes(b"")
    path.chmod(0o400)
    with pytest.raises(ConfigError, match=r"cannot be written: Permission denied\n.*make the file and its folder"):
        store_at(path)


def test_a_read_only_folder_is_refused(ordinary_user: Path):
    path = ordinary_user / "outlay.db"
    path.write_bytes(b"")
    ordinary_user.chmod(0o500)
    with pytest.raises(ConfigError, match=r"make .*folder writable"):
        store_at(path)
