"""What the check believes that patterns hand to their members is what they hand to them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from outlay import Agent, run_sync
from outlay.advice.handoffs import free_texts, gives, passages
from outlay.patterns import (
    Blackboard,
    Critique,
    Debate,
    FanOut,
    Gate,
    Judgement,
    Pipeline,
    Plan,
    Refine,
    RoundRobin,
    Specialist,
    Subtask,
    Supervisor,
)
from outlay.protocols.node import Node
from outlay.testing import ScriptedModel

SEEN: defaultdict[str, list[type]] = defaultdict(list)


def member(name: str, answer: Any = "x") -> Any:
    """A function that notes what it was given."""

    def given(input: Any) -> Any:
        SEEN[name].append(type(input))
        return answer(input) if callable(answer) else answer

    given.__name__ = name
    return given


def counted(input: Any) -> str:
    return f"answer {len(SEEN['one']) + len(SEEN['two'])}"


PLAN = Plan([Subtask("s1", "worker", "do it")])
FLOWS: dict[str, tuple[Any, Any]] = {
    "pipeline": (Pipeline(member("first"), Gate(lambda value: None), member("then")), "in"),
    "fan-out": (FanOut(member("worker"), merge=member("merge")), ["in", "in2"]),
    "fan-out of several": (FanOut([member("a"), member("b")], merge=member("merge")), "in"),
    "refine": (Refine(member("draft"), member("critic", Critique(False, "no")), 2, fallback=member("instead")), "in"),
    "debate": (
        Debate([member("one", counted), member("two", counted)], member("judge", Judgement(False, "y")), 1),
        "in",
    ),
    "supervisor": (Supervisor(lambda goal: PLAN, [member("worker")], member("sum")), "in"),
    "round robin": (RoundRobin([member("a"), member("b")], max_turns=2), "in"),
    "blackboard": (Blackboard([Specialist(member("a", 1), {"input": str}, {"n": int})], max_steps=1), "in"),
}


@pytest.mark.parametrize("name", FLOWS)
def test_members_get_what_the_check_believes(name: str):
    """Seen in a run: the type of each passage is among those that the member was given."""
    flow, given = FLOWS[name]
    SEEN.clear()
    assert run_sync(flow, given).error is None
    found = [(passage.taker.name, passage.given) for passage in passages(flow)]
    assert found
    for taker, kind in found:
        wanted = kind if kind is None or isinstance(kind, type) else kind.__origin__
        assert wanted is None or wanted in SEEN[taker]


def agent(name: str, **more: Any) -> Agent[Any]:
    return Agent(name, ScriptedModel(["x"]), **more)


@pytest.mark.parametrize(
    ("flow", "pairs"),
    [
        (Pipeline(agent("a"), agent("b")), [("a", "b")]),
        (Pipeline(agent("a", output_type=int), agent("b")), []),
        (Pipeline(agent("a"), member("f"), agent("b")), []),
        (Pipeline(agent("a"), Gate(lambda value: None), agent("b")), [("a", "b")]),
        (FanOut([agent("a"), agent("b")], merge=agent("c")), [("a", "c"), ("b", "c")]),
        (Supervisor(member("p"), [Pipeline(agent("a"), agent("b"))], agent("sum")), [("b", "sum")]),
        (RoundRobin([agent("a"), agent("b")], max_turns=2), []),
    ],
)
def test_who_reads_whose_free_text(flow: Node[Any, Any], pairs: list[tuple[str, str]]):
    """Through gates and out of nested patterns; talk is meant to be read."""
    assert [(writer.name, reader.name) for writer, reader in free_texts(flow)] == pairs


@pytest.mark.parametrize(
    ("flow", "kind"),
    [
        (agent("a", output_type=int), int),
        (Pipeline(agent("a"), agent("b", output_type=int)), int),
        (FanOut(agent("a", output_type=int)), list[int]),
        (FanOut([agent("a"), agent("b")]), dict),
        (Refine(agent("a", output_type=int), lambda value: None), int),
        (Pipeline(member("untyped")), None),
    ],
)
def test_what_a_node_gives(flow: Node[Any, Any], kind: Any):
    """None where nobody says."""
    assert gives(flow) == kind
