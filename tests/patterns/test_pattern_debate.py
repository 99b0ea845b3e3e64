"""Debate: answers on their own, rounds of rebuttal, a judge."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from outlay import Agent, Budget, RunContext, Usage, node, run_sync
from outlay.errors import ConfigError, DeadlineExceeded, OutlayError, Overloaded
from outlay.patterns import Debate, FanOut, Hearing, Judgement, Pipeline, Rebuttal, Refine, Vote
from outlay.patterns.debate import changed_answers
from outlay.testing import Reply, ScriptedModel, virtual_time


def busy():
    return Overloaded("busy", retryable=False)


def debater(name, *answers, latency=0.0, **options):
    return Agent(name, ScriptedModel(list(answers), latency=latency), **options)


def judge(*judgements, latency=0.0, **options):
    return Agent("judge", ScriptedModel(list(judgements), latency=latency), output_type=Judgement, **options)


def never(hearing: Hearing) -> Judgement:
    """Not satisfied; the answer of the first debater so far."""
    return Judgement(False, next(iter(hearing.rounds[-1].values())))


def satisfied_when_equal(hearing: Hearing) -> Judgement:
    said = list(hearing.rounds[-1].values())
    return Judgement(len(set(said)) == 1, said[0])


def facts(result):
    return result.facts["debate"]


# ── the rounds ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_satisfied_judge_ends_it_after_the_first_answers():
    """No round of rebuttal is paid for that nobody needs."""
    ada, ben = debater("ada", "7"), debater("ben", "7")
    result = run_sync(Debate([ada, ben], judge(Judgement(True, "7"))), "3 + 4?")
    assert (result.unwrap(), result.degraded) == ("7", False)
    assert facts(result) == {"rounds": 0, "changes": [], "satisfied": True, "ended": "judge"}


def test_nobody_sees_an_answer_before_giving_its_own():
    """The first answers are asked for at the same time, with the question alone."""
    ada, ben = debater("ada", "7", latency=5), debater("ben", "8", latency=1)
    with virtual_time() as clock:
        run_sync(Debate([ada, ben], lambda hearing: Judgement(True, "7")), "3 + 4?")
    assert clock.elapsed == 5
    assert [[m.text for m in one.model.calls[0].messages] for one in (ada, ben)] == [["3 + 4?"]] * 2


def test_in_a_further_round_an_agent_reads_the_others_in_its_own_transcript():
    """It goes on with its own answer, and sees the last ones of the others, not its own again."""
    ada, ben, cy = debater("ada", "ada says 7", "7"), debater("ben", "ben says 8", "7"), debater("cy", "cy: 9", "7")
    run_sync(Debate([ada, ben, cy], satisfied_when_equal), "3 + 4?").unwrap()
    question, own, others = ada.model.calls[1].messages
    assert (question.text, own.text) == ("3 + 4?", "ada says 7")
    assert "ben answered: ben says 8" in others.text
    assert "cy answered: cy: 9" in others.text
    assert "ada" not in others.text


def test_an_agents_prompt_is_for_the_question_only():
    """What the others said stands in the conversation as it is."""
    ada = debater("ada", "7", "7", prompt=lambda x: f"Work out {x}.")
    run_sync(Debate([ada, debater("ben", "8", "7")], satisfied_when_equal), "3 + 4?")
    assert [m.text.startswith("Work out") for m in ada.model.calls[1].messages] == [True, False, False]


def test_another_node_gets_a_rebuttal():
    """The question, its own last answer, and those of the others by name."""
    seen = []

    @node
    async def ben(ctx: RunContext, x: Any) -> str:
        seen.append((x, ctx.origin))
        return "8"

    run_sync(Debate([debater("ada", "6", "7"), ben], never, max_rounds=1), "3 + 4?")
    assert seen == [("3 + 4?", "3 + 4?"), (Rebuttal("3 + 4?", "8", {"ada": "6"}), "3 + 4?")]


def test_the_judge_reads_the_question_and_all_answers_by_round():
    """In the debaters' order, whoever was faster; the last hearing says that it is the last."""
    heard = []

    def listen(hearing: Hearing) -> Judgement:
        heard.append(hearing)
        return never(hearing)

    run_sync(Debate([debater("ada", "6", "7", latency=9), debater("ben", "8", "9")], listen, max_rounds=1), "3 + 4?")
    first, second = {"ada": "6", "ben": "8"}, {"ada": "7", "ben": "9"}
    assert heard == [Hearing("3 + 4?", (first,), False), Hearing("3 + 4?", (first, second), True)]


