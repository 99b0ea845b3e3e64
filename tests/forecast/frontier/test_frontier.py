"""The frontier of real flows: what is measured, what follows, and what is refused."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from outlay import Agent, RunContext, node
from outlay.errors import ConfigError
from outlay.forecast import Assumptions, Expect, closed_form, forecast
from outlay.forecast.frontier import Change, Choice, Frontier, Lever, Limits, Space, frontier
from outlay.patterns import Debate, FanOut, Pipeline, Refine, Router, Vote
from outlay.testing import ScriptedModel
from outlay.values.debate import Judgement

#: $1 and $5 a million tokens, and three times that.
SMALL = ScriptedModel([], name="small", price=(1, 5))
LARGE = ScriptedModel([], name="large", price=(3, 15))


def agent(name: str = "a", model: Any = LARGE, **options: Any) -> Agent[Any]:
    return Agent(name, model, instructions="x" * 400, max_output_tokens=200, **options)


def fine(answer: str) -> None:
    """A check that a simulation answers for."""


def on(name: str, *models: Any) -> Space:
    """A space over the model of one agent, in Python."""
    change = Change("agent", name, "model", '"large"', '"small"')
    choices = [Choice(f"{name} on {m.name}", (change,), {name: {"model": m}}) for m in models]
    return Space((Lever(f"model of {name}", (Choice("as it is"), *choices)),))


def measure(flow: Any, space: Any, n: int = 60, **options: Any) -> Frontier:
    return frontier(flow, ["y" * 40], space=space, n=n, workers=1, **options)


SURE = {"failure": 0.0, "output_tokens": 100, "seconds": 2}


def expecting(**agents: Expect) -> Assumptions:
    return Assumptions(everyone=Expect(**SURE), agents=agents)  # pyright: ignore[reportArgumentType]


def test_a_cheaper_model_that_is_as_good_is_the_whole_frontier():
    found = measure(Pipeline(agent("a"), agent("b")), on("a", SMALL), assumptions=expecting())
    (best,) = found.best
    assert [str(change) for change in best.design.changes] == ['agent a: model="large" → "small"']
    # a reads 110 tokens and writes 100, b reads 200: of 3,930 micro-dollars a's 1,830 become a third
    assert (found.base.dollars, best.dollars) == (pytest.approx(3930e-6), pytest.approx(2710e-6))
    assert (best.seconds, found.base.seconds, best.success) == (4, 4, 1)


def test_a_cheaper_model_that_is_worse_makes_a_choice_of_two():
    """Success counts what is declared of an agent with one model, and with another (`a@small`)."""
    known = {"a": Expect(right=0.98), "a@small": Expect(right=0.9), "b": Expect(right=1.0)}
    found = measure(Pipeline(agent("a"), agent("b")), on("a", SMALL), assumptions=expecting(**known))
    assert found.judged
    assert [(round(one.success, 2), one.design.is_base) for one in found.best] == [(0.9, False), (0.98, True)]
    (swing,) = found.swings
    assert swing.success == pytest.approx(-0.08)
    assert swing.dollars == pytest.approx(2710 / 3930 - 1)


def test_the_cheapest_design_within_limits():
    known = {"a": Expect(right=0.98), "a@small": Expect(right=0.9), "b": Expect(right=1.0)}
    flow, space, given = Pipeline(agent("a"), agent("b")), on("a", SMALL), expecting(**known)
    assert str(measure(flow, space, assumptions=given, limits=Limits(success=0.85)).cheapest).count("small")
    strict = measure(flow, space, assumptions=given, limits=Limits(success=0.95))
    assert strict.cheapest is not None
    assert strict.cheapest.design.is_base
    none = measure(flow, space, assumptions=given, limits=Limits(usd=1e-6, success=0.95))
    assert none.cheapest is None
    assert none.nearest is not None
    assert "no design keeps to the limits" in none.render()


def test_rounds_samples_and_workers_one_after_the_other_cost_what_they_cost():
    never = Expect(output_tokens=100, seconds=2, failure=0, accept=0)
    flow = Refine(agent("a"), fine, max_rounds=3, name="draft")
    given = Assumptions(everyone=never, agents={"draft": never})
    found = measure(flow, "rounds=draft:1..3", assumptions=given)
    assert {one.calls for one in found.measured} == {1, 2, 3}
    poll = measure(Vote(agent("a"), 5, early_stop=False, name="poll"), "samples=poll:1|3", assumptions=expecting())
    assert sorted(one.calls for one in poll.measured) == [1, 3, 5]
    both = measure(FanOut([agent("a"), agent("b")], name="both"), "parallel=both:1", assumptions=expecting())
    assert {one.seconds for one in both.measured} == {2, 4}


def test_stages_that_do_not_read_each_other_may_run_at_once():
    """Three steps of two seconds: six in a row, two at once, and each is right as often."""
    known = expecting(a=Expect(right=0.9), b=Expect(right=0.9), c=Expect(right=0.9))
    flow = Pipeline(agent("a"), agent("b"), agent("c"), name="steps")
    found = measure(flow, "parallel=steps:all", assumptions=known)
    assert [(one.seconds, round(one.success, 3)) for one in found.measured] == [(6, 0.729), (2, 0.729)]


def test_a_cached_prefix_costs_what_the_provider_takes_for_reading_it():
    """5,000 tokens of instructions on Claude Haiku 4.5 ($1, a read $0.10, a write $1.25), nine of ten calls warm; under
    the provider's least length nothing is cached."""
    long, short = (
        Agent("a", "anthropic:claude-haiku-4-5", instructions="word" * n, max_output_tokens=100) for n in (5_000, 100)
    )
    known = Assumptions(everyone=Expect(failure=0.0, output_tokens=0, warm=0.9))
    found = measure(long, "cache=a:off|5m", n=300, assumptions=known)
    off, cached = found.measured[-2:]
    assert off.dollars == pytest.approx(5_010e-6, rel=0.001)
    assert cached.dollars == pytest.approx((0.9 * 0.1 + 0.1 * 1.25) * 5_000e-6 + 10e-6, rel=0.15)
    warm: Any = closed_form(long.replace(cache="5m"), "y" * 40, known)
    assert warm.dollars == pytest.approx((0.9 * 0.1 + 0.1 * 1.25) * 5_000e-6 + 10e-6, rel=0.01)
    same = measure(short, "cache=a:off|5m", assumptions=known)
    assert len({one.dollars for one in same.measured}) == 1


