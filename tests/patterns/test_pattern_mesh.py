"""Mesh: peers hand the work over to one another, or ask one another and go on."""

import json
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay import Agent, Budget, RunContext, Tool, node, run_sync
from outlay.errors import ConfigError, OutputInvalid, Overloaded, TurnLimit
from outlay.events import Decision
from outlay.patterns import Handoff, Mesh, Pipeline, Task
from outlay.patterns.relay import Relay
from outlay.patterns.retold import retold, tokens_of
from outlay.testing import Reply, ScriptedModel, virtual_time
from outlay.values.content import ProviderBlock, Text, ToolCall, ToolResult
from outlay.values.label import untrusted
from outlay.values.message import Message
from outlay.values.transcript import EMPTY


@dataclass
class Draft:
    text: str


def agent(name, *replies, **options):
    return Agent(name, ScriptedModel(list(replies), price=(1, 1)), **options)


def hand(peer, task="go on", **arguments):
    return Reply(tool_calls=[(f"handoff_to_{peer}", {"task": task, **arguments})])


def ask(peer, question="why?"):
    return Reply(tool_calls=[(f"ask_{peer}", {"question": question})])


def tools(request):
    return {spec.name for spec in request.tools}


def facts(result):
    return result.facts["mesh"]


def busy():
    return Overloaded("busy", retryable=False)


# ── handing off ───────────────────────────────────────────────────────────────────────────────────────────


def test_whoever_answers_gives_the_output():
    """The start gets the input as it is, and may answer at once."""
    a, b = agent("a", "hello"), agent("b")
    result = run_sync(Mesh({a: [b]}, start=a, max_handoffs=3), "hi")
    assert (result.unwrap(), a.model.calls[0].text) == ("hello", "hi")
    assert facts(result) == {"ended": "answered", "path": ["a"], "handoffs": 0, "asked": []}


def test_a_handoff_ends_the_senders_turn_and_passes_a_task_and_a_summary():
    """The peer sees the goal, its task and the summary: nothing else of the sender's conversation."""
    a, b = agent("a", hand("b", "refund it", summary="order 5 is late")), agent("b", "refunded")
    result = run_sync(Mesh({a: [b]}, start=a, max_handoffs=3), "my order?")
    assert result.unwrap() == "refunded"
    assert len(a.model.calls) == 1
    (request,) = b.model.calls
    assert [m.role for m in request.messages] == ["user"]
    assert json.loads(request.text) == {
        "goal": "my order?",
        "task": "refund it",
        "results": {"a": "order 5 is late"},
    }
    assert facts(result) == {"ended": "answered", "path": ["a", "b"], "handoffs": 1, "asked": []}


def test_an_agent_with_a_typed_output_hands_over_its_work_in_that_type():
    """The artifact is validated like an output; what is none of the type is a tool error that can be corrected."""
    a = agent("a", hand("b", artifact={"txt": 1}), hand("b", artifact={"text": "dear"}), output_type=Draft)
    seen = []

    @node
    async def b(ctx: RunContext, task: Task) -> str:
        seen.append(task)
        return "done"

    assert run_sync(Mesh({a: [b]}, start=a, max_handoffs=3), "write").unwrap() == "done"
    assert seen == [Task("write", "go on", {"a": Draft("dear")})]
    assert a.model.calls[1].messages[-1].tool_results[0].is_error


def test_the_tools_say_who_the_peer_is():
    """By name and description; names that no tool may have are made fit."""
    b = agent("the clerk", "ok", description="Knows the files.")
    a = agent("a", "ok")
    run_sync(Mesh({a: [b]}, start=a, max_handoffs=3), "x").unwrap()
    by_name = {spec.name: spec.description for spec in a.model.calls[0].tools}
    assert by_name == {
        "ask_the_clerk": "Ask the clerk a question and go on with the answer. Knows the files.",
        "handoff_to_the_clerk": "Hand the work over to the clerk and end your turn. Knows the files.",
    }