def test_a_judge_that_is_an_agent_reads_it_as_json():
    """And answers with a Judgement."""
    chair = judge(Judgement(True, "7"))
    assert run_sync(Debate([debater("ada", "6"), debater("ben", "8")], chair), "q").unwrap() == "7"
    assert chair.model.calls[0].text == '{"question":"q","rounds":[{"ada":"6","ben":"8"}],"final":false}'


def test_a_judgement_may_be_of_any_type():
    """`Judgement[Page]` asks the judge for a page."""

    class Page(BaseModel):
        text: str

    chair = Agent("judge", ScriptedModel([Judgement(True, Page(text="7"))]), output_type=Judgement[Page])
    assert run_sync(Debate([debater("ada", "6"), debater("ben", "8")], chair), "q").unwrap() == Page(text="7")


def test_it_takes_the_time_of_its_rounds():
    """Debaters of a round at the same time, the judge after them: the sum over the rounds."""
    flow = Debate(
        [debater("ada", "1", "2", "3", latency=4), debater("ben", "4", "5", "6", latency=1)],
        judge(*[Judgement(False, "x")] * 3, latency=2),
    )
    with virtual_time() as clock:
        result = run_sync(flow, "q")
    assert clock.elapsed == 3 * (4 + 2)
    assert sum(line.calls for line in result.bill.lines) == 9


# ── how it ends, and what it says of it ───────────────────────────────────────────────────────────────────


def test_it_ends_at_max_rounds_with_the_judges_last_answer():
    """Two further rounds by default."""
    ada, ben = debater("ada", "1", "2", "3"), debater("ben", "4", "5", "6")
    result = run_sync(Debate([ada, ben], never), "q")
    assert (result.unwrap(), result.degraded) == ("3", False)
    assert (facts(result)["rounds"], facts(result)["ended"], facts(result)["satisfied"]) == (2, "max_rounds", False)


def test_it_says_what_each_further_round_changed():
    """Who changed its answer, from what to what, and whether the judge's answer changed."""
    ada, ben = debater("ada", "6", "7", "7"), debater("ben", "7", "7", "7 " + "for sure " * 40)
    result = run_sync(Debate([ada, ben], lambda h: Judgement(False, h.rounds[-1]["ada"])), "3 + 4?")
    first, second = facts(result)["changes"]
    assert first == {"round": 1, "changed": {"ada": {"from": "6", "to": "7"}}, "judgement_changed": True}
    assert (second["round"], list(second["changed"]), second["judgement_changed"]) == (2, ["ben"], False)
    assert second["changed"]["ben"]["to"].startswith("7 for sure")
    assert len(second["changed"]["ben"]["to"]) <= 120


def test_it_ends_when_no_new_objection_came_up():
    """Every debater kept its answer: the judge has heard them all, and is not asked again."""
    chair = judge(Judgement(False, "seven or eight"))
    result = run_sync(Debate([debater("ada", "7", " 7\n"), debater("ben", "8", "8")], chair, max_rounds=5), "q")
    assert (result.unwrap(), facts(result)["ended"], facts(result)["rounds"]) == ("seven or eight", "no_change", 1)
    assert facts(result)["changes"] == [{"round": 1, "changed": {}, "judgement_changed": False}]
    assert len(chair.model.calls) == 1


def test_a_judge_that_gave_no_answer_yet_asks_for_summary_one_at_the_end():
    """Also where nobody has changed its mind."""
    result = run_sync(
        Debate(
            [debater("ada", "7", "7"), debater("ben", "8", "8")],
            lambda h: Judgement(h.final, "7" if h.final else None),
        ),
        "q",
    )
    assert (result.unwrap(), facts(result)["ended"]) == ("7", "no_change")


