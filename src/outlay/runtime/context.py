"""Context: what a node sees of its run. One per running node; the only way from a node to an effect."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, nullcontext
from contextvars import ContextVar
from types import CoroutineType
from typing import Any, TypeVar, cast
from uuid import UUID

from outlay.agents.function import as_node
from outlay.agents.results import codec_of
from outlay.agents.signature import call as call_function
from outlay.analysis.journal import Record
from outlay.errors import (
    BudgetExceeded,
    ConfigError,
    DeadlineExceeded,
    InDoubt,
    JournalMismatch,
    OutlayError,
    Stopped,
    StoreFailed,
    one_line,
)
from outlay.events.records import (
    Answered,
    Asked,
    CallFinished,
    Checked,
    Custom,
    Decision,
    Elapsed,
    Fact,
    NodeFinished,
    NodeStarted,
    Retracted,
    Skipped,
    ToolFinished,
)
from outlay.policies.ledger import Ask, Hold
from outlay.protocols.context import GRACE_SECONDS, BudgetView
from outlay.protocols.effects import ToolEffect
from outlay.protocols.model import Model
from outlay.protocols.node import Node
from outlay.runtime.budgets import Chain, Left, SeenLeft
from outlay.runtime.call import Call, call_key, deadline_exceeded, request_hash
from outlay.runtime.conversations import ROOT
from outlay.runtime.flatten import flatten
from outlay.runtime.flight import is_beside
from outlay.runtime.identity import Scope, current_scope, digest, item, segment
from outlay.runtime.journaled import drawn, known, outcome
from outlay.runtime.race import STARTED_TOGETHER, Race
from outlay.runtime.result import Pending, SkippedPart
from outlay.runtime.shared_state import NodeActor
from outlay.runtime.state import RunState
from outlay.runtime.threads import in_thread
from outlay.runtime.toolcall import run_tool
from outlay.sharing.labels import label_of
from outlay.sharing.state import State
from outlay.values.budget import Budget
from outlay.values.content import ToolResult
from outlay.values.label import TRUSTED, Label, untrusted
from outlay.values.price import Price
from outlay.values.request import ModelRequest, ModelResponse
from outlay.values.routed import Routed
from outlay.values.transcript import EMPTY, Transcript

A = TypeVar("A")

#: The effective deadline of a `with ctx.timeout(…)` block, in loop time.
_block_deadline: ContextVar[float | None] = ContextVar("outlay_deadline", default=None)
#: How many nodes stand above the running one where depth is limited: another node's context, kept in a closure, is no
#: way around it.
_level: ContextVar[int] = ContextVar("outlay_level", default=0)
#: An optional node is skipped from here on.
_SHORT_OF_MONEY = 80
#: What a final step may read and write where it does not say: the finishing reserve is sized by it.
_FINISH_INPUT_TOKENS = 8_000
_UNSET: Any = object()


class Context:
    """RunContext for one running node (protocols/context.py says what each member means)."""

    __slots__ = (
        "_began",
        "_chain",
        "_conversations",
        "_counts",
        "_deadline",
        "_finish",
        "_idempotency_key",
        "_if_stopped",
        "_inherited",
        "_keys",
        "_kin",
        "_lent",
        "_level",
        "_place",
        "_run",
        "_running",
        "_shaped",
        "_spare",
        "_tool_results",
        "_transcript",
        "_visit",
        "finished",
        "input",
        "label",
        "node",
        "origin",
        "parent",
        "path",
        "routed",
        "source",
    )

    def __init__(self, state: RunState, node: Node[Any, Any], path: str, input: Any, parent: Context | None) -> None:
        self._run = state
        self.node = node
        self.path = path
        self.input = input
        self.parent = parent
        self.source = "" if parent is None else parent.source
        self.finished: list[tuple[str, Any]] = []
        self._counts: dict[str, int] = {}
        self._conversations: dict[Node[Any, Any], Transcript] = {}
        #: What tools gave, below this node and in what finished before it; the first `_inherited` were there before.
        self._tool_results: Sequence[ToolResult] = () if parent is None else parent._tool_results
        self._inherited = len(self._tool_results)
        #: What the node's conversation was when it came to its first turn.
        self._began: Transcript | None = None
        self._idempotency_key = ""
        self._if_stopped: Callable[[], Any] | None = None
        self._running = 0
        #: Who counts the children running at once, if not this one: a tool's context counts them with its agent's.
        self._kin: Context | None = None
        self._lent: tuple[Any, ...] = ()
        self._finish: Hold | None = None
        #: The scope that this node began in, and how often it had run there; what its children's keys hang on.
        self._visit: tuple[Scope, int] | None = None
        self._keys: Scope | None = None
        #: This node, or one above it, can be skipped: nobody is asked for money for it.
        self._spare: bool = node.optional or (parent is not None and parent._spare)
        self._level: int = 0 if parent is None else parent._family._level + 1
        if parent is None:
            self._place = path
            self._chain: Chain = state.budgets.root
            self._deadline: float | None = None
            self._shaped = False
            self.origin: Any = input
            self.routed: Routed | None = None
            self.label: Label = TRUSTED
            self._transcript = EMPTY
        else:
            self._place = parent._place
            self._chain = parent._chain
            self._deadline = parent._deadline
            self._shaped = parent._shaped
            self.origin = parent.input
            self.routed = parent.routed
            self.label = parent.label
            self._transcript = EMPTY

    @property
    def _family(self) -> Context:
        return self if self._kin is None else self._kin  # no link to itself: contexts die without the collector

    # ── where am I ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def run_id(self) -> str:
        return self._run.id

    @property
    def deps(self) -> Any:
        return self._run.deps

    @property
    def route(self) -> Routed:
        if self.routed is None:
            raise ConfigError(f"{self.path}: ctx.route has a value below a Router only")
        return self.routed

    @property
    def last_finished(self) -> str:
        return self.finished[-1][0] if self.finished else ""

    @property
    def tool_results(self) -> tuple[ToolResult, ...]:
        return tuple(self._tool_results)

    @property
    def lent_tools(self) -> tuple[Any, ...]:
        return self._lent

    @property
    def idempotency_key(self) -> str:
        return self._idempotency_key

    @property
    def deadline(self) -> float | None:
        """In loop time: the earlier of this node's and the enclosing timeout block's."""
        block = _block_deadline.get()
        if block is None or self._deadline is None:
            return self._deadline if block is None else block
        return min(block, self._deadline)

    @property
    def left(self) -> Left:
        """What is left at this moment."""
        return Left(self._chain, self.deadline, self._run.loop.time)

    @property
    def budget(self) -> BudgetView:
        """What is left, as the flow sees it: a replay sees what the first run saw, or it could take another way."""
        return self.left if self._run.recorder.store is None else SeenLeft(self.left, self.drawn)

    @property
    def transcript(self) -> Transcript:
        if self._transcript is not EMPTY:
            return self._transcript
        state = self._run
        if not self._remembers:
            return EMPTY
        if state.conversations is None:
            return state.history
        self._met(state.conversations.label(self._memory))
        return state.conversations.before(self._memory)

    @property
    def _remembers(self) -> bool:
        return self.node is self._run.root or getattr(self.node, "history", False)

    @property
    def _memory(self) -> str:
        """Whose conversation of the session this node goes on with."""
        return ROOT if self.node is self._run.root else self._place

    def transcript_of(self, child: Node[Any, Any]) -> Transcript | None:
        return self._conversations.get(child)

    # ── children ──────────────────────────────────────────────────────────────────────────────────────────

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
    ) -> Any:
        child = self._born(node, input, key, index)
        child.source = source
        if origin is not _UNSET:
            child.origin = origin
        if route is not None:
            child.routed = route
        if transcript is not None:
            child._transcript = transcript
        if tools:
            child._lent = tuple(tools)
        if finishing:
            child._finish = self._finish
        elif self.parent is not None and self._finish is not None and self._finish is self.parent._finish:
            child._finish = self._finish  # below a finishing child everything is the final step
        self._limit_shape(child)
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
        child = Context(self._run, node, path, input, self)
        child._place = f"{self._place}/{node.name}"
        if node.budget is not None:
            child._add_budgets(node)
        return child

    def detach(self, node: Any, input: Any, *, key: str | None = None, grace: float = GRACE_SECONDS) -> None:
        if not 0 <= grace < float("inf"):
            raise ConfigError(f"detach: grace is in seconds, finite and not negative: {grace!r}")
        child = self._born(node, input, key)
        child._spare = True
        self._limit_shape(child)
        used = child.budget.percent_used
        if used >= _SHORT_OF_MONEY:
            self._skipped(child, f"detached, and {used} % of the budget is used", None)
            return
        scope = None if key is None else self._keyed(child._place, key)
        self._family._running += 1  # from now on, not from its first turn of the loop: ten at once are ten
        self._run.beside.start(self._alone(child, scope), grace, lambda reason: self._skipped(child, reason, None))

    async def _alone(self, child: Context, scope: Scope | None) -> None:
        """A child that nobody waits for: however it ends, the run goes on."""
        if scope is not None:
            current_scope.set(scope)
        _block_deadline.set(None)  # it has left the block that it was started in
        try:
            async with asyncio.timeout_at(child._deadline):
                await child.live()
        except (Exception, SystemExit) as error:
            late = child._deadline is not None and self._run.loop.time() >= child._deadline
            self._skipped(child, "detached, and its time is up" if late else "detached, and it failed", error)
            self._run.handled(child.path, 0)
        finally:
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
        before = len(self._run.stops)
        try:
            return await child.live()
        except (DeadlineExceeded, ConfigError, InDoubt, JournalMismatch, StoreFailed):
            raise
        except Exception as error:
            short = isinstance(error, BudgetExceeded)
            self._skipped(child, "optional, and the budget is used up" if short else "optional, and it failed", error)
            self._run.handled(child.path, before)
        return child.input

    async def live(self) -> Any:
        """Run this context's node: events, deadline, watermark, and what it leaves for `.partial`."""
        state, node = self._run, self.node
        state.recorder.emit(NodeStarted, self.path, name=node.name, type=node.type)
        started = state.loop.time()
        outcome, error_text = "cancelled", ""
        self._visit = _visit(self._place)
        level = _level.set(self._level) if self._shaped else None
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
                _level.reset(level)
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
        if state.conversations is not None and self._began is not None and self._remembers:
            state.conversations.add(self._memory, self._began, self._transcript)
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

    def _repeat(self, path: str) -> str:
        n = self._counts.get(path, 0) + 1
        self._counts[path] = n
        return path if n == 1 else f"{path}#{n}"

    def add_root_budgets(self, shared_deadline: float | None, active: float = 0.0) -> None:
        """The run's own time limits, and the root node's budgets. Runs of a map share one deadline, in loop time.
        `active` seconds of the run's own were used by earlier legs."""
        self._deadline = shared_deadline
        for account in self._run.budgets.root:
            if account.budget.seconds is not None and shared_deadline is None:
                self.add_deadline(account.budget.seconds - active)
        if self.node.budget is not None:
            self._add_budgets(self.node)
        self._shaped = any(_limits_shape(budget) for budget in self.shape_budgets())

    def add_deadline(self, seconds: float) -> None:
        deadline = self._run.loop.time() + seconds
        self._deadline = deadline if self._deadline is None else min(deadline, self._deadline)

    def _add_budgets(self, node: Node[Any, Any]) -> None:
        self._chain = (*self._chain, *self._run.budgets.of(node))
        for budget in node.budgets:
            if budget.seconds is not None:
                self.add_deadline(budget.seconds)
            self._shaped = self._shaped or _limits_shape(budget)

    def _limit_shape(self, child: Context) -> None:
        """Depth and fan-out, refused before the child exists. One loop, no await: atomic across the tree."""
        if not self._shaped:
            return
        child._level = max(self._level, _level.get()) + 1
        ancestor: Context | None = self._family
        running = self._family._running
        while ancestor is not None:
            above = child._level - ancestor._level
            for budget in ancestor.shape_budgets():
                if budget.depth is not None and above > budget.depth:
                    raise self._run.stopped(_shape_error("depth", budget, above, ancestor, child))
                if budget.fan_out is not None and running >= budget.fan_out:
                    raise self._run.stopped(_shape_error("fan_out", budget, running + 1, ancestor, child))
            ancestor = None if ancestor.parent is None else ancestor.parent._family

    def shape_budgets(self) -> Sequence[Budget]:
        """The budgets held by this node; the run's own stand at the root."""
        if self.parent is None:
            return (*(account.budget for account in self._run.budgets.root), *self.node.budgets)
        return self.node.budgets

    # ── effects ───────────────────────────────────────────────────────────────────────────────────────────

    def _identity(self, what: bytes) -> str:
        scope = current_scope.get()
        assert scope is not None, "an effect outside its run"
        return call_key(self._place, scope.id, what, scope.occurrence((self._place, what)))

    def model(self, agent: str, choice: str | Model, offline: Any = None) -> Model:
        return self._run.directory.model(agent, choice, offline)

    def price(self, model: Model) -> Price | None:
        return self._run.directory.price(model)

    async def call_model(
        self,
        model: Model,
        request: ModelRequest,
        *,
        least_output_tokens: int | None = None,
        max_input_tokens: int | None = None,
    ) -> ModelResponse:
        state = self._run
        if state.stages.policy is not None:
            state.stages.policy.allow("model", self.label, self.path)
        key = self._identity(request_hash(model, request))
        call = Call(state, model, request, key, self._chain, self.deadline, self._finish, self._spare)
        with state.branches.here(), state.parking.working(), outcome(state, key, self.path):
            if state.replay is not None and (before := await known(state, key, self.path, f"a call of {model.id}")):
                if isinstance(before.event, CallFinished):
                    return call.again(before.event)
                call.resend(before)
            return await call.answer(least_output_tokens, max_input_tokens, self._jitter)

    async def call_tool(self, effect: ToolEffect) -> Any:
        state = self._run
        if state.stages.policy is not None:
            state.stages.policy.allow(effect.tool, self.label, self.path)
        if state.closed is not None:
            raise state.closed
        arguments = json.dumps(effect.arguments, sort_keys=True, default=str).encode(errors="surrogatepass")
        key = self._identity(digest(effect.tool.encode(), effect.version.encode(), arguments))
        if effect.requires_approval:
            await self._approve(effect, arguments)
        inner = self._for_tool(effect.tool, key)
        if not effect.leaf:  # its own effects are recorded
            value = await run_tool(state, effect, inner, agent=self.node.name, key=key, deadline=self.deadline)
        else:
            value = await self._leaf(effect, inner, key)
        self.label = self.label.join(inner.label).join(untrusted(effect.tool))
        return value

    async def _leaf(self, effect: ToolEffect, inner: Context, key: str) -> Any:
        """A tool's result: the recorded one, or that of running it now."""
        state = self._run
        with outcome(state, key, inner.path):
            if state.replay is not None:
                with state.branches.here(), state.parking.working():
                    before = await known(state, key, inner.path, effect.tool)
                if before is not None:
                    if (
                        isinstance(before.event, ToolFinished)
                        and (stored := state.past_value(before.event)) is not None
                    ):
                        inner._met(label_of(before.event.label))
                        return stored if effect.decode is None else effect.decode(stored)
                    lost = before.outcome == "finished"
                    if lost or (before.in_doubt and not effect.idempotent):
                        await self._decide_doubt(effect, key, lost=lost)
            if effect.side_effect and not effect.requires_approval and state.past is not None and state.past.parent:
                await self._approve(effect, key.encode())  # it has changed the world once already
            return await run_tool(state, effect, inner, agent=self.node.name, key=key, deadline=self.deadline)

    async def _decide_doubt(self, effect: ToolEffect, key: str, *, lost: bool) -> None:
        """Nobody but a human knows whether to run this again. Returns where it is to be; raises InDoubt else."""
        what = (
            f"{effect.tool} has run, and its result has no JSON to keep it in"
            if lost
            else f"{effect.tool} was under way when the run broke off, and may have happened"
        )
        item = Pending("in_doubt", self.path, f"{what}. Run it again?", ("again", "give up"))
        if await self._ask(item, None, None) != "again":
            raise InDoubt(
                f"{what}; it was given up",
                path=self.path,
                hint="see what it did where it did it, and start a new run if need be",
            )

    async def _approve(self, effect: ToolEffect, arguments: bytes) -> None:
        shown = arguments.decode(errors="replace")[:500]
        question = Pending("approval", self.path, f"Allow {effect.tool}({shown})?", ("approve", "deny"))
        answer = await self._ask(question, None, None)
        if answer != "approve":
            raise PermissionError(f"a human denied the call of {effect.tool}")

    def _for_tool(self, tool: str, key: str) -> Context:
        """The context a tool gets: children it runs stand under its name."""
        inner = Context(self._run, self.node, self._repeat(f"{self.path}/{segment(tool)}"), self.input, self)
        inner._place = f"{self._place}/{tool}"
        inner.origin = self.origin
        inner._kin, inner._level = self._family, self._level
        inner._idempotency_key = digest(self._run.id_bytes, key.encode()).hex()
        inner._visit = _visit(inner._place)
        inner.finished = self.finished
        return inner

    async def effect(
        self, name: str, function: Callable[..., A | Awaitable[A]], *args: Any, side_effect: bool = False
    ) -> A:
        async def invoke(_: Any) -> Any:
            result = function(*args)
            return await result if inspect.isawaitable(result) else result

        call_of = getattr(function, "__call__", None)  # noqa: B004 - an object may be called asynchronously
        sync = not (inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call_of))
        encode, decode = codec_of(function)
        return await self.call_tool(
            ToolEffect(
                name,
                {"args": list(args)},
                invoke,
                in_thread=sync,
                side_effect=side_effect,
                idempotent=not side_effect,
                encode=encode,
                decode=decode,
            )
        )

    async def gather(self, *awaitables: Awaitable[A]) -> list[A]:
        if len(awaitables) == 1:
            return [await awaitables[0]]
        tasks: list[asyncio.Future[A]] = []
        try:
            for one in awaitables:
                tasks.append(asyncio.ensure_future(one))
                if len(tasks) % STARTED_TOGETHER == 0:
                    await asyncio.sleep(0)
            return list(await asyncio.gather(*tasks))
        except BaseException:
            for one in awaitables[len(tasks) :]:
                if inspect.iscoroutine(one):
                    one.close()  # it never began
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    def race(self, awaitables: Iterable[Awaitable[A]]) -> Race[A]:
        return Race(awaitables)

    async def sleep(self, seconds: float) -> None:
        state = self._run
        key = self._identity(digest(b"sleep", repr(seconds).encode()))
        with state.branches.here(), state.parking.working(), outcome(state, key, self.path):
            before = await known(state, key, self.path, f"a sleep of {seconds:g} s")
            if before is not None and before.outcome == "finished":
                return
            await asyncio.sleep(seconds)
            self._elapsed(key, "sleep")

    def _elapsed(self, key: str, what: str) -> None:
        if self._run.recorder.store is not None:
            self._run.recorder.emit(Elapsed, self.path, key=key, what=what)

    @asynccontextmanager
    async def timeout(self, seconds: float) -> AsyncGenerator[None]:
        until = self._run.loop.time() + seconds
        outer = self.deadline
        token = _block_deadline.set(until if outer is None else min(until, outer))
        before = len(self._run.stops)
        key = self._identity(digest(b"timeout", repr(seconds).encode()))
        elapsed: asyncio.Task[None] | None = None
        try:
            async with asyncio.timeout_at(until) as limit:
                if self._run.replay is not None and (record := self._run.replay.claim(key)) is not None:
                    # it ran out in the first run: it does so again, in its turn and not after `seconds`
                    elapsed = asyncio.create_task(self._run_out(record, limit))
                yield
        except (TimeoutError, DeadlineExceeded) as error:
            now = self._run.loop.time()
            if (now < until and elapsed is None) or (outer is not None and now >= outer):
                raise
            self._run.handled(self.path, before)  # the block's own deadline is the caller's business, not the run's
            if elapsed is None:
                self._elapsed(key, "timeout")
            raise TimeoutError(f"{self.path}: not done within {seconds:g} s") from error
        finally:
            if elapsed is not None:
                elapsed.cancel()
            _block_deadline.reset(token)

    async def _run_out(self, record: Record, limit: asyncio.Timeout) -> None:
        assert self._run.replay is not None
        await self._run.replay.turn(record)
        limit.reschedule(self._run.loop.time())

    def now(self) -> float:
        return float(self.drawn("now", self._run.wall))

    def drawn(self, what: str, draw: Callable[[], Any]) -> Any:
        if self._run.recorder.store is None:
            return draw()
        return drawn(self._run, self._identity(digest(b"drawn", what.encode())), self.path, what, draw)

    def random(self) -> float:
        return int.from_bytes(self._draw(b"random")[:8], "big") / 2**64

    def _jitter(self) -> float:
        """A stream of its own: a retry must not shift what user code draws, or a resumed run would differ."""
        return int.from_bytes(self._draw(b"jitter")[:8], "big") / 2**64

    def uuid(self) -> str:
        return str(UUID(bytes=self._draw(b"uuid"), version=4))

    def _draw(self, what: bytes) -> bytes:
        scope = current_scope.get()
        assert scope is not None
        return digest(self._run.seed, scope.id, what, scope.occurrence(what).to_bytes(4, "big"))

    async def ask(
        self,
        question: str,
        *,
        options: Sequence[str] | None = None,
        default: str | None = None,
        deadline: float | None = None,
    ) -> str:
        return await self._ask(Pending("ask", self.path, question, tuple(options or ())), default, deadline)

    async def _ask(self, item: Pending, default: str | None, deadline: float | None) -> str:
        state = self._run
        if state.on_ask is None and is_beside.get():
            raise ConfigError(
                f"{self.path}: nobody waits for a detached node, so it cannot wait for a human",
                hint="give run(…, on_ask=) a function that answers, or ask outside",
            )
        key = self._identity(digest(b"ask", item.kind.encode(), item.question.encode(errors="surrogatepass")))
        if state.recorder.store is None:
            return await self._answer(item, default, deadline)
        with outcome(state, key, self.path):
            if state.replay is not None:
                with state.branches.here(), state.parking.working():
                    before = await known(state, key, self.path, "a question")
                if before is not None and isinstance(before.event, Answered):
                    return before.event.answer
            id = digest(state.id_bytes, key.encode()).hex()[:12]
            state.recorder.emit(
                Asked, self.path, key=key, id=id, about=item.kind, question=item.question, options=item.options
            )
            answer = await self._answer(item, default, deadline)
            state.recorder.emit(Answered, self.path, key=key, id=id, answer=answer, by="on_ask")
            return answer

    async def _answer(self, item: Pending, default: str | None, deadline: float | None) -> str:
        state = self._run
        if state.on_ask is None:
            with state.branches.here():
                return await state.parking.wait(item)
        try:
            with state.branches.here(), state.parking.working():
                async with asyncio.timeout(deadline):
                    answer = state.on_ask(item)
                    answer = await answer if inspect.isawaitable(answer) else answer
        except TimeoutError:
            if default is None:
                raise
            return default
        if item.options and answer not in item.options:
            raise ConfigError(f"on_ask answered {answer!r}, which is not one of {', '.join(item.options)}")
        return str(answer)

    # ── facts ─────────────────────────────────────────────────────────────────────────────────────────────

    async def check(self, checker: Callable[..., Any], value: Any) -> str | None:
        if getattr(checker, "blocking", False):

            async def work() -> Any:
                return await call_function(checker, self, value)

            replay = self._run.replay
            computing = nullcontext() if replay is None else replay.computing()
            with self._run.branches.here(), self._run.parking.working(), computing:
                problem = await in_thread(work)
        else:
            problem = await call_function(checker, self, value)
        if problem is None or isinstance(problem, str):
            return problem
        name = getattr(checker, "name", "") or getattr(checker, "__name__", "") or type(checker).__name__
        raise ConfigError(
            f"the checker {name} gave {type(problem).__name__}, neither None nor text",
            path=self.path,
            hint="return None where the value is good, and a string that says what is wrong where it is not",
        )

    @property
    def state(self) -> State:
        actor = NodeActor(self, self._run, identify=self._identity, join=self._met, jitter=self._jitter)
        return State.of_run(self._run.store, self._run.id, actor=actor)

    def _met(self, label: Label) -> None:
        self.label = self.label.join(label)

    async def artifact(self, text: str, *, name: str = "", source: str = "") -> str:
        known = digest(text.encode(errors="surrogatepass")).hex()
        put = await self.state.artifacts.put(f"results/{segment(name or 'text')}-{known[:16]}", text, source=source)
        return put.name

    def emit(self, name: str, **data: Any) -> None:
        self._run.recorder.emit(Custom, self.path, name=name, data=data)

    def report(self, **facts: Any) -> None:
        self._run.recorder.emit(Fact, self.path, data=facts)

    def decide(self, about: str, **data: Any) -> None:
        self._run.recorder.emit(Decision, self.path, about=about, data=data)

    def checked(self, checks: Sequence[str], problem: str = "") -> None:
        self._run.recorder.emit(Checked, self.path, agent=self.node.name, checks=tuple(checks), problem=problem)

    def retract(self, reason: str) -> None:
        if self._run.recorder.streaming:
            self._run.recorder.emit(Retracted, self.path, reason=reason)

    def skip(self, name: str, reason: str, error: BaseException | None = None) -> None:
        self._note_skip(f"{self.path}/{item(name)}", reason, error)

    def _skipped(self, child: Context, reason: str, error: BaseException | None) -> None:
        self._note_skip(child.path, reason, error)

    def _note_skip(self, path: str, reason: str, error: BaseException | None) -> None:
        self._run.skipped.append(SkippedPart(path, reason, error))
        self._run.recorder.emit(Skipped, path, reason=reason, error="" if error is None else one_line(error))

    def keep(self, transcript: Transcript, tool_results: Sequence[ToolResult] = ()) -> None:
        if self._began is None:
            self._began = self.transcript
        self._transcript = transcript
        self._tool_results, self._inherited = tool_results, 0
        if self.parent is not None:
            self.parent._conversations[self.node] = transcript
        if self._remembers:
            self._run.transcript = transcript

    def if_stopped(self, answer: Callable[[], Any]) -> None:
        self._if_stopped = answer

    def reserve_finish(self, node: Node[Any, Any]) -> None:
        """Agents declare what they may cost; any other final step costs nothing by itself."""
        model_choice = getattr(node, "model", None)
        if model_choice is None or not self._chain:
            return
        model = self.model(node.name, model_choice, getattr(node, "offline", None))
        cap: int = getattr(node, "max_output_tokens", 0)
        input_tokens: int = getattr(node, "max_input_tokens", None) or _FINISH_INPUT_TOKENS
        ask = Ask(self._run.directory.price(model), input_tokens, cap)
        self._finish = self._run.budgets.set_aside(self._chain, ask)
        self.decide("finishing_reserve", agent=node.name, reserved=str(self._finish.usd))


def _visit(place: str) -> tuple[Scope, int]:
    scope = current_scope.get()
    assert scope is not None, "a node outside its run"
    return scope, scope.occurrence(b"visit " + place.encode(errors="surrogatepass"))


def _limits_shape(budget: Budget) -> bool:
    return budget.depth is not None or budget.fan_out is not None


def _shape_error(resource: str, budget: Budget, needed: int, holder: Context, child: Context) -> BudgetExceeded:
    limit: int = getattr(budget, resource)
    what = (
        f"{child.path} would be {needed} nodes below {holder.path}"
        if resource == "depth"
        else f"{child.path} would be child number {needed} running at once"
    )
    return BudgetExceeded(
        f"{what}; the budget allows {resource}={limit}",
        resource=resource,
        scope=holder.node.name,
        limit=limit,
        spent=needed - 1,
        needed=needed,
        path=child.path,
        hint=f"raise {resource}= of the budget, or flatten the flow",
        on_exhausted=budget.on_exhausted,
    )
