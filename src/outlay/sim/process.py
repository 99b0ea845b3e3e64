"""A simulated process: it lives, stalls and dies at points that a seed chose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Process:
    """One process that works on runs. `dies_at` and `stalls_at` count its steps (each store call, request and tool);
    a stalled one neither writes nor renews its lease for `stall` seconds, and does not know it.
    """

    name: str
    dies_at: int | None = None
    stalls_at: int | None = None
    stall: float = 0.0
    alive: bool = True
    steps: int = 0
    #: In loop time: until when it stalls, and since when.
    stalled_since: float | None = None
    stalled_until: float = 0.0
    #: Called once each, at death and when a stall begins.
    on_death: Callable[[], None] | None = None
    on_stall: Callable[[], None] | None = None
    now: Callable[[], float] = field(default=lambda: 0.0)

    def step(self) -> bool:
        """One step on; False once it is dead. What a dead process goes on to do must reach nobody."""
        if not self.alive:
            return False
        self.steps += 1
        if self.steps == self.dies_at:
            self.alive = False
            if self.on_death is not None:
                self.on_death()
        elif self.steps == self.stalls_at:
            self.stalled_since = self.now()
            self.stalled_until = self.now() + self.stall
            if self.on_stall is not None:
                self.on_stall()
        return self.alive

    @property
    def stalls(self) -> bool:
        """Is it stalled at this moment?"""
        return self.stalled_since is not None and self.now() < self.stalled_until
