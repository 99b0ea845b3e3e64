"""The questions of `outlay advise`: each is a flag, a prompt, and a field of the situation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from outlay.advice.tables.fine_tune import SIGNALS
from outlay.advice.tables.green_light import CRITERIA
from outlay.advice.tables.relation import FACETS, INVERSIONS
from outlay.advice.tables.shared_state import NEEDS
from outlay.advice.tables.single_agent import REMEDIES
from outlay.advice.tables.which_pattern import TRAITS
from outlay.advice.tables.workload import SHAPES

#: What was answered, by question; a question that is not there was not answered, or nobody knows.
Answers = Mapping[str, tuple[str, ...]]
YES, NO = "yes", "no"
_YES_OR_NO = {YES: "", NO: ""}


@dataclass(frozen=True, slots=True)
class Question:
    """`choices` are what may be answered, with what each means; `many`: several of them, or `none`. It is worth asking
    where `when` the answers so far say so."""

    id: str
    topic: str
    asks: str
    choices: Mapping[str, str] = field(default_factory=lambda: _YES_OR_NO)
    many: bool = False
    when: Callable[[Answers], bool] = lambda answers: True


def said(answers: Answers, question: str) -> bool | None:
    """Yes, no, or None for not known."""
    found = answers.get(question)
    return None if not found else found[0] == YES


def chosen(answers: Answers, question: str) -> str | None:
    """The one choice that was made."""
    found = answers.get(question)
    return found[0] if found else None


def _fails(answers: Answers) -> bool:
    return said(answers, "failing") is True


def _may_need_several(answers: Answers) -> bool:
    """It fails at something that several agents are good at, or nobody knows; or a boundary or an owner asks for it."""
    if chosen(answers, "boundary") == "hard" or said(answers, "separate-ownership"):
        return True
    return said(answers, "failing") is not False and chosen(answers, "failing-at") in (None, "streams")


def _is_narrow(answers: Answers) -> bool:
    return chosen(answers, "workload") == "narrow"


_BOUNDARIES = {
    "none": "all of it may see and do the same",
    "soft": "parts should not see or do what others may",
    "hard": "a part must not even be able to reach what another one holds",
}
_CRITERIA = {one.id: one.asks for one in CRITERIA}

QUESTIONS: tuple[Question, ...] = (
    Question("failing", "single agent", "Does a single agent, measured on your own cases, fail too often?"),
    Question(
        "failing-at", "single agent", "At what does it fail?", {one.at: one.shows for one in REMEDIES}, when=_fails
    ),
    Question("boundary", "several agents", "Is there a security boundary inside the work?", _BOUNDARIES),
    Question("separate-ownership", "several agents", _CRITERIA["separate-ownership"]),
    *(
        Question(name, "several agents", _CRITERIA[name], when=_may_need_several)
        for name in ("parallelisable", "independent", "specialised")
    ),
    *(
        Question(f"own-{one.id}", "sub-agents or peers", f"Of the second agent: {one.asks}", when=_may_need_several)
        for one in FACETS
    ),
    Question(
        "inversion",
        "sub-agents or peers",
        "Turn it round: would it make sense for the called agent to call the caller?",
        {one.id: one.means for one in INVERSIONS},
        when=_may_need_several,
    ),
    Question(
        "trait",
        "pattern",
        "What is true of the work?",
        {one.id: one.asks for one in TRAITS},
        many=True,
        when=_may_need_several,
    ),
    Question(
        "shares",
        "shared state",
        "What must be shared?",
        {one.id: one.asks for one in NEEDS},
        many=True,
        when=_may_need_several,
    ),
    Question("workload", "knobs", "What shape does the work have?", {one.id: one.known_by for one in SHAPES}),
    *(Question(f"tune-{one.id}", "fine-tuning", one.asks, when=_is_narrow) for one in SIGNALS),
)
BY_ID: Mapping[str, Question] = {one.id: one for one in QUESTIONS}
#: What to answer where none of many holds.
NONE = "none"
