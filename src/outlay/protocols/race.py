"""Race: branches that run at the same time, read in the order in which they finish."""

from __future__ import annotations

from typing import Protocol, Self, TypeVar

from outlay.values.outcome import Outcome

A = TypeVar("A", covariant=True)


class Outcomes(Protocol[A]):
    """Every branch once, failed ones too."""

    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> Outcome[A]: ...


class Race(Protocol[A]):
    """What `async with ctx.race(…)` gives. `async for` yields values and raises the first failure, which leaves the
    block unless it is caught; `async for outcome in race.outcomes()` yields failures like values and goes on.

    Both read from the same branches, each of which comes out once. A branch that was cancelled from elsewhere
    raises CancelledError in both.
    """

    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> A: ...
    def outcomes(self) -> Outcomes[A]:
        """With the index of each branch, so that a caller can tell which one failed."""
        ...
