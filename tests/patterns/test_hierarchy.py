"""Hierarchies: supervisors under supervisors, agents that start agents; depth and fan-out hold across the tree."""

import json
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay import Agent, Budget, RunContext, node, run_sync, tool
from outlay.events import NodeFinished, NodeStarted
from outlay.patterns import Claim, FanOut, Pipeline, Plan, Subtask, Supervisor, Task
from outlay.testing import Reply, ScriptedModel, virtual_time


def plan(*subtasks):
    return Plan([Subtask(id, worker, f"do {id}", list(needs)) for id, worker, *needs in subtasks])


def planner(name, *subtasks):
    return Agent(name, ScriptedModel(lambda request: plan(*subtasks), latency=1, price=(1, 2)), output_type=Plan)


def agent(name, answer, seconds=1, **options):
    return Agent(name, ScriptedModel(lambda request: answer, latency=seconds, price=(1, 2)), **options)


# ── a supervisor under a supervisor ───────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Chapter:
    title: str
    claims: list[Claim]


def market_report():
    """Two desks, each a crew of its own with a typed chapter, under an editor."""

    def desk(name, value, about):
        claims = [Claim("growth", value, 0.7, f"{name}.csv")]
        return Supervisor(
            planner(f"{name}_lead", ("x", f"{name}_analyst")),
            [agent(f"{name}_analyst", claims, seconds=4, output_type=list[Claim])],
            agent(f"{name}_writer", Chapter(name, claims), output_type=Chapter),
            name=name,
            description=about,
        )

    editor = agent("editor", "the report")
    boss = planner("chief", ("eu", "europe"), ("us", "america"))
    desks = [desk("europe", "4 %", "Markets of Europe."), desk("america", "7 %", "Markets of America.")]
    return Supervisor(boss, desks, editor, name="report")


def test_a_crew_of_crews():
    """Task in, typed output out; both desks at the same time; what they contradict is found between the crews, with
    the analyst that said it.
    """
    flow = market_report()
    with virtual_time() as clock:
        result = run_sync(flow, "How does the market grow?")
    assert (result.unwrap(), result.degraded) == ("the report", False)
    assert clock.elapsed == 1 + (1 + 4 + 1) + 1
    desk_lead = flow.workers[0].planner.model.calls[0]
    assert json.loads(desk_lead.text) == {"goal": "How does the market grow?", "task": "do eu", "results": {}}
    given = json.loads(flow.synthesizer.model.calls[0].text)
    assert given["results"]["us"]["title"] == "america"
    (found,) = given["contradictions"]
    assert [(c["worker"], c["value"], c["by"]) for c in found["claims"]] == [
        ("europe", "4 %", "report/europe[eu]/europe_analyst[x]"),
        ("america", "7 %", "report/america[us]/america_analyst[x]"),
    ]


def test_names_and_descriptions_of_the_crews_are_shown_to_the_planner_above():
    """And not the workers inside them."""
    flow = market_report()
    run_sync(flow, "go").unwrap()
    (shown,) = flow.planner.model.calls[0].system
    assert "- europe: Markets of Europe." in shown
    assert "analyst" not in shown


def test_the_bill_of_a_hierarchy_is_the_sum_of_its_crews():
    """Each desk's facts stand at its own path."""
    result = run_sync(market_report(), "go")
    lines = result.bill.lines
    assert result.bill.total == sum((line.cost for line in lines), Decimal(0))
    desks = Counter(line.path.split("/")[1] for line in lines if line.path.count("/") > 1)
    assert desks == {"europe[eu]": 3, "america[us]": 3}
    assert result.facts["report/europe[eu]"]["tokens_by_worker"].keys() == {"europe_analyst"}
    assert result.facts["report"]["tokens_by_worker"].keys() == {"europe", "america"}


@pytest.mark.parametrize(("depth", "reason"), [(2, "completed"), (1, "budget")])
def test_depth_counts_the_crews(depth, reason):
    """Desks stand one below the report, analysts two."""
    result = run_sync(market_report(), "go", budget=Budget(depth=depth))
    assert result.stop_reason == reason
    assert all(deep(event.path) <= depth for event in result.events if isinstance(event, NodeStarted))


def test_a_failed_crew_is_a_failed_worker():
    """Its reason is not an answer; the other desk's is put together."""
    flow = market_report()
    europe, america = flow.workers
    broken = europe.replace(workers=[node(name="europe_analyst")(fails)])
    result = run_sync(flow.replace(workers=[broken, america]), "go")
    assert (result.output, result.degraded) == ("the report", True)
    given = json.loads(flow.synthesizer.model.calls[0].text)
    assert (list(given["results"]), list(given["failed"])) == (["us"], ["eu"])


def fails(task: Task) -> str:
    raise LookupError("no data")


# ── depth and fan-out, whoever starts whom ────────────────────────────────────────────────────────────────


def deep(path):
    return path.count("/")


def most_at_once(result, parent_of):
    """The most children that one node had running at the same moment, by the events alone."""
    running, most = Counter(), Counter()
    for event in result.events:
        if isinstance(event, NodeStarted | NodeFinished) and "/" in event.path:
            parent = parent_of(event.path)
            running[parent] += 1 if isinstance(event, NodeStarted) else -1
            most[parent] = max(most[parent], running[parent])
    return max(most.values(), default=0)


@st.composite
def swarms(draw, levels=3):
    """What each agent does in each turn: how many agents it starts at once by tool, and how long it takes itself."""
    if levels == 0:
        return ()
    turns = draw(st.lists(st.lists(swarms(levels - 1), max_size=4), max_size=2))
    return tuple(tuple(turn) for turn in turns)


