"""A simulated call in one step, where no budget, deadline, journal or store could have a say in it.

The long way (runtime/call.py) reserves, journals, paces and records each call, and does it in a task of its own. In a
run without limits none of that can change what the run costs, takes or gives; a test holds the outcomes of both ways
against each other, to the last digit. What is left is what counts: attempts, the waits between them, the models that
are asked next, and that a call in flight is paid for although nobody waits for it any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from outlay.errors import Overloaded
from outlay.forecast.simulated import FAILED, SimulatedModel
from outlay.forecast.tally import Tally
from outlay.protocols.model import Model
from outlay.runtime.call import others
from outlay.runtime.flight import is_beside
from outlay.runtime.state import RunState
from outlay.sim.loop import VirtualLoop
from outlay.values.request import ModelRequest, ModelResponse


class ShortCalls:
    """Calls of simulated models, straight to the tally."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def answer(
        self,
        run: RunState,
        model: Model,
        request: ModelRequest,
        fallback: Sequence[Model],
        draw: Callable[[], float],
    ) -> Awaitable[ModelResponse] | None:
        """None where the call must go the long way: beside the flow, where it may be cut off; where a stand-in has to
        be asked first; where somebody was told to listen."""
        if is_beside.get() or run.recorder.streaming:
            return None
        for one in (model, *fallback):
            if not isinstance(one, SimulatedModel) or not one.knows(request):
                return None
        return self._answered(run, model, request, fallback, draw)

    async def _answered(
        self,
        run: RunState,
        model: Model,
        request: ModelRequest,
        fallback: Sequence[Model],
        draw: Callable[[], float],
    ) -> ModelResponse:
        spare = others(model, fallback)
        while True:
            attempt = 1
            while True:
                if run.closed is not None:
                    raise run.closed
                response = await self._attempt(run, model, request)
                if response is not None:
                    return response
                error = Overloaded(FAILED, path=request.path)
                delay = None if run.closed is not None else run.retry.delay(error, attempt, draw())
                if delay is None:
                    break
                await asyncio.sleep(delay)
                attempt += 1
            if attempt > 1:
                error.hint = error.hint or f"gave up after {attempt} attempts"
            following = next(spare, None)
            if following is None or run.closed is not None:
                raise error
            model = following

    async def _attempt(self, run: RunState, model: Any, request: ModelRequest) -> ModelResponse | None:
        seconds, response = model.attempt(request)
        loop = self._loop
        began = loop.time()
        if seconds > 0 and not loop.skip_to(began + seconds):
            over = loop.create_future()
            timer = loop.call_at(began + seconds, over.set_result, None)
            try:
                await over
            except asyncio.CancelledError:  # nobody waits for it any more, and it is paid for all the same
                timer.cancel()
                run.flight.shielded(_rest, run, model, request, response, began, began + seconds)
                raise
        _tell(run, model, request, response, loop.time() - began)
        return response


async def _rest(
    run: RunState, model: Model, request: ModelRequest, response: ModelResponse | None, began: float, end: float
) -> None:
    over = run.loop.create_future()
    run.loop.call_at(end, over.set_result, None)
    await over
    _tell(run, model, request, response, run.loop.time() - began)


def _tell(run: RunState, model: Model, request: ModelRequest, response: ModelResponse | None, seconds: float) -> None:
    tally = run.recorder
    assert isinstance(tally, Tally)
    if response is None:
        tally.lost(request.agent, seconds)
        return
    price, usage = run.directory.price(model), response.usage
    assert usage is not None
    cost = None if price is None else price.cost(usage)
    tally.answered_by(request.path, request.agent, model.id, cost, usage.output_tokens, seconds)
