"""TimeLimit: one timer for many blocks that may all take equally long."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from outlay.models.timelimit import TimeLimit
from outlay.sim.loop import VirtualLoop

A = TypeVar("A")
SECONDS = 10.0


def virtually(work: Coroutine[Any, Any, A]) -> A:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


async def work(limit: TimeLimit, start: float, takes: float) -> tuple[str, float]:
    """How a block that starts at `start` and wants `takes` seconds ended, and when."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(start)
    try:
        with limit.here():
            await asyncio.sleep(takes)
    except TimeoutError:
        return "late", loop.time()
    return "done", loop.time()


def in_virtual_time(*blocks: tuple[float, float]) -> list[tuple[str, float]]:
    async def main() -> list[tuple[str, float]]:
        loop = asyncio.get_running_loop()
        limit, began = TimeLimit(loop, SECONDS), loop.time()
        ends = await asyncio.gather(*(work(limit, start, takes) for start, takes in blocks))
        return [(how, round(when - began, 6)) for how, when in ends]

    return virtually(main())


def test_a_block_ends_when_its_own_time_is_up() -> None:
    """Whoever began before or after it, and whether or not they are done by then."""
    assert in_virtual_time((0, 3), (1, 99), (2, 9), (4, 99), (30, 99), (50, 1)) == [
        ("done", 3),
        ("late", 11),
        ("done", 11),
        ("late", 14),
        ("late", 40),
        ("done", 51),
    ]


def test_a_block_that_is_done_in_time_leaves_no_cancellation_behind() -> None:
    async def main() -> int:
        limit = TimeLimit(asyncio.get_running_loop(), SECONDS)
        with pytest.raises(TimeoutError), limit.here():
            await asyncio.sleep(99)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert virtually(main()) == 0


def test_who_is_cancelled_at_the_same_moment_stays_cancelled() -> None:
    """A cancel from outside is not turned into a time-out."""

    async def main() -> bool:
        limit = TimeLimit(asyncio.get_running_loop(), SECONDS)
        task = asyncio.ensure_future(work(limit, 0, 99))
        await asyncio.sleep(SECONDS)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert virtually(main())


def test_a_cancel_passes_through() -> None:
    async def main() -> bool:
        task = asyncio.ensure_future(work(TimeLimit(asyncio.get_running_loop(), SECONDS), 0, 99))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert virtually(main())
