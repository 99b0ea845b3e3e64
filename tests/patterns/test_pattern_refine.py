"""Refine: draft, criticise, draft again, until it is good or the rounds are used up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay import Agent, Budget, RunContext, node, run_sync
from outlay.errors import ConfigError, Overloaded
from outlay.patterns import Critique, Draft, Pipeline, Refine, Revision
from outlay.testing import Reply, ScriptedModel


def busy():
    return Overloaded("busy", retryable=False)


def writer(*drafts, **options):
    return Agent("writer", ScriptedModel(list(drafts)), **options)


def critic(*verdicts, name="critic"):
    return Agent(name, ScriptedModel(list(verdicts)), output_type=Critique)


def is_good(text: str) -> str | None:
    return None if text.startswith("good") else f"{text} is not good"


def test_a_good_draft_is_the_answer_at_once():
    """One round, and the facts say so."""
    result = run_sync(Refine(writer("good"), is_good), "go")
    assert (result.unwrap(), result.degraded) == ("good", False)
    assert result.facts["refine"]["rounds"] == 1
    assert result.facts["refine"]["accepted"] is True


def test_an_agent_goes_on_in_its_transcript():
    """The second draft is asked for in the same conversation, with what was wrong with the first."""
    agent = writer("bad", "good")
    run_sync(Refine(agent, is_good), "go").unwrap()
    first, draft, feedback = agent.model.calls[1].messages
    assert (first.text, draft.text) == ("go", "bad")
    assert "bad is not good" in feedback.text


def test_an_agents_prompt_is_for_the_first_input_only():
    """Feedback stands in the conversation as it is."""
    agent = writer("bad", "good", prompt=lambda x: f"Write about {x}.")
    run_sync(Refine(agent, is_good), "cats").unwrap()
    assert [m.text.startswith("Write about") for m in agent.model.calls[1].messages] == [True, False, False]


def test_an_agents_tool_use_is_part_of_the_conversation_it_goes_on_with():
    """Nothing that it looked up is lost."""

    def look(text: str) -> str:
        return text

    agent = writer(Reply(tool_calls=[("look", {"text": "x"})]), "bad", "good", tools=[look])
    run_sync(Refine(agent, is_good), "go").unwrap()
    assert [m.role for m in agent.model.calls[2].messages] == ["user", "assistant", "tool", "assistant", "user"]


def test_another_node_gets_a_revision():
    """Input, draft and feedback."""
    seen = []

    @node
    async def write(ctx: RunContext, x: object) -> str:
        seen.append((x, ctx.origin))
        return "bad" if len(seen) == 1 else "good"

    run_sync(Refine(write, is_good), "go").unwrap()
    assert seen == [("go", "go"), (Revision("go", "bad", "bad is not good"), "go")]


def test_a_critic_that_is_an_agent_judges_task_and_draft():
    """It reads both, and answers with a Critique."""
    judge = critic(Critique(False, "shorter"), Critique(True))
    result = run_sync(Refine(writer("long", "short"), judge), "go")
    assert result.unwrap() == "short"
    assert judge.model.calls[0].text == '{"task":"go","draft":"long"}'
    assert Draft("go", "long") == Draft(task="go", draft="long")


def test_checkers_go_before_opinions_whatever_the_order_given():
    """A model is asked only about what the checkers let pass."""
    judge = critic(Critique(True))
    result = run_sync(Refine(writer("bad", "good"), [judge, is_good]), "go")
    assert result.unwrap() == "good"
    assert len(judge.model.calls) == 1


def test_the_next_draft_is_told_what_the_first_discontent_critic_said():
    """Later critics are not asked."""
    agent = writer("good one", "good two")
    judges = [critic(Critique(False, "first says no"), Critique(True), name="one"), critic(Critique(True), name="two")]
    assert run_sync(Refine(agent, judges), "go").unwrap() == "good two"
    assert "first says no" in agent.model.calls[1].text
    assert len(judges[1].model.calls) == 1


def test_a_plain_function_may_give_a_critique():
    """A function stands wherever a node may; its Critique counts like an agent's."""

    def judge(text: str) -> Critique:
        return Critique(text == "good", "not yet", 0.5)

    agent = writer("bad", "good")
    assert run_sync(Refine(agent, judge), "go").unwrap() == "good"
    assert "not yet" in agent.model.calls[1].text


def test_a_node_that_checks_is_a_checker():
    """`@node` around a checker: None is content, text is not."""

    @node
    async def check(ctx: RunContext, text: str) -> str | None:
        return is_good(text)

    assert run_sync(Refine(writer("bad", "good"), check), "go").unwrap() == "good"


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6))
def test_the_best_version_so_far_is_kept(scores):
    """After the last round the highest score is the answer, the latest of equals."""
    drafts = [f"draft {i}" for i in range(len(scores))]
    judge = critic(*(Critique(False, "more", score) for score in scores))
    result = run_sync(Refine(writer(*drafts), judge, max_rounds=len(scores)), "go")
    best = max(range(len(scores)), key=lambda i: (scores[i], i))
    assert (result.output, result.degraded) == (drafts[best], True)
    assert result.facts["refine"]["score"] == scores[best]