def test_stop_ends_it():
    """It gets the last answers by name, and may ask for the context; the judge has the last word."""

    def agreed(ctx: RunContext, answers: dict[str, str]) -> bool:
        return len(set(answers.values())) == 1

    result = run_sync(Debate([debater("ada", "7", "8"), debater("ben", "8", "8")], never, 5, stop=agreed), "q")
    assert (result.unwrap(), facts(result)["ended"], facts(result)["rounds"]) == ("8", "stop", 1)


def test_without_further_rounds_it_is_a_panel_with_a_judge():
    """`max_rounds=0`."""
    result = run_sync(Debate([debater("ada", "7"), debater("ben", "8")], never, max_rounds=0), "q")
    assert (result.unwrap(), facts(result)["ended"]) == ("7", "max_rounds")


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=3, max_size=3), min_size=1, max_size=5))
def test_rounds_end_at_the_first_reason(answers):
    """For any answers: at `max_rounds`, or at the first round in which nobody changed its answer."""
    columns = list(zip(*answers, strict=True))
    flow = Debate([debater(f"d{i}", *said) for i, said in enumerate(columns)], never, max_rounds=len(answers) - 1)
    result = run_sync(flow, "q")
    still = next((i for i in range(1, len(answers)) if answers[i] == answers[i - 1]), None)
    expected = ("max_rounds", len(answers) - 1) if still is None else ("no_change", still)
    assert (facts(result)["ended"], facts(result)["rounds"]) == expected
    assert result.unwrap() == answers[expected[1]][0]


def test_what_counts_as_a_changed_answer():
    """Text but for its white space, anything else by value; who gave none has changed nothing."""
    before = {"ada": "seven\n", "ben": {"x": 1, "y": 2}, "cy": [1], "di": "x"}
    after = {"ada": " seven", "ben": {"y": 2, "x": 1}, "cy": [2]}
    assert changed_answers(before, after) == {"cy": {"from": "[1]", "to": "[2]"}}


# ── what fails, and where it stops ────────────────────────────────────────────────────────────────────────


def test_a_failed_debater_is_left_out():
    """The others go on without it; the reason says when it failed."""
    ben = debater("ben", busy())
    flow = Debate([debater("ada", "7", "8"), ben, debater("cy", "8", "8")], satisfied_when_equal)
    result = run_sync(flow, "q")
    assert (result.output, result.stop_reason, result.degraded) == ("8", "completed", True)
    assert [(part.path, type(part.error)) for part in result.skipped] == [("debate/ben", Overloaded)]
    assert "first answers" in result.skipped[0].reason
    assert len(ben.model.calls) == 1


def test_a_debater_that_fails_later_is_left_out_from_then_on():
    """What it said before stands in the earlier rounds that the judge reads."""
    heard = []

    def listen(hearing: Hearing) -> Judgement:
        heard.append([list(answers) for answers in hearing.rounds])
        return never(hearing)

    flow = Debate([debater("ada", *"123"), debater("ben", "4", busy()), debater("cy", *"789")], listen)
    result = run_sync(flow, "q")
    assert (result.output, len(result.skipped)) == ("3", 1)
    assert heard[-1] == [["ada", "ben", "cy"], ["ada", "cy"], ["ada", "cy"]]


def test_with_nobody_left_to_answer_to_the_judge_decides():
    """One debater is no debate."""
    result = run_sync(Debate([debater("ada", busy()), debater("ben", "8")], never), "q")
    assert (result.output, facts(result)["ended"], facts(result)["rounds"]) == ("8", "alone", 0)


def test_where_all_fail_in_a_further_round_what_was_said_stands():
    """The judge's last answer is the output."""
    result = run_sync(Debate([debater("ada", "7", busy()), debater("ben", "8", busy())], never), "q")
    assert (result.output, facts(result)["ended"], len(result.skipped)) == ("7", "no_change", 2)


