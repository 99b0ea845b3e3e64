"""Whether a student still fits what it is asked: from the decisions that its cascade leaves in the events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from outlay.events.records import Decision, Event
from outlay.routing.calibration import binomial_tail
from outlay.routing.distil.student import Student
from outlay.routing.distil.student_gate import AUDIT
from outlay.values.percent import percent

#: The chance of an alarm where nothing has changed, for each of the two tests.
_FALSE_ALARM = 0.01
#: A share of accepted answers may move by so much of itself before anything is made of it.
_TOLERATED = 0.2
#: Answers, and audits, below which nothing is said.
_LEAST = 50
_LEAST_AUDITS = 20


@dataclass(frozen=True, slots=True)
class Drift:
    """`asked` and `accepted` answers, `audits` of these and how many of them were `wrong`. `reasons` to retire the
    student, none while it fits, or too little is known (`enough` is False)."""

    asked: int
    accepted: int
    audits: int
    wrong: int
    reasons: tuple[str, ...]
    enough: bool


def drift_of(student: Student, events: Iterable[Event]) -> Drift:
    """Two tests. Audits: are errors among the accepted more than the target allows (exact binomial, one-sided)? What
    is asked: does it accept another share than it did on its labels (exact binomial, two-sided), and by a fifth?

    An audit says that the student and the teacher differ, which counts as an error of the student.
    """
    asked = accepted = audits = wrong = 0
    for event in events:
        if not isinstance(event, Decision):
            continue
        data = event.data
        if event.about == "cascade" and data.get("tier") == 0 and data.get("who") == student.id:
            asked += 1
            # what an audit turned down had been accepted by the student
            accepted += data.get("gate") != "readable"
        elif event.about == AUDIT and data.get("student") == student.id and "agrees" in data:
            audits += 1
            wrong += not data["agrees"]
    calibration = student.calibration
    reasons: list[str] = []
    allowed = min(calibration.target / calibration.accepted, 1.0) if calibration.accepted else 1.0
    if audits >= _LEAST_AUDITS and allowed < 1 and 1 - binomial_tail(wrong - 1, audits, allowed) < _FALSE_ALARM:
        reasons.append(f"{wrong} of {audits} audited answers were wrong, {percent(allowed, 1)} are allowed")
    if asked >= _LEAST:
        share = accepted / asked
        moved = abs(share - calibration.accepted) > _TOLERATED * calibration.accepted
        if moved and _unlikely(accepted, asked, calibration.accepted):
            before = percent(calibration.accepted)
            reasons.append(f"it accepts {percent(share)} of what it is asked, and accepted {before} of its labels")
    return Drift(asked, accepted, audits, wrong, tuple(reasons), asked >= _LEAST)


def _unlikely(k: int, n: int, p: float) -> bool:
    if not 0 < p < 1:
        return k != round(p * n)
    below, above = binomial_tail(k, n, p), 1 - binomial_tail(k - 1, n, p) if k else 1.0
    return min(below, above) < _FALSE_ALARM / 2
