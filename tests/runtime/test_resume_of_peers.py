"""Peers that take turns, hand over or share a board go on after a crash as if nothing had happened."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from crash import crashed, go, journal

from outlay import Agent
from outlay.patterns import Blackboard, Mesh, RoundRobin, Specialist
from outlay.stores.memory import MemoryStore
from outlay.testing import Reply, ScriptedModel


@dataclass
class Draft:
    text: str


class World:
    """Every answer that was paid for, by path."""

    def __init__(self) -> None:
        self.paid: Counter[str] = Counter()

    def agent(self, name: str, answer: Any, **options: Any) -> Agent[Any]:
        async def reply(request: Any) -> Any:
            self.paid[f"{request.path}:{len(request.messages)}"] += 1
            return answer(request)

        return Agent(name, ScriptedModel(reply, latency=1, price=(1, 1)), **options)


def mesh(world: World) -> Any:
    """Asks, hands over a typed artifact, gets it back, answers."""

    def writes(request: Any) -> Any:
        if "polish" in request.text:
            return Draft(f"final, after {request.text.count('dear')} dear")
        if len(request.messages) > 1:
            return Reply(tool_calls=[("handoff_to_b", {"task": "review", "artifact": {"text": "dear"}})])
        return Reply(tool_calls=[("ask_b", {"question": "to whom?"})])

    def reviews(request: Any) -> Any:
        return Reply(tool_calls=[("handoff_to_a", {"task": "polish"})]) if "review" in request.text else "to Ada"

    a, b = world.agent("a", writes, output_type=Draft), world.agent("b", reviews)
    return Mesh({a: [b], b: [a]}, a, 4)


def talk(world: World) -> Any:
    members = [world.agent(name, lambda r: f"{r.text.count('speaker')} before me") for name in "ab"]
    return RoundRobin(members, 5, stop=lambda turns: turns[-1].output.startswith("3"))


def board(world: World) -> Any:
    def adds(request: Any) -> Any:
        return request.text.count("#") * "#" + "#"

    specialists = [Specialist(world.agent(name, adds), ["items"], ["items"]) for name in "ab"]
    return Blackboard(specialists, {"items": "#"}, until=lambda found: len(found["items"]) > 3)


@pytest.mark.parametrize("flow", [mesh, talk, board])
def test_a_crash_after_any_event_changes_no_answer_and_repeats_no_paid_call(flow: Any) -> None:
    """The same output and the same facts; only the call under way at the crash may be made again."""
    first, store = World(), MemoryStore()
    whole = go(flow(first), "x", store)
    assert whole.stop_reason == "completed", whole.error
    length = len(journal(store))
    for cut in range(1, length):
        world = World()
        again = go(flow(world), "x", crashed(store, cut))
        assert (again.output, again.stop_reason) == (whole.output, "completed"), cut
        assert list(again.facts.values())[-1] == list(whole.facts.values())[-1]
        done = sum(type(event).__name__ == "CallFinished" for event in journal(store)[:cut])
        assert sum(world.paid.values()) == sum(first.paid.values()) - done, cut
