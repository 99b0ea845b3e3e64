"""The types that users meet. Never executed: pyright in strict mode reads it, and each ignore below must be needed."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, assert_type

from pydantic import BaseModel

from outlay import (
    Agent,
    Breaker,
    Budget,
    Compaction,
    Image,
    Result,
    RunContext,
    Server,
    Survivor,
    Tool,
    Watchdog,
    Webhook,
    alert_to_stderr,
    node,
    open_store,
    run,
    run_many,
    run_sync,
    stream,
    tool,
)
from outlay.bus import Message, open_bus
from outlay.evals import Case, Comparison, Dataset, Terms, compare, verdict_on
from outlay.patterns import (
    Blackboard,
    Cascade,
    Conversation,
    Critique,
    Debate,
    Detached,
    FanOut,
    Gate,
    Handoff,
    Hearing,
    Judgement,
    Mesh,
    Pipeline,
    Plan,
    Refine,
    RoundRobin,
    Router,
    Specialist,
    Supervisor,
    Synthesis,
    Task,
    Turn,
    Vote,
)
from outlay.protocols.node import Node
from outlay.sharing import Artifact, Entry, Outbox, Outgoing, State
from outlay.testing import Reply, ScriptedModel, virtual_time


class Intent(BaseModel):
    label: Literal["billing", "technical"]
    confidence: float


@dataclass
class Page:
    text: str


class Colour(Enum):
    RED = "red"


@dataclass
class Deps:
    name: str


# ── Agent[Out] ────────────────────────────────────────────────────────────────────────────────────────────

HAIKU = "anthropic:claude-haiku-4-5"
assert_type(Agent("a", HAIKU), Agent[str])
assert_type(Agent("a", HAIKU, output_type=Intent), Agent[Intent])
assert_type(Agent("a", HAIKU, output_type=Page), Agent[Page])
assert_type(Agent("a", HAIKU, output_type=Colour), Agent[Colour])
assert_type(Agent("a", HAIKU, output_type=list[Intent]), Agent[list[Intent]])
assert_type(Agent("a", HAIKU, output_type=Literal["x", "y"]), Agent[Literal["x", "y"]])
assert_type(Agent("a", HAIKU, output_type=Intent | Page), Agent[Intent | Page])
assert_type(Agent("a", HAIKU, output_type=Page).replace(name="b"), Agent[Page])
Agent("a", HAIKU, "instructions stand behind a name")  # pyright: ignore[reportCallIssue]
Agent("a", HAIKU, max_turns="many")  # pyright: ignore[reportArgumentType]
Agent("a", ScriptedModel(["x"]), tools=[], verify=[], offline=lambda request: Reply("x"), budget=Budget(usd="0.05"))  # pyright: ignore[reportUnknownLambdaType]

text = Agent("text", HAIKU)
intent = Agent("intent", HAIKU, output_type=Intent)
page = Agent("page", HAIKU, output_type=Page)
as_node: Node[Any, Page] = page
as_wider: Agent[object] = page
as_other: Agent[int] = page  # pyright: ignore[reportAssignmentType]


# ── nodes and tools ───────────────────────────────────────────────────────────────────────────────────────


@node
async def count(ctx: RunContext[Deps], x: Page) -> int:
    assert_type(ctx.deps, Deps)
    assert_type(await ctx.run(intent, x.text), Intent)
    assert_type(await ctx.gather(ctx.run(text, "a"), ctx.run(text, "b")), list[str])
    async with ctx.race(ctx.run(double, i) for i in range(3)) as answers:
        async for answer in answers:
            assert_type(answer, int)
        async for outcome in answers.outcomes():
            assert_type(outcome.value, int | None)
    return len(x.text)


@node
async def double(x: int) -> int:
    return x * 2


@node(name="named")
async def named(ctx: RunContext, x: int) -> str:
    return str(x)


@tool
def search(query: str) -> list[str]:
    """Passages that match."""
    return [query]


@tool(side_effect=True, timeout=5.0)
async def send(ctx: RunContext, to: str) -> None:
    """Send it."""


assert_type(search, Tool)
assert_type(send, Tool)
count_is_a_node: Node[Page, int] = count
double_is_a_node: Node[int, int] = double
double_is_another: Node[str, int] = double  # pyright: ignore[reportAssignmentType]


# ── patterns ──────────────────────────────────────────────────────────────────────────────────────────────


def upper(x: str) -> str:
    return x.upper()


def length(x: str) -> int:
    return len(x)


assert_type(Pipeline(page, count, double), Pipeline[Any, int])
assert_type(Pipeline(count, double), Pipeline[Page, int])
assert_type(Pipeline(upper, length), Pipeline[str, int])
assert_type(Pipeline(upper, upper, upper, upper, upper, upper, upper, length), Pipeline[str, int])
Pipeline(double, count)  # pyright: ignore[reportArgumentType]
Pipeline(length, upper)  # pyright: ignore[reportArgumentType]
assert_type(FanOut(double), FanOut[list[int], list[int]])
assert_type(FanOut([double, double.replace(name="other")]), FanOut[int, dict[str, int]])


def not_empty(x: str) -> str | None:
    return None if x else "it is empty"


assert_type(Gate(not_empty), Gate[str, str])
assert_type(Pipeline(upper, Gate(not_empty), length), Pipeline[str, int])
assert_type(Pipeline(count, Detached(double), double), Pipeline[Page, int])
Pipeline(length, Gate(not_empty), upper)  # pyright: ignore[reportArgumentType]

triage = Router(intent, {"billing": text, "technical": text}, default=text, escalate=["urgent"])
refined = Refine(page, Agent("critic", HAIKU, output_type=Critique))
voted = Vote(page, 5, key=lambda answer: answer.text.lower(), early_stop=False)
assert_type(voted, Vote[Any, Page])
assert_type(Vote(double, 3), Vote[int, int])
Vote(page, 5, key=length)  # pyright: ignore[reportArgumentType]


def chair(hearing: Hearing) -> Judgement[Page]:
    return Judgement(hearing.final, Page(str(hearing.rounds)))


assert_type(Agent("judge", HAIKU, output_type=Judgement), Agent[Judgement[str]])
assert_type(Debate([text, page], Agent("judge", HAIKU, output_type=Judgement)), Debate[Any, str])
assert_type(Debate([text, page], Agent("judge", HAIKU, output_type=Judgement[Page])), Debate[Any, Page])
assert_type(Debate([text, upper], chair, stop=lambda answers: len(answers) > 1), Debate[Any, Page])
Debate([text, page], text)  # pyright: ignore[reportArgumentType]
crew = Supervisor(Agent("planner", HAIKU, output_type=Plan), [text], page)


@node
async def hands_over(ctx: RunContext, task: Task) -> str | Handoff:
    return Handoff("text", "go on", Page("so far"))


@node
async def speaks(ctx: RunContext, talk: Conversation[str]) -> str:
    return talk.turns[-1].output


async def enough(ctx: RunContext, turns: list[Turn[str]]) -> bool:
    return len(turns) > 2


assert_type(RoundRobin([text, speaks], max_turns=4), RoundRobin[Any, list[Turn[str]]])
assert_type(RoundRobin([text, page], 4), RoundRobin[Any, list[Turn[Page | str]]])
talk = RoundRobin([text, speaks], 4, stop=lambda turns: "DONE" in turns[-1].output)
RoundRobin([text, speaks], 4, enough)
RoundRobin([page], 4, enough)  # pyright: ignore[reportCallIssue, reportArgumentType]
assert_type(Mesh({text: [hands_over], hands_over: ["text"]}, start=text, max_handoffs=3), Mesh[Any, str])
assert_type(Mesh({text: [page], page: [text]}, start="text", max_handoffs=3), Mesh[Any, Page | str])
assert_type(Handoff(text, "go on", Page("so far")), Handoff[Page])
board = Blackboard([Specialist(text, ["input"], {"draft": str})], {"n": 0}, until=lambda found: found["n"] > 3)
assert_type(board, Blackboard[Any, dict[str, Any]])


@node
async def put_together(ctx: RunContext, parts: Synthesis) -> Page:
    return Page(str(parts.results))


# ── running ───────────────────────────────────────────────────────────────────────────────────────────────


def too_short(page: Page) -> str | None:
    return None if page else "empty"


def synchronous() -> None:
    assert_type(run_sync(text, "x"), Result[str])
    assert_type(run_sync(page, Image(url="x"), budget=Budget(usd="0.05")), Result[Page])
    assert_type(run_sync(page, "x").unwrap(), Page)
    assert_type(run_sync(page, "x").output, Page | None)
    assert_type(run_sync(Pipeline(count, double), Page("x")).unwrap(), int)
    assert_type(run_sync(triage, "x").unwrap(), str)
    assert_type(run_sync(refined, "x").unwrap(), Page)
    assert_type(run_sync(crew, "x").unwrap(), Page)
    assert_type(run_sync(Cascade([page, page], too_short), "x").unwrap(), Page)
    assert_type(run_sync(Agent("a", Cascade(["openai:a", "openai:b"], len), output_type=Page), "x").unwrap(), Page)
    assert_type(run_sync(talk, "x").unwrap()[-1].output, str)
    assert_type(run_sync(board, "x").unwrap(), dict[str, Any])
    assert_type(run_sync(put_together, Synthesis("", "", {}, {})).unwrap(), Page)
    assert_type(run_sync(FanOut(double), [1]).unwrap(), list[int])
    run_sync(double, "text")  # pyright: ignore[reportArgumentType, reportCallIssue]
    run_sync(text, "x", budgets=Budget(usd=1))  # pyright: ignore[reportCallIssue]
    run_sync(text, "x", seed="seven")  # pyright: ignore[reportArgumentType, reportCallIssue]
    with virtual_time() as clock:
        assert_type(clock.elapsed, float)


async def asynchronous() -> None:
    assert_type(await run(page, "x"), Result[Page])
    assert_type((await run(page, "x", models="offline")).unwrap(), Page)
    rows: list[tuple[int, str]] = [(1, "x")]
    async for row, result in run_many(page, rows):
        assert_type(row, int)
        assert_type(result, Result[Page])
    async with stream(page, "x") as events:
        async for _ in events:
            pass
        assert_type(events.result, Result[Page])
    await run(double, "text")  # pyright: ignore[reportArgumentType, reportCallIssue]


# ── messages ──────────────────────────────────────────────────────────────────────────────────────────────


async def messages() -> None:
    async with open_bus("bus.db") as bus:
        assert_type(await bus.publish("orders", {"item": "lamp"}, key="c-1"), str)
        async for message in bus.consume("orders", group="billing"):
            assert_type(message, Message)
            async with message as same:
                assert_type(same.attempt, int)
        bus.consume("orders", "billing")  # pyright: ignore[reportCallIssue]


# ── what agents share ─────────────────────────────────────────────────────────────────────────────────────


@node
async def sharing(ctx: RunContext, name: str) -> Entry:
    entry = await ctx.state.space("team").get(name)
    assert_type(entry, Entry)
    assert_type(await ctx.state.log("steps").append({"name": name}), int)
    assert_type(await ctx.state.artifacts.put("plan.md", "# Plan"), Artifact)
    assert_type((await ctx.state.artifacts.folder("work").collect()).artifacts, tuple[Artifact, ...])
    await ctx.state.set(name, 1)  # pyright: ignore[reportCallIssue]
    return await ctx.state.set(name, 1, version=entry.version, outbox=[Outgoing("t", name)])


async def relayed() -> None:
    async with open_store("outlay.db") as store, open_bus("bus.db") as bus:
        assert_type(await State(store, "team").update("n", lambda n: n + 1), Entry)
        await Outbox(store).relay(bus)


# ── evidence ──────────────────────────────────────────────────────────────────────────────────────────────


async def compared() -> None:
    cases = Dataset([Case("a", "x", 1)])
    found = await compare(page, double, cases, Terms(checkers=["exact", "length=3"], budget="0.05"))
    assert_type(found, Comparison)
    assert_type(verdict_on(found).ship, str)
    await compare(page, 3, cases, Terms())  # pyright: ignore[reportArgumentType]


kept = Compaction(
    must_survive=["paths", Survivor("order_ids", "orders spoken of", lambda messages: [str(len(messages))])]
)
assert_type(Agent("long", "anthropic:claude-haiku-4-5", output_type=Page, compaction=kept), Agent[Page])
Agent("long", "anthropic:claude-haiku-4-5", compaction=True)  # pyright: ignore[reportArgumentType]


# ── watchdogs, alerts, servers ────────────────────────────────────────────────────────────────────────────

crm = Server("crm", concurrency=4, breaker=Breaker(failures=3))
guarded = Tool("shout", str.upper, "Shout.", {"type": "object"}, server=crm, when_down="not now")
watched = run_sync(
    Agent("a", HAIKU, tools=[guarded], hedge=2.5, stale_answers=3600),
    "hi",
    watchdog=Watchdog(same_call=3, usd="0.10", then={"same_call": "stop", "forecast": "pause"}),
    on_alert=[Webhook("https://hooks.example.com/x"), alert_to_stderr],
)
assert_type(watched, Result[str])
Watchdog(then="bark")  # pyright: ignore[reportArgumentType]
