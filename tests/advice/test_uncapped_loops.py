"""Loops in users' own code that nothing caps, read off their source."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from outlay import node
from outlay.protocols.context import RunContext
from outlay.protocols.node import Node
from outlay.runtime.loops import uncapped_loops


async def until_done(ctx: Any, task: str) -> str:
    while True:
        task = await ctx.run(worker, task)
        if task == "DONE":
            return task


async def while_unsure(ctx: Any, task: str) -> str:
    sure = False
    while not sure:
        sure = await ctx.run(worker, task)
    return task


async def counting_for_ever(ctx: Any, task: str) -> str:
    for _ in itertools.count():
        task = await ctx.run(worker, task)
        if task == "DONE":
            break
    return task


async def at_most_three(ctx: Any, task: str) -> str:
    tries = 0
    while tries < 3:
        task = await ctx.run(worker, task)
        tries += 1
    return task


async def leaves_at_three(ctx: Any, task: str) -> str:
    tries = 0
    while True:
        tries += 1
        task = await ctx.run(worker, task)
        if task == "DONE" or tries >= 3:
            return task


async def over_a_list(ctx: Any, tasks: list[str]) -> list[str]:
    return [await ctx.run(worker, task) for task in tasks]


async def for_each(ctx: Any, tasks: list[str]) -> str:
    for task in tasks:
        await ctx.run(worker, task)
    return ""


async def only_computes(ctx: Any, number: int) -> int:
    while number % 2 == 0:
        number //= 2
    return number


async def worker(ctx: Any, task: str) -> str:
    return task


class Retrying(Node[str, str]):
    """A pattern of somebody's own."""

    name = "retrying"

    async def run(self, ctx: RunContext[Any], input: str) -> str:
        while not input.endswith("."):
            input = await ctx.run(worker, input)
        return input


@pytest.mark.parametrize("function", [until_done, while_unsure, counting_for_ever])
def test_a_loop_that_ends_only_if_a_model_says_so_is_found(function: Callable[..., Any]):
    """With the line it begins at."""
    (found,) = uncapped_loops(node(function))
    assert found.node.name == function.__name__
    assert found.place.startswith("test_uncapped_loops.py:")
    line = int(found.place.rpartition(":")[2])
    assert 0 < line - function.__code__.co_firstlineno < 4


@pytest.mark.parametrize("function", [at_most_three, leaves_at_three, over_a_list, for_each, only_computes])
def test_a_loop_that_counts_ends_or_asks_nobody_is_not(function: Callable[..., Any]):
    """What compares with a number is believed to be a cap."""
    assert list(uncapped_loops(node(function))) == []


def test_patterns_of_your_own_are_read_too():
    """Ours are not: each of them takes its cap as an argument."""
    (found,) = uncapped_loops(Retrying())
    assert found.node.name == "retrying"


def test_code_without_a_source_says_nothing():
    """It is not guessed."""
    names: dict[str, Any] = {}
    exec("async def made(ctx, task):\n    while True:\n        await ctx.run(task)", names)
    assert list(uncapped_loops(node(names["made"]))) == []
