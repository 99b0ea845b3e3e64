"""Effects: what a node may cause, each on its path through journal, budget and record (SEMANTICS 1 to 4)."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import Any, Self, TypeVar, cast
from uuid import UUID

from outlay.agents.results import codec_of
from outlay.analysis.journal import Record
from outlay.errors import (
    ConfigError,
    DeadlineExceeded,
)
from outlay.events.records import (
    CallFinished,
    Elapsed,
    ToolFinished,
)
from outlay.protocols.context import RunContext
from outlay.protocols.effects import ToolEffect
from outlay.protocols.model import Model
from outlay.protocols.signature import call as call_function
from outlay.runtime.asking import HAPPENED, answer_to, approval_of, denial, doubt_about
from outlay.runtime.call import Call, request_hash
from outlay.runtime.difference import difference
from outlay.runtime.hedge import HedgedCall
from outlay.runtime.identity import current_scope, digest, segment
from outlay.runtime.journaled import known, outcome
from outlay.runtime.pending import Pending
from outlay.runtime.place import Place, block_deadline, visit
from outlay.runtime.race import STARTED_TOGETHER, Race
from outlay.runtime.shared_state import NodeActor
from outlay.runtime.threads import in_thread
from outlay.runtime.toolcall import happened, run_tool
from outlay.sharing.labels import label_of
from outlay.sharing.state import State
from outlay.values.label import Label, untrusted
from outlay.values.request import ModelRequest, ModelResponse

A = TypeVar("A")


class Effects(Place):
    """The part of a RunContext that acts: models, tools, time, chance, people, and what is shared."""

    __slots__ = ()

    @property
    def _whole(self) -> RunContext[Any]:
        """Itself as what it is: a node's context is always the whole of it."""
        return cast("RunContext[Any]", self)

    async def call_model(
        self,
        model: Model,
        request: ModelRequest,
        *,
        least_output_tokens: int | None = None,
        max_input_tokens: int | None = None,
        fallback: Sequence[Model] = (),
        purpose: str = "",
        hedge: float | None = None,
    ) -> ModelResponse:
        state = self._run
        if state.stages.policy is not None:
            state.stages.policy.allow("model", self.label, self.path)
        shortcut = state.stages.shortcut
        alone = not self._chain and self.deadline is None and max_input_tokens is None and hedge is None
        if shortcut is not None and alone:
            answer = shortcut.answer(state, model, request, fallback, self._jitter)
            if answer is not None:
                with state.parking.working():
                    return self._answered(model, await answer)
        # a tier is a child effect: its place has its name (SEMANTICS 1)
        key = self._identity(request_hash(model, request), f"{self._place}/{purpose}" if purpose else "")
        parts = (state, model, request, key, self._chain, self.deadline, self._finish, self._spare)
        call = Call(*parts) if hedge is None else HedgedCall(*parts, after=hedge)
        call.purpose = purpose or self._purpose or call.purpose
        with state.branches.here(), state.parking.working(), outcome(state, key, self.path):
            before = None
            if state.replay is not None:
                differs = partial(difference, state.recorder.store, model=model, request=request)
                before = await known(state, key, self.path, f"a call of {model.id}", differs)
            if before is not None:
                # an answer that a budget cut short was no answer: under a higher one it is asked for again
                short = before.was_cut_short(request.max_output_tokens) and not state.recorder.sealed
                if isinstance(before.event, CallFinished) and not short:
                    return self._answered(model, call.again(before.event))
                call.resend(before)
            if state.watching is not None:
                await state.watching.gate(self.path, self._final)
            answer = await call.answer(least_output_tokens, max_input_tokens, self._jitter, fallback)
            return self._answered(model, answer)

    def _answered(self, model: Model, response: ModelResponse) -> ModelResponse:
        self.versions[model.id] = response.model
        return response

    async def call_tool(self, effect: ToolEffect) -> Any:
        state = self._run
        if state.stages.policy is not None:
            state.stages.policy.allow(effect.tool, self.label, self.path)
        if state.closed is not None:
            raise state.closed
        if state.stages.stand_ins is not None:
            effect = state.stages.stand_ins.tool(self.node, effect)
        arguments = json.dumps(effect.arguments, sort_keys=True, default=str).encode(errors="surrogatepass")
        key = self._identity(digest(effect.tool.encode(), effect.version.encode(), arguments))
        if effect.requires_approval:
            await self._approve(effect, arguments)
        inner = self._for_tool(effect.tool, key)
        if not effect.leaf:  # its own effects are recorded
            value = await run_tool(state, effect, inner._whole, agent=self.node.name, key=key, deadline=self.deadline)
        else:
            value = await self._leaf(effect, inner, key)
        self.label = self.label.join(inner.label).join(untrusted(effect.tool))
        return value

    async def _leaf(self, effect: ToolEffect, inner: Effects, key: str) -> Any:
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
                        # a place of its own: what is recorded of the doubt is not what stood in place of the effect
                        # each attempt is a doubt of its own too: that it be done again was decided once, not for ever
                        begun = f"{key}?{before.attempts}"
                        asked = self._identity(digest(b"in_doubt", begun.encode()), f"{self._place}?{begun}")
                        decided = await doubt_about(state, asked, self.path, effect, lost=lost)
                        if decided.answer == HAPPENED:
                            return happened(state, effect, inner._whole, self.node.name, key, decided.result)
            if state.watching is not None:
                await state.watching.gate(inner.path, self._final)
            if effect.side_effect and not effect.requires_approval and state.past is not None and state.past.parent:
                await self._approve(effect, key.encode())  # it has changed the world once already
            return await run_tool(state, effect, inner._whole, agent=self.node.name, key=key, deadline=self.deadline)

    async def _approve(self, effect: ToolEffect, arguments: bytes) -> None:
        key = self._identity(digest(b"approval", effect.tool.encode(), arguments))
        await approval_of(self._run, key, self.path, effect)

    def _for_tool(self, tool: str, key: str) -> Self:
        """The context a tool gets: children it runs stand under its name."""
        inner = type(self)(self._run, self.node, self._repeat(f"{self.path}/{segment(tool)}"), self.input, self)
        inner._place = f"{self._place}/{tool}"
        inner.origin = self.origin
        inner._kin, inner._level = self._family, self._level
        inner._idempotency_key = digest(self._run.id_bytes, key.encode()).hex()
        inner._visit = visit(inner._place)
        inner.finished = self.finished
        return inner

    async def effect(
        self, name: str, function: Callable[..., A | Awaitable[A]], *args: Any, side_effect: bool = False
    ) -> A:
        async def invoke(inner: Any) -> Any:
            return await call_function(function, inner, *args)

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
        token = block_deadline.set(until if outer is None else min(until, outer))
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
            block_deadline.reset(token)

    async def _run_out(self, record: Record, limit: asyncio.Timeout) -> None:
        assert self._run.replay is not None
        await self._run.replay.turn(record)
        limit.reschedule(self._run.loop.time())

    def now(self) -> float:
        return float(self.drawn("now", self._run.wall))

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
        item = Pending("ask", self.path, question, tuple(options or ()), default=default)
        key = self._identity(digest(b"ask", question.encode(errors="surrogatepass"), json.dumps(options).encode()))
        decided = await answer_to(self._run, key, item, deadline)
        if decided.denied:
            raise PermissionError(denial(decided, f"did not answer {question[:200]!r}"))
        return decided.answer

    async def check(self, checker: Callable[..., Any], value: Any) -> str | None:
        stand_ins = self._run.stages.stand_ins
        if stand_ins is not None and not stand_ins.checks(self.node):
            return stand_ins.problem(self.node, checker)
        if getattr(checker, "blocking", False):

            async def work() -> Any:
                return await call_function(checker, self._whole, value)

            replay = self._run.replay
            computing = nullcontext() if replay is None else replay.computing()
            with self._run.branches.here(), self._run.parking.working(), computing:
                problem = await in_thread(work)
        else:
            problem = await call_function(checker, self._whole, value)
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
        actor = NodeActor(self._whole, self._run, identify=self._identity, join=self._met)
        return State.of_run(self._run.store, self._run.id, actor=actor)

    def _met(self, label: Label) -> None:
        self.label = self.label.join(label)

    async def artifact(self, text: str, *, name: str = "", source: str = "") -> str:
        known = digest(text.encode(errors="surrogatepass")).hex()
        put = await self.state.artifacts.put(f"results/{segment(name or 'text')}-{known[:16]}", text, source=source)
        return put.name