def shape(swarm):
    """The depth of a swarm, and its widest turn."""
    children = [child for turn in swarm for child in turn]
    depth = max((1 + shape(child)[0] for child in children), default=0)
    return depth, max([len(turn) for turn in swarm] + [shape(child)[1] for child in children], default=0)


def spawning(swarm, seconds):
    """An agent that starts agents by tools: as nodes, or out of a function with the context, by turns."""
    script = iter(range(len(swarm)))
    tools = []
    for i, turn in enumerate(swarm):
        for j, child in enumerate(turn):
            inner = spawning(child, seconds[1:] + seconds[:1])
            if (i + j) % 2:
                tools.append(inner.replace(name=f"t{i}_{j}"))
            else:
                tools.append(by_function(f"t{i}_{j}", inner))

    def answer(request):
        i = next(script, None)
        calls = [] if i is None else [(f"t{i}_{j}", {"input": "go"}) for j in range(len(swarm[i]))]
        return Reply(tool_calls=calls) if calls else "done"

    return Agent("swarm", ScriptedModel(answer, latency=seconds[0]), tools=tools)


def by_function(name, inner):
    @tool(name=name, timeout=None)
    async def start(ctx: RunContext, input: str) -> str:
        return await ctx.run(inner.replace(name="started"), input)

    return start


def parent_by_tool(path):
    """The node above: below a tool's name stands the node it runs."""
    return path.rsplit("/", 2)[0]


@settings(max_examples=40, deadline=None)
@given(swarms(), st.integers(0, 3), st.integers(1, 4), st.permutations([0, 1, 2, 5]))
def test_no_agent_starts_more_or_deeper_than_the_budget_allows(swarm, depth, fan_out, seconds):
    """Whoever starts whom, by node or by function, however it races: no event shows a node too deep or a child too
    many, and a swarm that stays within its limits is not touched.
    """
    with virtual_time():
        result = run_sync(spawning(swarm, seconds), "go", budget=Budget(depth=depth, fan_out=fan_out))
    started = [event.path for event in result.events if isinstance(event, NodeStarted)]
    assert max(map(deep, started)) // 2 <= depth  # a tool's name stands between two agents
    assert most_at_once(result, parent_by_tool) <= fan_out
    deepest, widest = shape(swarm)
    if deepest <= depth and widest <= fan_out:
        assert (result.stop_reason, result.output) == ("completed", "done")
    if result.stop_reason != "completed":
        assert result.error.resource in ("depth", "fan_out")


def test_an_agent_that_calls_itself_is_stopped_at_the_depth():
    """A loop by tool ends after as many agents as the budget allows, with the reason."""

    @tool(timeout=None)
    async def again(ctx: RunContext, input: str) -> str:
        return await ctx.run(clone, input)

    def reply(request):
        return Reply(tool_calls=[("again", {"input": "deeper"})])

    clone = Agent("clone", ScriptedModel(reply), tools=[again])
    result = run_sync(clone, "go", budget=Budget(depth=5))
    assert (result.stop_reason, result.error.resource, result.error.limit) == ("budget", "depth", 5)
    assert len([e for e in result.events if isinstance(e, NodeStarted)]) == 6


def test_the_context_of_a_node_above_is_no_way_around_the_depth():
    """Kept in a closure and called from far below: what counts is what stands above the caller."""

    @node
    async def top(ctx: RunContext, n: int) -> int:
        @node
        async def down(_: RunContext, left: int) -> int:
            return 0 if left == 0 else 1 + await ctx.run(down, left - 1)

        return await ctx.run(down, n)

    assert run_sync(top, 3, budget=Budget(depth=4)).unwrap() == 3
    result = run_sync(top, 99, budget=Budget(depth=4))
    assert (result.stop_reason, result.error.resource, result.error.needed) == ("budget", "depth", 5)
    assert len([e for e in result.events if isinstance(e, NodeStarted)]) == 5


def test_children_that_start_in_the_same_turn_of_the_loop_are_counted_one_by_one():
    """There is no moment between the check and the count: 50 at once under a limit of 7 are 7."""

    @node
    async def burst(ctx: RunContext, n: int) -> int:
        done = await ctx.gather(*(safe(ctx, i) for i in range(n)))
        return sum(done)

    async def safe(ctx, i):
        try:
            await ctx.run(agent("child", "x"), "go", key=str(i))
        except Exception:
            return 0
        return 1

    result = run_sync(burst, 50, budget=Budget(fan_out=7))
    assert result.output == 7
    assert most_at_once(result, lambda path: path.rsplit("/", 1)[0]) == 7


def test_a_child_that_failed_or_was_skipped_makes_room():
    """What ended is not running, however it ended."""

    @node
    async def waves(ctx: RunContext, n: int) -> int:
        for i in range(n):
            flow = FanOut([node(name="bad")(fails), agent("good", "x")], name=f"wave{i}", budget=Budget(fan_out=2))
            await ctx.run(flow, "go")
        return n

    result = run_sync(waves, 5, budget=Budget(fan_out=2))
    assert (result.output, result.stop_reason) == (5, "completed")


def test_the_tightest_holder_above_counts():
    """A budget of a part holds for that part, whatever the run allows."""
    tight = Pipeline(Pipeline(lambda x: x, name="inner"), name="tight", budget=Budget(depth=1))
    assert run_sync(Pipeline(tight), "go", budget=Budget(depth=9)).error.scope == "tight"
