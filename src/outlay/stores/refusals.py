"""Which runs a store no longer writes for its caller, because somebody else has taken them over."""

from __future__ import annotations

from typing import TypeAlias

from outlay.errors import Conflict
from outlay.protocols.store import Fence

#: Why a run's rows were dropped: the place that was taken, or the fence that no longer held.
Lost: TypeAlias = int | Fence


class Refusals:
    """The runs that met a taken place or a lost fence. They stay refused until a later owner shows its own fence:
    in a process that lives long, a run may come back to it."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._lost: dict[str, tuple[Lost, Fence | None]] = {}

    def __bool__(self) -> bool:
        return bool(self._lost)

    def add(self, run: str, lost: Lost, fence: Fence | None) -> None:
        self._lost[run] = lost, fence

    def admits(self, run: str, fence: Fence | None) -> bool:
        """Whether rows under `fence` may be written, as far as is known here; a later owner's lift the refusal."""
        if run not in self._lost:
            return True
        lifted = _is_later(fence, self._lost[run][1])
        if lifted:
            del self._lost[run]
        return lifted

    def of(self, run: str | None) -> Conflict | None:
        """A new error each time, so that waiters do not share a traceback. With None, that of any run."""
        if run is None:
            run = next(iter(self._lost), None)
        if run is None or run not in self._lost:
            return None
        lost, _ = self._lost[run]
        if isinstance(lost, Fence):
            why = f"taken over by somebody else: {lost.key!r} of {lost.collection!r} is not at version {lost.version}"
        else:
            why = f"continued by somebody else: event {lost} is already {self._where}"
        return Conflict(
            f"run {run} was {why}",
            mine=lost,
            hint="let the other process finish it; nothing of this one was written over",
        )


def _is_later(fence: Fence | None, refused: Fence | None) -> bool:
    if fence is None or refused is None:
        return fence is not None
    same = (fence.collection, fence.key) == (refused.collection, refused.key)
    return not same or fence.version > refused.version