def test_where_all_first_answers_fail_the_first_error_is_raised():
    """The first in the debaters' order."""

    def lost(question: str) -> str:
        raise LookupError("lost")

    result = run_sync(Debate([debater("ada", busy(), latency=9), lost], never), "q")
    assert isinstance(result.error, Overloaded)


def test_a_failed_judge_leaves_its_last_judgement():
    """The debate goes on; the result is degraded and says why. A judge that never judged is an error."""
    ada, ben = debater("ada", *"123123"), debater("ben", *"456456")
    result = run_sync(Debate([ada, ben], judge(Judgement(False, "x"), busy(), busy())), "q")
    assert (result.output, result.stop_reason, result.degraded) == ("x", "completed", True)
    assert facts(result)["rounds"] == 2
    result = run_sync(Debate([ada, ben], judge(busy(), busy(), busy())), "q")
    assert isinstance(result.error, Overloaded)


def test_a_debaters_own_turn_limit_is_its_own():
    """It is left out like a failed one; the run reports it."""

    def noop() -> str:
        return ""

    ben = debater("ben", *[Reply(tool_calls=[("noop", {})])] * 2, tools=[noop], max_turns=2)
    result = run_sync(Debate([debater("ada", "7"), ben], never), "q")
    assert (result.output, result.stop_reason) == ("7", "turn_limit")


def a_cent_each(name, *texts, **options):
    """Each call reserves a cent and costs a cent."""
    replies = [Reply(text, usage=Usage(output_tokens=100)) for text in texts]
    model = ScriptedModel(replies, price=(0, 100))
    return Agent(name, model, max_output_tokens=100, min_output_tokens=100, **options)


@pytest.mark.parametrize(
    ("cents", "ended", "rounds"),
    [(3, "budget", 0), (4, "budget", 1), (5, "budget", 1), (6, "budget", 1), (8, "budget", 2), (9, "max_rounds", 2)],
)
def test_a_budget_stop_still_ends_with_a_judgement(cents, ended, rounds):
    """What it may cost is set aside: the money runs out among the debaters, and the judge reads what there is."""
    sums_up = [f'{{"done": false, "answer": "judgement {i}"}}' for i in (1, 2, 3)]
    chair = a_cent_each("judge", *sums_up, output_type=Judgement)
    flow = Debate([a_cent_each("ada", *"123"), a_cent_each("ben", *"456")], chair)
    result = run_sync(flow, "q", budget=Budget(usd=f"0.0{cents}"))
    assert (result.output, result.bill.total) == (f"judgement {len(chair.model.calls)}", Decimal(cents) / 100)
    assert (facts(result)["ended"], facts(result)["rounds"]) == (ended, rounds)
    assert result.stop_reason == ("completed" if cents == 9 else "budget")


@pytest.mark.parametrize(
    ("calls", "output"),
    [(0, None), (1, "1"), (2, "j1"), (3, "j1"), (5, "j2"), (6, "j2"), (9, "j3")],
)
def test_a_stop_leaves_the_best_answer_so_far(calls, output):
    """The judge's last, for which a call is set aside."""
    flow = Debate(
        [debater("ada", "1", "2", "3"), debater("ben", "4", "5", "6")],
        judge(*(Judgement(False, f"j{i}") for i in (1, 2, 3))),
    )
    result = run_sync(flow, "q", budget=Budget(calls=calls))
    assert (result.output, result.stop_reason) == (output, "completed" if calls == 9 else "budget")


def test_before_any_judgement_the_best_answer_is_what_most_debaters_say():
    """Of equals, the first debater's."""
    slow = judge(Judgement(True, "j"), latency=60)
    flow = Debate([debater("ada", "6"), debater("ben", "7"), debater("cy", "7")], slow)
    assert run_sync(flow, "q", budget=Budget(seconds=30)).output == "7"
    flow = Debate([debater("ada", "6"), debater("ben", "7")], slow)
    assert run_sync(flow, "q", budget=Budget(seconds=30)).output == "6"


