"""Compaction in the journal and in sessions: a run that broke off goes on with what it paid for, and shortened."""

from __future__ import annotations

from typing import Any

import pytest
from crash import crashed, go, journal
from flows import at_once

from outlay import Agent, Compaction, run, tool
from outlay.agents.checkpoint import asks_for_summary, extract, found_in
from outlay.events import Decision
from outlay.events.records import CallStarted, Drawn
from outlay.patterns import FanOut
from outlay.stores.memory import MemoryStore
from outlay.testing import Reply, ScriptedModel

PAGE = "line of a page. " * 100
TURNS = 24


@tool
def look(page: int) -> str:
    """Read a page."""
    return f"page {page}: {PAGE}"


class World:
    """What was really paid: which answers a model gave, in order."""

    def __init__(self, turns: int = TURNS) -> None:
        self.turns = turns
        self.paid: list[str] = []

    def answer(self, request: Any) -> Any:
        if asks_for_summary(request):
            self.paid.append(f"summary {len(self.paid)}")
            return extract(request)
        pages = [call.arguments for message in request.messages for call in message.tool_calls]
        page = int(pages[-1].split(":")[1].strip(" }")) + 1 if pages else 1
        self.paid.append(f"page {page}")
        return "done" if page > self.turns else Reply(tool_calls=[("look", {"page": page})])

    def agent(self, compaction: Compaction | None, **options: Any) -> Agent[str]:
        model = ScriptedModel(self.answer, price=(3, 15), name="m")
        return Agent("reader", model, tools=[look], max_turns=60, compaction=compaction, **options)


#: Both ways are taken: clearing at first, and a summary once the calls alone are long.
BOTH = Compaction(max_summary_tokens=100, expected_turns=60)


def shortened(events: list[Any]) -> list[tuple[str, str]]:
    return [(e.data["way"], e.data["after"]) for e in events if isinstance(e, Decision) and e.about == "compaction"]


def test_both_ways_are_taken_in_the_run_that_is_cut_off_below() -> None:
    """Or the tests of this file would say nothing."""
    store = MemoryStore()
    go(World().agent(BOTH), "go", store)
    assert {way for way, _ in shortened(journal(store))} == {"clear", "summarise"}


@pytest.mark.parametrize("share", [0.2, 0.45, 0.5, 0.6, 0.75, 0.9, 0.97])
def test_a_run_that_broke_off_is_shortened_where_it_was(share: float) -> None:
    """What was paid is not paid again, summaries included, and what is sent from then on is the same."""
    whole, store = World(), MemoryStore()
    result = go(whole.agent(BOTH), "go", store)
    length = round(share * len(journal(store)))
    left = crashed(store, length)
    begun = sum(isinstance(e, CallStarted) for e in journal(left))
    world = World()
    again = go(world.agent(BOTH), "go", left)
    assert again.output == result.output == "done"
    assert again.transcript.head == result.transcript.head
    assert shortened(journal(left)) == shortened(journal(store))
    assert len(world.paid) in (len(whole.paid) - begun, len(whole.paid) - begun + 1)  # one may have been in doubt


def test_a_finished_run_is_given_again_for_nothing() -> None:
    store = MemoryStore()
    first = go(World().agent(BOTH), "go", store)
    world = World()
    second = go(world.agent(BOTH), "go", store)
    assert world.paid == []
    assert second.output == first.output
    assert second.transcript.head == first.transcript.head


@pytest.mark.parametrize("later", [None, Compaction(summarise=False, keep_turns=5)], ids=["without", "another"])
def test_other_settings_pay_for_nothing_again(later: Compaction | None) -> None:
    """A call is known by the whole conversation (SEMANTICS 1), however much of it was sent."""
    store, whole = MemoryStore(), World()
    go(whole.agent(BOTH), "go", store)
    left = crashed(store, len(journal(store)) * 3 // 4)
    begun = [e for e in journal(left) if isinstance(e, CallStarted) and e.purpose == "work"]
    world = World()
    assert go(world.agent(later), "go", left).output == "done"
    pages = [paid for paid in world.paid if paid.startswith("page")]
    assert len(pages) <= TURNS + 1 - len(begun) + 1


def test_what_was_chosen_is_recorded_and_not_worked_out_again() -> None:
    """Prices and windows of another day change nothing that was decided."""
    store = MemoryStore()
    go(World().agent(BOTH), "go", store)
    left = crashed(store, len(journal(store)) - 2)
    dearer = World()
    model = ScriptedModel(dearer.answer, price=(3_000, 15), name="m")
    again = go(dearer.agent(BOTH).replace(model=model), "go", left)
    assert again.output == "done"
    assert len(dearer.paid) <= 1
    drawn = [e for e in journal(store) if isinstance(e, Drawn) and e.what == "compaction"]
    assert drawn
    assert shortened(journal(left)) == shortened(journal(store))


# ── sessions ──────────────────────────────────────────────────────────────────────────────────────────────


def say(text: Any, store: Any, flow: Any) -> Any:
    return at_once(run(flow, text, store=store, session="s"))


def test_the_next_run_goes_on_with_the_shortened_conversation() -> None:
    """The checkpoint is paid once, not by every run of the session; what it held is still known."""
    store, world = MemoryStore(), World()
    first = say("go", store, world.agent(BOTH))
    assert found_in(first.transcript.messages) is not None
    seen: list[Any] = []
    model = ScriptedModel(lambda r: seen.append(r) or "well", price=(3, 15), name="m")
    second = say("and now?", store, world.agent(None).replace(model=model))
    (request,) = seen
    assert request.messages[:-1] == first.transcript.messages
    assert second.output == "well"
    third = say("and then?", store, world.agent(None).replace(model=model))
    assert [m.text for m in third.transcript.messages[-4:]] == ["and now?", "well", "and then?", "well"]


def test_visits_of_one_agent_in_one_run_all_stay_though_each_was_shortened() -> None:
    """Two at once, each with a conversation of its own: neither takes the other's place."""

    def answer(request: Any) -> Any:
        task = next(text for text in ("left", "right") if any(text in m.text for m in request.messages))
        taken = sum(len(m.tool_calls) for m in request.messages)
        return f"{task} done" if taken >= 8 else Reply(tool_calls=[("look", {"page": taken})])

    model = ScriptedModel(answer, price=(3, 15), latency=1)
    compaction = Compaction(summarise=False)
    flow = FanOut(Agent("old", model, tools=[look], max_turns=20, history=True, compaction=compaction))
    store = MemoryStore()
    assert say(["left", "right"], store, flow).output == ["left done", "right done"]
    seen: list[Any] = []
    later = ScriptedModel(lambda r: seen.append(r) or "so", price=(3, 15))
    say(["more"], store, FanOut(Agent("old", later, history=True, tools=[look])))
    texts = [m.text for m in seen[0].messages]
    assert {"left", "right", "left done", "right done", "more"} <= set(texts)


def test_a_conversation_goes_on_without_a_store_too() -> None:
    """`history=result.transcript` is the shortened one."""
    first = at_once(run(World().agent(BOTH), "go"))
    model = ScriptedModel(["well"], price=(3, 15))
    second = at_once(run(Agent("reader", model, tools=[look]), "and?", history=first.transcript))
    assert second.output == "well"
    assert found_in(model.calls[0].messages) == found_in(first.transcript.messages)
