"""What a node shares with others: the actor on whose behalf shared things are read and written, each an effect."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from outlay.events.records import SharedDone
from outlay.protocols.context import RunContext
from outlay.runtime.identity import digest
from outlay.runtime.journaled import known, outcome
from outlay.runtime.state import RunState
from outlay.runtime.threads import in_thread
from outlay.sharing.actor import Work
from outlay.values.label import Label

A = TypeVar("A")


class NodeActor:
    """`sharing.Actor` for one node of a run.

    `effect` is the one place where shared reads and writes pass: they are recorded here, and given again on a resume.
    """

    __slots__ = ("_ctx", "_identify", "_join", "_run")

    def __init__(
        self,
        ctx: RunContext[Any],
        run: RunState,
        *,
        identify: Callable[[bytes], str],
        join: Callable[[Label], None],
    ) -> None:
        self._ctx = ctx
        self._run = run
        self._identify = identify
        self._join = join

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
        run, path = self._run, self._ctx.path
        if run.closed is not None:
            raise run.closed
        asked = json.dumps(arguments, sort_keys=True).encode()
        key = self._identify(digest(name.encode(), asked))
        with run.branches.here(), run.parking.working():
            if not self.keeps:
                if run.watching is not None:
                    run.watching.changed(path, key.split("-")[1])
                return await work("")
            with outcome(run, key, path):
                before = await known(run, key, path, name)
                if before is not None and isinstance(before.event, SharedDone):
                    stored = run.past_value(before.event)
                    assert stored is not None, "an answer always has JSON"
                    return json.loads(stored)
                answer = await work(f"{run.id}/{key}")
            value = run.recorder.keep_content(json.dumps(answer, ensure_ascii=False).encode())
            run.recorder.emit(SharedDone, path, key=key, what=name, name=_subject(arguments), value=value)
            return answer

    async def in_thread(self, function: Callable[[], A]) -> A:
        async def work() -> A:
            return function()

        return await in_thread(work)


def _subject(arguments: Mapping[str, Any]) -> str:
    """What a read or a write is about, for people who look at the events."""
    return next((str(arguments[name]) for name in ("key", "name", "prefix", "folder") if name in arguments), "")
