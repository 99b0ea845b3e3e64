"""What a store knows of a flow: real runs and comparisons, kept and read again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from outlay import Agent, Budget, open_store, run_sync
from outlay.advice import Evidence, Survey, checklist, evidence_in, evidence_of, warnings_of
from outlay.errors import Overloaded
from outlay.evals import Case, Dataset, Terms, compare_sync
from outlay.events.records import RunStarted
from outlay.patterns import Pipeline
from outlay.testing import Reply, ScriptedModel, virtual_time
from outlay.values.usage import Usage


def says(text: str = "4", tokens: int = 40) -> ScriptedModel:
    return ScriptedModel(lambda _: Reply(text, usage=Usage(input_tokens=100, output_tokens=tokens)), price=(1, 5))


def flow(**more: Any) -> Pipeline[Any, Any]:
    return Pipeline(Agent("a", says(tokens=10)), Agent("b", says(tokens=60), **more), name="desk")


def known(store: Path, name: str = "desk") -> Evidence:
    async def read() -> Evidence:
        async with open_store(str(store)) as opened:
            return await evidence_of(opened, name)

    return asyncio.run(read())


def test_runs_limits_and_what_agents_wrote(tmp_path: Path):
    """Counted over the runs of this flow, and of no other."""
    store = tmp_path / "runs.db"
    run_sync(flow(), "x", store=str(store))
    run_sync(flow(), "y", store=str(store), budget=Budget(usd=1, seconds=60))
    run_sync(Agent("other", says()), "z", store=str(store))
    found = known(store)
    assert (found.runs, found.recent, found.limited, found.timed, found.offline) == (2, 2, 1, 1, False)
    assert {name: (fit.events, fit.output_p99, fit.turns) for name, fit in found.fits.items()} == {
        "a": (2, 10, 1),
        "b": (2, 60, 1),
    }
    assert found.failures == {}
    assert found.compared is None


def test_only_the_newest_runs_say_how_it_is_run_today():
    """What was mended a hundred runs ago is not held against it."""
    old = [RunStarted(run=f"old{n}", seq=0, time=float(n), flow="desk") for n in range(50)]
    new = [RunStarted(run=f"n{n}", seq=0, time=99.0 + n, flow="desk", limits=({"usd": "1"},)) for n in range(100)]
    found = evidence_in([*new, *old], {}, "desk")
    assert (found.runs, found.recent, found.limited) == (150, 100, 100)


def test_how_runs_failed_by_kind(tmp_path: Path):
    """Errors by their class, stops by their reason."""
    store = tmp_path / "runs.db"
    down = Agent("down", ScriptedModel([Overloaded("busy")] * 9))
    with virtual_time():
        run_sync(down, "x", store=str(store))
    run_sync(Agent("down", says(), budget=Budget(calls=0)), "x", store=str(store))
    assert known(store, "down").failures == {"error: Overloaded": 1, "stopped: budget": 1}


def test_a_flow_that_was_never_run_is_not_known(tmp_path: Path):
    """Which is not the same as bad."""
    store = tmp_path / "runs.db"
    run_sync(flow(), "x", store=str(store))
    assert known(store, "nobody") == Evidence()


def test_a_comparison_is_found_again_with_its_figures(tmp_path: Path):
    """The single agent is its first side, however it was typed."""
    store = tmp_path / "runs.db"
    single = Agent("single", says("5"))
    cases = Dataset([Case(f"c{i}", f"What is {i}?", "4") for i in range(8)])
    compare_sync(flow(), single, cases, Terms(checkers=["exact"], store=str(store)))
    found = known(store).compared
    assert found is not None
    assert (found.a.name, found.a.agents, found.a.successes) == ("single", 1, 0)
    assert (found.b.name, found.b.agents, found.b.successes) == ("desk", 2, 8)
    assert found.differs
    said = {one.id: one for one in checklist(Survey(flow(), evidence=known(store)))}
    assert said["baseline"].state == "pass"
    assert said["baseline"].text.startswith("measured on 8 cases. Ship desk where a success is worth more than")


def test_a_comparison_of_others_is_no_baseline(tmp_path: Path):
    """Nor is one of two crews."""
    store = tmp_path / "runs.db"
    cases = Dataset([Case("c1", "What is 2 + 2?", "4")])
    other = flow().replace(name="other")
    compare_sync(flow(), other, cases, Terms(checkers=["exact"], store=str(store)))
    assert known(store).compared is None


def test_a_cap_far_above_what_was_written_is_seen_in_the_runs(tmp_path: Path):
    """From twenty calls on."""
    store = tmp_path / "runs.db"
    wide = flow(max_output_tokens=4096)
    wide = wide.replace(stages=(wide.stages[0].replace(max_output_tokens=40), wide.stages[1]))
    for n in range(20):
        run_sync(wide, f"{n}", store=str(store))
    (found,) = [one for one in warnings_of(Survey(wide, evidence=known(store))) if one.id == "output-cap"]
    assert found.what == "b: max_output_tokens=4,096, and 99 of 100 of 20 calls wrote at most 60 tokens"
    assert found.change == "b: max_output_tokens=150"
