"""A relay: who had the work in a mesh, what was handed over, and when that goes round in a circle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from outlay.agents.content import as_text
from outlay.values.handoff import Handoff

Ended = Literal["", "loop", "max_handoffs"]


@dataclass(slots=True)
class Relay:
    """The work on its way. `artifacts` travel with it: the last that each sender handed over, the newest at the end.

    `asked` are the questions on the way, as (asker, peer); `ended` says why it goes on no longer.
    """

    path: list[str]
    max_handoffs: int
    artifacts: dict[str, Any] = field(default_factory=dict[str, Any])
    asked: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    ended: str = ""
    _seen: set[tuple[str, str, str, str]] = field(default_factory=set[tuple[str, str, str, str]])

    @property
    def best(self) -> Any:
        """The newest artifact, the nearest thing to an answer; None while there is none."""
        return next(reversed(self.artifacts.values()), None)

    @property
    def handoffs(self) -> int:
        return len(self.path) - 1

    @property
    def may_hand_off(self) -> bool:
        return self.handoffs < self.max_handoffs

    def pass_on(self, handoff: Handoff[Any]) -> Ended:
        """Hand over, and keep the artifact as the best so far; or why not: too often, or in a circle.

        A circle is the same sender, peer and task as before over the same last artifact: the work has not changed
        since, and what followed then would follow again.
        """
        if handoff.artifact is not None and handoff.artifact != "":
            self.artifacts.pop(self.path[-1], None)
            self.artifacts[self.path[-1]] = handoff.artifact
        mark = (self.path[-1], handoff.peer, handoff.task, as_text(self.best))
        if mark in self._seen:
            return "loop"
        if not self.may_hand_off:
            return "max_handoffs"
        self._seen.add(mark)
        self.path.append(handoff.peer)
        return ""
