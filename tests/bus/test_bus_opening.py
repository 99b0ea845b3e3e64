"""From an address to a bus, and what is said where there is none."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.conftest import Server
from outlay.bus import BusLimits, open_bus
from outlay.bus.nats_names import Address, parse, partition, token
from outlay.errors import BusFailed, ConfigError


async def refused(url: str | Path, limits: BusLimits | None = None) -> str:
    """What the ConfigError says."""
    with pytest.raises(ConfigError) as raised:
        async with open_bus(url, limits=limits or BusLimits()):
            pass
    return str(raised.value)


@pytest.mark.parametrize("url", ["redis://localhost", "postgresql://x/y", "sqlite://bus.db", "http://localhost:4222"])
async def test_an_unknown_scheme_is_refused(url: str):
    assert await refused(url) == (
        f"not a bus: {url.partition('://')[0]}://\n  next: write a path, sqlite:///path.db, or nats://host:4222/name"
    )


@pytest.mark.parametrize("url", ["", ":memory:", "sqlite:///"])
async def test_a_bus_needs_a_place(url: str):
    assert "a bus needs a file or a server" in await refused(url)


async def test_a_file_is_made_with_its_folder_for_its_owner_only(tmp_path: Path):
    path = tmp_path / "deep" / "bus.db"
    async with open_bus(f"sqlite:///{path}") as bus:
        await bus.publish("orders", 1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_what_is_not_a_bus_is_left_as_it_was(tmp_path: Path):
    assert "is a folder" in await refused(tmp_path)
    (tmp_path / "text").write_text("hello, this is not a database at all" * 50)
    assert "it is not a SQLite file" in await refused(tmp_path / "text")
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE mine (x)")
    other.close()
    assert "is a SQLite database, but not a bus" in await refused(tmp_path / "other.db")


async def test_a_bus_of_a_newer_version_is_refused(tmp_path: Path):
    async with open_bus(tmp_path / "bus.db"):
        pass
    with sqlite3.connect(tmp_path / "bus.db") as file:
        file.execute("PRAGMA user_version = 99")
    file.close()
    assert "has schema 99, this Outlay reads 1\n  next: update Outlay" in await refused(tmp_path / "bus.db")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="everything is writable for root")
async def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "cannot be written" in await refused(tmp_path / "locked" / "bus.db")


async def test_processes_that_open_a_new_file_at_once_all_get_it(tmp_path: Path):
    """Whoever is late finds the tables of the first, in whichever moment they come. (One in 900 once did not.)"""

    async def one(name: str, n: int) -> None:
        async with open_bus(tmp_path / name) as bus:
            await bus.publish("orders", n)

    for attempt in range(8):
        await asyncio.gather(*[one(f"{attempt}.db", n) for n in range(6)])


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("visibility", 0),
        ("window", -1),
        ("max_deliveries", 0),
        ("high_water", 0),
        ("max_bytes", 0),
        ("retry_delay", -1),
    ],
)
def test_a_limit_that_cannot_be_is_refused(limit: str, value: float):
    with pytest.raises(ValueError, match=f"BusLimits.{limit} must be"):
        BusLimits(**{limit: value})


# ── NATS ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_without_the_extra_its_name_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "nats", None)
    assert await refused("nats://localhost:4222") == (
        "a bus on NATS needs nats-py, which is not installed\n  next: pip install 'outlay[nats]'"
    )


async def test_where_no_server_answers_the_password_is_not_shown():
    with pytest.raises(BusFailed, match=r"no NATS server answers at nats://127.0.0.1:1/outlay\n  next: start one"):
        async with open_bus("nats://user:secret@127.0.0.1:1"):
            pass


async def test_a_server_without_jetstream_says_so(tmp_path: Path):
    server = Server(tmp_path, jetstream=False)
    try:
        with pytest.raises(BusFailed, match=r"has no JetStream\n  next: start it with -js"):
            async with open_bus(server.url):
                pass
    finally:
        server.stop()


async def test_a_limit_over_the_servers_is_refused(nats_server: Server):
    assert "is more than nats://127.0.0.1" in await refused(nats_server.url, BusLimits(max_bytes=2**20))


@pytest.mark.parametrize(("limit", "value"), [("high_water", 5), ("window", 7), ("visibility", 3)])
async def test_members_with_other_limits_are_told(nats_server: Server, limit: str, value: float):
    """A lease of 3 s that the server takes for 30 would be given away in between, or kept for nothing."""
    url = f"{nats_server.url}/limits-{limit}"
    async with open_bus(url) as bus:
        await bus.subscribe("orders", "billing")
    async with open_bus(url, limits=BusLimits(**{limit: value})) as bus:
        with pytest.raises(
            ConfigError, match=rf"has {limit} \d+ on the server, not {value}\n  next: open the bus with"
        ):
            await bus.subscribe("orders", "billing")


async def test_a_bus_outlives_its_server(tmp_path: Path):
    """What was published is kept; who waited for messages goes on waiting."""
    server = Server(tmp_path)
    try:
        async with open_bus(server.url) as bus, bus.consume("orders") as messages:
            await bus.publish("orders", "before", key="c")
            waiting = asyncio.create_task(anext(messages))
            await (await waiting).ack()
            waiting = asyncio.create_task(anext(messages))
            await asyncio.sleep(0.02)
            await bus.publish("refunds", "kept")
            server.stop()
            await asyncio.to_thread(server.start)
            async with asyncio.timeout(10):
                await bus.publish("orders", "after", key="c")
                assert (await waiting).body == "after"
                assert (await anext(bus.consume("refunds"))).body == "kept"
    finally:
        server.stop()


def test_an_address_says_where_and_how():
    assert parse("nats://h:4222") == Address("nats://h:4222", "outlay", 16, 1)
    assert parse("tls://u:p@h/team-a?partitions=64&replicas=3") == Address("tls://u:p@h", "team-a", 64, 3)


@pytest.mark.parametrize("rest", ["/a.b", "/a/b", "/a*", "/a?partitions=0", "/a?partitions=x", "/a?colour=red", "/ü"])
def test_an_address_that_cannot_be_is_refused(rest: str):
    with pytest.raises(ConfigError, match=r"next: write nats://host:4222/name"):
        parse("nats://h:4222" + rest)


@given(st.lists(st.text(min_size=1, max_size=100), min_size=2, max_size=2, unique=True))
def test_every_name_has_a_word_of_its_own_that_a_server_takes(names: list[str]):
    one, other = map(token, names)
    assert one != other
    assert {*one, *other} <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def test_a_key_keeps_its_lane():
    """In every process and version: another lane would break the order of what waits. CRC-32's own check value."""
    assert partition("123456789", 1_000) == 0xCBF43926 % 1_000
