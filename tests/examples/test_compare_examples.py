"""examples/compare and examples/cliff.py: they run, and show what they say they show."""

from __future__ import annotations

import asyncio
import runpy
from pathlib import Path
from typing import Any

import pytest

from outlay.errors import ConfigError
from outlay.evals import Comparison, Dataset, Flow, Terms, compare, compare_sync, verdict_on, wilson
from outlay.patterns import Pipeline
from outlay.routing import read_outcomes
from outlay.testing import Emulator, stand_ins, virtual_time

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str) -> Any:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))


def offline(a: Any, b: Any, dataset: str, **terms: Any) -> Comparison:
    with virtual_time():
        return compare_sync(a, b, EXAMPLES / dataset, Terms(budget="0.05", models="offline", **terms))


@pytest.fixture
def research() -> tuple[Any, Any, list[Any]]:
    found = load("compare/research")
    return found["single"], found["crew"], [found["facts"], found["cited"], "length=90"]


# ── one research agent against researcher, writer and critic ──────────────────────────────────────────────


def test_of_ten_questions_the_crew_wins_one_and_the_single_agent_is_the_one_to_ship(research: Any) -> None:
    single, crew, checkers = research
    found = offline(single, crew, "compare/questions.jsonl", checkers=checkers)
    assert (len(found.a.cases), found.a.successes, found.b.successes) == (10, 9, 10)
    verdict = verdict_on(found)
    assert (verdict.kind, verdict.ship) == ("no difference", "single")
    assert verdict.text.startswith("Ship the single agent, single")
    assert found.multiplier is not None
    assert found.multiplier.low > 2


def test_the_same_over_the_providers_protocol(research: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both flows live, against the emulator: the same outcomes, and the bill is the provider's own count."""
    single, crew, checkers = research
    both: Any = Pipeline(single, crew)
    with Emulator(behaviour=stand_ins(both)) as emulator:
        for name, value in emulator.env().items():
            monkeypatch.setenv(name, value)
        terms = Terms(checkers=checkers, budget="0.05", models="live")
        live = asyncio.run(compare(single, crew, EXAMPLES / "compare/questions.jsonl", terms))
        billed = emulator.billed().values()
    ours = offline(single, crew, "compare/questions.jsonl", checkers=checkers)
    assert (live.a.outcomes, live.b.outcomes) == (ours.a.outcomes, ours.b.outcomes)
    assert live.setup.lane == "live"
    tokens = sum(case.tokens or 0 for side in (live.a, live.b) for case in side.cases)
    assert tokens == sum(one.input_tokens + one.output_tokens for one in billed)


# ── a single call against planner and executors ───────────────────────────────────────────────────────────


def test_the_planner_adds_up_what_one_call_cannot_and_is_worth_it_from_a_value_on() -> None:
    found = load("compare/sums")
    single, planned = found["single"], found["planned"]
    plain = offline(single, planned, "compare/sums.csv", checkers=["numeric"])
    assert (plain.only_a, plain.only_b, plain.differs) == (0, 7, True)
    assert verdict_on(plain).kind == "depends"
    for value, ship in (("0.05", "planned"), ("0.001", "single")):
        dear = offline(single, planned, "compare/sums.csv", checkers=["numeric"], value=value)
        assert verdict_on(dear).ship == ship


def test_the_bills_are_what_a_program_adds_them_up_to() -> None:
    """The data set is right: the expected sums are those of its amounts."""
    import re
    from decimal import Decimal

    for case in Dataset.read(EXAMPLES / "compare/sums.csv"):
        assert sum(map(Decimal, re.findall(r"\d+\.\d\d", case.input)), Decimal(0)) == Decimal(case.expected)


# ── recorded solutions and real messages ──────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def recorded() -> Any:
    return load("compare/recorded")


def test_gsm8k_is_replayed_as_it_was_solved(recorded: Any, shared_data: Path) -> None:
    table = shared_data / "routing/gsm8k_six_models.parquet"
    if not table.is_file():
        pytest.skip(f"needs {table.name} in ../shared/data/routing")
    large, tiers, dataset, terms = recorded["gsm8k"](table, sample=150)
    found = asyncio.run(compare(large, tiers, dataset, terms))
    assert found.b.dollars_a_case is not None
    assert found.a.dollars_a_case is not None
    assert found.b.dollars_a_case < found.a.dollars_a_case / 2
    assert 1 < found.b.calls_a_case < 2
    # The benchmark's own marks, by another reading of the same solutions: they agree but for a few in a hundred.
    marks = {question.query: question.outcomes for question in read_outcomes(table)}
    inputs = {case.id: case.input for case in dataset}
    same = sum(bool(marks[inputs[case.case]]["gpt-4-1106-preview"].correct) == case.success for case in found.a.cases)
    assert same >= 0.93 * len(found.a.cases)


def test_banking77_is_classified_alone_and_by_a_panel(recorded: Any, shared_data: Path) -> None:
    folder = shared_data / "banking77"
    if not folder.is_dir():
        pytest.skip("needs banking77 in ../shared/data")
    one, panel, dataset, terms = recorded["banking"](folder, sample=25)
    found = asyncio.run(compare(one, panel, dataset, terms))
    assert (found.a.agents, found.b.agents, found.b.calls_a_case) == (1, 3, 3)
    assert found.a.share is not None
    assert found.a.share.high > 0.6
    assert found.multiplier is not None
    assert found.multiplier.value == pytest.approx(3, abs=0.1)


def test_without_the_data_each_is_skipped_with_a_word(
    recorded: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(recorded["main"](tmp_path))
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in said] == ["GSM8K", "Banking77"]
    assert all("skipped, there is no" in line and str(tmp_path) in line for line in said)


# ── the cliff ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_cliff_is_p_to_the_n_and_a_retry_a_step_takes_most_of_it_away() -> None:
    cliff = load("cliff")
    p, lengths = 0.9, (1, 4, 8, 16)
    plain, gated, retried = (cliff["design"](p, retries, 20, 3, lengths) for retries in (None, 0, 1))
    for design in (plain, gated):  # a gate alone saves money, not the chain
        for chain, _ in design:
            share = wilson(chain.successes, chain.runs, 0.9999)
            assert p**chain.steps in share
    for chain, _ in retried:
        assert (1 - (1 - p) ** 2) ** chain.steps in wilson(chain.successes, chain.runs, 0.9999)
    assert gated[-1][1] < plain[-1][1] < retried[-1][1]
    found = cliff["fit_chain"]([chain for chain, _ in plain])
    assert found.high - found.low < 0.08
    assert cliff["table"](p, plain, gated, retried).count("\n") == len(lengths)
    assert "a point gained" in cliff["table"](p, plain, gated, retried)
    assert cliff["svg"](p, plain, retried).count("<circle") == 2 * len(lengths)


def test_the_flows_are_named_by_their_addresses() -> None:
    """What the docstrings say to type is there."""
    for name, flows in (("research", ("single", "crew")), ("sums", ("single", "planned"))):
        found = load(f"compare/{name}")
        for flow in flows:
            assert f"examples/compare/{name}.py:{flow}" in found["__doc__"]
            assert Flow.of(found[flow]).name == flow
    with pytest.raises(ConfigError):
        Dataset.read(EXAMPLES / "compare/nothing.jsonl")