def test_any_other_node_hands_off_by_a_value():
    """By the peer's name or by itself; an agent whose output may be a Handoff does so too."""

    @node
    async def c(ctx: RunContext, task: Task) -> str:
        return f"{task.task} of {task.goal} with {dict(task.results)}"

    @node
    async def a(ctx: RunContext, x: str) -> Handoff:
        return Handoff("b", "one", Draft("x"))

    @node
    async def b(ctx: RunContext, task: Task) -> Handoff:
        return Handoff(c, task.task + " two")

    result = run_sync(Mesh({a: [b], b: ["c", a], c: [a]}, start="a", max_handoffs=2), "goal")
    assert result.unwrap() == "one two of goal with {'a': Draft(text='x')}"
    assert facts(result)["path"] == ["a", "b", "c"]
    speaker = agent("s", Handoff("c", "three"), output_type=str | Handoff)
    assert run_sync(Mesh({speaker: [c]}, speaker, 1), "goal").unwrap() == "three of goal with {}"


def test_the_artifacts_travel_with_the_work():
    """The last of each sender, the newest at the end: whoever gets its draft back with remarks still has it."""
    seen = []

    def passes(name, *handoffs):
        left = list(handoffs)

        async def work(ctx: RunContext, task: object) -> object:
            seen.append(dict(task.results) if isinstance(task, Task) else task)
            return left.pop(0)

        return node(name=name)(work)

    w = passes("w", Handoff("r", "review", "draft 1"), Handoff("r", "review", "draft 2"), "final")
    r = passes("r", Handoff("w", "longer"), Handoff("w", "shorter", "remarks"))
    assert run_sync(Mesh({w: [r], r: [w]}, w, 9), "goal").unwrap() == "final"
    assert seen == ["goal", {"w": "draft 1"}, {"w": "draft 1"}, {"w": "draft 2"}, {"w": "draft 2", "r": "remarks"}]
    assert list(seen[-1]) == ["w", "r"]


def test_a_pattern_may_be_a_peer():
    """It gets the task, and hands off where its output says so."""
    a, b = agent("a", hand("crew")), agent("b", "done")
    crew = Pipeline(agent("w", "found"), lambda found: Handoff("b", found), name="crew")
    result = run_sync(Mesh({a: [crew], crew: [b]}, a, 4), "x")
    assert (result.unwrap(), facts(result)["path"]) == ("done", ["a", "crew", "b"])
    assert "mesh/crew/w" in {line.path for line in result.bill.lines}


def test_whoever_gets_the_work_back_starts_afresh():
    """A path tells its runs apart, and its earlier conversation is not sent again."""
    a, b = agent("a", hand("b"), "done"), agent("b", hand("a", "finish"))
    result = run_sync(Mesh({a: [b], b: [a]}, a, 4), "x")
    assert result.unwrap() == "done"
    assert len(a.model.calls[1].messages) == 1
    assert {line.path for line in result.bill.lines} == {"mesh/a", "mesh/b", "mesh/a#2"}


# ── asking ────────────────────────────────────────────────────────────────────────────────────────────────


def test_who_asks_goes_on_with_the_answer():
    """The peer answers a question with nothing of the asker's conversation, and without tools to hand it on."""
    a, b = agent("a", ask("b", "how late?"), "2 days late"), agent("b", "2 days")
    result = run_sync(Mesh({a: [b], b: [a]}, a, 3), "my order?")
    assert result.unwrap() == "2 days late"
    assert json.loads(b.model.calls[0].text) == {"goal": "my order?", "task": "how late?", "results": {}}
    assert tools(b.model.calls[0]) == set()
    assert a.model.calls[1].messages[-1].tool_results[0].content == "2 days"
    assert facts(result) == {"ended": "answered", "path": ["a"], "handoffs": 0, "asked": [["a", "b"]]}
    assert "mesh/a/ask_b/b" in {line.path for line in result.bill.lines}


def test_a_peer_that_fails_or_hands_a_question_on_is_an_error_for_the_asker():
    """Who can say so, and go on."""

    @node
    async def b(ctx: RunContext, task: Task) -> Handoff:
        return Handoff("a", "you do it")

    stuck = agent("c", "", output_type=int, max_turns=1)
    lost = agent("d", busy())
    a = agent("a", ask("b"), ask("c"), "nobody knows", hand("d"))
    result = run_sync(Mesh({a: [b, stuck, lost], b: [a]}, a, 3), "x")
    assert result.unwrap() == "nobody knows"
    told = [m.tool_results[0] for m in a.model.calls[2].messages if m.role == "tool"]
    assert all(one.is_error for one in told)
    assert "wanted to hand the question to a" in told[0].content
    assert "c found no answer" in told[1].content
    asks = agent("a", ask("d"), "nobody knows")
    assert (
        run_sync(Mesh({asks: [lost.replace(model=ScriptedModel([busy()]))]}, asks, 3), "x").unwrap() == "nobody knows"
    )


