"""Gate: a verification stage between stages."""

import pytest

from outlay import Agent, Budget, RunContext, node, run_sync
from outlay.checkers import citations, length
from outlay.errors import ConfigError, OutputInvalid, Overloaded
from outlay.events import Checked
from outlay.patterns import Critique, FanOut, Gate, Pipeline, Refine, Router
from outlay.testing import Reply, ScriptedModel


def agent(name, *answers, **options):
    return Agent(name, ScriptedModel(list(answers)), **options)


def is_good(text: str) -> str | None:
    return None if text.startswith("good") else f"{text!r} is not good"


def searching(answer, passage="[p1] Cells cost 90 dollars."):
    """An agent that looks something up before it answers."""

    def search(topic: str) -> str:
        return passage

    return agent("scout", Reply(tool_calls=[("search", {"topic": "cost"})]), answer, tools=[search])


def test_what_passes_goes_on_as_it_is():
    """The next stage gets it from the stage before the gate."""
    seen = []

    @node
    async def publish(ctx: RunContext, text: str) -> str:
        seen.append(ctx.source)
        return text.upper()

    result = run_sync(Pipeline(agent("draft", "good text"), Gate(is_good), publish), "go")
    assert (result.unwrap(), result.degraded) == ("GOOD TEXT", False)
    assert seen == ["pipeline/draft"]
    assert result.facts["pipeline/gate"]["passed"] is True


def test_what_does_not_pass_goes_no_further():
    """The run ends with who said what of whose output; what was paid for is in `.partial`, and nothing is published."""
    published = []
    result = run_sync(Pipeline(agent("draft", "bad"), Gate(is_good), published.append), "go")
    assert (result.output, result.stop_reason, published) == (None, "error", [])
    assert isinstance(result.error, OutputInvalid)
    assert (result.error.problem, result.error.output) == ("'bad' is not good", "bad")
    assert "what pipeline/draft gave does not pass is_good" in str(result.error)
    assert [(part.path, part.output) for part in result.partial] == [("pipeline/draft", "bad")]
    facts = result.facts["pipeline/gate"]
    assert (facts["passed"], facts["critic"], facts["opinion"]) == (False, "is_good", False)
    assert [e.problem for e in result.events if isinstance(e, Checked)] == ["'bad' is not good"]


def test_a_critic_that_is_an_agent_judges_task_and_draft_and_is_labelled_as_opinion():
    """The same critic as a refinement's; a checker is asked first, and a model only about what it lets pass."""
    critic = agent("critic", Critique(False, "dull"), output_type=Critique)
    flow = Pipeline(agent("draft", "good", "bad"), Gate([critic, is_good]))
    result = run_sync(flow, "go")
    assert critic.model.calls[0].text == '{"task":"go","draft":"good"}'
    facts = result.facts["pipeline/gate"]
    assert (facts["critic"], facts["opinion"], facts["problem"]) == ("critic", True, "dull")
    assert "is not good" in str(run_sync(flow, "go").error)
    assert len(critic.model.calls) == 1


def test_a_check_that_cannot_be_made_lets_nothing_pass():
    """A closed gate stays closed."""
    critic = agent("critic", Overloaded("busy", retryable=False), output_type=Critique)
    result = run_sync(Pipeline(agent("draft", "good"), Gate(critic), len), "go")
    assert isinstance(result.error, Overloaded)


def test_an_optional_gate_is_advice():
    """The value goes on, and the result says that it did not pass."""
    result = run_sync(Pipeline(agent("draft", "bad"), Gate(is_good, optional=True), len), "go")
    assert (result.unwrap(), result.degraded) == (3, True)
    assert isinstance(result.skipped[0].error, OutputInvalid)


