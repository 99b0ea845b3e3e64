"""Context: what a node sees of its run. One per running node; the only way from a node to an effect."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from types import CoroutineType
from typing import Any, cast

from outlay.agents.function import as_node, unawaited
from outlay.errors import (
    BudgetExceeded,
    ConfigError,
    DeadlineExceeded,
    InDoubt,
    JournalMismatch,
    OutlayError,
    Stopped,
    StoreFailed,
    WatchdogStopped,
    one_line,
)
from outlay.events.records import (
    NodeFinished,
    NodeStarted,
)
from outlay.protocols.context import GRACE_SECONDS
from outlay.protocols.node import Node
from outlay.runtime.call import deadline_exceeded
from outlay.runtime.effects import Effects
from outlay.runtime.flatten import flatten
from outlay.runtime.identity import Scope, current_scope, digest, segment
from outlay.runtime.journaled import drawn
from outlay.runtime.place import block_deadline, level_above, visit
from outlay.values.routed import Routed
from outlay.values.transcript import Transcript

#: An optional node is skipped from here on.
_SHORT_OF_MONEY = 80
_WHY_SKIPPED: dict[type[BaseException], str] = {
    BudgetExceeded: "optional, and the budget is used up",
    DeadlineExceeded: "optional, and its time is up",
}
_UNSET: Any = object()


class Context(Effects):
    """RunContext for one running node (protocols/context.py says what each member means): its children."""

    __slots__ = ()

    parent: Context | None

    def run(self, node: Any, input: Any, *, key: str | None = None) -> CoroutineType[Any, Any, Any]:
        return self.child(node, input, key=key)  # and not a coroutine around it: every layer is passed at every wake-up

    async def child(
        self,
        node: Any,
        input: Any,
        *,
        key: str | None = None,
        index: int | None = None,
        route: Routed | None = None,
        origin: Any = _UNSET,
        source: str = "",
        transcript: Transcript | None = None,
        tools: Sequence[Any] = (),
        finishing: bool = False,
        purpose: str = "",
    ) -> Any:
        child = self._born(node, input, key, index)
        child.source = source
        child._purpose = purpose or child._purpose
        if origin is not _UNSET:
            child.origin = origin
        if route is not None:
            child.routed = route
        if transcript is not None:
            child._transcript = transcript
        if tools:
            child._lent = tuple(tools)
        if finishing:
            child._finish, child._final = self._finish, child.path
        elif self.parent is not None and self._finish is not None and self._finish is self.parent._finish:
            child._finish = self._finish  # below a finishing child everything is the final step
        self.limit_shape(child)
        token = None if key is None else current_scope.set(self._keyed(child._place, key))
        self._family._running += 1
        try:
            return await (self._optional(child) if node.optional else child.live())
        finally:
            self._family._running -= 1
            if token is not None:
                current_scope.reset(token)

    def _born(self, node: Any, input: Any, key: str | None, index: int | None = None) -> Context:
        """The context of a child that is about to run. Raises what closed the run."""
        node = cast("Node[Any, Any]", node) if isinstance(node, Node) else as_node(node)
        if self._run.closed is not None:
            raise self._run.closed
        path = self._child_path(node, key, index)
        if self._run.changed:
            input = self._run.changed.get(path, input)
        if type(input) is CoroutineType:
            raise unawaited(node.name, "was given", input)
        child = Context(self._run, node, path, input, self)
        child._place = f"{self._place}/{node.name}"
        if node.budget is not None:
            child.add_budgets(node)
        return child

    def detach(self, node: Any, input: Any, *, key: str | None = None, grace: float = GRACE_SECONDS) -> None:
        if not 0 <= grace < float("inf"):
            raise ConfigError(f"detach: grace is in seconds, finite and not negative: {grace!r}")
        child = self._born(node, input, key)
        child._spare = True
        self.limit_shape(child)
        used = int(self.drawn("percent_used", lambda: child.left.percent_used))
        if used >= _SHORT_OF_MONEY:
            self._skipped(child, f"detached, and {used} % of the budget is used", None)
            return
        scope = None if key is None else self._keyed(child._place, key)
        self._family._running += 1  # from now on, not from its first turn of the loop: ten at once are ten
        record = self._identity(digest(b"detached", child.path.encode()))
        replay = self._run.replay
        before = replay is not None and replay.drawn(record)[0]
        late = partial(self._late, child, record, grace)
        self._run.beside.start(self._alone(child, scope, late if before else None), grace, late)

    def _late(self, child: Context, record: str, grace: float) -> None:
        """A detached child is cut off. That is recorded: a resumed run must not begin it again and wait once more."""
        if self._run.recorder.store is not None:
            drawn(self._run, record, child.path, "detached", lambda: "late")
        self._skipped(child, f"detached, and not done {grace:g} s after the answer", None)

    async def aside(self, node: Any, input: Any, *, key: str) -> Any:
        """Run a child that is no part of the flow, but asked by the runtime itself: nobody is asked for money for it,
        and what it gives is no partial result."""
        child = self._born(node, input, key)
        child._spare = True
        token = current_scope.set(self._keyed(child._place, key))
        try:
            return await child.live()
        finally:
            current_scope.reset(token)
            self.finished = [part for part in self.finished if part[0] != child.path]

    async def _alone(self, child: Context, scope: Scope | None, late: Callable[[], None] | None) -> None:
        """A child that nobody waits for: however it ends, the run goes on."""
        if scope is not None:
            current_scope.set(scope)
        block_deadline.set(None)  # it has left the block that it was started in
        try:
            if late is not None:  # an earlier leg of the run cut it off
                late()
                return
            async with asyncio.timeout_at(child._deadline):
                await child.live()
        except (Exception, SystemExit) as error:
            over = child._deadline is not None and self._run.loop.time() >= child._deadline
            self._skipped(child, "detached, and its time is up" if over else "detached, and it failed", error)
        finally:
            self._run.handled(child.path, 0)  # a stop that it caught itself is not the run's either
            self._family._running -= 1

    def _keyed(self, place: str, key: str) -> Scope:
        """The scope of a child with a key: it hangs on this node's run, whichever task asks (SEMANTICS 1)."""
        if self._keys is None:
            assert self._visit is not None
            scope, n = self._visit
            self._keys = Scope(digest(scope.id, b"node", self._place.encode(), n.to_bytes(4, "big")))
        return self._keys.keyed(place, key)

    async def _optional(self, child: Context) -> Any:
        """Run a child that is skipped where money runs short or it fails: then its input is passed on."""
        used = int(self.drawn("percent_used", lambda: child.left.percent_used))
        if used >= _SHORT_OF_MONEY:
            self._skipped(child, f"optional, and {used} % of the budget is used", None)
            return child.input
        before, replay = len(self._run.stops), self._run.replay
        late = self._identity(digest(b"optional", child.path.encode()))
        known, text = (False, "") if replay is None else replay.drawn(late)
        if known:  # an earlier leg of the run waited for it in vain: that time is gone, and is not given again
            self._skipped(child, _WHY_SKIPPED[DeadlineExceeded], DeadlineExceeded(str(text), path=child.path))
            return child.input
        try:
            return await child.live()
        except (WatchdogStopped, ConfigError, InDoubt, JournalMismatch, StoreFailed):
            raise
        except Exception as error:
            if isinstance(error, DeadlineExceeded):
                if self._is_late:  # not the child's own time: there is none left
                    raise
                drawn(self._run, late, child.path, "optional", partial(str, error.message))
            self._skipped(child, _WHY_SKIPPED.get(type(error), "optional, and it failed"), error)
            self._run.handled(child.path, before)
        return child.input

    @property
    def _is_late(self) -> bool:
        return self.deadline is not None and self._run.loop.time() >= self.deadline

    async def live(self) -> Any:
        """Run this context's node: events, deadline, watermark, and what it leaves for `.partial`."""
        state, node = self._run, self.node
        state.recorder.emit(NodeStarted, self.path, name=node.name, type=node.type)
        started = state.loop.time()
        outcome, error_text = "cancelled", ""
        self._visit = visit(self._place)
        level = level_above.set(self._level) if self._shaped else None
        try:
            try:
                with state.branches.here():
                    work = node.run(self, self.input)
                    output = await (work if self._deadline is None else self._bounded(work))
            except BaseExceptionGroup as group:
                raise flatten(group) from None  # a stop in a TaskGroup is a stop to whoever ran this node
            outcome = "completed"
        except Stopped as stop:
            outcome, error_text = "stopped", one_line(stop)
            stop.path = stop.path or self.path
            state.stopped(stop)
            if stop.best_path != self.path:
                stop.best = None
            raise
        except Exception as error:
            outcome, error_text = "failed", one_line(error)
            if isinstance(error, OutlayError) and not error.path:
                error.path = self.path
            raise
        finally:
            if level is not None:
                level_above.reset(level)
            state.recorder.emit(
                NodeFinished,
                self.path,
                name=node.name,
                outcome=outcome,
                seconds=state.loop.time() - started,
                error=error_text,
            )
            if outcome != "completed" and self.parent is not None:
                self.parent.finished.extend(self.finished)
            if self._finish is not None and (self.parent is None or self._finish is not self.parent._finish):
                state.budgets.ledger.put_back(self._finish)
        self._remember()
        if self.parent is not None:
            self.parent.finished.append((self.path, output))
            if gained := self._tool_results[self._inherited :]:
                self.parent._tool_results = (*self.parent._tool_results, *gained)
            self.parent.label = self.parent.label.join(self.label)
        return output

    async def _bounded(self, work: Awaitable[Any]) -> Any:
        own = self.parent is None or self._deadline != self.parent._deadline
        if self._deadline is None or not own:
            return await work
        try:
            async with asyncio.timeout_at(self._deadline):
                return await work
        except TimeoutError:
            if self._run.loop.time() < self._deadline:
                raise  # the node's own
            seconds = min((b.seconds for b in self.node.budgets if b.seconds is not None), default=None)
            stop = deadline_exceeded(self.path, seconds)
            raise (stop if self._if_stopped is None else stop.with_best(self._if_stopped(), self.path)) from None

    def _child_path(self, node: Node[Any, Any], key: str | None, index: int | None) -> str:
        name = segment(node.name)
        if index is not None:
            return f"{self.path}/{name}[{index}]"
        if key is not None:
            return f"{self.path}/{name}[{segment(key)}]"
        return self._repeat(f"{self.path}/{name}")
