"""The prompt cache in the path of a call: who waits for whom, what is planned, and what came of it.

Many calls that begin with one prefix would each pay for writing it, because it can be read only once an answer has
begun. So the first goes ahead and the others wait for its first token, where that is cheaper. What to mark is decided
when the request is about to be sent (policies/cache_plan.py), recorded, and no part of the call's identity.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from itertools import islice
from typing import Any, Final, cast

from outlay.events.records import CacheAlert, Decision
from outlay.policies.cache_plan import MOST_MARKS, Planned, Segment, nothing, plan_cache
from outlay.policies.prefix_change import first_change
from outlay.policies.reuse import Turns, further_turns
from outlay.protocols.caching import Caching, terms_of
from outlay.protocols.model import Model
from outlay.runtime.prefixes import MOST_MISSES, Prefix, Prefixes, Provider, Writer, chain, characters
from outlay.runtime.prefixes import prefixes as known_prefixes
from outlay.runtime.state import RunState
from outlay.values.caching import SECONDS, CachePlan, CacheTerms, Life, Mark
from outlay.values.estimate import CHARACTERS_PER_TOKEN
from outlay.values.price import Rates
from outlay.values.request import ModelRequest, ModelResponse, Prelude
from outlay.values.transcript import Transcript

#: Seconds that a call waits for another's first token; then it goes on and pays for itself.
PATIENCE: Final = 30.0
#: Seconds in which nobody waits for a prefix whose write failed.
_AFTER_FAILURE: Final = 10.0
#: Input tokens from which on a request says something of how many characters a token has.
_TELLING: Final = 1000
#: Prompts never seen before, one after another, until somebody is told.
_MOST_CHANGES: Final = 2
#: What is said once of requests that are too short.
_SHORT: Final = "short"
#: Links of a conversation that are looked at for an earlier request of it: the provider looks back 20 blocks.
_LOOK_BACK: Final = 24
#: So many calls of an agent that should have read, and did not, are told of while the run goes on.
_SILENT: Final = 5


def visit(run: RunState, model: Model, request: ModelRequest, key: str, bound: int) -> Visit | None:
    """This call's dealings with the prompt cache; None where its provider has none that we steer, and where `bound`,
    the most input tokens that the request can have, are too few to be cached."""
    terms = terms_of(model, request)
    if terms is None:
        return None
    if bound < terms.minimum:
        if (request.agent, _SHORT) not in run.cache_told:
            why = f"the input is at most {bound:,} tokens, the least that is cached is {terms.minimum:,}"
            _tell_nothing(run, request, model, key, _SHORT, why)
        return None
    price = run.directory.price(model)
    return Visit(run, model, terms, request, key, None if price is None else price.rates)


class Visit:
    """One call, from before its reservation to its answer."""

    __slots__ = (
        "_agent",
        "_change",
        "_key",
        "_known",
        "_links",
        "_loop",
        "_marked",
        "_model",
        "_parts",
        "_place",
        "_planned",
        "_provider",
        "_rates",
        "_request",
        "_run",
        "_shared",
        "_terms",
        "_writer",
    )

    def __init__(
        self, run: RunState, model: Model, terms: CacheTerms, request: ModelRequest, key: str, rates: Rates | None
    ) -> None:
        self._run, self._model, self._terms, self._request, self._key = run, model, terms, request, key
        self._rates = rates
        self._known: Prefixes = known_prefixes()
        self._loop = run.loop
        id = model.id
        self._agent = (request.agent, id)
        self._place = (cast("Caching", model).cache_place(), id)
        self._provider = self._known.providers.setdefault(self._place, Provider())
        #: The conversation and what it was before, as far back as is looked.
        self._links = list(islice(request.transcript.links(), _LOOK_BACK))
        #: The parts of the prelude: name, key of the prefix up to its end, tokens.
        self._parts = [
            (Mark("tools", 0, "5m") if i == 0 else Mark("system", i - 1, "5m"), self._prefix(digest), self._tokens(n))
            for i, (digest, n) in enumerate(chain(request.prelude))
        ]
        #: Prefixes that this request marks, with the life that it asks for.
        self._marked: list[tuple[Prefix, Life]] = []
        self._planned: Planned | None = None
        self._writer: Writer | None = None
        self._shared = self._worth_waiting_for()
        #: The prompt that this agent's own replaces, and how many of these changes came in a row.
        self._change: tuple[Prelude, int] | None = None
        self._arrive()

    async def turn(self, deadline: float | None) -> None:
        """Wait while another call writes the prefix that this one begins with; holds nothing meanwhile."""
        shared, known, now = self._shared, self._known, self._loop.time()
        if shared is None or self._writer is not None:
            return
        until = min(now + PATIENCE, deadline if deadline is not None else now + PATIENCE)
        while not known.is_warm(shared, now) and known.no_wait.get(shared, 0.0) <= now < until:
            writer = known.writers.get(shared)
            if writer is None or writer.done.get_loop() is not self._loop:
                self._writer = known.writers[shared] = Writer(self._loop.create_future())
                return
            await asyncio.wait((writer.done,), timeout=until - now)
            now = self._loop.time()

    def decide(self, request: ModelRequest) -> ModelRequest:
        """The request with its plan, made of what is known at this moment."""
        planned, marks = self._plan()
        self._planned = planned
        key = "" if self._terms.marks or request.cache == "off" else _cache_key(request)
        refused = not self._terms.marks and not planned.marks and self._writes_cost
        plan = CachePlan(tuple(marks) if self._terms.marks else (), key, refused)
        self._tell(planned, marks)
        self._tell_of_change()
        return replace(request, cache_plan=plan)

    def listening(self, on_text: Callable[[str], None] | None) -> Callable[[str], None] | None:
        """A listener that lets the others go at the first token; none is added where nobody could be waiting."""
        writer = self._writer
        if writer is None or self._planned is None or not self._planned.marks:
            self.leave()
            return on_text
        if on_text is None and self._known.starts(self._shared or (), self._loop.time(), "5m") < 2:
            return None  # alone so far: who comes later waits for the whole answer, at most

        def heard(text: str) -> None:
            self._begun()
            if on_text is not None:
                on_text(text)

        return heard

    def answered(self, response: ModelResponse, after: Transcript) -> None:
        """Learn from what the provider says that it read and wrote."""
        known, now, usage = self._known, self._loop.time(), response.usage
        goes_on = response.stop in ("tool", "pause")
        known.was_answered(self._agent, self._prefix(after.head), now, ended=not goes_on)
        if usage is None:
            return self.leave()
        estimate = self._estimate
        if estimate and usage.all_input_tokens >= _TELLING:
            self._provider.scale = min(max(usage.all_input_tokens / estimate, 0.25), 4.0)
        planned = self._planned
        if planned is not None and planned.marks:
            touched = usage.cache_read_tokens + usage.cache_write_tokens > 0 or not self._terms.marks
            for prefix, life in self._marked:
                if touched:
                    known.wrote(prefix, life, now)
                else:
                    known.written.pop(prefix, None)
            if not touched and self._shared is not None:  # shorter than it looked: not worth waiting for
                known.no_wait[self._shared] = now + SECONDS["5m"]
            if planned.warm:
                calls, read = self._run.cache_reads.get(self._agent, (0, 0))
                self._run.cache_reads[self._agent] = (calls + 1, read + usage.cache_read_tokens)
                if calls + 1 == _SILENT and not read + usage.cache_read_tokens:
                    _tell_of_silence(self._run, self._request.path, self._agent, calls + 1)
                self._provider.misses = 0 if usage.cache_read_tokens else self._provider.misses + 1
                self._provider.missed_at = now
        self.leave()

    def failed(self) -> None:
        if self._writer is not None and self._shared is not None:
            self._known.no_wait[self._shared] = self._loop.time() + _AFTER_FAILURE
        self.leave()

    def leave(self) -> None:
        """Let go of whoever waits."""
        writer, self._writer = self._writer, None
        if writer is not None and self._shared is not None:
            if self._known.writers.get(self._shared) is writer:
                del self._known.writers[self._shared]
            if not writer.done.done():
                writer.done.set_result(None)

    # ── what is known ─────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _writes_cost(self) -> bool:
        return self._rates is not None and self._rates.cache_write > self._rates.input

    @property
    def _estimate(self) -> float:
        """Input tokens, about, before any correction: that of now may be another than when this call began."""
        prelude = sum(length for _, length in chain(self._request.prelude))
        length = prelude + self._request.transcript.total("characters", characters)
        return length / CHARACTERS_PER_TOKEN

    def _tokens(self, length: int) -> int:
        return int(length / CHARACTERS_PER_TOKEN * self._provider.scale)

    def _prefix(self, digest: bytes) -> Prefix:
        return *self._place, digest

    def _worth_waiting_for(self) -> Prefix | None:
        """The prefix that other conversations share with this one, where it is long enough to be cached."""
        if self._request.cache == "off" or self._rates is None or self._rates.cache_read >= self._rates.input:
            return None
        if not self._terms.marks and self._writes_cost:
            return None  # written at the last message only, which nobody shares
        length = sum(tokens for _, _, tokens in self._parts)
        return self._parts[-1][1] if length >= self._terms.minimum else None

    def _arrive(self) -> None:
        now, known = self._loop.time(), self._known
        answered, place = known.answered, self._place
        for link in self._links:
            if (prefix := (*place, link.head)) in answered:
                known.goes_on(self._agent, prefix, now)
                return
        if not _turns_taken(self._request):
            if self._shared is not None:
                self._change = known.change(self._agent, self._request.prelude, self._shared, now)
            for _, prefix, _ in self._parts:
                known.begin(prefix, now)

    # ── the plan ──────────────────────────────────────────────────────────────────────────────────────────────

    def _plan(self) -> tuple[Planned, list[Mark]]:
        request, now = self._request, self._loop.time()
        rates = self._rates
        if rates is None:
            return nothing("the price of this model is unknown"), []
        if self._provider.misses >= MOST_MISSES and now - self._provider.missed_at < SECONDS["5m"]:
            return nothing(f"the last {MOST_MISSES} reads that were expected missed"), []
        places, segments = self._segments(now)
        mode = request.cache
        if mode == "auto" and not self._terms.marks and not self._writes_cost:
            mode = "5m"  # the provider caches by itself, and for nothing
        planned = plan_cache(segments, rates, self._terms.minimum, mode, self._terms.marks or MOST_MARKS)
        marks = [replace(places[i][0], life=life) for i, life in planned.marks]
        self._marked = [(places[i][1], life) for i, life in planned.marks]
        return planned, marks

    def _segments(self, now: float) -> tuple[list[tuple[Mark, Prefix]], list[Segment]]:
        """Where a breakpoint may stand, and what is expected of it."""
        known, request = self._known, self._request
        taken = _turns_taken(request)
        likely = bool(request.tools) or taken > 0
        turns = known.turns.get(self._agent, Turns())
        soon, hour = further_turns(turns, likely=likely, left=request.turns_left)
        places: list[tuple[Mark, Prefix]] = []
        segments: list[Segment] = []
        carried = 0

        def add(mark: Mark, prefix: Prefix, tokens: int, others: float = 0.0, others_hour: float = 0.0) -> None:
            warm = known.is_warm(prefix, now)
            places.append((mark, prefix))
            segments.append(Segment(mark.name, tokens, soon + others, hour + others_hour, warm))

        implicit = not self._terms.marks and self._writes_cost  # one mark, after the last message
        for mark, prefix, tokens in self._parts:
            carried += tokens
            if implicit or not tokens:
                continue
            self_too = not taken
            add(
                mark,
                prefix,
                carried,
                max(known.starts(prefix, now, "5m") - self_too, 0),
                max(known.starts(prefix, now, "1h") - self_too, 0),
            )
            carried = 0
        transcript = request.transcript
        before = 0
        place, rest = self._place, (request.settings.key, request.prelude.digest)
        for link in self._links[1:]:
            if (prefix := (*place, link.head, *rest)) in known.written and known.is_warm(prefix, now):
                before = link.total("characters", characters)
                add(Mark("message", link.length - 1, "5m"), prefix, carried + self._tokens(before))
                carried = 0
                break
        if transcript.last is not None and transcript.last.role != "assistant":
            length = transcript.total("characters", characters) - before
            tail = Mark("message", transcript.length - 1, "5m")
            add(tail, (*place, transcript.head, *rest), carried + self._tokens(length))
        return places, segments

    def _begun(self) -> None:
        """The first token: from now on the prefix can be read."""
        if self._writer is not None:
            now = self._loop.time()
            for prefix, life in self._marked:
                self._known.wrote(prefix, life, now)
            self.leave()

    def _tell(self, planned: Planned, marks: list[Mark]) -> None:
        """Record what was decided, and from what; "nothing, because …" once for each agent and reason."""
        run, request = self._run, self._request
        if not marks:
            return _tell_nothing(run, request, self._model, self._key, planned.why.partition(" ")[0], planned.why)
        named = [str(mark) for mark in marks] if self._terms.marks else ["automatic"]
        _decided(run, request, self._model, self._key, planned, named)

    def _tell_of_change(self) -> None:
        """Name the part of the prompt that broke the prefix, before anything is paid for it."""
        replaced, self._change = self._change, None
        if replaced is None:
            return
        run, request = self._run, self._request
        before, row = replaced
        if row > _MOST_CHANGES:
            return  # said already
        change = first_change(before, request.prelude)
        data = {"agent": request.agent, "model": self._model.id, "key": self._key, "change": str(change)}
        run.recorder.emit(Decision, request.path, about="prefix_changed", data=data)
        if row == _MOST_CHANGES:
            text = f"its prompt is another one with every call, so nothing can be read: {change}"
            _alert(run, request.path, agent=request.agent, model=self._model.id, text=text)


def _tell_nothing(run: RunState, request: ModelRequest, model: Model, key: str, reason: str, why: str) -> None:
    """Nothing is cached, because …: once for each agent and kind of reason."""
    told = (request.agent, reason)
    if told not in run.cache_told:
        run.cache_told.add(told)
        _decided(run, request, model, key, nothing(why), [])


def _decided(run: RunState, request: ModelRequest, model: Model, key: str, planned: Planned, marks: list[str]) -> None:
    data = {
        "agent": request.agent,
        "model": model.id,
        "key": key,
        "marks": marks,
        "expect_read": planned.warm,
        "expect_write": planned.writes,
        "why": planned.why,
    }
    run.recorder.emit(Decision, request.path, about="cache", data=data)


def tell_of_missed_reads(run: RunState, path: str) -> None:
    """Alert of each agent that read nothing over a run in which it should have, and was not told of before."""
    for agent, (calls, read) in run.cache_reads.items():
        if not read and calls < _SILENT:
            _tell_of_silence(run, path, agent, calls)


def _tell_of_silence(run: RunState, path: str, agent: tuple[str, str], calls: int) -> None:
    text = f"nothing was read, {calls:,} call{'s' if calls > 1 else ''} should have"
    _alert(run, path, agent=agent[0], model=agent[1], text=text, expected=calls)


def _alert(run: RunState, path: str, **facts: Any) -> None:
    if run.recorder.sealed:
        return
    run.recorder.emit(CacheAlert, path, **facts)
    event = run.recorder.events[-1]
    if run.warn is not None and isinstance(event, CacheAlert):
        run.warn(event)


def _turns_taken(request: ModelRequest) -> int:
    """Answers in the conversation so far."""
    return request.transcript.total("answers", lambda message: message.role == "assistant")


def _cache_key(request: ModelRequest) -> str:
    name = request.agent.encode(errors="surrogatepass") + request.prelude.digest
    return blake2b(name, digest_size=12).hexdigest()