def test_an_asked_agent_and_one_handed_to_share_one_budget():
    """It is one agent, whatever tools it was lent."""
    b = agent("b", "it is 5", hand("c"), budget=Budget(calls=1))
    a = agent("a", ask("b"), hand("b", summary="so far"))
    result = run_sync(Mesh({a: [b], b: [agent("c")]}, a, 3), "x")
    assert (result.stop_reason, result.output) == ("budget", "so far")
    assert len(b.model.calls) == 1


# ── the caps ──────────────────────────────────────────────────────────────────────────────────────────────


def test_at_the_cap_the_handoff_tools_are_gone():
    """It can still ask, and has to answer."""
    a, b = agent("a", hand("b")), agent("b", "answer")
    assert run_sync(Mesh({a: [b], b: [a]}, a, 1), "x").unwrap() == "answer"
    assert tools(a.model.calls[0]) == {"ask_b", "handoff_to_b"}
    assert tools(b.model.calls[0]) == {"ask_a"}


def test_an_agent_that_will_not_answer_at_the_cap_ends_with_the_best_so_far():
    """It insists until its own turns are used up."""
    a = agent("a", hand("b", summary="half done"))
    b = agent("b", hand("a"), hand("a"), max_turns=2)
    result = run_sync(Mesh({a: [b], b: [a]}, a, 1), "x")
    assert (result.stop_reason, result.output, result.degraded) == ("turn_limit", "half done", True)
    assert "there is no tool 'handoff_to_a'" in b.model.calls[1].messages[-1].tool_results[0].content
    assert facts(result)["path"] == ["a", "b"]


def test_a_node_that_hands_off_past_the_cap_ends_with_the_best_so_far():
    """As a turn limit that names the path, with the last artifact."""

    @node
    async def a(ctx: RunContext, x: object) -> Handoff:
        return Handoff("b", "yours", "from a")

    @node
    async def b(ctx: RunContext, x: Task) -> Handoff:
        return Handoff("a", "yours", "from b")

    result = run_sync(Mesh({a: [b], b: [a]}, a, 1), "x")
    assert (result.stop_reason, result.output, facts(result)["ended"]) == ("turn_limit", "from b", "max_handoffs")
    assert isinstance(result.error, TurnLimit)
    assert "a → b" in str(result.error)
    assert "next: raise max_handoffs" in str(result.error)


def test_the_same_handoff_twice_is_a_loop():
    """Same sender, peer and task over the same artifact: what followed would follow again. The artifact stands."""
    a = agent("a", hand("b", summary="s1"), hand("b", summary="s1"))
    b = agent("b", hand("a"))
    result = run_sync(Mesh({a: [b], b: [a]}, a, 50), "x")
    assert (result.output, result.stop_reason, result.degraded) == ("s1", "completed", True)
    assert facts(result)["ended"] == "loop"
    assert facts(result)["path"] == ["a", "b", "a"]
    (skipped,) = result.skipped
    assert skipped.reason == "a loop: a handed the same to b before; the last artifact stands"


def test_a_loop_without_an_artifact_is_a_turn_limit():
    """There is nothing to show for it."""
    a, b = agent("a", hand("b"), hand("b")), agent("b", hand("a"))
    result = run_sync(Mesh({a: [b], b: [a]}, a, 50), "x")
    assert (result.stop_reason, result.output, facts(result)["ended"]) == ("turn_limit", None, "loop")
    assert "a loop: a handed the same to b before" in str(result.error)


def test_a_draft_that_changes_is_no_loop():
    """Writer and reviewer may say the same each time, as long as the work goes on."""
    drafts = [hand("r", "review", artifact={"text": str(i)}) for i in range(3)]
    writer = agent("w", *drafts, Draft("final"), output_type=Draft)
    reviewer = agent("r", *[hand("w", "again") for _ in range(3)])
    result = run_sync(Mesh({writer: [reviewer], reviewer: [writer]}, writer, 50), "x")
    assert (result.output, facts(result)["ended"], facts(result)["handoffs"]) == (Draft("final"), "answered", 6)


