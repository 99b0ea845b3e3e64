"""Small flows and helpers that the tests of the runtime share."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from outlay import Agent, Result, RunContext, Usage, node
from outlay.events import CallStarted, Event, NodeStarted
from outlay.sim import VirtualLoop
from outlay.testing import Reply, ScriptedModel

A = TypeVar("A")


def at_once(work: Coroutine[Any, Any, A]) -> A:
    """Run a coroutine on virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


def cents(amount: float = 1, text: str = "done") -> Reply:
    """An answer that costs so many cents of a `dear` model."""
    return Reply(text, usage=Usage(output_tokens=round(amount * 100)))


def dear(replies: Any, *, latency: float = 0.0, name: str = "dear") -> ScriptedModel:
    """A model whose output token costs a hundredth of a cent, and whose input is free."""
    return ScriptedModel(replies, name=name, price=(0, 100), latency=latency)


def worker(
    name: str = "worker", *, cost: float = 1, cap: float = 1, latency: float = 1.0, **options: Any
) -> Agent[str]:
    """An agent that answers with its input for `cost` cents, and reserves `cap` cents."""
    model = dear(lambda request: cents(cost, request.text), latency=latency)
    return Agent(name, model, max_output_tokens=round(cap * 100), min_output_tokens=round(cap * 100), **options)


@node
async def echo(ctx: RunContext, value: Any) -> Any:
    return value


def of_kind(result: Result[Any], kind: type[Event]) -> list[Any]:
    return [event for event in result.events if type(event) is kind]


def paths(result: Result[Any]) -> list[str]:
    """The paths of the nodes that ran, in the order in which they began."""
    return [event.path for event in of_kind(result, NodeStarted)]


def keys(result: Result[Any]) -> dict[str, str]:
    """The identity of each model call by the text it was asked, for flows whose texts are distinct."""
    return {event.key: event.path for event in of_kind(result, CallStarted)}
