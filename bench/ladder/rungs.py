"""The rungs: what each switches on. One more is one more entry, a field of `Setting` and its use in a workload."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

TICKETS, CODING, AUTONOMOUS = "tickets", "coding", "autonomous"


@dataclass(frozen=True, slots=True)
class Setting:
    """How a workload is run; by default with nothing of the ladder."""

    prompt_cache: bool = False
    batch: bool = False
    answers: Literal["", "exact", "similar"] = ""
    cascade: bool = False
    compaction: bool = False
    student: bool = False


Switch: TypeAlias = Callable[[Setting], Setting]


@dataclass(frozen=True, slots=True)
class Rung:
    """`of`: the workloads that it is for. One that is not `live` makes everybody wait for hours: "all of these" goes
    without it, and "all, by batch" with it.
    """

    name: str
    switch: Switch
    of: tuple[str, ...] = (TICKETS, CODING, AUTONOMOUS)
    live: bool = True


#: In the order of return. `all` switches on what is here.
RUNGS = (
    Rung("prompt cache", lambda s: replace(s, prompt_cache=True)),
    Rung("stored answers", lambda s: replace(s, answers="exact"), (TICKETS,)),
    Rung("similar answers", lambda s: replace(s, answers="similar"), (TICKETS,)),
    Rung("batch", lambda s: replace(s, batch=True), (TICKETS,), live=False),
    Rung("cascade", lambda s: replace(s, cascade=True)),
    Rung("compaction", lambda s: replace(s, compaction=True), (CODING, AUTONOMOUS)),
    Rung("student", lambda s: replace(s, student=True), (TICKETS,)),
)


def settings_for(workload: str) -> dict[str, Setting]:
    """Nothing, each rung by itself, and all of them together, by name."""
    fitting = [rung for rung in RUNGS if workload in rung.of]
    settings = {"off": Setting(), **{rung.name: rung.switch(Setting()) for rung in fitting}}
    settings["all of these"] = _all([rung for rung in fitting if rung.live])
    if not all(rung.live for rung in fitting):
        settings["all, by batch"] = _all(fitting)
    return settings


def _all(rungs: Sequence[Rung]) -> Setting:
    every = Setting()
    for rung in rungs:
        every = rung.switch(every)
    return every
