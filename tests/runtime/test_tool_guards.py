"""A tool or server that is down is left alone, one that is full is not crowded; what is declared happens at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from crash import crashed, go, journal
from flows import at_once, of_kind

from outlay import Agent, Breaker, Result, RunContext, Server, Tool, node, run
from outlay.errors import ConfigError, Conflict
from outlay.events import CallStarted, CircuitChanged, Decision, ToolFinished, ToolStarted
from outlay.patterns import FanOut
from outlay.stores.memory import MemoryStore
from outlay.testing import Reply, ScriptedModel


def silent(alert: Any) -> None:
    pass


class Service:
    """What a tool asks: it is down between two moments of virtual time, takes a second, and counts."""

    def __init__(self, down: tuple[float, float] = (0, 0), error: Exception | None = None) -> None:
        self.down = down
        self.error = error or ConnectionError("refused")
        self.asked: list[float] = []
        self.at_once = self.most = 0

    async def ask(self, what: str) -> str:
        """Ask the service."""
        now = asyncio.get_running_loop().time
        self.asked.append(now())
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await asyncio.sleep(1)
        finally:
            self.at_once -= 1
        if self.down[0] <= now() < self.down[1]:
            raise self.error
        return f"{what} is fine"

    def tool(self, name: str = "ask", **options: Any) -> Tool:
        return Tool(name, self.ask, **options)


def asking(tools: Tool | list[Tool], times: int = 1, **options: Any) -> Agent[str]:
    """An agent that calls its tools, one a turn, and then says what the last one said."""
    several = tools if isinstance(tools, list) else [tools]

    def answer(request: Any) -> Any:
        done = [message for message in request.messages if message.role == "tool"]
        if len(done) == times:
            return done[-1].parts[0].content
        return Reply("", tool_calls=[(several[len(done) % len(several)].name, {"what": "it"})])

    return Agent("a", ScriptedModel(answer, price=(0, 0)), tools=several, max_turns=times + 1, **options)


def one_a_second(flow: Any, times: int) -> list[Result[Any]]:
    async def after(delay: float) -> Result[Any]:
        await asyncio.sleep(delay)
        return await run(flow, "hi", on_alert=silent)

    async def main() -> list[Result[Any]]:
        return await asyncio.gather(*(after(second) for second in range(times)))

    return at_once(main())


def decisions(result: Result[Any], about: str) -> list[dict[str, Any]]:
    return [event.data for event in of_kind(result, Decision) if event.about == about]


# ── a breaker ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_tool_that_is_down_is_left_alone_and_found_again() -> None:
    """Five failures open it, one call every thirty seconds probes it, the first answer closes it, for all runs."""
    service = Service((0, 100))
    results = one_a_second(asking(service.tool(breaker=Breaker())), 180)
    while_open = [t for t in service.asked if 6 < t - service.asked[0] < 100]
    assert len(while_open) == 3
    turned = [(e.target, e.state) for r in results for e in of_kind(r, CircuitChanged)]
    assert turned == [("ask", "open"), ("ask", "closed")]
    recovered = next(i for i, result in enumerate(results) if i > 50 and result.output == "it is fine")
    assert recovered <= 100 + 2 * 30
    assert all(result.output == "it is fine" for result in results[recovered + 2 :])


def test_while_it_is_open_the_model_is_told_at_once_and_an_event_says_why() -> None:
    service = Service((0, 1000))
    late = one_a_second(asking(service.tool(breaker=Breaker())), 20)[15]
    assert str(late.output).startswith("ToolError: ask is not called: ask failed 5 times in a row")
    assert "ConnectionError: refused" in str(late.output)
    assert "tried again in" in str(late.output)
    assert late.seconds == 0
    assert decisions(late, "tool_down") == [
        {"tool": "ask", "server": "ask", "reason": "ConnectionError: refused", "instead": "an error"}
    ]


@pytest.mark.parametrize(
    ("instead", "gives"),
    [
        ("nobody knows", "nobody knows"),
        (lambda what: f"{what}, as of yesterday", "it, as of yesterday"),
        (None, ""),
    ],
    ids=["value", "function", "none"],
)
def test_what_is_declared_for_that_case_is_given_instead(instead: Any, gives: str) -> None:
    service = Service((0, 1000))
    late = one_a_second(asking(service.tool(breaker=Breaker(), when_down=instead)), 20)[15]
    assert late.output in (gives, "null", "None") if not gives else late.output == gives
    assert decisions(late, "tool_down")[0]["instead"] == "when_down"
    assert late.seconds == 0
    assert len(service.asked) == 5


def test_what_is_declared_may_ask_for_the_context() -> None:
    async def degraded(ctx: RunContext, what: str) -> str:
        return f"{ctx.path} without {what}"

    late = one_a_second(asking(Service((0, 1000)).tool(breaker=Breaker(), when_down=degraded)), 20)[15]
    assert late.output == "a/ask without it"


@pytest.mark.parametrize("error", [ValueError("no such card"), KeyError("x"), TypeError("y")], ids=str)
def test_an_error_of_the_arguments_says_nothing_of_the_tool(error: Exception) -> None:
    service = Service((0, 1000), error)
    results = one_a_second(asking(service.tool(breaker=Breaker())), 20)
    assert len(service.asked) == 20
    assert [e for r in results for e in of_kind(r, CircuitChanged)] == []


def test_a_tool_that_hangs_is_down_too() -> None:
    async def hang(what: str) -> str:
        """Hang."""
        await asyncio.sleep(3600)
        return what

    tool = Tool("hang", hang, timeout=2, breaker=Breaker(failures=2))
    results = one_a_second(asking(tool), 10)
    assert [e.state for r in results for e in of_kind(r, CircuitChanged)] == ["open"]
    assert "TimeoutError" in str(results[9].output)


def test_without_a_breaker_a_tool_is_always_asked() -> None:
    service = Service((0, 1000))
    one_a_second(asking(service.tool()), 30)
    assert len(service.asked) == 30


def test_a_server_that_is_down_is_down_for_all_its_tools_and_no_other() -> None:
    crm, mail = Service((0, 1000)), Service()
    server = Server("crm", breaker=Breaker(failures=3))
    tools = [crm.tool("find", server=server), crm.tool("list", server=server), mail.tool("send")]
    result = at_once(run(asking(tools, 6), "hi", on_alert=silent))
    # the second find is the third failure in a row of the server: the second list is not begun
    names = [e.tool for e in of_kind(result, ToolStarted)]
    assert names == ["find", "list", "send", "find", "send"]
    assert [e.target for e in of_kind(result, CircuitChanged)] == ["crm"]


def test_copies_of_an_agent_share_what_is_known_of_its_tool() -> None:
    service = Service((0, 1000))
    agent = asking(service.tool(breaker=Breaker(failures=2)))

    async def main() -> None:
        for name in ("b", "c", "d", "e"):
            await run(agent.replace(name=name), "hi", on_alert=silent)

    at_once(main())
    assert len(service.asked) == 2


def test_a_third_call_in_a_row_that_is_refused_ends_the_agent_so_that_its_pattern_degrades() -> None:
    """What the flow declares then happens: a fan-out goes on without it."""
    service = Service((0, 1000))
    broken = asking(service.tool(breaker=Breaker(failures=1)), 9)
    fine = Agent("b", ScriptedModel(lambda _: "fine", price=(0, 0)))
    result = at_once(run(FanOut([broken, fine]), "hi", on_alert=silent))
    assert (result.output, len(service.asked)) == ({"b": "fine"}, 1)
    assert result.degraded
    assert "ToolError" in str(result.skipped)


# ── places ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shared", [True, False])
def test_at_most_so_many_calls_at_once_over_all_runs(shared: bool) -> None:
    service = Service()
    limit: dict[str, Any] = {"server": Server("s", concurrency=3)} if shared else {"concurrency": 3}
    agent = asking(service.tool(**limit))

    async def main() -> list[Result[Any]]:
        return await asyncio.gather(*(run(FanOut(agent), ["x"] * 4) for _ in range(3)))

    results = at_once(main())
    assert (service.most, len(service.asked)) == (3, 12)
    assert max(result.seconds for result in results) == 4  # twelve in threes, a second each
    assert any(decisions(result, "paced") for result in results)


def test_a_tool_and_its_server_both_hold() -> None:
    service = Service()
    server = Server("s", concurrency=4)
    tools = [service.tool("one", server=server, concurrency=1), service.tool("two", server=server)]
    flow = FanOut([asking(tools[0]).replace(name="a"), asking(tools[1]).replace(name="b")])

    async def main() -> None:
        await asyncio.gather(*(run(flow, "x") for _ in range(6)))

    at_once(main())
    assert service.most == 4


def test_who_is_cancelled_while_waiting_holds_no_place() -> None:
    service = Service()
    agent = asking(service.tool(concurrency=1))

    @node
    async def flow(ctx: RunContext, text: str) -> str:
        try:
            async with ctx.timeout(0.5):
                await ctx.gather(*(ctx.run(agent, text, key=str(n)) for n in range(3)))
        except TimeoutError:
            pass
        return await ctx.run(agent, text)

    result = at_once(run(flow, "x"))
    assert (result.output, result.seconds) == ("it is fine", 1.5)


def test_those_in_line_are_told_at_once_when_it_opens() -> None:
    service = Service((0, 1000))
    agent = asking(service.tool(concurrency=1, breaker=Breaker(failures=2)))
    result = at_once(run(FanOut(agent), ["x"] * 50, on_alert=silent))
    assert (len(service.asked), result.seconds) == (2, 2)


# ── resuming ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("declared", [True, False])
def test_a_resumed_run_is_told_what_the_first_was_told(declared: bool) -> None:
    """What stood in for the tool is its recorded result, though the tool is up again by then."""
    options: dict[str, Any] = {"when_down": "as of yesterday"} if declared else {}

    def flow(down: bool) -> Any:
        service = Service((0, 10**12 if down else 0))
        return FanOut([asking(service.tool(breaker=Breaker(failures=1), **options), 2)])

    store = MemoryStore()
    first = go(flow(True), "hi", store, on_alert=silent)
    again = go(flow(False), "hi", crashed(store, len(journal(store)) - 1), on_alert=silent)
    assert again.output == first.output
    assert len(of_kind(again, ToolStarted)) == (2 if declared else 1)
    assert [e.value for e in of_kind(again, ToolFinished)] == [e.value for e in of_kind(first, ToolFinished)]


def test_an_error_of_ours_that_a_tool_raised_reads_the_same_when_it_is_told_again() -> None:
    """Or the model would be asked something else, and be paid twice."""

    async def stale(what: str) -> str:
        """Write it."""
        raise Conflict("somebody was quicker", hint="read it again")

    flow, store = asking(Tool("stale", stale)), MemoryStore()
    first = go(flow, "hi", store)
    again = go(flow, "hi", crashed(store, len(journal(store)) - 1))
    assert again.output == first.output == "Conflict: somebody was quicker\n  next: read it again"
    assert len(of_kind(again, CallStarted)) == 2


# ── wrong input ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "wrong",
    [
        lambda f: Tool("t", f, concurrency=0),
        lambda f: Tool("t", f, breaker=True),
        lambda f: Tool("t", f, server="crm"),
        lambda f: Tool("t", f, when_down="x"),
        lambda f: Tool("t", f, when_down="x", server=Server("s")),
        lambda f: Server(""),
        lambda f: Server("s", concurrency=0),
        lambda f: Breaker(failures=0),
        lambda f: Breaker(probe=0),
        lambda f: Breaker(seconds=float("nan")),
        lambda f: Breaker(ignores=("ValueError",)),  # pyright: ignore
    ],
)
def test_limits_that_cannot_be_are_refused(wrong: Callable[[Any], Any]) -> None:
    def function(what: str) -> str:
        """A function."""
        return what

    with pytest.raises(ConfigError):
        assert wrong(function)
