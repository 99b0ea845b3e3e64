"""What a node shares with others: the actor on whose behalf shared things are read and written, each an effect."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from outlay.protocols.context import RunContext
from outlay.runtime.identity import digest
from outlay.runtime.state import RunState
from outlay.runtime.threads import in_thread
from outlay.sharing.actor import Work
from outlay.values.label import Label

A = TypeVar("A")


class NodeActor:
    """`sharing.Actor` for one node of a run.

    `effect` is the one place where shared reads and writes pass: what is recorded of them is recorded here.
    """

    __slots__ = ("_ctx", "_identify", "_jitter", "_join", "_run")

    def __init__(
        self,
        ctx: RunContext[Any],
        run: RunState,
        *,
        identify: Callable[[bytes], str],
        join: Callable[[Label], None],
        jitter: Callable[[], float],
    ) -> None:
        self._ctx = ctx
        self._run = run
        self._identify = identify
        self._join = join
        self._jitter = jitter

    @property
    def path(self) -> str:
        return self._ctx.path

    @property
    def agent(self) -> str:
        return self._ctx.node.name

    @property
    def run(self) -> str:
        return self._run.id

    @property
    def keeps(self) -> bool:
        return self._run.recorder.store is not None

    @property
    def label(self) -> Label:
        return self._ctx.label

    def met(self, label: Label) -> None:
        self._join(label)

    async def effect(self, name: str, arguments: Mapping[str, Any], work: Work) -> Any:
        run = self._run
        if run.closed is not None:
            raise run.closed
        what = json.dumps(arguments, sort_keys=True).encode()
        key = self._identify(digest(name.encode(), what))
        with run.branches.here(), run.parking.working():
            return await work(f"{run.id}/{key}" if self.keeps else "")

    async def pause(self, seconds: float) -> None:
        await self._ctx.sleep(seconds)

    def jitter(self) -> float:
        return self._jitter()

    async def in_thread(self, function: Callable[[], A]) -> A:
        async def work() -> A:
            return function()

        return await in_thread(work)