# ── what a model may get wrong ────────────────────────────────────────────────────────────────────────────


def test_a_model_that_names_somebody_else_or_itself_is_told_so():
    """As a tool error, and it may correct itself."""
    a, b = agent("a", hand("nobody"), hand("a"), hand("b")), agent("b", "done")
    assert run_sync(Mesh({a: [b], b: [a]}, a, 3), "x").unwrap() == "done"
    told = [m.tool_results[0].content for m in a.model.calls[2].messages if m.role == "tool"]
    assert told == [
        "there is no tool 'handoff_to_nobody'; the tools are: ask_b, handoff_to_b",
        "there is no tool 'handoff_to_a'; the tools are: ask_b, handoff_to_b",
    ]


@pytest.mark.parametrize(("to", "text"), [("a", "itself"), ("c", "'c', which is none of its peers")])
def test_a_handoff_value_to_the_wrong_one_is_an_invalid_output(to, text):
    """It names the peers."""

    @node
    async def a(ctx: RunContext, x: str) -> Handoff:
        return Handoff(to, "yours")

    result = run_sync(Mesh({a: [agent("b")]}, a, 3), "x")
    assert isinstance(result.error, OutputInvalid)
    assert f"a handed off to {text}" in str(result.error)
    assert "the peers of a are: b" in str(result.error)


def test_of_two_handoffs_in_one_turn_the_first_counts():
    """A model may call several tools at once."""
    both = Reply(tool_calls=[("handoff_to_c", {"task": "x"}), ("handoff_to_b", {"task": "x"})])
    a, b, c = agent("a", both), agent("b"), agent("c", "from c")
    assert run_sync(Mesh({a: [b, c]}, a, 3), "x").unwrap() == "from c"
    assert b.model.calls == []


# ── failures and stops ────────────────────────────────────────────────────────────────────────────────────


def test_a_failed_peer_leaves_the_last_artifact():
    """Degraded, with the reason; without an artifact the failure is raised."""
    a, b = agent("a", hand("b", summary="so far")), agent("b", busy())
    result = run_sync(Mesh({a: [b]}, a, 3), "x")
    assert (result.output, result.degraded, facts(result)["ended"]) == ("so far", True, "failed")
    assert [(s.path, type(s.error)) for s in result.skipped] == [("mesh/b", Overloaded)]
    a, b = agent("a", hand("b")), agent("b", busy())
    assert isinstance(run_sync(Mesh({a: [b]}, a, 3), "x").error, Overloaded)


def test_an_optional_peer_that_is_skipped_leaves_the_last_artifact_or_the_goal():
    """Its task is no answer to itself."""
    skipped = agent("b", busy(), busy(), optional=True)
    assert run_sync(Mesh({(a := agent("a", hand("b", summary="so far"))): [skipped]}, a, 3), "goal").output == "so far"
    assert run_sync(Mesh({(a := agent("a", hand("b"))): [skipped]}, a, 3), "goal").output == "goal"


def test_at_the_budget_and_at_the_deadline_the_last_artifact_stands():
    """As the best so far."""

    def flow(**options):
        a = agent("a", hand("b", summary="so far"))
        return Mesh({a: [Agent("b", ScriptedModel(["late"], latency=9))]}, a, 3, **options)

    stopped = run_sync(flow(budget=Budget(calls=1)), "x")
    late = run_sync(flow(budget=Budget(seconds=5)), "x")
    assert (stopped.stop_reason, stopped.output, facts(stopped)["ended"]) == ("budget", "so far", "budget")
    assert (late.stop_reason, late.output) == ("deadline", "so far")


# ── history ───────────────────────────────────────────────────────────────────────────────────────────────


def search(query: str) -> str:
    """Search."""
    return f"found {query}"


