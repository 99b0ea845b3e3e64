"""Who may call a model next: one lane for each model of an event loop (policies/lane.py decides).

Runs take turns, whatever the number of calls that each has waiting, and the calls of one run go in their order. A
call that waits holds nothing: no money is reserved for it, and no intent is written.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import Mapping

from outlay.errors import ModelError, ModelTimeout, Overloaded, RateLimited
from outlay.policies.lane import Lane, LaneLimits, Permit
from outlay.protocols.model import Model
from outlay.values.request import ModelResponse

Waiter = tuple[asyncio.Future[Permit], int]


class Permits:
    """The lanes of one loop. `limits` are by model (`anthropic:claude-haiku-4-5`), or by provider for each of its."""

    __slots__ = ("_lanes", "_limits", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Mapping[str, LaneLimits] | None = None) -> None:
        self._loop = loop
        self._limits = limits or {}
        self._lanes: dict[tuple[str, str], _Queue] = {}

    async def acquire(self, model: Model, tokens: int, run: str) -> Permit:
        queue = self._of(model)
        now = self._loop.time()
        if not queue.waiting and queue.lane.wait(tokens, now) <= 0:
            return queue.lane.begin(tokens, now)
        return await queue.turn(tokens, run)

    def least(self, model: Model) -> float:
        return self._of(model).lane.least

    def release(self, model: Model, permit: Permit, came: ModelResponse | ModelError | None, seconds: float) -> None:
        queue, now = self._of(model), self._loop.time()
        lane = queue.lane
        lane.end(permit)
        match came:
            case ModelResponse():
                usage = came.usage
                lane.took(seconds, now)
                lane.answered(permit, None if usage is None else usage.input_tokens + usage.cache_write_tokens, now)
                if (queue.waiting or lane.wants_facts(now)) and (facts := came.limits) is not None:
                    lane.learn(facts, permit, now)
            case RateLimited():
                lane.refused(permit, came.retry_after, now)
            case Overloaded() | ModelTimeout():
                lane.congested(permit, now)
            case _:
                pass
        if queue.waiting:
            queue.serve()

    def unused(self, model: Model, permit: Permit) -> None:
        queue = self._of(model)
        queue.lane.end(permit)
        queue.lane.unused(permit, self._loop.time())
        if queue.waiting:
            queue.serve()

    def _of(self, model: Model) -> _Queue:
        found = self._lanes.get((model.provider, model.id))
        if found is None:
            limits = self._limits.get(model.id) or self._limits.get(model.id.partition(":")[0]) or LaneLimits()
            lane = Lane(limits, cold=getattr(model, "reports_limits", False))
            found = self._lanes[model.provider, model.id] = _Queue(self._loop, lane)
        return found


class _Queue:
    """Those who wait for one lane, by run; the run that was served last is asked last."""

    __slots__ = ("_loop", "_runs", "_timer", "lane", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, lane: Lane) -> None:
        self._loop = loop
        self.lane = lane
        self._runs: OrderedDict[str, deque[Waiter]] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        #: How many wait.
        self.waiting = 0

    async def turn(self, tokens: int, run: str) -> Permit:
        future: asyncio.Future[Permit] = self._loop.create_future()
        waiter = (future, tokens)
        self._runs.setdefault(run, deque()).append(waiter)
        self.waiting += 1
        self.serve()
        try:
            return await future
        except asyncio.CancelledError:
            if not future.cancelled():  # its turn came in the same moment
                self.lane.end(future.result())
                self.lane.unused(future.result(), self._loop.time())
            elif (waiters := self._runs.get(run)) is not None and waiter in waiters:
                waiters.remove(waiter)
                self._left(run, waiters)
            self.serve()
            raise

    def _left(self, run: str, waiters: deque[Waiter]) -> None:
        """One of this run waits no longer; it is the others' turn."""
        self.waiting -= 1
        self._runs.move_to_end(run)
        if not waiters:
            del self._runs[run]

    def serve(self) -> None:
        """Let go whoever may; be back when the next one may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._runs:
            run, waiters = next(iter(self._runs.items()))
            now = self._loop.time()
            wait = self.lane.wait(waiters[0][1], now)
            if wait > 0:
                if wait < math.inf:
                    self._timer = self._loop.call_at(now + wait, self.serve)
                return
            future, tokens = waiters.popleft()
            self._left(run, waiters)
            if not future.cancelled():
                future.set_result(self.lane.begin(tokens, now))