@pytest.mark.parametrize(("seconds", "output"), [(2, None), (4, "7"), (6, "7"), (8, "j1"), (12, "j1")])
def test_a_deadline_leaves_the_best_answer_so_far(seconds, output):
    """Debaters of 5 and 3 s, a judge of 2 s: what is there at the deadline is the output."""
    ada, ben = debater("ada", *"888", latency=5), debater("ben", "7", "9", "9", latency=3)
    chair = judge(*[Judgement(False, f"j{i}") for i in (1, 2, 3)], latency=2)
    result = run_sync(Debate([ada, ben], chair), "q", budget=Budget(seconds=seconds))
    assert result.stop_reason == "deadline"
    assert isinstance(result.error, DeadlineExceeded)
    assert result.output == ("8" if seconds == 6 else output)


def test_an_optional_debater_that_is_skipped_says_nothing():
    """A question is no answer to itself."""
    result = run_sync(Debate([debater("ada", busy(), optional=True), debater("ben", "8")], never), "q")
    assert (result.output, facts(result)["ended"]) == ("8", "alone")
    none = run_sync(Debate([debater(name, busy(), optional=True) for name in ("ada", "ben")], never), "q")
    assert (none.output, type(none.error)) == (None, OutlayError)


# ── with others, and wrong use ────────────────────────────────────────────────────────────────────────────


def test_a_debate_in_other_patterns_and_other_patterns_in_a_debate():
    """It is a node like any other, and takes any."""

    def panel(**options):
        return Debate([str.upper, debater("ben", *"888888", latency=2)], lambda h: Judgement(True, "7"), **options)

    with virtual_time() as clock:
        assert run_sync(FanOut(panel()), ["x", "y", "z"]).unwrap() == ["7"] * 3
    assert clock.elapsed == 2
    assert run_sync(Pipeline(panel(), len), "q").unwrap() == 1
    assert run_sync(Vote(panel(), 3), "q").unwrap() == "7"
    assert run_sync(Refine(panel(), lambda text: None), "q").unwrap() == "7"
    nested = Debate([Vote(debater("ada", "1", "1", "1", "1"), 3), panel(name="inner")], never, max_rounds=1)
    assert run_sync(nested, "q").unwrap() == "1"


def test_budget_option_optional_and_replace():
    """They hold for the debate as a whole."""
    flow = Debate([debater("ada", *"1212"), debater("ben", *"3434")], never, budget=Budget(calls=3))
    assert run_sync(flow, "q").output == "2"
    assert run_sync(flow.replace(max_rounds=0, budget=None), "q").unwrap() in "12"
    failing = Debate([debater("ada", busy()), debater("ben", busy())], never, optional=True)
    assert run_sync(Pipeline(failing, len), "go").output == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"debaters": []},
        {"debaters": [len]},
        {"debaters": len},
        {"debaters": [len, 42]},
        {"judge": 42},
        {"max_rounds": -1},
        {"max_rounds": 1.5},
        {"stop": "now"},
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_when_it_is_made(wrong):
    """A ConfigError, before anything is spent."""
    with pytest.raises(ConfigError):
        Debate(**({"debaters": [len, max], "judge": never} | wrong))


def test_two_of_one_name_are_refused():
    """Answers are told apart by name."""
    with pytest.raises(ConfigError, match="'ada' stands there twice"):
        Debate([debater("ada"), debater("ada")], never)
    with pytest.raises(ConfigError, match="'judge' stands there twice"):
        Debate([debater("ada"), debater("judge")], judge())


@pytest.mark.parametrize("output_type", [str, int, bool])
def test_a_judge_of_another_output_type_is_named(output_type):
    """An agent that gives text is no judge: refused before anything runs."""
    with pytest.raises(ConfigError, match="output_type=Judgement"):
        Debate([len, max], Agent("judge", ScriptedModel([]), output_type=output_type))


def test_a_judge_that_gives_something_else_is_named():
    """A function's answer is seen when it comes."""
    result = run_sync(Debate([debater("ada", "7"), debater("ben", "8")], lambda hearing: "7"), "q")
    assert isinstance(result.error, ConfigError)
    assert "output_type=Judgement" in str(result.error)