def test_the_history_travels_only_where_that_is_said():
    """As text, with the sender's tool calls told: the peer does not have those tools. The task comes last."""
    a = agent("a", Reply(tool_calls=[("search", {"query": "x"})]), hand("b", "finish"), tools=[search])
    b = agent("b", "done")
    result = run_sync(Mesh({a: [b]}, a, 3, history=True), "my order?")
    assert result.unwrap() == "done"
    told = [(m.role, m.text) for m in b.model.calls[0].messages]
    assert [role for role, _ in told] == ["user", "assistant", "user", "assistant", "user", "user"]
    assert told[0] == ("user", "my order?")
    assert told[1] == ("assistant", '[called search with {"query": "x"}]')
    assert told[2] == ("user", "[search gave: found x]")
    assert json.loads(told[-1][1])["task"] == "finish"
    assert not any(m.tool_calls or m.tool_results for m in b.model.calls[0].messages)


def test_the_price_of_a_history_is_flagged():
    """Tokens and dollars at the receiver's list price, for each turn that it is sent in; unknown is not zero."""
    for price, usd in [((2, 9), Decimal(2) / 1_000_000), (None, None)]:
        a, b = agent("a", hand("b")), Agent("b", ScriptedModel(["done"], price=price))
        result = run_sync(Mesh({a: [b]}, a, 3, history=True), "x" * 400)
        (flag,) = [e.data for e in result.events if isinstance(e, Decision) and e.about == "history_passed"]
        assert (flag["sender"], flag["to"], flag["messages"]) == ("a", "b", 3)
        assert flag["tokens"] > 100
        assert flag["usd_a_turn"] == (None if usd is None else str(usd * flag["tokens"]))
        assert "history_passed" in {e.about for e in result.events if isinstance(e, Decision)}


def test_without_history_nothing_is_flagged():
    a, b = agent("a", hand("b")), agent("b", "done")
    result = run_sync(Mesh({a: [b]}, a, 3), "x")
    assert [e for e in result.events if isinstance(e, Decision)] == []


