"""A student as tier 0 of a cascade: it answers for nothing, declines the rest, is audited, and is retired."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

import pytest
from distil_support import examples
from pydantic import BaseModel

from outlay import Agent, Budget, Result, run_sync
from outlay.errors import ConfigError
from outlay.events import CallStarted, Decision
from outlay.patterns import Cascade
from outlay.routing.distil import Student, StudentGate, distil, drift_of
from outlay.testing import ScriptedModel

KNOWN, STRANGE = "please help with the invoice number 7001", "something else entirely"


class Intent(BaseModel):
    label: Literal["billing", "technical", "general"]


@pytest.fixture(scope="module")
def student() -> Student:
    return distil(examples(), "intent", teacher="teacher")


def teacher(label: str = "billing") -> ScriptedModel:
    return ScriptedModel(lambda request: Intent(label=label), name="teacher", price=(1000, 1000))  # pyright: ignore[reportArgumentType]


def intent(student: Student, strong: ScriptedModel, audit: float = 0.0) -> Agent[Intent]:
    return Agent("intent", Cascade([student, strong], StudentGate(student, strong, audit=audit)), output_type=Intent)


def decisions(result: Result[Any], about: str) -> list[dict[str, Any]]:
    return [dict(event.data) for event in result.events if isinstance(event, Decision) and event.about == about]


def test_what_it_is_sure_of_costs_nothing_even_under_a_budget_for_nothing(student: Student) -> None:
    result = run_sync(intent(student, teacher()), KNOWN, budget=Budget(usd="0.000001"))
    assert result.unwrap() == Intent(label="billing")
    assert not result.degraded
    assert [(line.model, line.cost) for line in result.bill.lines] == [("student:intent", Decimal(0))]


def test_what_it_is_not_sure_of_goes_to_the_next_tier(student: Student) -> None:
    result = run_sync(intent(student, teacher("general")), STRANGE)
    assert result.unwrap() == Intent(label="general")
    assert not result.degraded
    assert [line.purpose for line in result.bill.lines] == ["tier:0", "tier:1"]


def test_in_the_batch_lane_it_answers_at_once_and_the_rest_goes_by_batch(student: Student) -> None:
    """Under a money budget too: there is no batch price to know of a model that costs nothing."""
    result = run_sync(intent(student, teacher("general")), STRANGE, lane="batch", budget=Budget(usd="100"))
    assert result.unwrap() == Intent(label="general")
    asked = {event.model: event.lane for event in result.events if isinstance(event, CallStarted)}
    assert asked == {"student:intent": "", "teacher": "batch"}


def test_a_plain_answer_is_given_plainly() -> None:
    """Of an agent with a Literal, the provider's JSON is wrapped; of one with text it is the text."""
    rows = [type(one)(one.text, {"": one.output["label"]}) for one in examples()]
    student = distil(rows, "intent")
    for output_type in (Literal["billing", "technical", "general"], str):
        agent = Agent("intent", Cascade([student, teacher()], lambda output: None), output_type=output_type)
        assert run_sync(agent, KNOWN).unwrap() == "billing"


def test_a_correction_is_not_for_the_student(student: Student) -> None:
    """It would only say the same again."""

    def not_billing(output: Intent) -> str | None:
        return "it is not about money" if output.label == "billing" else None

    agent = intent(student, teacher("general")).replace(verify=[not_billing])
    assert run_sync(agent, KNOWN).unwrap() == Intent(label="general")


def test_an_agent_with_tools_is_refused_before_anything_is_spent(student: Student) -> None:
    def search(query: str) -> str:
        """Look it up."""
        return query

    with pytest.raises(ConfigError, match="student:intent calls no tools"):
        run_sync(intent(student, teacher()).replace(tools=[search]), KNOWN)


def test_an_audit_that_agrees_lets_the_answer_stand_and_is_billed_apart(student: Student) -> None:
    result = run_sync(intent(student, teacher("billing"), audit=1.0), KNOWN)
    assert result.unwrap() == Intent(label="billing")
    assert [line.purpose for line in result.bill.lines] == ["tier:0", "gate"]
    assert decisions(result, "audit") == [{"student": "student:intent", "agrees": True}]


def test_an_audit_that_differs_has_the_teacher_answer(student: Student) -> None:
    result = run_sync(intent(student, teacher("technical"), audit=1.0), KNOWN)
    assert result.unwrap() == Intent(label="technical")
    assert decisions(result, "audit") == [{"student": "student:intent", "agrees": False}]


def test_a_share_of_the_answers_is_audited(student: Student) -> None:
    audited = sum(
        bool(decisions(run_sync(intent(student, teacher(), audit=0.25), KNOWN, seed=seed), "audit"))
        for seed in range(80)
    )
    assert 8 <= audited <= 34


def test_a_retired_student_answers_nothing(student: Student) -> None:
    result = run_sync(intent(student.retire("the intents changed"), teacher("general")), KNOWN)
    assert result.unwrap() == Intent(label="general")


def asked(accepted: int, declined: int) -> list[Decision]:
    one = {"tier": 0, "who": "student:intent"}
    data = [{**one, "gate": ""}] * accepted + [{**one, "gate": "readable"}] * declined
    return [Decision(run="r", seq=i, time=0.0, path="intent", about="cascade", data=d) for i, d in enumerate(data)]


def audits(right: int, wrong: int) -> list[Decision]:
    data = [{"student": "student:intent", "agrees": i < right} for i in range(right + wrong)]
    return [Decision(run="r", seq=i, time=0.0, path="intent", about="audit", data=d) for i, d in enumerate(data)]


def test_what_the_runtime_records_is_what_the_drift_check_counts(student: Student) -> None:
    events = [
        event
        for text, label in ((KNOWN, "billing"), (KNOWN, "technical"), (STRANGE, "general"))
        for event in run_sync(intent(student, teacher(label), audit=1.0), text).events
    ]
    drift = drift_of(student, events)
    assert (drift.asked, drift.accepted, drift.audits, drift.wrong) == (3, 2, 2, 1)
    assert not drift.enough


def test_errors_above_the_target_retire_it(student: Student) -> None:
    assert student.calibration.accepted == pytest.approx(1)
    assert not drift_of(student, audits(98, 2)).reasons
    assert drift_of(student, audits(90, 10)).reasons == ("10 of 100 audited answers were wrong, 2.0 % are allowed",)


def test_other_questions_than_its_labels_retire_it(student: Student) -> None:
    assert not drift_of(student, asked(95, 5)).reasons
    (reason,) = drift_of(student, asked(50, 50)).reasons
    assert reason == "it accepts 50 % of what it is asked, and accepted 100 % of its labels"
    assert not drift_of(student, asked(5, 5)).reasons