def test_the_batch_lane_costs_half_and_takes_long():
    found = measure(Agent("a", "anthropic:claude-haiku-4-5"), "lane=live|batch", n=40)
    live, batch = found.measured
    assert batch.dollars == pytest.approx(live.dollars / 2)
    assert batch.seconds > 1_000
    assert len(found.best) == 2
    assert [one.about for one in found.assumed if "batch" in one.about] == ["a batch seconds"]


def test_a_design_that_is_no_flow_is_named_and_left_out():
    """Without `b` a number would go to a stage that takes text."""
    number = agent("a", output_type=int)

    @node
    async def words(x: int) -> str:
        return "x" * x

    @node
    async def shout(text: str) -> str:
        return text.upper()

    found = measure(Pipeline(number, words, shout), "without=words without=shout", assumptions=expecting())
    assert len(found.measured) == 3
    assert "words" in found.impossible[0][1] or "shout" in found.impossible[0][1]
    assert "no flow:" in found.render()


def test_corrections_buy_success():
    """Of 30 % refused answers a correction mends 70 %; none without."""
    refused = expecting(a=Expect(refused=0.3, **SURE))  # pyright: ignore[reportArgumentType]
    found = measure(agent("a", verify=[fine]), "retries=a:0..2", n=600, assumptions=refused)
    assert [round(one.success, 1) for one in found.best] == [0.7, 0.9, 1.0]
    assert [one.success for one in found.best] == pytest.approx([0.7, 0.91, 0.973], abs=0.04)


def test_a_cascade_asks_the_large_model_where_the_checks_refuse_the_small_one():
    known = {
        "a": Expect(right=0.98, refused=0.0),
        "a@small": Expect(right=0.9, refused=0.25),
        "b": Expect(right=1.0),
    }
    flow = Pipeline(agent("a", verify=[fine]), agent("b"))
    space = _cascade(flow)
    found = measure(flow, space, n=400, assumptions=expecting(**known))
    cascade = found.measured[1]
    assert cascade.calls == pytest.approx(2.25, abs=0.08)
    assert cascade.success == pytest.approx(0.75 * 0.9 + 0.25 * 0.98, abs=0.01)


def _cascade(flow: Pipeline[Any, Any]) -> Space:
    from outlay.forecast.frontier.levers import models_lever

    a: Any = flow.stages[0]
    return Space((models_lever(a, [(SMALL, LARGE)]),))


