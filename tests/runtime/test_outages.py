"""An outage is not amplified, whatever is nested in what, and it is over soon after it is over.

The load is what the provider counts. Without retries it is what the same flow sends to a provider that says of its
errors that trying again is no use.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

import pytest
from flows import at_once, of_kind

from outlay import Agent, Result, RunContext, node, run, run_many, run_sync
from outlay.emulator import EmulatedRequest, Emulator, Fault
from outlay.errors import Overloaded
from outlay.events import CallFailed, CircuitChanged
from outlay.patterns import FanOut, Pipeline, Plan, Subtask, Supervisor, Task
from outlay.policies.breaker import BreakerPolicy
from outlay.testing import ScriptedModel

PROBE = BreakerPolicy().probe
ALWAYS = (0.0, 1e9)


class Provider:
    """Down between two moments of virtual time, a second to answer, and it counts when it was asked."""

    def __init__(self, down: tuple[float, float], *, retryable: bool = True) -> None:
        self.down = down
        self.retryable = retryable
        self.asked: list[float] = []
        self.answered: list[float] = []

    def model(self, says: Any, name: str = "provider") -> ScriptedModel:
        async def answer(request: Any) -> Any:
            now = asyncio.get_running_loop().time()
            self.asked.append(now)
            await asyncio.sleep(1.0)
            if self.is_down(now):
                return Overloaded("busy", status=529, retryable=self.retryable)
            self.answered.append(now)
            return says

        return ScriptedModel(answer, name=name)

    def is_down(self, moment: float) -> bool:
        return self.down[0] <= moment < self.down[1]

    @property
    def load(self) -> int:
        """Requests while it was down."""
        return sum(map(self.is_down, self.asked))


def parts(task: Task) -> list[str]:
    return [f"{task.task} {i}" for i in range(4)]


def joined(found: list[str]) -> str:
    return " ".join(found)


def nested(provider: Provider, **options: Any) -> Any:
    """A fan-out in a supervisor in a pipeline: thirteen calls where all goes well."""

    def agent(name: str, says: Any = "words", **more: Any) -> Agent[Any]:
        return Agent(name, provider.model(says), **options, **more)

    team = FanOut(agent("worker"), parts, joined, name="team", description="Works.")
    plan = Plan([Subtask(f"t{i}", "team", f"part {i}") for i in range(2)], "")
    crew = Supervisor(agent("planner", plan, output_type=Plan), [team], agent("writer"))
    return Pipeline(agent("draft"), crew, agent("polish"))


def users(flow: Any, every: float, until: float) -> list[Result[Any]]:
    """A run begins every so many seconds."""

    async def come() -> list[Result[Any]]:
        async def one(i: int) -> Result[Any]:
            await asyncio.sleep(i * every)
            return await run(flow, f"goal {i}", on_alert=lambda alert: None)

        return await asyncio.gather(*(one(i) for i in range(int(until / every))))

    return at_once(come())


def load(down: tuple[float, float], every: float, until: float, *, retryable: bool) -> int:
    provider = Provider(down, retryable=retryable)
    users(nested(provider), every, until)
    return provider.load


@pytest.mark.parametrize(
    ("every", "lasts", "until"),
    [(0.5, 60, 100), (0.5, 20, 80), (5, 300, 600), (10, 300, 600)],
    ids=["a minute, busy", "20 s, busy", "5 min, quiet", "5 min, hardly used"],
)
def test_an_outage_under_three_nested_layers_is_not_amplified(every: float, lasts: float, until: float) -> None:
    """The provider is sent at most a tenth more than without any retry; far less, once the circuit is open."""
    down = (30.0, 30.0 + lasts)
    without = load(down, every, until, retryable=False)
    assert 0 < load(down, every, until, retryable=True) <= 1.1 * without


@pytest.mark.parametrize("lasts", [2, 5, 10])
def test_a_blink_costs_a_tenth_and_ten_requests_at_most(lasts: float) -> None:
    """It takes some failures to know of it: until then a small run may try again as it may on any other day."""
    down = (20.0, 20.0 + lasts)
    without = load(down, 0.25, 35, retryable=False)
    assert load(down, 0.25, 35, retryable=True) <= 1.1 * without + 10


@pytest.mark.parametrize("n", [20, 50, 100, 300])
def test_calls_that_all_fail_at_once_are_tried_again_by_a_tenth(n: int) -> None:
    """Strictly, from twenty on: they know of each other before the first of them goes again."""
    provider = Provider(ALWAYS)
    flow = FanOut(Agent("worker", provider.model("words")))
    result = at_once(run(flow, [str(i) for i in range(n)]))
    assert n < provider.load <= 1.1 * n
    assert "not tried again" in str(result.error)


def test_a_fallback_takes_the_load_and_is_not_amplified_either() -> None:
    """Both are down, and each is sent a tenth more than the calls that there are, at most."""
    first, second = Provider(ALWAYS), Provider(ALWAYS)
    agent = Agent("worker", first.model("words", "first"), fallback=[second.model("words", "second")])
    result = at_once(run(Pipeline(FanOut(FanOut(agent))), [[str(i) for i in range(10)] for _ in range(20)]))
    assert result.stop_reason == "error"
    assert 200 < first.load <= 1.1 * 200
    assert 200 < second.load <= 1.1 * 200


def test_recovery_takes_two_probe_intervals_at_most() -> None:
    """From the moment that the provider is back: answered, the circuit closed for all, and every later run is well."""
    back = 120.0
    provider = Provider((30.0, back))
    results = users(nested(provider), 1.0, 200)
    assert min(at for at in provider.answered if at >= back) <= back + 2 * PROBE
    begun = [result.events[0].time for result in results]
    closed = [event.time - begun[0] for result in results for event in of_kind(result, CircuitChanged)]
    assert len(closed) == 2  # open, and closed
    assert back <= closed[-1] <= back + 2 * PROBE
    assert all(result.output for result in results if result.events[0].time - begun[0] > back + 2 * PROBE)


def test_the_users_own_layer_around_them_is_not_multiplied() -> None:
    """Code that tries three times over, in a pipeline in a supervisor: each of its calls is one, and not three."""
    provider = Provider(ALWAYS)
    asked = 0

    @node
    async def retrying(ctx: RunContext, task: Task) -> Any:
        nonlocal asked
        for i in range(3):
            asked += 1
            try:
                return await ctx.run(Agent("worker", provider.model("words")), task.task, key=str(i))
            except Overloaded:
                continue
        raise Overloaded("given up")

    stages = Pipeline(retrying, name="stages", description="Works.")
    plan = Plan([Subtask(str(i), "stages", "x") for i in range(20)], "")
    planner = Agent("planner", ScriptedModel(lambda request: plan, name="planner"), output_type=Plan)
    writer = Agent("writer", ScriptedModel(lambda request: "sum", name="writer"))
    crew = Supervisor(planner, [stages], writer, max_rounds=3)

    async def several() -> None:
        async for _ in run_many(crew, [(i, "goal") for i in range(8)], on_alert=lambda alert: None):
            pass

    at_once(several())
    assert asked >= 480
    assert provider.load <= 1.1 * asked


def test_over_http_by_the_providers_own_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planner and writer are answered, eighty workers are not: the emulator has seen at most a tenth more of them."""
    plan = Plan([Subtask(f"t{i}", "team", f"part {i}") for i in range(20)], "")

    def says(request: EmulatedRequest) -> Any:
        if request.model != "claude-haiku-4-5":
            return asdict(plan) if request.schema else "words"
        return Fault.http(529, retry_after=0)

    big = "anthropic:claude-sonnet-4-6"
    team = FanOut(Agent("worker", "anthropic:claude-haiku-4-5"), parts, joined, name="team", description="Works.")
    crew = Supervisor(Agent("planner", big, output_type=Plan), [team], Agent("writer", big))
    with Emulator(behaviour=says) as emulator:
        for name, value in emulator.env().items():
            monkeypatch.setenv(name, value)
        result = run_sync(Pipeline(Agent("draft", big), crew), "goal", seed=1)
        seen = sum(record.body["model"] == "claude-haiku-4-5" for record in emulator.requests)
    assert len(of_kind(result, CallFailed)) == seen
    assert 80 < seen <= 1.1 * 80
