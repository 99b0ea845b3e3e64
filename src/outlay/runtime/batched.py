"""The batch lane in the path of a call: which calls take it, when they leave it, and what it saved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from outlay.errors import DeadlineExceeded, ModelError, one_line
from outlay.events.records import CallStarted, Decision
from outlay.protocols.batches import batches_of
from outlay.protocols.model import Model
from outlay.protocols.stages import Lane
from outlay.runtime.instead import live_cost
from outlay.runtime.state import RunState
from outlay.values.request import ModelRequest
from outlay.values.usage import Usage

#: The lane in events, and the tier in price lists.
BATCH: Final = "batch"


@dataclass(frozen=True, slots=True)
class Sent:
    """The last attempt of an earlier leg of the run, which went into a batch and has no end."""

    intent: CallStarted

    def of(self, models: Iterable[Model]) -> Model | None:
        """The model that it was sent to, None if that is not asked any more."""
        return next((model for model in models if model.id == self.intent.model), None)

    def goes_on(self, run: RunState, model: Model) -> bool:
        """Is this attempt to go on, instead of another being begun? Then it is reserved anew, and only once."""
        if self.intent.model != model.id:
            return False
        run.budgets.undo(self.intent)
        return True


def batch_of(
    run: RunState, model: Model, request: ModelRequest, deadline: float | None, sent: Sent | None
) -> Lane | None:
    """The lane that this model is asked by, None where it is asked at once. Raises DeadlineExceeded where a batch may
    take longer than there is time, unless such calls are to be asked at once."""
    lane = run.stages.lane
    if lane is None:
        return None
    if sent is not None and sent.intent.model == model.id and batches_of(model) is not None:
        return lane  # it is out already, however this run goes now
    if not lane.takes(request, model):
        return None
    left = None if deadline is None else deadline - run.loop.time()
    if left is None or left >= (window := lane.window(model)):
        return lane
    if lane.on_failure == "live":
        data = {"to": "live", "model": model.id, "after": f"{left:.0f} s are left, a batch may take {window:.0f} s"}
        run.recorder.emit(Decision, request.path, about="lane", data=data)
        return None
    raise run.stopped(
        DeadlineExceeded(
            f"{left:,.0f} s are left of the time budget, and a batch may take {window:,.0f} s: the call was not begun",
            path=request.path,
            hint="give more seconds, lane='live', or Batching(on_failure='live')",
        )
    )


def goes_live(run: RunState, model: Model, request: ModelRequest, lane: Lane, error: ModelError) -> bool:
    """Is a call that its batch did not answer to be asked at once, and at the list price?"""
    if lane.on_failure != "live" or not error.retryable or run.closed is not None:
        return False
    data = {"to": "live", "model": model.id, "after": one_line(error)}
    run.recorder.emit(Decision, request.path, about="lane", data=data)
    return True


def saved_by_batch(
    run: RunState, model: Model, request: ModelRequest, usage: Usage | None, cost: Decimal | None
) -> Decimal | None:
    """What the same tokens would have cost more at once, in US dollars, with the prompt cache that they would have had
    then: negative where that saves more than a batch does. None if it is unknown."""
    live = None if usage is None else live_cost(run, model, request, usage, ahead=True)
    return None if live is None or cost is None else live - cost
