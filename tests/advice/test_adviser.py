"""From answers to advice: which tables speak, what they come to together, and what is still worth asking."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.advice.adviser import Situation, advise, worth_asking
from outlay.advice.evidence import Evidence
from outlay.advice.observed import asides, observed
from outlay.advice.question import BY_ID, NONE, QUESTIONS
from outlay.errors import ConfigError
from outlay.evals import Checked, Comparison, Measured, Setup, Side


def situation(**answers: Any) -> Situation:
    given = {name.replace("_", "-"): (one,) if isinstance(one, str) else tuple(one) for name, one in answers.items()}
    return Situation(given)


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ({}, "measure first"),
        ({"parallelisable": "yes", "independent": "yes"}, "measure first"),
        ({"failing": "no"}, "one"),
        ({"failing": "no", "parallelisable": "yes", "independent": "yes"}, "one"),
        ({"failing": "yes"}, "find out"),
        ({"failing": "yes", "failing_at": "capability"}, "one"),
        ({"failing": "yes", "failing_at": "context"}, "one"),
        ({"failing": "yes", "failing_at": "opinion", "parallelisable": "yes", "independent": "yes"}, "one"),
        ({"failing": "yes", "failing_at": "streams"}, "find out"),
        ({"failing": "yes", "failing_at": "streams", "parallelisable": "yes", "independent": "yes"}, "several"),
        (
            {
                "failing": "yes",
                "failing_at": "streams",
                "parallelisable": "no",
                "independent": "no",
                "specialised": "yes",
                "boundary": "none",
                "separate_ownership": "no",
            },
            "one",
        ),
        ({"boundary": "hard"}, "several"),
        ({"separate_ownership": "yes", "failing": "no"}, "several"),
    ],
)
def test_the_verdict(answers: dict[str, str], verdict: str):
    """Several agents need a single one that fails at streams, or a boundary or an owner that ask for them."""
    assert advise(situation(**answers)).verdict == verdict


def test_tables_of_which_nothing_was_said_are_silent():
    """But for the first two, which are always asked."""
    assert [one.topic for one in advise(situation()).answers] == ["single agent", "several agents"]
    found = advise(
        situation(workload="narrow", trait=["many-items"], shares=["facts"], tune_narrow="yes", inversion="neither")
    )
    assert [one.topic for one in found.answers] == [
        "single agent",
        "several agents",
        "sub-agents or peers",
        "pattern",
        "shared state",
        "knobs",
        "fine-tuning",
    ]


def test_none_of_many_is_an_answer():
    """Nothing is shared, and no pattern is called for: that is not the same as not known."""
    found = {one.topic: one.id for one in advise(situation(trait=[NONE], shares=[NONE])).answers}
    assert (found["pattern"], found["shared state"]) == ("none", "nothing")


def test_an_owner_and_a_wall_are_asked_once():
    """What says that several agents are justified says also how they stand to one another."""
    found = advise(situation(boundary="hard"))
    assert next(one.id for one in found.answers if one.topic == "sub-agents or peers") == "service"
    open_ones = {one.id for one in worth_asking(situation(boundary="hard", separate_ownership="no").answers)}
    assert "own-third-party" in open_ones
    assert not open_ones & {"own-security", "own-ownership"}


def test_only_what_could_matter_is_asked():
    """A single agent that does its work is asked for no more than a reason to split it all the same."""
    assert [one.id for one in worth_asking({})][:3] == ["failing", "boundary", "separate-ownership"]
    content = {"failing": ("no",), "boundary": ("none",), "separate-ownership": ("no",)}
    assert [one.id for one in worth_asking(content)] == ["workload"]
    lacking = {**content, "failing": ("yes",), "failing-at": ("capability",)}
    assert [one.id for one in worth_asking(lacking)] == ["workload"]
    assert worth_asking({**content, "workload": ("narrow",)})[0].id == "tune-examples"


@given(st.data())
def test_whatever_is_answered_there_is_advice_and_the_questions_end(data: st.DataObject):
    """Over any interview: it ends, and every answer has its reason and what would change it."""
    answers: dict[str, tuple[str, ...]] = {}
    asked = 0
    while open_ones := worth_asking(answers):
        question = open_ones[0]
        answers[question.id] = (data.draw(st.sampled_from([*question.choices])),)
        asked += 1
    assert asked <= len(QUESTIONS)
    found = advise(Situation(answers))
    assert found.open == ()
    assert all(one.because and one.unless for one in found.answers)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"failing": ["perhaps"]}, "'perhaps' is no answer"),
        ({"failing-at": ["capabillity"]}, "did you mean capability"),
        ({"failing": ["yes", "no"]}, "cannot all be"),
        ({"trait": ["known-steps", NONE]}, "cannot all be"),
        ({"mood": ["good"]}, "there is no question 'mood'"),
    ],
)
def test_what_is_no_answer_is_refused(answers: dict[str, list[str]], said: str):
    """With the word that was meant."""
    with pytest.raises(ConfigError) as error:
        Situation({name: tuple(given) for name, given in answers.items()})
    assert said in str(error.value)


def test_ids_of_questions_are_their_flags():
    """They stand in people's scripts."""
    assert len(BY_ID) == len(QUESTIONS)
    assert all(one.id == one.id.lower() and one.choices for one in QUESTIONS)


