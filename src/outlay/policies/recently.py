"""How often something happened lately."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class Window:
    """A count of the last `span` seconds, which forgets one of `slots` parts of that at a time. `now` must not go
    backwards."""

    span: float = 60.0
    slots: int = 12
    total: int = 0
    _slots: deque[list[int]] = field(default_factory=deque[list[int]])

    def add(self, now: float) -> None:
        slot = self._slot(now)
        if not self._slots or self._slots[-1][0] != slot:
            self._slots.append([slot, 0])
            self._forget(slot)
        self._slots[-1][1] += 1
        self.total += 1

    def count(self, now: float) -> int:
        self._forget(self._slot(now))
        return self.total

    def since(self, then: float, now: float) -> int:
        """How many of them came at `then` or later, or in the same slot."""
        self.count(now)
        oldest, found = self._slot(then), 0
        for slot, n in reversed(self._slots):
            if slot < oldest:
                break
            found += n
        return found

    def _forget(self, slot: int) -> None:
        while self._slots and self._slots[0][0] <= slot - self.slots:
            self.total -= self._slots.popleft()[1]

    def _slot(self, now: float) -> int:
        return int(now * self.slots / self.span)
