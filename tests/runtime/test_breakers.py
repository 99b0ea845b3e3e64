"""A provider that is down is left alone, and found again when it is back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from flows import at_once, dear, of_kind

from outlay import Agent, Result, RunContext, node, run
from outlay.emulator import Emulator, Fault
from outlay.errors import Overloaded
from outlay.events import CircuitChanged
from outlay.patterns import FanOut
from outlay.policies.breaker import BreakerPolicy
from outlay.protocols.stages import Stages
from outlay.runtime.breakers import Breakers
from outlay.runtime.execution import execute
from outlay.runtime.host import hosting
from outlay.testing import ScriptedModel

DOWN = Overloaded("busy", status=529)


class Provider:
    """A model that is down between two moments of virtual time, and counts when it was asked."""

    def __init__(self, down: tuple[float, float], latency: float = 1.0, name: str = "provider") -> None:
        self.down = down
        self.asked: list[float] = []
        self.model = ScriptedModel(self._answer, name=name, latency=latency)
        self.latency = latency

    def _answer(self, request: Any) -> str:
        now = asyncio.get_running_loop().time()
        self.asked.append(now - self.latency)
        if self.down[0] <= now < self.down[1]:
            raise DOWN
        return "fine"


async def one_a_second(flow: Any, seconds: int) -> list[Result[Any]]:
    """A run begins every second, as users come."""

    async def after(delay: float) -> Result[Any]:
        await asyncio.sleep(delay)
        return await run(flow, "hi", on_alert=lambda alert: None)

    return await asyncio.gather(*(after(second) for second in range(seconds)))


def test_while_it_is_open_calls_fail_at_once_and_the_provider_is_left_alone() -> None:
    """Ten failures in a row over five seconds; then one probe every fifteen seconds and nothing else."""
    provider = Provider((0, 200))
    results = at_once(one_a_second(Agent("a", provider.model), 200))
    opened = next(e.time for r in results for e in of_kind(r, CircuitChanged))
    start = min(e.time for r in results for e in r.events)
    while_open = [t for t in provider.asked if t > opened - start]
    assert 10 <= len(while_open) <= 200 / 15
    late = results[100]
    assert isinstance(late.error, Overloaded)
    assert "its circuit is open" in str(late.error)
    assert "fallback" in str(late.error)
    assert late.seconds == 0


def test_recovery_is_noticed_within_two_probe_intervals() -> None:
    """The first call after it is let through, answered, and closes the circuit for all."""
    provider = Provider((0, 100))
    results = at_once(one_a_second(Agent("a", provider.model), 160))
    recovered = next(i for i, result in enumerate(results) if i > 50 and result.output == "fine")
    assert recovered <= 100 + 2 * 15
    assert all(result.output == "fine" for result in results[recovered:])
    turned = [(e.target, e.state) for r in results for e in of_kind(r, CircuitChanged)]
    assert turned == [("provider", "open"), ("provider", "closed")]


def test_an_open_circuit_goes_to_the_fallback_at_once() -> None:
    """Nobody waits for a model that is down: the other answers after its own second."""
    provider = Provider((0, 1000))
    flow = Agent("a", provider.model, fallback=[dear(lambda request: "other", latency=1.0, name="other")])
    results = at_once(one_a_second(flow, 100))
    assert all(result.output == "other" for result in results)
    probes = [result.seconds for result in results[40:] if result.seconds != 1.0]
    assert len(probes) <= 100 / 15
    assert len(provider.asked) < 40


def test_an_alert_says_it_once(capsys: pytest.CaptureFixture[str]) -> None:
    """To a list of listeners, else on stderr; with the reason."""
    seen: list[Any] = []

    async def outage() -> None:
        flow = Agent("a", Provider((0, 60)).model)
        for _ in range(5):
            await asyncio.gather(*(run(flow, "hi", on_alert=[seen.append]) for _ in range(9)))

    at_once(outage())
    assert [(alert.state, alert.reason) for alert in seen] == [("open", "Overloaded: busy")]
    assert capsys.readouterr().err == ""

    async def again() -> None:
        flow = Agent("a", Provider((0, 60)).model)
        for _ in range(5):
            await asyncio.gather(*(run(flow, "hi") for _ in range(9)))

    at_once(again())
    assert "provider does not answer" in capsys.readouterr().err


def test_models_fail_each_for_itself() -> None:
    """Another model of the flow goes on; so does the same run."""
    down, up = Provider((0, 1000), name="down"), Provider((0, 0), name="up")

    @node
    async def both(ctx: RunContext, text: str) -> str:
        try:
            await ctx.run(Agent("one", down.model), text)
        except Overloaded:
            return await ctx.run(Agent("two", up.model), text)
        return ""

    results = at_once(one_a_second(both, 60))
    assert all(result.output == "fine" for result in results)


def test_a_blink_does_not_open_it() -> None:
    """Forty calls at once that fail in the same moment are no ten failures over five seconds."""
    provider = Provider((0, 1.5))
    result = at_once(run(FanOut(Agent("a", provider.model)), [str(i) for i in range(40)]))
    assert not of_kind(result, CircuitChanged)


def test_over_http_the_next_run_finds_the_circuit_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """One loop, one circuit: what one run learnt of the provider holds for the next (with a short fuse, here)."""
    stages = Stages(breaker=Breakers(BreakerPolicy(failures=2, seconds=0.0, probe=60.0)))

    async def two_runs() -> tuple[Result[Any], Result[Any], int]:
        flow = Agent("a", "anthropic:claude-haiku-4-5")
        async with hosting({"on_alert": lambda alert: None}) as host:
            first, second = [await execute(replace(host, stages=stages), flow, "Hello?") for _ in range(2)]
        return first, second, len(emulator.requests)

    with Emulator(behaviour=lambda request: Fault.http(529, retry_after=0)) as emulator:
        for name, value in emulator.env().items():
            monkeypatch.setenv(name, value)
        first, second, requests = asyncio.run(two_runs())
    assert "529" in str(first.error)
    assert "its circuit is open" in str(second.error)
    assert requests == 2
