"""What a broken-off run had used of its windows, for every point at which it may have broken off."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from flows import at_once, of_kind, worker

from outlay import Agent, Budget, run
from outlay.errors import BadResponse
from outlay.events import CallFailed, CallFinished, CallStarted
from outlay.patterns import FanOut
from outlay.policies.window import NOTHING, Amount, total
from outlay.runtime.unsettled import unsettled
from outlay.stores.memory import MemoryStore
from outlay.testing import ScriptedModel

DAY = ("tenant", "day", "2026-01-01")
LIMITS = [Budget(usd=1, scope="tenant", per="day"), Budget(usd=2)]


def test_each_prefix_shows_what_is_paid_and_what_was_under_way() -> None:
    """A finished call at its cost, a torn one and one in flight at what they held."""
    torn = ScriptedModel(lambda r: BadResponse("torn", retryable=False), price=(0, 100))
    flow = FanOut([worker("a", cost=1, cap=4), worker("b", cost=2, cap=4), Agent("c", torn, max_output_tokens=300)])
    result: Any = at_once(run(flow, "x", store=MemoryStore(), budget=LIMITS))
    assert len(of_kind(result, CallFailed)) == 1
    for length in range(1, len(result.events)):
        events = result.events[:length]
        paid = sum((e.cost for e in events if isinstance(e, CallFinished)), Decimal(0))
        ended = {e.key for e in events if isinstance(e, CallFinished)}
        held = sum((e.reserved for e in events if isinstance(e, CallStarted) and e.key not in ended), Decimal(0))
        found = unsettled(events)
        assert set(found) <= {DAY}
        spent, doubt = found.get(DAY, (NOTHING, NOTHING))
        assert (spent.usd, doubt.usd) == (paid, held)
        assert (spent + doubt).calls == sum(isinstance(e, CallStarted) for e in events)


def test_only_the_leg_that_broke_off_counts() -> None:
    """Earlier ones have told what they used when they ended; a run without a window has nothing to tell."""
    store, flow = MemoryStore(), FanOut(worker())
    at_once(run(flow, list("ab"), store=store, run_id="r", budget=[Budget(calls=1), LIMITS[0]]))
    second: Any = at_once(run(flow, list("ab"), store=store, run_id="r", budget=LIMITS))
    assert unsettled(second.events)[DAY] == (Amount(Decimal("0.01"), 100, 1), NOTHING)
    none: Any = at_once(run(flow, list("ab"), store=store, budget=Budget(usd=1)))
    assert unsettled(none.events) == {}
    assert total([]) == NOTHING
