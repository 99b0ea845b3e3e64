"""A supervisor's plan, and what its workers and its synthesizer are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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


@dataclass(frozen=True)
class Task:
    """What a worker gets: the whole goal, its own task, and the results it depends on by subtask id."""

    goal: Any
    task: str
    results: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Synthesis:
    """What the synthesizer gets. `failed` maps a subtask id to the reason it has no result: never an answer."""

    goal: Any
    instructions: str
    results: Mapping[str, Any]
    failed: Mapping[str, str]
