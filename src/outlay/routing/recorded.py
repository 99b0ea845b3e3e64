"""Outcomes out of a store: what each model of an agent answered to which question, and whether that stood."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from outlay.events.codec import decode
from outlay.events.records import CallFinished, CallStarted, Checked, Decision, Event
from outlay.protocols.store import Store
from outlay.routing.outcomes import Outcome, Question
from outlay.routing.turns import first_turns

_KINDS = ("call_started", "call_finished", "checked", "decision")
_TIER = "tier:"
_ANSWERS = ("work", "finish")


@dataclass(frozen=True, slots=True)
class RecordedOutcomes:
    """`questions` as a table would have them, each model's answers to one question as one outcome (`correct` is their
    mean). `judged` counts answers by what said that they were right or wrong; `left_out` counts those that are not
    among the outcomes, by why. `versions` are the versions that answered last, by model: earlier ones are left out.
    """

    questions: Sequence[Question]
    judged: Mapping[str, int]
    left_out: Mapping[str, int]
    versions: Mapping[str, str]

    def taking(self, strong: str, cheap: str) -> tuple[list[Question], int]:
        """The same, with `strong` taken to be right where only `cheap` was asked and was right, as in a cascade it is;
        and how many these are. It errs on the side of the strong model: what the cheap one gets right it gains nothing
        on, and no question counts against it.
        """
        found: list[Question] = []
        taken = 0
        for question in self.questions:
            known = question.outcomes.get(cheap)
            if known is not None and strong not in question.outcomes and known.correct == 1:
                taken += 1
                question = Question(question.id, question.query, {**question.outcomes, strong: Outcome(1.0)})
            found.append(question)
        return found, taken


@dataclass(slots=True)
class _Answer:
    """One answer, and what was made of it."""

    event: CallFinished
    started: CallStarted | None
    tier: int | None
    right: bool | None = None
    by: str = ""


@dataclass(slots=True)
class _Reading:
    """The answers of an agent, as its events come by."""

    agent: str
    begun: dict[tuple[str, str, str, int], CallStarted] = field(
        default_factory=dict[tuple[str, str, str, int], CallStarted]
    )
    places: dict[tuple[str, str], list[_Answer]] = field(default_factory=dict[tuple[str, str], list[_Answer]])

    def add(self, event: Event) -> None:
        match event:
            case CallStarted() if event.agent == self.agent:
                self.begun[event.run, event.path, event.key, event.attempt] = event
            case CallFinished() if event.agent == self.agent:
                self._answered(event)
            case Checked() if event.agent == self.agent:
                self._checked(event)
            case Decision(about="cascade"):
                self._decided(event, event.data)
            case _:
                pass

    def _answered(self, event: CallFinished) -> None:
        tier = int(event.purpose[len(_TIER) :]) if event.purpose.startswith(_TIER) else None
        if tier is None and event.purpose not in _ANSWERS:
            return
        started = self.begun.get((event.run, event.path, event.key, event.attempt))
        self.places.setdefault((event.run, event.path), []).append(_Answer(event, started, tier))

    def _decided(self, event: Decision, data: Mapping[str, Any]) -> None:
        """What a gate made of the latest answer of a tier."""
        for answer in reversed(self.places.get((event.run, event.path), [])):
            if answer.tier == data.get("tier"):
                if not data.get("failed") and data.get("gate"):  # a gate that does not look at a tier says nothing
                    answer.right, answer.by = bool(data.get("passed")), f"gate {data['gate']}"
                return

    def _checked(self, event: Checked) -> None:
        """What the agent's own checks made of the latest answer: they see it after a gate, and know better."""
        answers = self.places.get((event.run, event.path))
        if answers and (event.problem or answers[-1].right is None):
            answers[-1].right, answers[-1].by = not event.problem, ", ".join(event.checks)


async def recorded_outcomes(store: Store, agent: str) -> RecordedOutcomes:
    """The first answers of `agent`'s conversations, by every model that gave any, with what said that they were right:
    the gate of its cascade of models, or its own checks. What nobody judged is left out.
    """
    reading = _Reading(agent)
    for row in await store.events(None, _KINDS):
        reading.add(decode(row.body))
    answers = [answer for place in reading.places.values() for answer in place]
    versions = {answer.event.model: answer.event.returned for answer in answers}
    left_out: Counter[str] = Counter()
    wanted: list[_Answer] = []
    for answer in answers:
        if why := _unfit(answer, versions):
            left_out[why] += 1
        else:
            wanted.append(answer)
    heads = [(answer.started.head, answer.event.head) for answer in wanted if answer.started is not None]
    outcomes: dict[str, dict[str, list[Outcome]]] = {}
    judged: Counter[str] = Counter()
    for answer, turn in zip(wanted, await first_turns(store, heads), strict=True):
        if isinstance(turn, str):
            left_out[turn] += 1
            continue
        judged[answer.by] += 1
        cost = None if answer.event.cost is None else float(answer.event.cost)
        outcome = Outcome(float(answer.right or 0), turn.said, cost)
        outcomes.setdefault(turn.asked, {}).setdefault(answer.event.model, []).append(outcome)
    questions = [
        Question(text, text, {model: _mean(several) for model, several in models.items()})
        for text, models in outcomes.items()
    ]
    return RecordedOutcomes(questions, judged, left_out, {name: said for name, said in versions.items() if said})


def _unfit(answer: _Answer, versions: Mapping[str, str]) -> str:
    event = answer.event
    if event.stop != "end":
        return f"ended with {event.stop or 'nothing'}"
    if answer.started is None:
        return "begun elsewhere"
    if event.returned != versions[event.model]:
        return "given by an earlier version of the model"
    return "" if answer.right is not None else "neither a gate nor a check said whether it was right"


def _mean(several: Sequence[Outcome]) -> Outcome:
    costs = [one.cost for one in several]
    known = [cost for cost in costs if cost is not None]
    return Outcome(
        sum(one.correct for one in several) / len(several),
        several[-1].response,
        sum(known) / len(known) if len(known) == len(costs) else None,
    )
