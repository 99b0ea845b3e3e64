"""Calibration: forecasts that are fitted to stored runs, held against runs that came after them.

The truth here is a provider whose token counts, latencies and failures no assumption of ours has the shape of: lengths
that depend on the question, a slow day now and then, gamma noise.
"""

from __future__ import annotations

import asyncio
import statistics
from random import Random
from typing import Any

import pytest

from outlay import Agent, node
from outlay.analysis.percentiles import percentile
from outlay.errors import Overloaded
from outlay.events import Event
from outlay.forecast import Assumptions, Empirical, Expect, Fixed, Lognormal, fit_runs, forecast, held_against
from outlay.forecast.assumptions import FAILURE, Beliefs
from outlay.forecast.fits import Fit, Measured
from outlay.models.naming import resolve
from outlay.models.scripted import Offline, ScriptedModel, estimate_input
from outlay.patterns import Cascade, Pipeline, Router
from outlay.runtime.run import run_sync
from outlay.sim import virtual_time
from outlay.testing import Reply
from outlay.values.request import ModelRequest, ModelResponse
from outlay.values.usage import Usage


class Provider:
    """A real model's id, price and bound; answers of a stand-in; tokens and seconds of its own."""

    def __init__(self, agent: Agent[Any], random: Random) -> None:
        self._real = resolve(str(agent.model))
        self._says = Offline(agent.offline, self._real)
        self._random = random

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def check(self, *_: Any) -> None: ...

    async def send(self, request: ModelRequest, transport: Any, on_text: Any = None) -> ModelResponse:
        random = self._random
        slow = 3.0 if random.random() < 0.1 else 1.0
        if random.random() < 0.02:
            await asyncio.sleep(slow)
            raise Overloaded("busy")
        said = await self._says.send(request, transport)
        assert said.usage is not None
        written = max(1, round(said.usage.output_tokens * random.gammavariate(8, 1 / 8)))
        read = round(estimate_input(request) * 1.13)
        await asyncio.sleep(slow * (0.4 + random.expovariate(3) + written * 0.012))
        usage = Usage(read // 2, read - read // 2, 0, written)
        return ModelResponse(said.message, said.stop, usage, model=self._real.name)


def sort(request: ModelRequest) -> str:
    return "long" if "please" in request.text else "short"


def reply(request: ModelRequest) -> str:
    return "An answer with its reasons. " * (20 if "please" in request.text else 4)


def cut(request: ModelRequest) -> str:
    return request.text[:200]


sorter = Agent("sorter", "anthropic:claude-haiku-4-5", offline=sort)
writer = Agent("writer", "anthropic:claude-sonnet-4-6", instructions="Answer." * 40, offline=reply)
editor = Agent("editor", "anthropic:claude-haiku-4-5", offline=cut)


@node
async def closed(text: str) -> str:
    """A template, for which nobody pays."""
    return "We will come back to you."


desk = Router(sorter, {"long": Pipeline(writer, editor), "short": writer}, default=closed, name="desk")


def played(rows: list[str], seed: int) -> tuple[list[Event], list[float], list[float]]:
    """Real runs on virtual time: events, dollars and seconds."""
    events: list[Event] = []
    dollars: list[float] = []
    seconds: list[float] = []
    random = Random(seed)
    models: Any = {agent.name: Provider(agent, random) for agent in (sorter, writer, editor)}
    for row in rows:
        with virtual_time() as clock:
            result = run_sync(desk, row, models=models, on_event=events.append)
        assert result.stop_reason == "completed", result.error
        dollars.append(float(result.bill.at_least))
        seconds.append(clock.elapsed)
    return events, dollars, seconds


def questions(n: int, seed: int) -> list[str]:
    """A quarter of them get a long answer: the same mix each day, or no forecast could know."""
    random = Random(seed)
    return ["word " * random.randint(3, 60) + ("please" if i % 4 == 0 else "") for i in range(n)]


def test_a_fitted_forecast_is_close_to_runs_that_came_after_it():
    """P50 within 5 %, P95 within 10 %, between 85 and 95 % of later runs in the 90 % interval (issue 7).

    One call in ten takes three times as long, so P95 lies where few runs are: of 1,000 runs it is itself off by 8 %,
    one time in three. It is held against all runs together; how many later ones stay under it, against 95 %.
    """
    past, future = questions(1_000, 1), questions(1_500, 2)
    events, dollars_then, seconds_then = played(past, 3)
    _, dollars, seconds = played(future, 4)
    found = forecast(desk, past, n=5_000, assumptions=fit_runs(events, "desk").under(Assumptions()), workers=1)
    assert found.dollars is not None
    assert all("fitted" in one.source for one in found.assumed if "output_tokens" in one.about)
    for expected, then, later in ((found.dollars, dollars_then, dollars), (found.seconds, seconds_then, seconds)):
        assert expected.p50 == pytest.approx(percentile(later, 50), rel=0.05)
        assert expected.p95 == pytest.approx(percentile([*then, *later], 95), rel=0.10)
        track = held_against(expected.p5, expected.p95, later)
        assert 0.85 <= track.within.share <= 0.95
        assert 0.93 <= track.under_p95.share <= 0.97


def test_a_curve_loses_what_the_measured_calls_keep():
    """Two kinds of answers, short and long: the lognormal that fits best misses their 95th percentile by over 10 %,
    which is why measured calls are drawn as they were."""
    random = Random(5)
    values = [random.gauss(400 if random.random() < 0.4 else 60, 10) for _ in range(2_000)]
    actual = percentile(values, 95)
    assert actual is not None
    for distribution, is_close in ((Lognormal.fitted(values), False), (Empirical(tuple(values)), True)):
        drawn = percentile([distribution.draw(random) for _ in range(5_000)], 95)
        assert (drawn == pytest.approx(actual, rel=0.10)) is is_close


def test_failures_turns_and_routes_are_found_in_the_events():
    events, _, _ = played(questions(200, 1), 3)
    found = fit_runs(events, "desk")
    assert found.runs == 200
    assert found.agents["sorter"].expect.failure == pytest.approx(0.02, abs=0.025)
    assert found.agents["sorter"].expect.turns == 1
    assert found.agents["writer"].cache_read == pytest.approx(0.5, abs=0.01)
    assert found.routes["desk"]["long"] == pytest.approx(0.25)


def test_how_long_tools_take_is_found_in_the_events():
    async def look(query: str) -> str:
        """Look it up."""
        await asyncio.sleep(2 if query == "a" else 4)
        return query

    model = ScriptedModel(
        lambda request: "done" if request.messages[-1].role == "tool" else Reply(tool_calls=[("look", {"query": "a"})])
    )
    clerk = Agent("clerk", model, tools=[look])
    events: list[Event] = []
    with virtual_time():
        run_sync(clerk, "x", on_event=events.append)
    found = fit_runs(events, "clerk")
    took = found.agents["clerk"].expect.tool_seconds
    assert isinstance(took, Lognormal)
    assert (took.median, took.spread) == (pytest.approx(2), 0)
    again = forecast(clerk, ["x"], n=5, assumptions=found.under(Assumptions()), workers=1)
    assert again.seconds.p50 >= 2
    assert "clerk tool_seconds" in {one.about for one in again.assumed if one.source.startswith("fitted")}


def test_runs_of_another_flow_do_not_count():
    events, _, _ = played(questions(5, 1), 3)
    assert fit_runs(events, "other").runs == 0


def test_calls_are_drawn_by_what_was_estimated_of_their_input():
    """Tool results are a third of a token where text is a quarter: by the tokens that were read, the short input would
    look like the long one."""
    table = Measured(output_tokens=10, seconds=1, input_tokens=900, estimated=300)
    text = Measured(output_tokens=90, seconds=3, input_tokens=900, estimated=900)
    fit = Fit(expect=Expect(), calls={("a", "answer"): (table,) * 60 + (text,) * 60}, events=120)
    random = Random(0)
    drawn = [fit.like("a", "answer", estimated, random) for estimated in (300, 900) for _ in range(20)]
    assert drawn == [table] * 20 + [text] * 20


@pytest.mark.parametrize(("estimated", "mean", "within"), [(1, 2, 2), (100, 100, 3), (200, 199, 2)])
def test_the_shortest_input_is_not_answered_like_longer_ones(estimated: int, mean: float, within: float):
    """At the edges the window has as many shorter calls as longer ones too: so few, if there are no more."""
    calls = tuple(Measured(output_tokens=i, seconds=1, input_tokens=i, estimated=i) for i in range(1, 201))
    fit = Fit(expect=Expect(), calls={("a", "answer"): calls}, events=200)
    random = Random(0)
    drawn = [fit.like("a", "answer", estimated, random) for _ in range(400)]
    assert statistics.fmean(call.output_tokens for call in drawn if call) == pytest.approx(mean, abs=within)


@pytest.mark.parametrize("models", [["anthropic:claude-haiku-4-5"], ["anthropic:claude-haiku-4-5", "openai:gpt-5.4"]])
def test_agents_are_fitted_by_model(models: list[str]):
    """An agent that called two models (a cascade, a fallback) has a fit for each, and one for both."""
    events: list[Event] = []
    for i in range(40):
        model = models[i % len(models)]
        writer = Agent("writer", model, offline=cut)
        provider: Any = Provider(writer, Random(i))
        with virtual_time():
            run_sync(writer, "x" * 40, models={"writer": provider}, on_event=events.append)
    fits = fit_runs(events).agents
    assert fits["writer"].models == set(models)
    assert sorted(fits) == (["writer"] if len(models) == 1 else ["writer", *(f"writer@{model}" for model in models)])
    assert sum(fits[f"writer@{model}"].events for model in models if f"writer@{model}" in fits) in (0, 40)


def test_what_was_measured_with_one_model_carries_over_to_another_in_lengths_not_in_seconds():
    measured = Expect(output_tokens=50, seconds=9, failure=0.3, turns=2)
    fit = Fit(expect=measured, calls={}, events=100, models=frozenset(("anthropic:claude-haiku-4-5",)))
    beliefs = Beliefs(Assumptions(fits={"writer": fit}))
    same, other = (beliefs.of(writer, model) for model in ("anthropic:claude-haiku-4-5", "openai:gpt-5.4"))
    assert (same.output_tokens, same.turns, same.failure) == (Fixed(50), 2, 0.3)
    assert same.seconds == Fixed(9)
    assert (other.output_tokens, other.turns, other.failure, other.seconds) == (Fixed(50), 2, FAILURE, None)


def test_a_gate_that_lets_half_of_a_models_answers_through_is_found_in_the_events():
    def even(answer: str) -> str | None:
        return None if len(answer) % 2 == 0 else "odd"

    small = ScriptedModel(lambda request: "x" * int(request.text), name="small", price=(1, 5))
    large = ScriptedModel(lambda request: "xx", name="large", price=(3, 15))
    agent = Agent("writer", Cascade([small, large], even))
    events: list[Event] = []
    for i in range(40):
        run_sync(agent, str(i + 1), on_event=events.append)
    found = fit_runs(events).agents
    assert found["writer@small"].expect.refused == pytest.approx(0.5)
    assert found["writer@large"].expect.refused == 0
    again = forecast(agent, ["7"], n=300, assumptions=fit_runs(events).under(Assumptions()), workers=1)
    assert again.calls.mean == pytest.approx(1.5, abs=0.1)


@pytest.mark.parametrize(("live", "lane"), [(0, "offline"), (40, "live")])
def test_of_runs_on_stand_ins_only_what_a_stand_in_can_say_is_believed(live: int, lane: str):
    """A program answers at once and never fails: its seconds are not a model's, however many of its runs there are."""

    def look(query: str) -> str:
        """Look it up."""
        return query

    def asks_first(request: ModelRequest) -> Any:
        return "x" * 400 if request.messages[-1].role == "tool" else Reply(tool_calls=[("look", {"query": "a"})])

    clerk = Agent("clerk", "anthropic:claude-haiku-4-5", tools=[look], offline=asks_first)
    events: list[Event] = []
    for _ in range(100):
        run_sync(clerk, "x", models="offline", on_event=events.append)
    for i in range(live):
        provider: Any = Provider(clerk, Random(i))
        with virtual_time():
            run_sync(clerk, "x", models={"clerk": provider}, on_event=events.append)
    found = fit_runs(events, "clerk")
    known = found.agents["clerk"]
    assert (found.lane, known.offline) == (lane, not live)
    assert (known.expect.seconds is None, known.expect.failure is None, known.calls == {}) == (not live,) * 3
    assert known.expect.turns == 2
    again = forecast(clerk, ["x"], n=50, assumptions=found.under(Assumptions()), workers=1)
    assert again.seconds.p50 > 1
    sources = {one.about: one.source for one in again.assumed}
    if not live:
        assert sources["clerk output_tokens"] == "default"  # the stand-in is asked, for each conversation
        assert sources["clerk tool_seconds"] == "fitted from 200 calls of its stand-in"


def test_routes_that_were_counted_are_not_called_declared():
    writer, other = (Agent(name, "anthropic:claude-haiku-4-5") for name in ("writer", "other"))
    flow = Router(sorter, {"long": writer, "short": other}, default=closed, name="desk")
    events, _, _ = played(questions(40, 1), 3)
    fitted, declared = fit_runs(events, "desk"), Assumptions(routes={"desk": {"long": 1.0}})
    for given, source, share in ((Assumptions(), "fitted from stored runs", 0.25), (declared, "declared", 1.0)):
        beliefs = Beliefs(fitted.under(given))
        assert beliefs.shares(flow.name, ("long", "short")).get("long") == pytest.approx(share)
        assert [one.source for one in beliefs.used] == [source]
