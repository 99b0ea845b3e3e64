"""What a node may ask of its run."""

from __future__ import annotations

import asyncio
import functools
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from flows import at_once, dear, echo, of_kind, paths, worker

from outlay import Agent, RunContext, node, run, run_sync, tool
from outlay.errors import ConfigError
from outlay.events import Custom, Fact, ToolFinished, ToolStarted
from outlay.patterns import FanOut, Pipeline
from outlay.sim import START
from outlay.testing import Reply, ScriptedModel

# ── determinism ───────────────────────────────────────────────────────────────────────────────────────────


@node
async def drawing(ctx: RunContext, _: str) -> Any:
    async def branch(seconds: float) -> tuple[float, str]:
        await ctx.sleep(seconds)
        return ctx.random(), ctx.uuid()

    return [ctx.random(), ctx.random(), ctx.uuid(), *await ctx.gather(*(branch(s) for s in (3, 1, 2)))]


def test_random_and_uuid_follow_the_seed() -> None:
    """The same seed draws the same, whatever the run is called; another seed draws something else."""

    def drawn(**options: Any) -> Any:
        return at_once(run(drawing, "", **options)).unwrap()

    assert drawn(seed=1) == drawn(seed=1) == drawn(seed=1, run_id="other")
    assert drawn(seed=1) != drawn(seed=2)
    assert drawn(run_id="a") == drawn(run_id="a") != drawn(run_id="b")


def test_no_two_draws_are_the_same() -> None:
    """One after another, and in branches that race."""
    first, second, third, *branches = at_once(run(drawing, "", seed=1)).unwrap()
    assert len({first, second, *(number for number, _ in branches)}) == 5
    assert len({third, *(id for _, id in branches)}) == 4
    assert all(0 <= number < 1 for number in (first, second))
    assert all(id.count("-") == 4 and id[14] == "4" for _, id in branches)


def test_draws_do_not_depend_on_who_arrives_first() -> None:
    """A branch draws what its place says."""

    def drawn(order: tuple[int, ...]) -> list[float]:
        @node
        async def flow(ctx: RunContext, _: str) -> list[float]:
            async def branch(seconds: float) -> float:
                await ctx.sleep(seconds)
                return ctx.random()

            return await ctx.gather(*(branch(s) for s in order))

        return at_once(run(flow, "", seed=1)).unwrap()

    assert drawn((1, 2, 3)) == drawn((3, 1, 2))


PROGRAM = """
import asyncio
from outlay import Agent, Budget, RunContext, node, run
from outlay.errors import Overloaded
from outlay.events import encode
from outlay.patterns import FanOut, Pipeline
from outlay.sim import VirtualLoop
from outlay.testing import Reply, ScriptedModel

def answer(request):
    if len(request.text) % 3 == 0 and answer.failures.setdefault(request.text, 0) < 1:
        answer.failures[request.text] += 1
        return Overloaded("busy")
    return request.text + "!"

answer.failures = {}

@node
async def group(ctx: RunContext, texts):
    async def one(text):
        await ctx.sleep(ctx.random())
        if text == "ccc!":
            raise ValueError(text)
        return await ctx.run(echo, text)
    async with asyncio.TaskGroup() as tasks:
        for text in texts:
            tasks.create_task(one(text))

@node
async def echo(ctx: RunContext, text):
    await ctx.sleep(ctx.random())
    ctx.report(labels=sorted({text, "x"}), id=ctx.uuid())
    return text

agent = Agent("w", ScriptedModel(answer, price=(1, 100), latency=1.5), max_output_tokens=100)
flow = Pipeline(FanOut(agent, max_parallel=4), group)
texts = ["a" * n for n in range(1, 6)] + ["c" * n for n in range(1, 6)]
with asyncio.Runner(loop_factory=VirtualLoop) as runner:
    result = runner.run(run(flow, texts, budget=Budget(usd="0.05"), seed=3, run_id="fixed", on_alert=lambda _: None))
print(result.stop_reason, len(result.events))
for event in result.events:
    print(encode(event).decode())
"""


def test_the_same_seed_gives_the_same_events_in_every_process() -> None:
    """Hash randomisation, memory and the order of sets leave no trace in a run."""

    def output(hash_seed: str) -> str:
        source = str(Path(__file__).resolve().parents[2] / "src")
        env = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": source}
        done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = output("1")
    assert first.startswith("error ")
    assert first.count("\n") > 60
    assert output("4242") == first


