"""Pipeline: one stage after the other, each on the output of the one before."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, Optional, Protocol, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay import Agent, Budget, RunContext, node, run_sync
from outlay.errors import ConfigError, Overloaded
from outlay.patterns import FanOut, Pipeline
from outlay.testing import ScriptedModel, virtual_time


def agent(name, *replies, **options):
    given = options.pop("answer", None) or list(replies)
    return Agent(name, ScriptedModel(given, price=(1, 1), latency=options.pop("latency", 0)), **options)


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=12))
def test_a_pipeline_of_functions_is_their_composition(addends):
    """Whatever the number of stages."""
    stages = [node(name=f"s{i}")(lambda x, a=a: x * 2 + a) for i, a in enumerate(addends)]
    expected = 1
    for a in addends:
        expected = expected * 2 + a
    assert run_sync(Pipeline(*stages), 1).unwrap() == expected


def test_stages_run_one_after_the_other():
    """Three calls of 2 s take 6 s."""
    with virtual_time() as clock:
        run_sync(Pipeline(*(agent(n, "x", latency=2) for n in "abc")), "go").unwrap()
    assert clock.elapsed == 6


def test_every_stage_sees_the_first_input_and_where_its_own_came_from():
    """`ctx.origin` is the pipeline's input, `ctx.source` the path of the stage before, empty for the first."""
    seen = []

    @node
    async def look(ctx: RunContext, x: str) -> str:
        seen.append((ctx.input, ctx.origin, ctx.source))
        return x + "!"

    run_sync(Pipeline(look, look.replace(name="again"), look.replace(name="third")), "q").unwrap()
    assert seen == [("q", "q", ""), ("q!", "q", "pipeline/look"), ("q!!", "q", "pipeline/again")]


def test_an_inner_pipelines_origin_is_its_own_input():
    """The enclosing pattern is the nearest one."""
    origins = []

    @node
    async def look(ctx: RunContext, x: str) -> str:
        origins.append(ctx.origin)
        return x + "!"

    run_sync(Pipeline(look, Pipeline(look.replace(name="inner"), look.replace(name="last"), name="p2")), "q").unwrap()
    assert origins == ["q", "q!", "q!"]


def test_a_failing_stage_ends_it_and_what_is_done_is_kept():
    """The error is the stage's own; finished stages stand in `.partial` with their cost."""
    result = run_sync(
        Pipeline(agent("a", "one"), agent("b", Overloaded("busy", retryable=False)), agent("c", "x")), "go"
    )
    assert isinstance(result.error, Overloaded)
    assert [(p.path, p.output, p.cost) for p in result.partial] == [("pipeline/a", "one", Decimal("0.000002"))]
    assert result.stop_reason == "error"


def test_an_optional_stage_that_fails_passes_its_input_on():
    """The result is degraded, and says what was left out."""
    flow = Pipeline(
        agent("a", "one"), agent("b", Overloaded("busy", retryable=False), optional=True), lambda x: f"{x}!"
    )
    result = run_sync(flow, "go")
    assert (result.output, result.degraded, result.stop_reason) == ("one!", True, "completed")
    assert [s.path for s in result.skipped] == ["pipeline/b"]


def test_a_stages_own_budget_holds_for_its_calls_only():
    """The stage stops at its limit; the others are not charged."""
    flow = Pipeline(agent("a", "one"), agent("b", "two", budget=Budget(calls=0)), agent("c", "three"))
    result = run_sync(flow, "go")
    assert (result.stop_reason, [p.output for p in result.partial]) == ("budget", ["one"])
    skipping = Pipeline(
        agent("a", "one"), agent("b", "two", budget=Budget(calls=0), optional=True), agent("c", "three")
    )
    assert run_sync(skipping, "go").output == "three"


def test_replace_keeps_the_stages():
    """`stages=` takes them all; the other options stay."""
    flow = Pipeline(lambda x: x + 1, name="p", optional=True)
    changed = flow.replace(name="q")
    assert (changed.name, changed.optional, run_sync(changed, 1).output) == ("q", True, 2)
    assert run_sync(flow.replace(stages=(lambda x: x - 1,)), 1).output == 0


def test_no_stage_and_no_node_are_refused():
    """There is nothing to run."""
    with pytest.raises(ConfigError, match="at least one stage"):
        Pipeline()
    with pytest.raises(ConfigError, match="not a node"):
        Pipeline("text")


def test_two_stages_of_one_name_are_refused_before_anything_runs():
    """Paths must tell them apart; the same node twice is `#2`."""
    model = ScriptedModel(["x"])
    with pytest.raises(ConfigError, match="two children named 'a'"):
        run_sync(Pipeline(Agent("a", model), Agent("a", model)), "go")
    assert model.calls == []
    twice = agent("a", "one", "two")
    assert {line.path for line in run_sync(Pipeline(twice, twice), "go").bill.lines} == {"pipeline/a", "pipeline/a#2"}


# ── neighbours that do not fit ────────────────────────────────────────────────────────────────────────────


@dataclass
class Page:
    text: str


class Sized(Protocol):
    def __len__(self) -> int: ...


T = TypeVar("T")


def gives(kind):
    def stage(x):
        return x

    stage.__annotations__ = {"return": kind}
    stage.__name__ = "before"
    return stage


def takes(kind):
    def stage(x):
        return x

    stage.__annotations__ = {"x": kind}
    stage.__name__ = "after"
    return stage


@pytest.mark.parametrize(
    ("given", "wanted"),
    [(str, int), (int, str), (list[str], str), (str, Page), (dict, list), (float, int), (None, str)],
)
def test_a_mismatch_of_annotated_neighbours_is_refused_when_it_is_made(given, wanted):
    """The error names both stages and both types."""
    with pytest.raises(ConfigError, match=r"before gives .* after, the next stage, takes"):
        Pipeline(gives(given), takes(wanted))


def test_an_agents_output_type_is_an_annotation():
    """An agent of text does not fit a stage that takes a page."""
    with pytest.raises(ConfigError, match="writer gives str"):
        Pipeline(Agent("writer", ScriptedModel([])), takes(Page))
    Pipeline(Agent("writer", ScriptedModel([]), output_type=Page), takes(Page))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (str, str),
        (bool, int),
        (int, float),
        (int, complex),
        (float, complex),
        (str, Any),
        (Any, str),
        (str, object),
        (list[str], Sequence[str]),
        (list[str], list),
        (str, Optional[str]),  # noqa: UP045
        (Optional[str], str),  # noqa: UP045
        (str | None, str),
        (str, T),
        (Literal["a"], str),
        (str, Literal["a"]),
        (Awaitable[str], str),
        (str, Sized),
        (dict, "Unknown"),
    ],
    ids=str,
)
def test_where_there_is_any_doubt_the_type_checker_decides(given, wanted):
    """What fits, or may fit, is not refused: a number widens as type checkers let it."""
    Pipeline(gives(given), takes(wanted))


def test_a_pipeline_may_hold_any_node():
    """Patterns stand in it like agents."""
    flow = Pipeline(lambda x: [x, x], FanOut(lambda x: x + 1), sum)
    assert run_sync(flow, 1).unwrap() == 4
