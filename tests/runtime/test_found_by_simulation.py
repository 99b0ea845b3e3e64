"""What `outlay simulate` found in the runtime, each as the shortest run that shows it."""

from typing import Any

from crash import crashed, go, journal

from outlay import Agent, Budget, Usage, tool
from outlay.errors import InDoubt
from outlay.events import BudgetAlert, CallStarted, Decision
from outlay.events.records import Asked, ToolStarted
from outlay.models.openai_common import usage_of
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