# ── what is stored ────────────────────────────────────────────────────────────────────────────────────────────


def compared(successes: int, cases: int, *, error: str = "", crew: int | None = None) -> Evidence:
    def side(name: str, agents: int, good: int, error: str) -> Side:
        measured = [
            Measured(
                f"c{i}",
                f"r{i}",
                "completed" if i < good or not error else "error",
                "" if i < good else error,
                answered=i < good or not error,
                checks=(Checked("exact", None if i < good else "no"),) if i < good or not error else (),
                cost=Decimal("0.01") * agents,
            )
            for i in range(cases)
        ]
        return Side(name, agents, tuple(measured))

    other = side("crew", 3, successes if crew is None else crew, "")
    return Evidence(runs=cases, compared=Comparison(side("single", 1, successes, error), other, Setup("", ("exact",))))


@pytest.mark.parametrize(
    ("successes", "cases", "failing"),
    [(100, 100, "no"), (40, 100, "yes"), (3, 4, None), (90, 100, None)],
)
def test_a_measured_single_agent_answers_the_first_question(successes: int, cases: int, failing: str | None):
    """Where its interval holds what is wanted it says neither."""
    found = {one.question: one.answer for one in observed(compared(successes, cases), 0.9)}
    assert found.get("failing") == failing


@pytest.mark.parametrize(
    ("error", "at"), [("ContextTooLong", "context"), ("ToolError", "capability"), ("Overloaded", None), ("", None)]
)
def test_what_it_fails_at_where_the_errors_say_it(error: str, at: str | None):
    """Wrong answers have to be read by somebody."""
    found = {one.question: one.answer for one in observed(compared(10, 40, error=error), 0.9)}
    assert found["failing"] == "yes"
    assert found.get("failing-at") == at


def test_what_is_not_the_agents_failure_is_said():
    """More agents would fail at it alike."""
    notes = asides(Evidence(runs=9, failures={"error: Overloaded": 4, "stopped: budget": 2, "error: ValueError": 1}))
    assert notes == [
        "4 runs ended with error: Overloaded: that is the provider: fallback=[…]",
        "2 runs ended with stopped: budget: that is the budget: outlay forecast says what it takes",
    ]


def test_a_verdict_that_is_stored_is_told():
    """With what the figures cannot say."""
    notes = asides(compared(9, 10), 0.9)
    assert notes[0].startswith("compared with single: Ship the single agent, single")
    assert notes[1] == "whether single reaches 90 % cannot be told from 10 cases"


def test_what_is_stored_names_its_source():
    """An answer that nobody gave is not left unexplained."""
    (found,) = observed(compared(100, 100), 0.9)
    advice = advise(Situation({found.question: (found.answer,)}, {found.question: found.source}))
    (reason,) = advice.answers[0].because
    assert reason.startswith("it does what it is for (single: 100 of 100 cases, 90 % wanted): a second one adds cost")
