"""The append-only log."""

from __future__ import annotations

import asyncio

import pytest

from outlay.errors import ConfigError
from outlay.protocols.store import Store
from outlay.sharing import LogRecord, State


async def test_records_are_read_from_a_position(store: Store):
    log = State(store, "team").log("steps")
    assert await log.read() == []
    assert await log.end() == 0
    assert [await log.append({"step": n}) for n in range(3)] == [0, 1, 2]
    assert await log.read(1) == [LogRecord(1, {"step": 1}), LogRecord(2, {"step": 2})]
    assert await log.read(1, limit=1) == [LogRecord(1, {"step": 1})]
    assert await log.read(3) == await log.read(2, limit=0) == await log.read(99) == []
    assert await log.end() == 3


async def test_a_long_log_is_read_in_pieces(store: Store):
    """Across the blocks that records are stored in: none is missing or twice, wherever a reader begins."""
    log = State(store, "team").log("steps")
    for n in range(520):
        await log.append(n)
    assert [record.value for record in await log.read()] == list(range(520))
    for start, limit in [(0, 256), (255, 2), (256, 256), (100, 400), (511, 5), (512, 99), (519, 1), (520, 1)]:
        records = await log.read(start, limit)
        assert [record.position for record in records] == list(range(520))[start : start + limit]
        assert all(record.value == record.position for record in records)


async def test_each_writers_records_keep_their_order(store: Store):
    """Eight writers at once: nothing lost, nothing twice, and positions are what the writers were told."""
    log = State(store, "team").log("steps")
    told: dict[int, str] = {}

    async def writer(name: str) -> None:
        for n in range(5):
            told[await log.append(f"{name}{n}")] = f"{name}{n}"

    await asyncio.gather(*(writer(name) for name in "abcdefgh"))
    records = await log.read()
    assert {record.position: record.value for record in records} == told
    assert sorted(told) == list(range(40))
    for name in "abcdefgh":
        assert [r.value for r in records if r.value[0] == name] == [f"{name}{n}" for n in range(5)]


async def test_logs_with_names_like_each_others_places_are_apart(store: Store):
    team = State(store, "team")
    names = ["a", "a/000000000000", "a/000000000000/0000", "A", "ä", "a%2F"]
    for name in names:
        await team.log(name).append(name)
    await State(store, "other").log("a").append("other")
    for name in names:
        assert await team.log(name).read() == [LogRecord(0, name)]


@pytest.mark.parametrize(("start", "limit"), [(-1, None), (0, -1)])
async def test_there_is_nothing_before_the_beginning(store: Store, start: int, limit: int | None):
    with pytest.raises(ConfigError, match="positions count from 0"):
        await State(store, "team").log("steps").read(start, limit)