def test_the_same_chance_for_every_design():
    """Common random numbers: what `a` does changes nothing of what `b` draws, so seconds differ by the design alone."""
    flow = Pipeline(agent("a", verify=[fine]), agent("b"))
    found = measure(flow, on("a", SMALL), n=40)
    assert found.measured[0].seconds == found.measured[1].seconds
    assert found.measured[0].calls == found.measured[1].calls


def test_the_same_seed_gives_the_same_frontier_on_any_number_of_processes():
    flow = Pipeline(agent("a"), agent("b"))
    alone, two = (frontier(flow, ["x"], space=on("a", SMALL), n=20, workers=k) for k in (1, 2))
    assert alone == two


def test_votes_count_by_majority_and_debates_by_their_own_figure():
    known = expecting(a=Expect(right=0.8))
    poll = measure(Vote(agent("a"), 3, name="poll"), "samples=poll:1", assumptions=known)
    assert [round(one.success, 3) for one in poll.measured] == [0.896, 0.8]
    talk = Debate([agent("x"), agent("y")], agent("j", output_type=Judgement[str]), max_rounds=2, name="talk")
    unknown = measure(talk, "rounds=talk:1", assumptions=known)
    assert [one.success for one in unknown.measured] == [1, 1]
    declared = measure(talk, "rounds=talk:1", assumptions=expecting(talk=Expect(right=0.97)))
    assert [round(one.success, 2) for one in declared.measured] == [0.97, 0.97]


def test_simulated_success_is_the_closed_forms():
    """A router whose routes are right more and less often: chances multiply along the way that each run takes."""
    known = {"r": Expect(right=0.9), "l": Expect(right=0.8), "m": Expect(right=0.6), "d": Expect(right=1.0)}
    flow = Pipeline(FanOut([agent("l"), agent("m")]), agent("d"))
    found = measure(flow, on("l", SMALL), assumptions=expecting(**known))
    expected: Any = closed_form(flow, "y" * 40, expecting(**known))
    assert found.base.success == pytest.approx(expected.right) == pytest.approx(0.48)
    router = Router(agent("r"), {"l": agent("l"), "m": agent("m")}, default=agent("d"))
    assumptions = Assumptions(
        everyone=Expect(**SURE),
        agents=known,
        routes={"router": {"l": 0.5, "m": 0.5}},  # pyright: ignore[reportArgumentType]
    )
    chosen = measure(router, on("l", SMALL), n=300, assumptions=assumptions)
    assert chosen.base.success == pytest.approx(0.9 * 0.7, abs=0.02)


def test_one_call_is_what_a_flow_is_held_against():
    """Three calls at 0.99 are dearer than one at 0.95, and not three times as good."""
    known = expecting(a=Expect(right=0.99), b=Expect(right=0.99), c=Expect(right=0.99))
    flow = Pipeline(agent("a", SMALL), agent("b", SMALL), agent("c"))
    found = measure(flow, "without=a without=b", assumptions=known)
    assert found.single is not None
    assert (found.of, found.single.calls) == ("c on large", 1)
    assert found.smallest is None
    assert "no flow of this space beats one call on quality per dollar" in found.render()
    cheap = measure(flow, on("c", SMALL), assumptions=known, single="c")
    assert cheap.smallest is None
    two = measure(Pipeline(agent("a", SMALL), agent("c")), on("c", SMALL), assumptions=known, single="c")
    assert two.smallest is not None
    assert two.smallest.calls == 2
    assert measure(agent("a"), on("a", SMALL), assumptions=known).single is None


def test_of_whom_nothing_is_declared_he_is_taken_as_right_and_named():
    """What is declared of b alone shows, in the flow as in one call of it. A forecast takes nobody as right."""
    known = expecting(**{"b": Expect(right=0.9), "b@small": Expect(right=0.7)})
    talk = Debate([agent("x"), agent("y")], agent("judge", output_type=Judgement[str]), max_rounds=1, name="talk")
    flow = Pipeline(agent("a"), talk, agent("b"))
    found = measure(flow, on("b", SMALL), assumptions=known, single="b")
    assert [round(one.success, 6) for one in found.measured] == [0.9, 0.7]
    assert found.single is not None
    assert found.single.success == pytest.approx(0.9)
    assert found.silent == ("a", "talk")
    assert "taken as right, since nothing is declared of them (--right NAME=SHARE): a, talk" in found.render()
    assert {one.about for one in found.assumed if one.source == "nothing declared"} == {"a right", "talk right"}
    foreseen = forecast(flow, ["y"], n=20, assumptions=known, workers=1)
    assert foreseen.right is None
    assert "how often the answer is right is not known: nothing is declared of a, talk (--right NAME=SHARE)" in (
        foreseen.warnings
    )


