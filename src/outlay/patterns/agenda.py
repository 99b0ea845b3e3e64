"""The agenda of a blackboard: whose turn it is, by what has changed since each specialist last fired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from outlay.patterns.board import Board
from outlay.patterns.specialist import Specialist


@dataclass(slots=True)
class Agenda:
    """What was fired on which versions. `steps` counts the runs of specialists."""

    specialists: Sequence[Specialist]
    max_steps: int
    steps: int = 0
    _fired: dict[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])

    def ready(self, board: Board) -> list[Specialist]:
        """Those whose reads are all there and not as they were when it last fired, in the order of declaration."""
        found: list[Specialist] = []
        for specialist in self.specialists:
            versions = board.versions(specialist.reads)
            if all(versions.values()) and versions != self._fired.get(specialist.name):
                found.append(specialist)
        return found

    def fire(self, ready: Sequence[Specialist], board: Board) -> list[Specialist]:
        """As many of them as there are steps left, noted as fired on this board."""
        firing = list(ready[: self.max_steps - self.steps])
        self.steps += len(firing)
        self._fired.update((one.name, board.versions(one.reads)) for one in firing)
        return firing

    def again(self, specialist: Specialist) -> None:
        """It is ready once more, although nothing that it reads may have changed."""
        self._fired.pop(specialist.name, None)