# ── effects ───────────────────────────────────────────────────────────────────────────────────────────────


def test_an_effect_is_recorded_and_gives_its_value() -> None:
    """Any function, sync or async, with its arguments; its error passes through."""

    async def later(a: int, b: int) -> int:
        await asyncio.sleep(2)
        return a + b

    def fails() -> None:
        raise OSError("no")

    @node
    async def flow(ctx: RunContext, _: str) -> Any:
        found = [await ctx.effect("sync", max, 1, 2), await ctx.effect("async", later, 3, 4)]
        with pytest.raises(OSError, match="no"):
            await ctx.effect("fails", fails)
        return found

    result = at_once(run(flow, ""))
    assert result.unwrap() == [2, 7]
    done = of_kind(result, ToolFinished)
    assert [(e.path, e.tool, e.seconds, e.error) for e in done] == [
        ("flow/sync", "sync", 0, ""),
        ("flow/async", "async", 2, ""),
        ("flow/fails", "fails", 0, "OSError: no"),
    ]


def test_an_effect_may_be_anything_that_can_be_called() -> None:
    """Partial functions, methods and objects, asynchronous or not, in real time too."""

    class Service:
        async def __call__(self, x: int) -> int:
            await asyncio.sleep(0)
            return x + 1

        async def method(self, x: int) -> int:
            await asyncio.sleep(0)
            return x + 2

    @node
    async def flow(ctx: RunContext, _: str) -> Any:
        service = Service()
        partial = functools.partial(service.method, 1)
        return [
            await ctx.effect("e", function, *args)
            for function, args in ((service, [1]), (service.method, [1]), (partial, []))
        ]

    assert run_sync(flow, "").unwrap() == [2, 3, 3]


def test_effects_with_a_side_effect_are_marked() -> None:
    """The record says what must not be repeated by itself."""

    @node
    async def flow(ctx: RunContext, _: str) -> None:
        await ctx.effect("mail", print, side_effect=True)
        await ctx.effect("look", len, "x")

    assert [e.side_effect for e in of_kind(at_once(run(flow, "")), ToolStarted)] == [True, False]


def test_a_synchronous_effect_does_not_block_the_loop() -> None:
    """It runs in a thread of its own, with the context of its caller."""
    threads: list[str] = []

    @node
    async def flow(ctx: RunContext, _: str) -> str:
        gate = threading.Event()

        def wait() -> str:
            threads.append(threading.current_thread().name)
            return "opened" if gate.wait(10) else "blocked"

        async def release() -> None:
            gate.set()

        waiting, _none = await ctx.gather(ctx.effect("wait", wait), release())
        return waiting

    assert run_sync(flow, "").unwrap() == "opened"
    assert threads != [threading.current_thread().name]


def test_tools_with_side_effects_run_one_at_a_time_across_agents() -> None:
    """Unless they say that they may overlap; reading tools always may."""

    def most_at_once(**options: Any) -> int:
        running = most = 0

        async def act(i: int) -> str:
            """Act."""
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(1)
            running -= 1
            return "ok"

        def answer(request: Any) -> Any:
            return "done" if len(request.messages) > 1 else Reply(tool_calls=[("act", {"i": i}) for i in range(2)])

        agents = [Agent(f"a{i}", ScriptedModel(answer), tools=[tool(**options)(act)]) for i in range(3)]
        assert at_once(run(FanOut(agents), "x")).stop_reason == "completed"
        return most

    assert most_at_once(side_effect=True) == 1
    assert most_at_once(side_effect=True, parallel=True) == 6
    assert most_at_once() == 6


def test_the_idempotency_key_is_the_identity_of_the_effect() -> None:
    """A service that takes one can tell a repetition from a second order."""
    keys: list[str] = []

    @tool(side_effect=True)
    async def order(ctx: RunContext, what: str) -> str:
        """Order."""
        keys.append(ctx.idempotency_key)
        return "ok"

    calls = [("order", {"what": "tea"}), ("order", {"what": "tea"})]
    for id in ("monday", "tuesday", "monday"):
        at_once(run(Agent("a", ScriptedModel([Reply(tool_calls=calls), "done"]), tools=[order]), "", run_id=id))
    assert len(set(keys)) == 4
    assert keys[:2] == keys[4:]


