"""What changed between two revisions of a flow, and what it costs: pairs, thresholds, volumes, words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay import Agent, node, tool
from outlay.errors import ConfigError
from outlay.events import RunStarted
from outlay.forecast.repeated import repeated
from outlay.forecast.review import (
    AgentCost,
    Broken,
    CostDiff,
    Counts,
    FlowCost,
    Known,
    Review,
    Threshold,
    Volume,
    as_markdown,
    flow_cost,
)
from outlay.forecast.review.changes import paired
from outlay.forecast.review.known import KnownAgent
from outlay.forecast.review.volume import DAY
from outlay.patterns import FanOut, Pipeline, Router
from outlay.testing import ScriptedModel

HAIKU, SONNET = "anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6"
HOUSE = "Answer in the house style, which is calm. " * 10


def flow(*agents: Agent[Any], name: str = "desk") -> Pipeline[Any, Any]:
    return Pipeline(*agents, name=name)


def cost(root: Any, address: str = "desk.py:desk", **more: Any) -> FlowCost:
    return flow_cost(root, address, **more)


def diff(before: Any, after: Any) -> CostDiff:
    sides = [[] if one is None else [cost(one)] for one in (before, after)]
    return CostDiff.of("main", "change", *sides)


writer = Agent("writer", HAIKU, instructions="Write one paragraph. " * 4)
critic = Agent("critic", SONNET, instructions="Say what is wrong with it. " * 4)


# ── what one flow costs ───────────────────────────────────────────────────────────────────────────────────


def test_the_tokens_of_instructions_tools_and_schema_are_told_apart():
    @tool
    def look_up(word: str) -> str:
        """Say what a word means."""
        return word

    found = cost(Agent("a", HAIKU, instructions="x" * 400, tools=[look_up], output_type=list[int])).agents[0]
    assert found.instructions == 100
    assert found.tools > 10
    assert found.schema > 5
    assert found.tokens == found.instructions + found.tools + found.schema


def test_dollars_are_the_closed_forms_and_add_up_over_agents():
    found = cost(flow(writer, critic))
    assert found.basis == "closed form"
    assert found.dollars == pytest.approx(sum(agent.dollars or 0 for agent in found.agents))
    assert found.calls == pytest.approx(sum(agent.calls or 0 for agent in found.agents))


def test_several_inputs_count_by_their_mean():
    one, many = (cost(writer, inputs=["x" * 40 * n for n in lengths]) for lengths in ([2], [1, 2, 3]))
    assert many.dollars == pytest.approx(one.dollars)


@node(children=(writer,))
async def twice(ctx: Any, text: str) -> str:
    return await ctx.run(writer, await ctx.run(writer, text))


def test_a_flow_without_a_closed_form_is_simulated_or_not_known():
    """And its tokens a call are known all the same."""
    unknown, simulated = cost(twice), cost(twice, simulate=50)
    assert (unknown.dollars, unknown.calls, unknown.basis) == (None, None, "")
    assert "twice" in unknown.unknown
    assert unknown.agents[0].instructions == 21
    assert simulated.basis == "50 simulated runs on a made-up text"
    assert simulated.agents[0].calls == pytest.approx(2, abs=0.1)


def test_a_flow_whose_simulated_runs_all_fail_is_not_known():
    """Not free: nothing was spent because nothing worked."""

    @node(children=(writer,))
    async def fails(ctx: Any, text: str) -> str:
        raise ValueError("no")

    found = cost(fails, simulate=5)
    assert found.dollars is None
    assert "every simulated run failed" in found.unknown


def test_a_model_without_a_price_is_no_free_one():
    bare = cost(Agent("a", ScriptedModel(["x"], name="mystery")))
    assert bare.dollars is None
    assert "no price is known" in bare.unknown
    mixed = cost(flow(writer, Agent("b", ScriptedModel(["x"], name="mystery"))))
    assert mixed.dollars is not None
    assert mixed.dollars > 0
    assert len(mixed.unpriced) == 1
    assert mixed.agents[1].dollars is None


def test_what_was_recorded_of_agents_counts_for_both_revisions():
    known = Known(runs=3, agents={"writer": KnownAgent(output=(1000.0, 0.0), turns=1.0)})
    long = cost(Agent("writer", HAIKU, max_output_tokens=4000), assumptions=known.assumptions)
    assert long.dollars == pytest.approx(1000 * 5 / 1e6, rel=0.05)
    assert str(known) == "lengths of answers, turns and routes of 3 recorded runs"


def test_two_agents_of_one_name_are_both_there():
    found = cost(flow(writer, Pipeline(writer.replace(instructions="Else."), name="rest")))
    assert [agent.name for agent in found.agents] == ["writer", "writer #2"]
    assert found.agents[1].calls is None


def test_it_travels_as_json():
    found = cost(FanOut([writer, critic], name="both"))
    assert msgspec.json.decode(msgspec.json.encode(found), type=FlowCost) == found


# ── text that several agents carry ────────────────────────────────────────────────────────────────────────


def test_a_common_beginning_is_seen_where_the_rest_differs():
    found = repeated("instructions", [("a", [HOUSE + "You write."]), ("b", [HOUSE + "You judge."]), ("c", ["Else."])])
    assert [(one.agents, one.tokens, one.extra) for one in found] == [(("a", "b"), 105, 105)]


def test_short_texts_may_well_be_equal():
    assert repeated("instructions", [("a", ["Be brief."]), ("b", ["Be brief."])]) == ()


@given(st.lists(st.text(alphabet="ab. \n", max_size=600), min_size=2, max_size=4))
def test_no_more_is_repeated_than_the_shortest_carrier_has(texts: list[str]):
    for one in repeated("tools", [(str(i), [text]) for i, text in enumerate(texts)]):
        assert 4 * (one.tokens - 1) <= min(len(texts[int(name)]) + 1 for name in one.agents)
        assert len(one.agents) > 1


# ── pairs ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_changed():
    found = diff(flow(writer, critic), flow(writer, critic))
    assert [one.kind for one in found.flows] == ["same"]
    assert found.flows[0].increase == 0


def test_a_longer_prompt_costs_more():
    longer = writer.replace(instructions=writer.instructions + HOUSE)
    (changed,) = diff(flow(writer, critic), flow(longer, critic)).changed
    assert changed.kind == "changed"
    assert changed.increase is not None
    assert changed.increase > 0
    assert [(agent.name, agent.kind) for agent in changed.agents] == [("writer", "changed"), ("critic", "same")]
    assert changed.agents[0].tokens("instructions") == 105


def test_other_code_with_the_same_figures_is_no_change():
    reworded = writer.replace(instructions="Pen one paragraphs. " + writer.instructions[21:] + " ")
    (found,) = diff(flow(writer), flow(reworded)).flows
    assert found.before is not None
    assert found.after is not None
    assert found.before.shape != found.after.shape
    assert found.kind == "same"


def test_agents_come_and_go():
    (changed,) = diff(flow(writer, critic), flow(writer, Agent("sender", HAIKU))).changed
    assert [(agent.name, agent.kind) for agent in changed.agents] == [
        ("writer", "same"),
        ("sender", "added"),
        ("critic", "removed"),
    ]


def test_an_agent_with_the_same_texts_is_renamed_wherever_it_stands():
    (changed,) = diff(flow(writer, critic), flow(critic.replace(name="judge"), writer)).changed
    assert [(agent.before and agent.before.name, agent.name) for agent in changed.agents] == [
        ("critic", "judge"),
        ("writer", "writer"),
    ]
    assert changed.agents[0].kind == "renamed"


def test_an_agent_at_the_same_place_is_renamed_whatever_it_says():
    other = Agent("author", HAIKU, instructions="Something else altogether.")
    (changed,) = diff(flow(writer, critic), flow(other, critic)).changed
    assert [(agent.name, agent.kind) for agent in changed.agents] == [("author", "renamed"), ("critic", "same")]


def test_a_flow_that_moved_is_the_same_one():
    before, after = cost(flow(writer), "old.py:desk"), cost(flow(writer), "new.py:desk")
    (moved,) = CostDiff.of("a", "b", [before], [after]).flows
    assert (moved.kind, moved.increase) == ("renamed", 0.0)


def test_new_flows_cost_all_of_it_and_old_ones_no_longer():
    (new,) = diff(None, writer).flows
    (gone,) = diff(writer, None).flows
    assert (new.kind, gone.kind) == ("added", "removed")
    assert new.increase is not None
    assert new.increase > 0
    assert gone.increase == -new.increase
    assert new.share is None


def test_a_flow_whose_file_is_broken_in_one_revision_is_neither_new_nor_gone():
    broken = Broken("main", "desk.py", "cannot import desk.py: ValueError: no")
    (found,) = CostDiff.of("main", "change", [], [cost(writer)], [broken]).flows
    assert (found.kind, found.increase) == ("broken", None)
    assert found.unknown == "main: cannot import desk.py: ValueError: no"


@given(st.lists(st.integers(0, 5), max_size=8), st.lists(st.integers(0, 5), max_size=8))
def test_pairing_loses_nothing_and_doubles_nothing(before: list[int], after: list[int]):
    pairs = paired(before, after, lambda n: n, lambda n: n % 2 or None)
    assert sorted(one for one, _ in pairs if one is not None) == sorted(before)
    assert [two for _, two in pairs if two is not None] == after


# ── thresholds ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("10%", "10 %"),
        (" 2.5 %", "2.5 %"),
        ("$0.002", "$0.002 a run"),
        ("0.01", "$0.01 a run"),
        ("$50/month", "$50.00 a month"),
    ],
)
def test_a_threshold_is_a_share_or_dollars(text: str, shown: str):
    assert str(Threshold.parse(text)) == shown


@pytest.mark.parametrize("text", ["", "-5%", "ten", "10%/month", "1e5", "nan", "$", "€5", "10 % a run", "٣%x"])
def test_what_is_no_threshold_is_refused(text: str):
    with pytest.raises(ConfigError, match="is no increase"):
        Threshold.parse(text)


def change(before: float | None, after: float | None, **more: Any) -> Any:
    base = cost(writer)
    sides = [msgspec.structs.replace(base, dollars=one, **more) for one in (before, after)]
    return CostDiff.of("a", "b", [sides[0]], [sides[1]]).flows[0]


@pytest.mark.parametrize(
    ("limit", "before", "after", "held"),
    [
        ("10%", 0.100, 0.110, "within"),
        ("10%", 0.100, 0.111, "over"),
        ("10%", 0.100, 0.050, "within"),
        ("10%", 0.0, 0.001, "over"),
        ("0%", 0.1, 0.1, "within"),
        ("$0.01", 0.100, 0.110, "within"),
        ("$0.01", 0.100, 0.1101, "over"),
        ("$9/month", 0.100, 0.1099, "over"),
        ("$10/month", 0.100, 0.110, "within"),
        ("10%", None, 0.1, "not known"),
        ("10%", 0.1, None, "not known"),
    ],
)
def test_a_threshold_holds_a_change(limit: str, before: float | None, after: float | None, held: str):
    assert Threshold.parse(limit).holds(change(before, after), Volume(1000, "given")) == held


def test_a_month_of_unknown_volume_cannot_be_held():
    unknown, so_far = Volume(None, ""), Volume(20, "", least=True)
    assert Threshold.parse("$10/month").holds(change(0.1, 0.2), unknown) == "not known"
    assert Threshold.parse("$10/month").holds(change(0.1, 0.1), unknown) == "within"
    assert Threshold.parse("$10/month").holds(change(0.1, 0.2), so_far) == "not known"
    assert Threshold.parse("$1/month").holds(change(0.1, 0.2), so_far) == "over"


def test_a_change_with_an_unpriced_model_cannot_be_held():
    assert Threshold.parse("10%").holds(change(0.1, 0.1001, unpriced=("x",)), Volume(1, "")) == "not known"


def test_a_new_flow_is_no_percentage_of_anything_but_costs_dollars():
    (new,) = diff(None, writer).flows
    assert Threshold.parse("0%").holds(new, Volume(None, "")) == "within"
    assert Threshold.parse("0").holds(new, Volume(None, "")) == "over"


# ── volume ────────────────────────────────────────────────────────────────────────────────────────────────


def counted(days: list[float], lane: str = "live") -> Volume | None:
    """Of runs so many days ago."""
    now = 1_000 * DAY
    counts = Counts(now)
    starts = [RunStarted(run=str(i), seq=0, time=now - d * DAY, flow="desk", lane=lane) for i, d in enumerate(days)]
    counts.add(starts)
    return counts.volumes().get("desk")


def test_a_month_is_counted_in_the_last_thirty_days():
    assert counted([1, 2, 29, 31, 500]) == Volume(3.0, "3 live runs in the last 30 days")


def test_a_shorter_record_counts_from_a_week_on():
    assert counted([10, 5]) == Volume(6.0, "2 live runs in the last 10 days")


def test_of_a_few_days_there_are_at_least_as_many_as_were_counted():
    """Ten runs of one morning are not three hundred a month; they are ten."""
    found = counted([6.9] * 9)
    assert found == Volume(9.0, "9 live runs in 6.9 days, too few days to make a month of", least=True)
    review = Review(diff(writer, writer.replace(instructions=HOUSE * 99)), counted={"writer": found})
    assert "or more: 9 live runs in 6.9 days, too few days" in review.render()


def test_runs_on_stand_ins_and_in_the_future_are_no_volume():
    assert counted([10, 5], lane="offline") == Volume(None, "no live run of it is recorded, 2 on stand-ins")
    assert counted([-5]) is None


def test_an_unknown_volume_is_said_to_be_unknown():
    review = Review(diff(writer, writer.replace(instructions="")))
    assert "a month  not known: no live run of it is recorded" in review.render()
    assert review.document()["flows"][0]["dollars_a_month_more"] is None
    given = replace(review, given=2_000.0)
    assert "at 2,000 runs a month (as given)" in given.render()


# ── words ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_review_in_a_terminal():
    longer = writer.replace(instructions=HOUSE + "You write.")
    judge = critic.replace(name="judge", instructions=HOUSE + "You judge.")
    before, after = flow(writer, critic), flow(longer, judge)
    text = Review(diff(before, after), given=1_000, limit=Threshold.parse("1%")).render()
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0] == "diff · main → change · 1 flow, 1 changed"
    assert "judge, was critic" in text
    assert "! 2 agents (writer, judge) carry the same 105 tokens of instructions, new or changed" in lines
    assert any(line.startswith("✗ desk is over 1 %: +$") for line in lines)
    assert len({line.index("dollars a run") for line in text.splitlines() if "dollars a run" in line}) == 1


def test_what_passes_says_so():
    review = Review(diff(writer, writer), limit=Threshold.parse("1%"))
    assert review.passes
    assert "✓ within 1 %" in review.render()


def test_names_of_others_are_no_markup_and_no_terminal_controls():
    """Nothing of a revision's leaves its code span, and nothing reaches the terminal."""
    name = "a`|<script>alert(1)</script>\x1b[31m\u202e @everyone #1\n# head"
    hostile = AgentCost(name=name, model=name, instructions=1, tools=0, schema=0, calls=1.0, dollars=0.1)
    after = FlowCost(
        name=name, address=name, agents=(hostile,), repeated=(), dollars=0.1, calls=1.0, unpriced=(name,), basis=name
    )
    broken = Broken(name, name, name, (name,), name)
    before = msgspec.structs.replace(after, name="before", dollars=None, unknown=name)
    found = CostDiff.of(name, name, [before], [after], [broken])
    assert [flow.kind for flow in found.flows] == ["renamed"]
    review = Review(found, limit=Threshold.parse("1%"))
    page, text = as_markdown(review), review.render()
    for shown in (page, text):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
    outside = "".join(page.split("`")[::2])
    assert "script" not in outside
    assert "@everyone" not in outside
    assert "\n# head" not in page
    assert all(line.count("|") == page.splitlines()[2].count("|") for line in page.splitlines()[2:5])


def test_a_comment_is_never_longer_than_github_takes():
    many = [cost(flow(writer, critic, name=f"flow{i}"), f"f{i}.py:flow") for i in range(200)]
    page = as_markdown(Review(CostDiff.of("a", "b", [], many)))
    assert len(page) < 65_536
    assert page.endswith("shows it in a terminal.*\n")


def test_a_router_costs_by_its_recorded_routes():
    known = Known(runs=9, routes={"desk": {"hard": 1.0}})
    router = Router(lambda text: "hard", {"easy": writer, "hard": critic}, default=writer, name="desk")
    found = cost(router, assumptions=known.assumptions)
    assert [agent.calls or 0 > 0 for agent in found.agents if agent.name == "critic"] == [pytest.approx(1, abs=0.1)]
