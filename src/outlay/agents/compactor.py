"""One agent's conversation as its model is sent it: shortened where that pays, the whole of it kept beside.

The whole conversation is what calls are known by in the journal; what is sent is a decision of the moment, recorded
with its inputs (SEMANTICS 1). So a resumed run finds what it has paid for, whatever its compaction would do by now.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

from outlay.agents.checkpoint import Checkpoint, asked, found_in, read
from outlay.agents.compaction import Compaction
from outlay.agents.gauge import Gauge, characters
from outlay.agents.native_clearing import NativeClearing
from outlay.errors import ModelError
from outlay.events.records import COMPACTION
from outlay.policies.compaction import Choice, Way, choose, expected_turns
from outlay.policies.shortening import cleared, cut_of, replaced
from outlay.protocols.context import RunContext
from outlay.protocols.model import Model
from outlay.protocols.window import window_of
from outlay.values.content import Part, Text
from outlay.values.message import Message
from outlay.values.request import ModelRequest, ModelResponse, Prelude
from outlay.values.transcript import Transcript

CLEAR, SUMMARISE = "clear", "summarise"
#: About what the request for a summary says, in tokens.
_ASKING: Final = 400
#: After a summary that was refused or could not be had, the conversation grows by so much before the next is tried.
_PATIENCE: Final = 1.25


@dataclass(slots=True)
class Compactor:
    """What becomes of one conversation. `question` is the task, which stays word for word; `most` the input tokens
    that the agent allows. `open_ended`: it may go on in later runs, so that `max_turns` does not end it."""

    compaction: Compaction
    ctx: RunContext[Any]
    model: Model
    summariser: Model
    question: Message
    most: int | None = None
    open_ended: bool = False
    gauge: Gauge = field(default_factory=Gauge)
    #: The whole conversation up to some point, and what is sent of it; None where that is the same.
    _whole: Transcript | None = None
    _view: Transcript | None = None
    #: Answers in the conversation when each way was last taken.
    _done_at: dict[str, int] = field(default_factory=dict[str, int])
    #: Tokens that a summary takes: at first the most that it may.
    _summary: int = 0
    #: Characters of the conversation when a summary was last asked for in vain.
    _in_vain: int = 0
    _told: bool = False
    _native: NativeClearing = field(init=False)

    def __post_init__(self) -> None:
        self._native = NativeClearing(self.compaction.native)

    def kept(self, whole: Transcript) -> Transcript:
        """What the conversation goes on with in another run: what the model has read of it."""
        return self._native.read(self._sent(whole))

    def _sent(self, whole: Transcript) -> Transcript:
        """What is sent of a conversation that goes on from the one seen last."""
        if self._whole is None or self._view is None:
            return whole
        new: list[Message] = []
        link = whole
        while link is not self._whole and link.parent is not None and link.message is not None:
            new.append(link.message)
            link = link.parent
        self._whole, self._view = whole, self._view.append(*reversed(new))
        return self._view

    async def shortened(self, request: ModelRequest, *, refused: bool = False) -> ModelRequest:
        """The request as it is to be sent; `refused`: the provider said that it is too long. Raises Stopped where the
        run ends meanwhile."""
        view = self._sent(request.transcript)
        self.gauge.measure(request.prelude)
        for _ in (CLEAR, SUMMARISE):  # at most one after the other, where the window is full
            choice = self._choose(request, view, full=refused)
            if choice is None or not choice.way:
                break
            before = self._native.read(view)
            done = self._clear(request, view) if choice.way == CLEAR else await self._summarise(request, view, choice)
            if done is None:
                break
            view = done
            self._done(request, choice, before, view)
        edit = self._native.edit(view)
        if view is request.transcript and edit is None:
            return request
        return replace(request, transcript=view, whole=request.transcript.head, edit=edit)

    def answered(self, request: ModelRequest, response: ModelResponse) -> None:
        """Learn from what the provider counted."""
        if response.usage is not None:
            self.gauge.learn(self._native.read(request.transcript), response.usage)

    # ── what to do ────────────────────────────────────────────────────────────────────────────────────────────

    def _choose(self, request: ModelRequest, view: Transcript, *, full: bool) -> Choice | None:
        ways = self._ways(request, view)
        if full:  # whoever would summarise it would be refused, too
            ways = [way for way in ways if way.name == CLEAR]
        if not ways:
            return None
        price = self.ctx.price(self.model)
        size = self.gauge.size(self._native.read(view))
        taken = request.transcript.total("answers", _is_answer)
        left = None if self.open_ended else request.turns_left + 1
        outlook = self.gauge.outlook(price, size, expected_turns(taken, left, self.compaction.expected_turns))
        limit = size if full else self._limit(request)
        if price is None and not self._told:
            self._told = True
            counts = "only the context window counts" if limit is not None else "and so is its context window"
            why = f"the price of {self.model.id} is unknown, {counts}"
            self.ctx.decide(COMPACTION, agent=request.agent, way="", outcome="price unknown", why=why)
        # recorded: a resumed run shortens where the first one did, whatever prices and windows are by then
        chosen = self.ctx.drawn(COMPACTION, lambda: asdict(choose(ways, outlook, size, limit)))
        return Choice(**chosen)

    def _ways(self, request: ModelRequest, sent: Transcript) -> list[Way]:
        compaction, gauge, view = self.compaction, self.gauge, self._native.read(sent)
        taken = view.total("answers", _is_answer)
        ways: list[Way] = []
        if compaction.clear and (without := cleared(view, compaction.keep_turns, compaction.keep_tools)) is not view:
            first = view.first_difference(without) or 0
            shorter = gauge.tokens(characters(view) - characters(without))
            behind = gauge.tokens(sum(len(message.canonical) for message in without.messages[first:]))
            ways.append(Way(CLEAR, shorter, 0, behind, grown=shorter / self._waited(CLEAR, taken)))
        cut = cut_of(view, compaction.keep_turns) if compaction.summarise else None
        if cut is not None and characters(view) >= _PATIENCE * self._in_vain:
            behind = gauge.tokens(sum(len(message.canonical) for message in view.messages[cut:]))
            removed = gauge.tokens(characters(view)) - behind
            task = 0 if self._in_tail(view, cut) else gauge.tokens(len(self.question.canonical))
            added = (self._summary or compaction.max_summary_tokens) + task
            grown = max(removed - added, 0) / self._waited(SUMMARISE, taken)
            ways.append(Way(SUMMARISE, removed, added, behind, self._call_costs(request, view), grown))
        return ways

    def _waited(self, way: str, taken: int) -> int:
        """Turns since this was last done."""
        return max(1, taken - self._done_at.get(way, 0))

    def _call_costs(self, request: ModelRequest, view: Transcript) -> float:
        """What a summary is expected to cost, in US dollars; 0 where that is unknown and nothing is decided by it."""
        price = self.ctx.price(self.summariser)
        if price is None:
            return 0.0
        same = self.summariser.id == self.model.id and request.prelude.output is None
        output = self._summary or self.compaction.max_summary_tokens
        return self.gauge.call_costs(price, view, _ASKING, output, same_prefix=same)

    def _limit(self, request: ModelRequest) -> int | None:
        """The most input tokens that a request may hold, as far as that is known."""
        window = self.compaction.window or window_of(self.model)
        room = None if window is None else max(window - self._most_output(request), 1)
        return min((limit for limit in (room, self.most) if limit is not None), default=None)

    def _most_output(self, request: ModelRequest) -> int:
        """The cap of a summary's call: as much as the agent's own answers, which may have to think."""
        return max(self.compaction.max_summary_tokens, request.max_output_tokens)

    # ── doing it ──────────────────────────────────────────────────────────────────────────────────────────────

    def _clear(self, request: ModelRequest, view: Transcript) -> Transcript:
        """Here, or by the provider: then all is sent as it was."""
        if self._native.takes(self.model, request, view, self.compaction.keep_turns):
            return view
        return cleared(view, self.compaction.keep_turns, self.compaction.keep_tools)

    async def _summarise(self, request: ModelRequest, view: Transcript, choice: Choice) -> Transcript | None:
        """The conversation with a checkpoint in the place of its earlier part; None where it stays as it is."""
        asking = self._asking(request, view)
        if not self._affordable(asking):
            return self._refused(request, choice, view, "skipped", "the budget has no room for the summary")
        try:
            response = await self.ctx.call_model(
                self.summariser, asking, least_output_tokens=asking.max_output_tokens, purpose=COMPACTION
            )
        except ModelError as error:
            return self._refused(request, choice, view, "failed", f"{type(error).__name__}: {error.message}")
        cut = cut_of(view, self.compaction.keep_turns)
        assert cut is not None, "it was there when the way was offered"
        covered = view.messages[:cut]
        try:
            if response.stop != "end":
                raise ValueError("it called a tool" if response.stop == "tool" else f"it ended with {response.stop}")
            checkpoint = read(response.message.text, self.compaction.survivors, covered, found_in(covered))
        except ValueError as error:
            return self._refused(request, choice, view, "refused", str(error))
        self._summary = self.gauge.tokens(len(checkpoint.text))
        done = replaced(view, cut, self._opening(view, cut, checkpoint))
        if characters(done) >= characters(self._native.read(view)):
            what = f"{len(checkpoint.text):,} characters are longer than what they replace"
            return self._refused(request, choice, view, "refused", what)
        self._native.uses = 0
        return done

    def _asking(self, request: ModelRequest, view: Transcript) -> ModelRequest:
        """The request for a summary: the same prefix as the agent's own, so that it is read from the cache."""
        prelude = request.prelude
        if prelude.output is not None:
            prelude = Prelude(prelude.system, prelude.tools)
        settings = request.settings
        if settings.tool_choice not in (None, "auto", "none"):
            settings = replace(settings, tool_choice=None)
        words = asked(self.compaction.survivors, self.compaction.max_summary_tokens)
        return replace(
            request,
            prelude=prelude,
            settings=settings,
            transcript=view.append(Message("user", (Text(words),), self.ctx.label)),
            whole=request.transcript.head,
            edit=self._native.edit(view),
            max_output_tokens=self._most_output(request),
            output_type=str,
            turns_left=0,
            reuse=None,
        )

    def _affordable(self, asking: ModelRequest) -> bool:
        """A summary is no reason to end a run: it is not begun where the budget might not hold it."""
        left, price = self.ctx.budget, self.ctx.price(self.summariser)
        bound = self.summariser.bound(asking)
        usd, tokens, calls = left.usd_left, left.tokens_left, left.calls_left
        worst = None if price is None else price.worst(bound, asking.max_output_tokens)
        return (
            (usd is None or worst is None or worst <= usd)
            and (tokens is None or bound + asking.max_output_tokens <= tokens)
            and (calls is None or calls > 1)
        )

    def _opening(self, view: Transcript, cut: int, checkpoint: Checkpoint) -> Message:
        """The first message of what is left: the task, where it would be gone, and the checkpoint."""
        task: tuple[Part, ...] = () if self._in_tail(view, cut) else self.question.parts
        return Message("user", (*task, Text(checkpoint.text)), self.question.label)

    def _in_tail(self, view: Transcript, cut: int) -> bool:
        return any(message is self.question for message in view.messages[cut:])

    # ── what is said of it ────────────────────────────────────────────────────────────────────────────────────

    def _done(self, request: ModelRequest, choice: Choice, before: Transcript, sent: Transcript) -> None:
        self._whole, self._view = request.transcript, sent
        after = self._native.read(sent)
        taken = after.total("answers", _is_answer)
        self._done_at[choice.way] = taken
        if choice.way == SUMMARISE:  # it takes answers away: they are counted anew
            self._done_at[CLEAR] = taken
            self._in_vain = 0
        self._decide(request, choice, "done", choice.why, before, after)

    def _refused(self, request: ModelRequest, choice: Choice, sent: Transcript, outcome: str, why: str) -> None:
        view = self._native.read(sent)
        self._in_vain = characters(view)
        self._decide(request, choice, outcome, why, view, view)

    def _decide(
        self, request: ModelRequest, choice: Choice, outcome: str, why: str, before: Transcript, after: Transcript
    ) -> None:
        self.ctx.decide(
            COMPACTION,
            agent=request.agent,
            model=self.model.id,
            way=choice.way,
            outcome=outcome,
            why=why[:500],
            tokens_before=self.gauge.size(before),
            tokens_after=self.gauge.size(after),
            before=before.head.hex(),
            after=after.head.hex(),
            each=_usd(choice.each),
            expected=_usd(choice.saves),
            rewrite=_usd(choice.rewrite),
        )


def _is_answer(message: Message) -> int:
    return message.role == "assistant"


def _usd(amount: float | None) -> str | None:
    """An estimate, to a millionth of a dollar."""
    return None if amount is None else str(round(Decimal(amount), 6))
