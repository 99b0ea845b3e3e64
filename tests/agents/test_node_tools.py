"""Nodes as tools: what the model is shown of their input, and the limits that hold for them."""

import json
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from outlay import Agent, Budget, RunContext, node, run_sync
from outlay.errors import ConfigError
from outlay.patterns import Claim, Debate, Detached, FanOut, Gate, Pipeline, Refine, Router, Supervisor, Vote
from outlay.protocols.node import Node
from outlay.testing import Reply, ScriptedModel


class Ticket(BaseModel):
    title: str
    priority: Literal["low", "high"] = "low"


@dataclass(frozen=True)
class Point:
    x: int
    y: int


@node
async def solve(ctx: RunContext, ticket: Ticket) -> Point:
    """Solves a ticket."""
    assert isinstance(ticket, Ticket)
    return Point(len(ticket.title), 1 if ticket.priority == "high" else 0)


@node
async def total(ctx: RunContext, numbers: list[int]) -> int:
    return sum(numbers)


def spec(tool):
    (one,) = Agent("a", ScriptedModel([]), tools=[tool]).toolbox.values()
    return json.loads(one.spec.schema)


def ask(tool, arguments):
    """What the model is told of one call."""
    name = tool.name
    agent = Agent("a", ScriptedModel([Reply(tool_calls=[(name, arguments)]), "done"]), tools=[tool])
    run_sync(agent, "go").unwrap()
    (given,) = agent.model.calls[1].messages[-1].tool_results
    return given


FREE_TEXT = {"type": "string", "description": "What to hand over, complete in itself."}


def test_a_typed_object_asks_for_summary_by_its_fields():
    """Names, types and what is required; the node gets the object, the model the result as JSON."""
    schema = spec(solve)
    assert list(schema["properties"]) == ["title", "priority"]
    assert (schema["required"], schema["additionalProperties"]) == (["title"], False)
    assert ask(solve, {"title": "abc", "priority": "high"}).content == '{"x":3,"y":1}'


def test_any_other_type_is_one_argument():
    """A list, a number, a choice."""
    assert spec(total)["properties"] == {"input": {"type": "array", "items": {"type": "integer"}}}
    assert ask(total, {"input": [1, 2, 3]}).content == "6"


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        (solve, {"priority": "high"}, "title"),
        (solve, {"title": "x", "priority": "urgent"}, "priority"),
        (total, {"input": ["a"]}, "0"),
        (total, {}, "missing: input"),
        (node(name="echo")(lambda text: text), {"input": 3}, "must be text"),
    ],
)
def test_wrong_arguments_are_an_error_for_the_model_to_read(tool, arguments, says):
    """Which field, and what is wrong with it; the node is not run."""
    given = ask(tool, arguments)
    assert given.is_error
    assert says in given.content


def text_of(text: str) -> str:
    return text


def anything(value: Any) -> str:
    return "x"


def untyped(value):
    return "x"


@pytest.mark.parametrize("function", [text_of, anything, untyped, lambda x: x, str.upper])
def test_what_says_no_type_takes_text(function):
    """Free text, complete in itself."""
    assert spec(node(name="f")(function))["properties"] == {"input": FREE_TEXT}


def asks_for(ticket: Ticket) -> str:
    return ticket.title


PATTERNS = {
    "pipeline": Pipeline(solve, lambda point: point),
    "router": Router(solve, {}, lambda ticket: "x"),
    "refine": Refine(solve, lambda point: None),
    "vote": Vote(solve, 3),
    "debate": Debate([solve, solve.replace(name="again")], lambda hearing: None),
    "fanout": FanOut([solve, solve.replace(name="again")]),
    "detached": Detached(solve),
    "nested": Pipeline(Pipeline(solve, name="inner"), lambda x: x),
    "agent": Agent("reader", ScriptedModel([]), prompt=asks_for),
}


@pytest.mark.parametrize("flow", PATTERNS.values(), ids=PATTERNS)
def test_a_pattern_takes_what_its_first_node_takes(flow):
    """And an agent what its prompt takes."""
    assert list(spec(flow)["properties"]) == ["title", "priority"]


def test_a_fan_out_takes_a_list_or_what_its_split_takes():
    """Of text, where the worker says nothing."""
    assert spec(FanOut(solve))["properties"]["input"]["items"] == {"$ref": "#/$defs/Ticket"}
    assert spec(FanOut(untyped))["properties"]["input"]["items"] == {"type": "string"}
    assert list(spec(FanOut(solve, split=lambda text: []))["properties"]) == ["input"]
    assert ask(FanOut(total), {"input": [[1, 2], [3]]}).content == "[3,3]"


def test_agents_supervisors_and_gates_take_text():
    """They read anything."""
    crew = Supervisor(lambda goal: None, [solve], lambda synthesis: None)
    for flow in (Agent("b", ScriptedModel([])), crew, Gate(untyped)):
        assert spec(flow)["properties"] == {"input": FREE_TEXT}


def test_a_pattern_of_your_own_says_it_in_run():
    """By the annotation of its input."""

    class Solve(Node[Ticket, str]):
        name = "solve"

        async def run(self, ctx: RunContext, input: Ticket) -> str:
            return input.title

    assert list(spec(Solve())["properties"]) == ["title", "priority"]
    assert ask(Solve(), {"title": "abc"}).content == "abc"


class NoSchema:
    pass


def wants_no_schema(value: NoSchema) -> str:
    return "x"


def test_a_type_that_no_schema_expresses_is_refused_when_the_agent_is_made():
    """Before anything is paid for."""
    with pytest.raises(ConfigError, match="wants_no_schema cannot be a tool"):
        Agent("a", ScriptedModel([]), tools=[node(wants_no_schema)])


def test_claims_of_a_helper_keep_their_speaker():
    """An agent that repeats what the agent it called has said is not its author."""
    claim = Claim("cost", 90, 0.8, "p1")
    helper = Agent("helper", ScriptedModel([[claim]]), output_type=list[Claim])
    said = [claim, Claim("verdict", "cheap")]
    boss = Agent(
        "boss",
        ScriptedModel([Reply(tool_calls=[("helper", {"input": "cost?"})]), said]),
        tools=[helper],
        output_type=list[Claim],
    )
    found = run_sync(boss, "go").unwrap()
    assert [(c.subject, c.by) for c in found] == [("cost", "boss/helper/helper"), ("verdict", "boss")]


def test_the_callers_budget_holds_for_the_agent_it_calls():
    """Its own and that of the caller, which ends with what is left to say."""
    helper = Agent("helper", ScriptedModel(lambda r: "x"))
    calls = [Reply(tool_calls=[("helper", {"input": "a"})])] * 9
    boss = Agent("boss", ScriptedModel(calls), tools=[helper], budget=Budget(calls=4))
    result = run_sync(Pipeline(boss, len), "go")
    assert (result.stop_reason, sum(line.calls for line in result.bill.lines)) == ("budget", 4)
