"""The rungs: what each switches on. One more is one more entry, a field of `Setting` and its use in a workload."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

TICKETS, CODING, AUTONOMOUS = "tickets", "coding", "autonomous"


@dataclass(frozen=True, slots=True)
class Setting:
    """How a workload is run; by default with nothing of the ladder."""

    prompt_cache: bool = False
    answers: Literal["", "exact", "similar"] = ""
    cascade: bool = False
    compaction: bool = False
    student: bool = False


Switch: TypeAlias = Callable[[Setting], Setting]


@dataclass(frozen=True, slots=True)
class Rung:
    """`of`: the workloads that it is for."""

    name: str
    switch: Switch
    of: tuple[str, ...] = (TICKETS, CODING, AUTONOMOUS)


#: In the order of return. `all` switches on what is here.
RUNGS = (
    Rung("prompt cache", lambda s: replace(s, prompt_cache=True)),
    Rung("stored answers", lambda s: replace(s, answers="exact"), (TICKETS,)),
    Rung("similar answers", lambda s: replace(s, answers="similar"), (TICKETS,)),
    Rung("cascade", lambda s: replace(s, cascade=True)),
    Rung("compaction", lambda s: replace(s, compaction=True), (CODING, AUTONOMOUS)),
    Rung("student", lambda s: replace(s, student=True), (TICKETS,)),
)


def settings_for(workload: str) -> dict[str, Setting]:
    """Nothing, each rung by itself, and all of them together, by name."""
    fitting = [rung for rung in RUNGS if workload in rung.of]
    every = Setting()
    for rung in fitting:
        every = rung.switch(every)
    return {"off": Setting(), **{rung.name: rung.switch(Setting()) for rung in fitting}, "all of these": every}
