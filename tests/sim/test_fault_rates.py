"""Where one request in a hundred meets a fault, of any kind, over 99.9 % of the items of a fan-out come through."""

from __future__ import annotations

import asyncio

import pytest

from outlay import Agent, run
from outlay.events import CallFailed
from outlay.patterns import FanOut
from outlay.sim import VirtualLoop
from outlay.sim.faulty import Books
from outlay.testing import Faults, ScriptedModel


def fan(seed, items, rates, latency=(0.5, 3), **options):
    """So many items at once: the result, and the provider's books."""
    books = Books()
    model = Faults(seed, rates, latency=latency).wrap(ScriptedModel(lambda request: "fine", price=(1, 5)), books)
    flow = FanOut(Agent("worker", model), min_success=0, **options)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        result = runner.run(run(flow, [str(i) for i in range(items)], on_alert=lambda alert: None))
    return result, books


def test_one_fault_in_a_hundred_costs_less_than_one_item_in_a_thousand():
    """Five thousand items over five seeds, all kinds alike; what is left are those told to come back in an hour."""
    items, came, kinds = 1_000, 0, set()
    for seed in range(5):
        result, books = fan(seed, items, 0.01)
        came += len(result.unwrap())
        kinds |= {event.error for event in result.events if isinstance(event, CallFailed)}
        assert len(result.output) + len(result.skipped) == items
        assert books.open == []
        assert result.bill.at_least <= books.billed
    assert came / (5 * items) > 0.999
    assert kinds == {"RateLimited", "Overloaded", "ServerError", "ModelTimeout", "BadResponse"}


@pytest.mark.parametrize("kind", ["overloaded", "no_connection", "half_open", "reset", "broken_json"])
def test_no_kind_alone_costs_an_item(kind):
    """Two in a hundred of one kind: each is tried again, those that come ten minutes after all others too."""
    result, _ = fan(1, 600, {kind: 0.02})
    assert len(result.unwrap()) == 600
    assert sum(isinstance(event, CallFailed) for event in result.events) > 5
