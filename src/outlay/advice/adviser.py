"""The adviser: from answers to advice, table by table. Pure; asks nobody."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from outlay.advice.answer import Answer
from outlay.advice.question import BY_ID, NONE, QUESTIONS, Answers, Question, chosen, said
from outlay.advice.tables.fine_tune import SIGNALS, fine_tune
from outlay.advice.tables.green_light import criteria, green_light
from outlay.advice.tables.relation import FACETS, relation
from outlay.advice.tables.shared_state import smallest
from outlay.advice.tables.single_agent import REMEDIES, single_agent
from outlay.advice.tables.which_pattern import which_pattern
from outlay.advice.tables.workload import knobs
from outlay.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Advice:
    """`verdict` is one, several, measure first or find out; `text` the same for people. `open` are the questions whose
    answers could change it."""

    verdict: str
    text: str
    answers: tuple[Answer, ...]
    open: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known, and from where it is known that was not said by the user (by question).

    Raises ConfigError for a question or a choice that there is not.
    """

    answers: Answers = field(default_factory=dict[str, tuple[str, ...]])
    sources: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        for name, given in self.answers.items():
            question = BY_ID.get(name)
            if question is None:
                raise ConfigError(f"there is no question {name!r}", hint=f"one of {', '.join(BY_ID)}")
            for one in given:
                check_choice(question, one)
            if len(given) > 1 and (not question.many or NONE in given):
                raise ConfigError(f"{name}: {', '.join(given)} cannot all be", hint="give one of them")


def check_choice(question: Question, given: str) -> None:
    """Raises ConfigError for what is none of the question's choices."""
    choices = [*question.choices, *([NONE] if question.many else [])]
    if given not in choices:
        close = difflib.get_close_matches(given, choices, n=1)
        hint = f"did you mean {close[0]}?" if close else f"one of {', '.join(choices)}"
        raise ConfigError(f"{question.id}: {given!r} is no answer", hint=hint)


def worth_asking(answers: Answers) -> Sequence[Question]:
    """The questions that are open and whose answers could matter, in order."""
    settled = {f"own-{facet}" for facet in implied(answers)}
    return [one for one in QUESTIONS if one.id not in answers and one.id not in settled and one.when(answers)]


def advise(situation: Situation) -> Advice:
    """Everything that the tables say. Tables of which nothing was answered are silent, but for the first two."""
    answers = situation.answers
    failing, at = said(answers, "failing"), chosen(answers, "failing-at")
    source = "; ".join(situation.sources[one] for one in ("failing", "failing-at") if one in situation.sources)
    alone = single_agent(failing, at, source=source)
    light = green_light(
        criteria(
            parallelisable=said(answers, "parallelisable"),
            independent=said(answers, "independent"),
            specialised=said(answers, "specialised"),
            boundary=cast("Any", chosen(answers, "boundary")),
            ownership=said(answers, "separate-ownership"),
        )
    )
    verdict, text = _verdict(alone, light)
    found = [alone, light, *_further(answers, several=verdict == "several")]
    return Advice(verdict, text, tuple(found), tuple(one.id for one in worth_asking(answers)))


def _verdict(alone: Answer, light: Answer) -> tuple[str, str]:
    """A boundary or another owner suffices alone; else the single agent has to fail, and at streams of work."""
    suffices = light.id == "go" and any("alone" in reason for reason in light.because)
    if suffices:
        return "several", "several agents: they are asked for by a boundary or an owner, whatever a single one could do"
    several = next((one.several for one in REMEDIES if one.at == alone.id), False)
    if alone.id == "measure":
        return "measure first", "measure a single agent first: nothing says yet that it fails"
    if alone.id == "diagnose":
        return "find out", "find out at what the single agent fails: most of it is mended without a second one"
    if not several:
        return "one", "one agent"
    if light.id == "go":
        return "several", "several agents: a single one fails at what they are good at"
    if light.id == "stop":
        return "one", "one agent: it fails, and nothing says that several would do better"
    return "find out", "find out what the work is like: whether several agents would do better hangs on that"


def implied(answers: Answers) -> dict[str, bool]:
    """The facets of a second agent that other answers have settled."""
    found: dict[str, bool] = {}
    if (owner := said(answers, "separate-ownership")) is not None:
        found["ownership"] = owner
    if (boundary := chosen(answers, "boundary")) in ("none", "hard"):
        found["security"] = boundary == "hard"
    return found


def _further(answers: Answers, *, several: bool) -> Iterable[Answer]:
    own = {one.id: said(answers, f"own-{one.id}") for one in FACETS}
    for facet, known in implied(answers).items():
        own[facet] = known if own[facet] is None else own[facet]
    inversion = cast("Any", chosen(answers, "inversion"))
    if several or inversion is not None or any(f"own-{one.id}" in answers for one in FACETS):
        yield relation(own, inversion)
    for question, look in (("trait", which_pattern), ("shares", smallest)):
        if question in answers:
            yield look([one for one in answers[question] if one != NONE])
    shape = chosen(answers, "workload")
    if shape is not None:
        yield knobs(shape)
    tuning = {one.id: said(answers, f"tune-{one.id}") for one in SIGNALS}
    if any(value is not None for value in tuning.values()):
        yield fine_tune(tuning)