def test_a_retold_conversation_has_no_blocks_of_its_provider_and_alternates():
    """What one provider signed means nothing to another, and two messages of one side become one."""
    talk = EMPTY.append(
        Message("user", (Text("hi"),)),
        Message("assistant", (ProviderBlock("anthropic", "thinking", "{}"), ToolCall("1", "f", "{}"))),
        Message("tool", (ToolResult("1", "f", "no", is_error=True),)),
        Message("user", (Text("well?"),)),
    )
    told = retold(talk)
    assert [(m.role, [getattr(p, "text", p) for p in m.parts]) for m in told] == [
        ("user", ["hi"]),
        ("assistant", ["[called f with {}]"]),
        ("user", ["[f failed: no]", "well?"]),
    ]
    assert tokens_of(told) == -(-len("hi[called f with {}][f failed: no]well?") // 4)


def test_a_retold_message_is_no_more_trusted_than_what_it_is_made_of():
    """Where messages become one, their labels join."""
    found = Message("tool", (ToolResult("1", "search", "found"),), untrusted("search"))
    asked = Message("user", (Text("well?"),))
    for talk in (EMPTY.append(found, asked), EMPTY.append(asked, found)):
        assert [m.label for m in retold(talk)] == [untrusted("search")]


# ── construction ──────────────────────────────────────────────────────────────────────────────────────────


def test_what_it_runs_is_known_before():
    """Every member once, written as a node, a function or a name."""
    a, b, c = agent("a"), agent("b"), agent("c")

    def d(task):
        return task

    mesh = Mesh({a: [b, "c", d], c: b, d: [a, a]}, start="c", max_handoffs=3)
    assert [n.name for n in mesh.children] == ["a", "c", "d", "b"]
    assert mesh.start is c
    assert [[p.name for p in peers] for peers in mesh.agents.values()] == [["b", "c", "d"], ["b"], ["a"]]
    assert Mesh({a: [d], d: [b]}, start=d, max_handoffs=1).start.name == "d"
    assert mesh.replace(name="other").children == mesh.children


A, B, TAKEN = agent("a"), agent("b"), agent("a", tools=[Tool("ask_b", search)])


@pytest.mark.parametrize(
    ("agents", "start", "most", "text"),
    [
        ({A: []}, A, 3, "a hands off to nobody"),
        ({A: [A, B]}, A, 3, "a hands off to itself"),
        ({A: ["a"]}, A, 3, "a hands off to itself"),
        ({A: ["bee"]}, A, 3, "'bee' is no member"),
        ({A: [B]}, "c", 3, "'c' is no member"),
        ({A: [B]}, agent("c"), 3, "'c' is no member"),
        ({A: [B]}, None, 3, "'None' is no member"),
        ({A: [3]}, A, 3, "not a node: 3"),
        ({}, A, 3, "maps each agent to its peers"),
        ([A, B], A, 3, "maps each agent to its peers"),
        ({A: [B, agent("b")]}, A, 3, "two members are named 'b'"),
        ({A: [B]}, A, 0, "max_handoffs must be at least 1"),
        ({TAKEN: [B]}, TAKEN, 3, "two tools named 'ask_b'"),
        ({A: [agent("x y"), agent("x_y")]}, A, 3, "two tools named 'ask_x_y'"),
    ],
)
def test_what_cannot_work_is_refused_at_construction(agents, start, most, text):
    with pytest.raises(ConfigError, match=text):
        Mesh(agents, start, most)


# ── laws ──────────────────────────────────────────────────────────────────────────────────────────────────


@st.composite
def meshes(draw):
    """Who may hand off to whom, and what each does at its turns: hand off (maybe to the wrong one), answer, or fail."""
    names = [f"n{i}" for i in range(draw(st.integers(2, 4)))]
    graph = {
        name: draw(st.lists(st.sampled_from([n for n in names if n != name]), min_size=1, max_size=3))
        for name in names
        if name == "n0" or draw(st.booleans())
    }
    handoffs = st.builds(
        Handoff, st.sampled_from(names), st.sampled_from(["x", "y"]), st.sampled_from([None, "", "draft", "better"])
    )
    deeds = {
        name: draw(st.lists(st.one_of(handoffs, st.sampled_from(["answer", "fail"])), max_size=6)) for name in names
    }
    return graph, deeds, draw(st.integers(1, 6))


@settings(max_examples=40, deadline=None)
@given(meshes())
def test_every_mesh_ends_within_its_caps_with_an_answer_or_a_reason(drawn):
    """The path is a walk in the graph, nobody works more often than the path says, and an answer is somebody's own or
    the newest artifact.
    """
    graph, deeds, most = drawn
    left = {name: list(todo) for name, todo in deeds.items()}
    turns, newest = [], []

    def member(name):
        async def work(ctx: RunContext, given: object) -> object:
            turns.append(name)
            deed = left[name].pop(0) if left[name] else "answer"
            if deed == "fail":
                raise LookupError(name)
            if isinstance(deed, Handoff) and deed.peer in graph.get(name, ()) and deed.artifact:
                newest.append(deed.artifact)
            return deed

        return node(name=name)(work)

    members = {name: member(name) for name in deeds}
    flow = Mesh(
        {members[name]: [members[peer] for peer in peers] for name, peers in graph.items()}, members["n0"], most
    )
    with virtual_time():
        result = run_sync(flow, "goal")
    path, ended = facts(result)["path"], facts(result)["ended"]
    assert turns == path
    assert facts(result)["handoffs"] == len(path) - 1 <= most
    assert all(b in graph[a] for a, b in pairwise(path))
    best = newest[-1] if newest else None
    if ended == "answered":
        assert (result.output, result.degraded) == ("answer", False)
    else:
        assert ended in ("loop", "max_handoffs", "failed")
        assert (result.output, result.degraded) == (best, True)
        assert result.error is not None or best is not None


# ── the decisions by themselves ───────────────────────────────────────────────────────────────────────────


def test_a_relay_counts_keeps_and_refuses():
    """A circle is named before the cap; an empty artifact does not replace a better one."""
    relay = Relay(["a"], 2)
    assert relay.pass_on(Handoff("b", "t", Draft("1"))) == ""
    assert relay.pass_on(Handoff("a", "t", "")) == ""
    assert (relay.best, relay.path, relay.may_hand_off) == (Draft("1"), ["a", "b", "a"], False)
    assert relay.pass_on(Handoff("b", "t", Draft("1"))) == "loop"
    assert relay.pass_on(Handoff("b", "t", Draft("2"))) == "max_handoffs"
    assert (relay.best, relay.handoffs) == (Draft("2"), 2)