@pytest.mark.parametrize(("answer", "passes"), [("They cost 90 dollars [p1].", True), ("They are free [p9].", False)])
def test_a_citation_checker_knows_what_the_tools_of_earlier_stages_gave(answer, passes):
    """However deep the agent stands that looked it up."""
    flow = Pipeline(Pipeline(searching(answer), name="inner"), Gate([length(max_words=50), citations()]))
    result = run_sync(flow, "cost?")
    assert (result.error is None) == passes
    assert passes or "p9" in str(result.error)


def test_of_several_agents_at_once_all_sources_count():
    """A merge may cite whatever its scouts have found."""
    scouts = [
        searching("a", "[p1] x").replace(name="one"),
        searching("b", "[p2] y").replace(name="two"),
    ]
    flow = Pipeline(FanOut(scouts, merge=lambda found: "Cheap [p1]. Durable [p2]."), Gate(citations()))
    assert run_sync(flow, "go").error is None


def test_the_sources_of_another_branch_do_not_count():
    """A gate knows what its own flow has found."""

    @node
    async def branch(ctx: RunContext, text: str) -> str:
        return "Cheap [p1]."

    inner = Pipeline(branch, Gate(citations()), name="inner")
    slow = Pipeline(lambda x: x, searching("found [p1]."), name="other")
    result = run_sync(FanOut([slow, inner]), "go")
    assert [part.path for part in result.skipped] == ["fanout/inner"]


def test_a_failed_gate_is_a_failed_route():
    """Patterns around it treat it like any failure."""

    def to_human(x):
        return "to a human"

    flow = Router(lambda x: "a", {"a": Pipeline(agent("draft", "bad"), Gate(is_good))}, to_human)
    assert run_sync(flow, "go").output == "to a human"


def test_budget_option_and_replace():
    """As for any pattern."""
    critic = Agent("critic", ScriptedModel(lambda r: Critique(True)), output_type=Critique)
    gate = Gate(critic, budget=Budget(calls=0))
    assert run_sync(gate, "go").stop_reason == "budget"
    assert run_sync(gate.replace(budget=None), "go").unwrap() == "go"


@pytest.mark.parametrize("wrong", [[], 42, [len, 42], Agent("a", ScriptedModel([]))], ids=repr)
def test_what_cannot_work_is_refused_when_it_is_made(wrong):
    """A ConfigError, before anything is spent."""
    with pytest.raises(ConfigError):
        Gate(wrong)


# ── the same critic in a refinement ───────────────────────────────────────────────────────────────────────


def test_a_refinement_with_word_count_and_citations():
    """The writer looks something up in the first round, and may cite it in the second without looking again."""
    drafts = iter([Reply(tool_calls=[("search", {"topic": "cost"})]), "They cost 90.", "They cost 90 dollars [p1]."])
    writer = searching("").replace(model=ScriptedModel(lambda request: next(drafts)))
    result = run_sync(Refine(writer, [length(max_words=50), citations()]), "cost?")
    assert (result.unwrap(), result.facts["refine"]["rounds"]) == ("They cost 90 dollars [p1].", 2)


def test_an_agents_own_checker_knows_the_sources_of_its_whole_conversation():
    """`verify=[citations()]` in the second round of a refinement."""
    drafts = iter(
        [Reply(tool_calls=[("search", {"topic": "cost"})]), "They cost 90 dollars [p1].", "They cost just 90 [p1]."]
    )
    writer = searching("").replace(model=ScriptedModel(lambda request: next(drafts)), verify=[citations()])
    assert run_sync(Refine(writer, lambda text: None if "just" in text else "say just"), "x").unwrap().endswith("[p1].")


def test_a_refinement_reports_whose_word_it_did_not_meet():
    """A checker's or a model's."""
    judge = Agent("judge", ScriptedModel(lambda r: Critique(False, "dull", 0.2)), output_type=Critique)
    result = run_sync(Refine(agent("writer", "good", "good"), [is_good, judge], max_rounds=2), "go")
    facts = result.facts["refine"]
    assert (facts["critic"], facts["opinion"], facts["feedback"], facts["score"]) == ("judge", True, "dull", 0.2)
