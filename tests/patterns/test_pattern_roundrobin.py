"""RoundRobin: members speak in turn, each seeing what was said so far."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay import Agent, Budget, RunContext, node, run_sync
from outlay.errors import ConfigError, Overloaded
from outlay.patterns import Conversation, RoundRobin, Turn
from outlay.patterns.condition import why_of
from outlay.patterns.roundrobin import Floor
from outlay.testing import ScriptedModel


def says(name, *replies, **options):
    """A member that says these one after the other, and then always the last."""
    model = ScriptedModel(lambda r: replies[min(len(model.calls), len(replies)) - 1])
    return Agent(name, model, **options)


def counts(name):
    """A member that never says the same twice."""
    model = ScriptedModel(lambda r: f"{name}{len(model.calls)}")
    return Agent(name, model)


def fails(name):
    return Agent(name, ScriptedModel(lambda r: Overloaded("busy", retryable=False)))


def said(result):
    return [(turn.speaker, turn.output) for turn in result.output]


def facts(result):
    return result.facts["roundrobin"]


# ── who speaks, and what they see ─────────────────────────────────────────────────────────────────────────


def test_they_speak_in_turn_up_to_max_turns():
    """Single turns are counted, and the output is the list of them."""
    result = run_sync(RoundRobin([counts("a"), counts("b"), counts("c")], max_turns=4), "topic")
    assert said(result) == [("a", "a1"), ("b", "b1"), ("c", "c1"), ("a", "a2")]
    assert facts(result) == {"ended": "max_turns", "why": "", "turns": 4}
    assert (result.stop_reason, result.degraded) == ("completed", False)


def test_each_sees_the_input_and_what_was_said():
    """As one typed value; a node that is no agent gets the same."""
    seen = []

    @node
    async def listens(ctx: RunContext, talk: Conversation[str]) -> str:
        seen.append(talk)
        return f"heard {len(talk.turns)}"

    run_sync(RoundRobin([counts("a"), listens], max_turns=4), "topic").unwrap()
    assert seen == [
        Conversation("topic", (Turn("a", "a1"),)),
        Conversation("topic", (Turn("a", "a1"), Turn("listens", "heard 1"), Turn("a", "a2"))),
    ]


def test_an_agent_reads_the_conversation_as_json():
    """The input first, then the turns: what was said before stays the beginning of what is sent next."""
    a, b = counts("a"), counts("b")
    run_sync(RoundRobin([a, b], max_turns=2), "topic").unwrap()
    assert a.model.calls[0].text == '{"input":"topic","turns":[]}'
    assert b.model.calls[0].text == '{"input":"topic","turns":[{"speaker":"a","output":"a1"}]}'


def test_it_takes_the_sum_of_the_turns(on_virtual_time):
    """One speaks at a time."""
    slow = [Agent(name, ScriptedModel(lambda r: r.path, latency=3)) for name in "ab"]
    run_sync(RoundRobin(slow, max_turns=4), "x").unwrap()
    assert on_virtual_time.elapsed == 12


# ── how it ends ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_function_of_the_turns_may_end_it():
    """It is asked after every turn, the last one too."""
    talk = RoundRobin([counts("a"), counts("b")], 9, stop=lambda turns: turns[-1].output == "b2")
    result = run_sync(talk, "x")
    assert said(result)[-1] == ("b", "b2")
    assert facts(result) == {"ended": "stop", "why": "the condition held", "turns": 4}
    assert facts(run_sync(talk.replace(max_turns=4, agents=[counts("a"), counts("b")]), "x"))["ended"] == "stop"


def test_a_condition_may_say_why_and_take_the_context():
    """Text is the reason; the one context rule holds here too."""

    def enough(ctx: RunContext, turns: list[Turn[str]]) -> str | None:
        return f"{ctx.path} has {len(turns)}" if len(turns) > 2 else None

    assert facts(run_sync(RoundRobin([counts("a"), counts("b")], 9, enough), "x"))["why"] == "roundrobin has 3"


def test_a_node_may_end_it_and_is_not_asked_after_the_last_turn():
    """It gets the conversation, and the last turn ends it anyway: a call for nothing would be paid for."""
    judge = Agent("judge", ScriptedModel(lambda r: r.text.count("speaker") >= 2), output_type=bool)
    result = run_sync(RoundRobin([counts("a"), counts("b")], 9, stop=judge), "x")
    assert (facts(result)["ended"], facts(result)["turns"]) == ("stop", 2)
    never = Agent("never", ScriptedModel(lambda r: False), output_type=bool)
    run_sync(RoundRobin([counts("a"), counts("b")], 3, stop=never), "x").unwrap()
    assert len(never.model.calls) == 2


def test_a_condition_that_fails_does_not_end_it():
    """It is left out, with the reason, and the caps hold all the same."""
    judge = Agent("judge", ScriptedModel(lambda r: Overloaded("busy", retryable=False)), output_type=bool)
    result = run_sync(RoundRobin([counts("a")], 3, stop=judge), "x")
    assert (facts(result)["ended"], len(result.output), result.degraded) == ("max_turns", 3, True)


def test_a_round_that_repeats_the_one_before_ends_as_a_loop():
    """Everybody said what they had said: nothing new would come."""
    result = run_sync(RoundRobin([says("a", "x", "y"), says("b", "z")], max_turns=20), "topic")
    assert said(result) == [("a", "x"), ("b", "z"), ("a", "y"), ("b", "z"), ("a", "y"), ("b", "z")]
    assert facts(result)["ended"] == "loop"


# ── failures and stops ────────────────────────────────────────────────────────────────────────────────────


def test_a_failing_member_loses_its_turn():
    """With a reason; the others go on, and the turn is counted."""
    result = run_sync(RoundRobin([counts("a"), fails("b"), counts("c")], max_turns=5), "x")
    assert said(result) == [("a", "a1"), ("c", "c1"), ("a", "a2")]
    assert [(s.path, s.reason) for s in result.skipped] == [
        ("roundrobin/b", "the member failed and lost its turn"),
        ("roundrobin/b", "the member failed and lost its turn"),
    ]
    assert (result.degraded, facts(result)["turns"]) == (True, 3)


def test_a_round_without_any_success_raises_the_first_error():
    """A conversation in which nobody speaks is none."""
    result = run_sync(RoundRobin([fails("a"), fails("b")], max_turns=9), "x")
    assert (result.stop_reason, type(result.error)) == ("error", Overloaded)
    assert result.error.path == "roundrobin/a"


def test_optional_members_that_are_all_skipped_end_it_in_silence():
    """What they were given is no contribution of theirs."""
    result = run_sync(RoundRobin([fails("a").replace(optional=True)], max_turns=9), "x")
    assert (result.output, facts(result)["ended"], result.degraded) == ([], "silence", True)


def test_a_members_own_turn_limit_is_its_failure():
    """It says nothing of the others."""
    stuck = Agent("stuck", ScriptedModel(lambda r: ""), output_type=int, max_turns=1, output_retries=3)
    result = run_sync(RoundRobin([counts("a"), stuck], max_turns=4), "x")
    assert said(result) == [("a", "a1"), ("a", "a2")]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_at_the_budget_the_turns_so_far_are_kept(limit):
    """The stop is reported, and everything that was said."""
    result = run_sync(RoundRobin([counts("a"), counts("b")], max_turns=9), "x", budget=Budget(calls=limit))
    assert (result.stop_reason, len(result.output)) == ("budget", limit)
    assert facts(result) == {"ended": "budget", "turns": limit}


def test_at_the_deadline_the_turns_so_far_are_kept():
    """What is under way is cut off."""
    slow = [Agent(name, ScriptedModel(lambda r: r.path, latency=3)) for name in "ab"]
    result = run_sync(RoundRobin(slow, 9, budget=Budget(seconds=7)), "x")
    assert (result.stop_reason, [turn.speaker for turn in result.output]) == ("deadline", ["a", "b"])


# ── construction ──────────────────────────────────────────────────────────────────────────────────────────


def test_what_it_runs_is_known_before():
    """Each once, the condition too where it is a node."""
    a, b, judge = counts("a"), counts("b"), Agent("judge", "openai:gpt-5.4", output_type=bool)
    assert RoundRobin([a, b, a], 3, stop=judge).children == (a, b, judge)
    assert RoundRobin([a, b], 3, stop=lambda turns: True).children == (a, b)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (([], 3), "at least one member"),
        (("ab", 3), "is a list of members"),
        (([counts("a")], 0), "max_turns must be at least 1"),
        (([counts("a")], 3, "DONE"), "stop= is a function or a node"),
        (([counts("a")], 3, counts("judge")), "asks yes or no"),
        (([3], 3), "not a node: 3"),
    ],
)
def test_what_cannot_work_is_refused_at_construction(arguments, text):
    with pytest.raises(ConfigError, match=text):
        RoundRobin(*arguments)


# ── the decisions by themselves ───────────────────────────────────────────────────────────────────────────


@given(st.integers(1, 4), st.lists(st.sampled_from(["x", "y", None]), max_size=16))
def test_a_floor_repeats_where_two_whole_rounds_are_equal_and_is_silent_after_a_round_of_none(members, said):
    """The definition, against the running count."""
    floor = Floor(members)
    for one in said:
        floor.failed() if one is None else floor.spoke("m", one)
    rounds = [said[i : i + members] for i in range(0, len(said), members)]
    whole = len(said) % members == 0 and len(rounds) >= 2
    assert floor.repeating == (whole and rounds[-1] == rounds[-2])
    assert floor.silent == (len(said) >= members and all(one is None for one in said[-members:]))
    assert [turn.output for turn in floor.turns] == [one for one in said if one is not None]


class Judged:
    done = True


@pytest.mark.parametrize(
    ("verdict", "why"),
    [
        (True, "the condition held"),
        (False, ""),
        (None, ""),
        ("enough", "enough"),
        ("", ""),
        (Judged(), "the condition held"),
    ],
)
def test_what_a_condition_may_say(verdict, why):
    assert why_of(verdict) == why