def test_a_version_that_passed_more_critics_is_better_whatever_the_score():
    """A checker's word is worth more than an opinion."""
    judge = critic(Critique(False, "dull", -3.0))
    result = run_sync(Refine(writer("good but dull", "bad"), [is_good, judge], max_rounds=2), "go")
    assert result.output == "good but dull"


def test_a_nan_score_is_no_score():
    """It beats nothing that has one."""
    scores = iter([0.1, float("nan")])
    result = run_sync(
        Refine(writer("one", "two"), node(name="judge")(lambda text: Critique(False, "x", next(scores))), max_rounds=2),
        "go",
    )
    assert result.output == "one"


def test_without_a_fallback_the_best_is_returned_and_degraded():
    """The reason is the last complaint about the best."""
    result = run_sync(Refine(writer("bad", "worse"), is_good, max_rounds=2), "go")
    assert (result.output, result.stop_reason, result.degraded) == ("worse", "completed", True)
    assert "worse is not good" in result.skipped[0].reason


def test_the_fallback_gets_the_best_as_a_revision():
    """And its answer is the answer."""
    result = run_sync(
        Refine(writer("bad", "worse"), is_good, 2, lambda r: f"human wrote over {r.draft}: {r.feedback}"), "go"
    )
    assert (result.unwrap(), result.degraded) == ("human wrote over worse: worse is not good", False)


def test_a_failed_fallback_leaves_the_best():
    """What was paid for is kept; the result is degraded and says why."""
    result = run_sync(Refine(writer("bad"), is_good, 1, Agent("human", ScriptedModel(lambda r: busy()))), "go")
    assert (result.output, result.degraded) == ("bad", True)
    assert any(isinstance(s.error, Overloaded) for s in result.skipped)


def test_max_rounds_bounds_the_drafts():
    """Three drafts, then it ends."""
    agent = writer(*["bad"] * 9)
    run_sync(Refine(agent, is_good, max_rounds=3), "go")
    assert len(agent.model.calls) == 3


# ── what fails, and where it stops ────────────────────────────────────────────────────────────────────────


def test_a_failure_in_the_first_round_is_a_failure():
    """There is no version yet."""
    assert isinstance(run_sync(Refine(writer(busy()), is_good), "go").error, Overloaded)


def test_a_failure_in_a_later_round_leaves_the_best_so_far():
    """Of the generator or of a critic; the result is degraded."""
    for flow in (
        Refine(writer("bad", busy()), is_good),
        Refine(writer("bad", "other"), critic(Critique(False, "no"), busy())),
    ):
        result = run_sync(flow, "go")
        assert (result.output, result.degraded, result.stop_reason) == ("bad", True, "completed")
        assert isinstance(result.skipped[0].error, Overloaded)


@pytest.mark.parametrize(("calls", "output"), [(1, "one"), (2, "one"), (3, "one"), (4, "two")])
def test_a_stop_leaves_the_best_so_far(calls, output):
    """At the budget the best version is the output, judged or not, and the reason is the budget."""
    judge = critic(Critique(False, "no", 0.1), Critique(False, "no", 0.2), Critique(True))
    result = run_sync(Refine(writer("one", "two", "three"), judge), "go", budget=Budget(calls=calls))
    assert (result.output, result.stop_reason, result.degraded) == (output, "budget", True)


def test_a_stop_before_the_first_draft_has_no_output():
    """There is nothing to show."""
    result = run_sync(Refine(writer("one"), is_good), "go", budget=Budget(calls=0))
    assert (result.output, result.stop_reason) == (None, "budget")


def test_budget_option_and_replace():
    """They hold for the pattern as a whole."""
    flow = Refine(writer(*["bad"] * 9), is_good, budget=Budget(calls=2))
    assert run_sync(flow, "go").output == "bad"
    failing = Refine(writer(busy()), is_good, optional=True)
    assert run_sync(Pipeline(failing, len), "go").output == 2
    assert run_sync(flow.replace(generator=lambda x: "good"), "go").output == "good"


@pytest.mark.parametrize(
    "wrong",
    [{"generator": 42}, {"critic": []}, {"critic": 42}, {"critic": [len, 42]}, {"max_rounds": 0}, {"fallback": 42}],
    ids=str,
)
def test_what_cannot_work_is_refused_when_it_is_made(wrong):
    """A ConfigError, before anything is spent."""
    with pytest.raises(ConfigError):
        Refine(**({"generator": len, "critic": is_good} | wrong))


def test_a_critic_agent_of_another_output_type_is_named():
    """An agent that gives text is no critic: refused before anything runs."""
    with pytest.raises(ConfigError, match="output_type=Critique"):
        Refine(writer("x"), Agent("critic", ScriptedModel(["fine"])))