def test_a_pattern_that_is_declared_as_a_whole_speaks_for_its_members():
    router = Router(agent("r", output_type=Literal["l"]), {"l": agent("l")}, default=agent("d"))
    known = expecting(router=Expect(right=0.9), last=Expect(right=1.0))
    found = measure(Pipeline(router, agent("last")), on("last", SMALL), assumptions=known)
    assert (found.silent, found.base.success) == ((), pytest.approx(0.9))


def test_agents_that_no_run_came_to_are_named():
    """Else a lever on them would look as if it moved nothing."""
    first = agent("first", output_type=Literal["x"])
    flow = Router(first, {"x": agent("asked"), "y": agent("never")}, default=agent("default"))
    found = measure(flow, on("never", SMALL), n=20, assumptions=expecting())
    assert found.unasked == ("never", "default")
    said = "never, default: not asked in any of these runs: give inputs that get there (--rows FILE)"
    assert said in found.render()
    assert said in forecast(flow, ["y"], n=20, workers=1).warnings


def test_one_call_is_measured_in_each_lane_that_flows_may_take():
    found = measure(
        Pipeline(Agent("a", "anthropic:claude-haiku-4-5"), Agent("b", "anthropic:claude-haiku-4-5")), "lane=batch"
    )
    assert found.single is not None
    assert found.single_batch is not None
    assert found.single_batch.dollars == pytest.approx(found.single.dollars / 2)
    assert found.smallest is None  # two calls by batch beat one live call, and not one by batch
    assert "in the batch lane" in found.render()


def test_a_large_space_is_looked_at_roughly_first():
    """The closed form of 2^6 designs; only those that nothing clearly beats are simulated."""
    flow = Pipeline(*[agent(f"s{i}") for i in range(6)])
    levers = tuple(on(f"s{i}", SMALL).levers[0] for i in range(6))
    known = expecting(**{f"s{i}": Expect(right=0.99) for i in range(6)})
    found = measure(flow, Space(levers), n=20, assumptions=known)
    assert found.space.size == len(found.measured) == 64
    simulated = [one for one in found.measured if one.runs]
    assert 1 <= len(simulated) <= 10
    assert len(found.best) == 1
    assert len(found.best[0].design.changes) == 6


@pytest.mark.parametrize(
    ("space", "most", "problem"),
    [("", 10, "empty"), ("retries=a:0..2 retries=b:0..2", 8, r"9 designs, the limit is 8: 3 \(retries of a\) × 3")],
)
def test_a_space_that_is_empty_or_explodes_is_refused(space: str, most: int, problem: str):
    flow = Pipeline(agent("a", verify=[fine]), agent("b", verify=[fine]))
    with pytest.raises(ConfigError, match=problem):
        measure(flow, space, most=most)


def test_a_call_without_a_price_is_refused():
    with pytest.raises(ConfigError, match="calls of own have no price"):
        measure(agent("a"), on("a", ScriptedModel([], name="own")))


def test_a_loop_without_an_end_is_refused_by_name():
    small = agent("a")

    @node(children=(small,))
    async def for_ever(ctx: RunContext, text: str) -> str:
        while True:
            await ctx.run(small, text)

    with pytest.raises(ConfigError, match=r"for_ever/a.* has no end"):
        measure(for_ever, on("a", SMALL))


def test_it_shows_the_change_and_a_picture():
    found = measure(Pipeline(agent("a"), agent("b")), on("a", SMALL), assumptions=expecting())
    text = found.render()
    assert text.startswith("frontier of pipeline · 2 designs")
    assert 'agent a: model="large" → "small"' in text
    assert "dollars  move most by model of a: -31.0 %" in text
    assert "seconds  no single lever moves them" in text
    assert "how often answers are right was not declared" in text
    picture = found.svg()
    assert picture.startswith("<svg ")
    assert picture.count("fill-opacity") == 2
    assert "→ &quot;small&quot;" in picture or '→ "small"' in picture
