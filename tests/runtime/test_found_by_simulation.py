"""What `outlay simulate` found in the runtime, each as the shortest run that shows it."""

import asyncio
import json
from typing import Any

import pytest
from crash import crashed, go, journal

from outlay import Agent, Budget, Usage, node, tool
from outlay.errors import Conflict, InDoubt
from outlay.events import BudgetAlert, CallStarted, Decision
from outlay.events.records import Asked, ToolStarted
from outlay.models.openai_common import usage_of
from outlay.protocols.clock import wall_clock
from outlay.protocols.documents import Change, Document
from outlay.runtime.ownership import LEASE_SECONDS
from outlay.stores.memory import MemoryStore
from outlay.testing import Reply, ScriptedModel


def places(store: MemoryStore, kind: type[Any]) -> list[int]:
    return [i for i, event in enumerate(journal(store)) if isinstance(event, kind)]


def calls_first(request: Any) -> Any:
    return "done" if request.messages[-1].role == "tool" else Reply(tool_calls=[("act", {"what": "x"})])


def test_an_alert_that_an_earlier_leg_gave_does_not_cost_the_call_that_sets_it_off_again() -> None:
    """The process died between the alert and the answer's record: the second answer, paid for too, was lost to an
    AssertionError because the alert was known already.
    """
    alerts: list[int] = []

    def alerted(alert: Any) -> None:
        alerts.append(alert.percent)

    def flow() -> Agent[str]:
        model = ScriptedModel(lambda request: Reply("done", usage=Usage(output_tokens=60)), price=(0, 100))
        return Agent("a", model, max_output_tokens=100, budget=Budget(usd="0.01"))

    store = MemoryStore()
    go(flow(), "x", store, on_alert=alerted)
    assert alerts == [50]
    left = crashed(store, places(store, BudgetAlert)[0] + 1)
    again = go(flow(), "x", left, on_alert=alerted)
    assert (again.output, again.stop_reason) == ("done", "completed")
    assert alerts == [50]


def test_each_doubt_is_decided_anew() -> None:
    """ "Again" was said of the first attempt; the second one broke off too, and was then repeated without a word."""
    done: list[str] = []

    @tool(side_effect=True)
    def act(what: str) -> str:
        """Act."""
        done.append(what)
        return "acted"

    def flow() -> Agent[str]:
        return Agent("a", ScriptedModel(calls_first), tools=[act])

    store = MemoryStore()
    go(flow(), "x", store)
    first = crashed(store, places(store, ToolStarted)[0] + 1)
    go(flow(), "x", first, on_ask=lambda item: "again")
    assert len(done) == 2
    second = crashed(first, places(first, ToolStarted)[1] + 1)
    asked: list[str] = []

    def gives_up(item: Any) -> str:
        asked.append(item.kind)
        return "give up"

    given_up = go(flow(), "x", second, on_ask=gives_up)
    assert isinstance(given_up.error, InDoubt)
    assert asked == ["in_doubt"]
    assert len(done) == 2
    assert len({event.id for event in journal(second) if isinstance(event, Asked)}) == 2


def test_each_call_that_is_sent_again_is_said_to_be() -> None:
    """Two calls of one agent broke off, in two processes: the second was taken for the first one told again."""

    @tool
    def act(what: str) -> str:
        """Act."""
        return "acted"

    def flow() -> Agent[str]:
        return Agent("a", ScriptedModel(calls_first, price=(1, 1)), tools=[act])

    store = MemoryStore()
    go(flow(), "x", store)
    first = crashed(store, places(store, CallStarted)[0] + 1)
    go(flow(), "x", first)
    second = crashed(first, places(first, CallStarted)[2] + 1)
    result = go(flow(), "x", second)
    again = [event for event in journal(second) if isinstance(event, Decision) and event.about == "sent_again"]
    assert len(again) == result.bill.billed_twice == 2


def test_a_count_of_tokens_that_is_none_is_unknown() -> None:
    """A negative one would have lowered the bill."""
    assert usage_of({"input": 10, "output": -1}, "input", "output", "details") is None
    assert usage_of({"input": -10, "output": 1}, "input", "output", "details") is None


def test_a_finished_run_gives_the_output_that_was_stored() -> None:
    """A part had ended in a stop that nothing recorded gives again; the replay went another way, and was believed."""
    turns = iter(["one way", "another way"])
    flow = node(lambda x: next(turns), name="fickle")  # pyright: ignore[reportUnknownLambdaType, reportArgumentType, reportCallIssue]
    store = MemoryStore()
    assert go(flow, "x", store).output == "one way"
    again = go(flow, "x", store)
    assert (again.output, again.stop_reason) == ("one way", "completed")


class Overtaken(MemoryStore):
    """A store in which a rival takes the run over between the moment in which its journal is read and the next."""

    async def read(self, collection: str, key: str) -> Document | None:
        if collection == "runs.owner" and await super().read(collection, key) is None:
            until = wall_clock(asyncio.get_running_loop())() + LEASE_SECONDS
            await self.commit(
                (
                    Change("owners", "rival", json.dumps({"until": until}).encode(), None),
                    Change("runs.owner", key, json.dumps("rival").encode(), 0),
                )
            )
        return await super().read(collection, key)


def test_who_has_taken_a_run_over_and_not_said_so_yet_is_left_alone() -> None:
    """The journal still named the owner that had died, so a second process took the run from a live one."""
    store = MemoryStore()
    go(Agent("a", ScriptedModel(["done"])), "x", store)
    left = crashed(store, 2)
    left.__class__ = Overtaken
    with pytest.raises(Conflict, match="is being worked on by"):
        go(Agent("a", ScriptedModel(["done"])), "x", left)