# ── facts of the run ──────────────────────────────────────────────────────────────────────────────────────


def test_a_node_knows_where_it_is_and_what_it_was_given() -> None:
    """Run, path, input, dependencies, and the time that the loop says it is."""

    @node
    async def flow(ctx: RunContext[dict[str, int]], text: str) -> Any:
        await ctx.sleep(90)
        return ctx.run_id, ctx.path, ctx.input, ctx.deps["n"], ctx.now() - START, ctx.budget.seconds_left

    result = at_once(run(flow, "in", run_id="r", deps={"n": 5}))
    assert result.unwrap() == ("r", "flow", "in", 5, 90.0, None)


def test_dependencies_reach_every_function_that_asks_for_the_context() -> None:
    """Tools, instructions, prompts, checkers and plain functions alike, and in no schema."""
    seen: list[str] = []

    @tool
    def look(ctx: RunContext[str], q: str) -> str:
        """Look."""
        seen.append("tool " + ctx.deps)
        return q

    def instructions(ctx: RunContext[str]) -> str:
        return "for " + ctx.deps

    def prompt(ctx: RunContext[str], text: str) -> str:
        return f"{text} {ctx.deps}"

    def check(ctx: RunContext[str], text: str) -> str | None:
        seen.append("check " + ctx.deps)
        return None

    model = ScriptedModel([Reply(tool_calls=[("look", {"q": "x"})]), "done"])
    agent = Agent("a", model, tools=[look], instructions=instructions, prompt=prompt, verify=[check])
    assert at_once(run(Pipeline(agent, lambda text: text), "hi", deps="me")).unwrap() == "done"
    assert seen == ["tool me", "check me"]
    assert (model.calls[0].system, model.calls[0].text) == (("for me",), "hi me")
    assert "ctx" not in model.calls[0].tools[0].schema


def test_a_node_may_leave_events_of_its_own() -> None:
    """`ctx.emit` for listeners, `ctx.report` for the result's facts."""
    seen: list[Any] = []

    @node
    async def flow(ctx: RunContext, _: str) -> None:
        ctx.emit("progress", done=3, of=7)
        ctx.report(votes=3)
        ctx.report(margin=1)

    result = at_once(run(flow, "", on_event=seen.append))
    assert [(e.path, e.name, e.data) for e in of_kind(result, Custom)] == [("flow", "progress", {"done": 3, "of": 7})]
    assert result.facts == {"flow": {"votes": 3, "margin": 1}}
    assert list(result.events) == seen
    assert [e.seq for e in seen] == list(range(len(seen)))
    assert len(of_kind(result, Fact)) == 2


def test_a_listener_that_raises_does_not_end_a_paid_run(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, without contents."""

    def broken(_: Any) -> None:
        raise RuntimeError("no")

    assert at_once(run(worker(), "secret", on_event=broken)).unwrap() == "secret"
    assert "on_event listener raised" in caplog.text
    assert "secret" not in caplog.text


def test_text_that_is_no_unicode_ends_no_run(tmp_path: Path) -> None:
    """Half a surrogate pair, out of a model or a file, is billed and stored, and put right by the model if it can."""
    agent = Agent("a", dear(["\ud800 hi", "fine"]))
    result = run_sync(agent, "\udfff", store=str(tmp_path / "x.db"))
    assert result.output == "fine"
    assert result.bill.lines[0].calls == 2


def test_a_route_has_a_value_below_a_router_only() -> None:
    """Elsewhere it is an error that says so."""

    @node
    async def flow(ctx: RunContext, _: str) -> Any:
        return ctx.route

    with pytest.raises(ConfigError, match="below a Router"):
        at_once(run(flow, ""))


def test_repeats_are_numbered_where_they_are_shown() -> None:
    """The second run of a child has `#2` in its path."""

    @node
    async def flow(ctx: RunContext, _: str) -> None:
        for _i in range(3):
            await ctx.run(echo, 1)

    assert paths(at_once(run(flow, ""))) == ["flow", "flow/echo", "flow/echo#2", "flow/echo#3"]
