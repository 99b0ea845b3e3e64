"""A supervisor's plan, and what its workers and its synthesizer are given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from outlay.values.claim import Contradiction
from outlay.values.critique import Revision


@dataclass(frozen=True)
class Subtask:
    """One piece of work for one worker. `depends_on` names subtasks whose results it needs."""

    id: str
    worker: str
    task: str
    depends_on: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Plan:
    """Subtasks and how to put their results together."""

    subtasks: list[Subtask]
    synthesis_instructions: str = ""


class Results(dict[str, Any]):
    """Results by subtask id, as they are shown: one over the size limit is its beginning and an artifact's name.

    Nodes that compute with results rather than read them take `whole[id]`.
    """

    def __init__(
        self, whole: Mapping[str, Any] | Iterable[tuple[str, Any]], shown: Mapping[str, Any] | None = None
    ) -> None:
        self.whole: Mapping[str, Any] = dict(whole)
        super().__init__(self.whole if shown is None else shown)


class ResultList(list[Any]):
    """The same for results in a row."""

    def __init__(self, whole: Iterable[Any], shown: Sequence[Any] | None = None) -> None:
        self.whole: Sequence[Any] = list(whole)
        super().__init__(self.whole if shown is None else shown)


@dataclass(frozen=True)
class Task:
    """What a worker gets: the whole goal, its own task, and the results it depends on by subtask id (`Results`)."""

    goal: Any
    task: str
    results: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Synthesis:
    """What the synthesizer gets. `failed` maps a subtask id to the reason it has no result: never an answer.

    `results` are `Results`. `contradictions` are what different subtasks' claims say of one subject, found by
    comparing them.
    """

    goal: Any
    instructions: str
    results: Mapping[str, Any]
    failed: Mapping[str, str]
    contradictions: tuple[Contradiction, ...] = ()


@dataclass(frozen=True)
class Replan(Revision):
    """What a planner that is not an agent gets for another round: the goal, the plan that was run, and as facts what
    failed, what contradicts and which subtasks are done. Done ones are kept, and may be depended on if listed again.
    """

    failed: Mapping[str, str] = field(default_factory=dict[str, str])
    contradictions: tuple[Contradiction, ...] = ()
    done: tuple[str, ...] = ()
