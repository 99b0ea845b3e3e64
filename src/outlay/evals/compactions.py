"""What a compaction keeps, over sessions made by a program, and over recorded runs in a store.

outlay eval compaction
outlay eval compaction --run last
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from outlay.agents.checkpoint import asked, extract, read
from outlay.agents.compaction import Compaction
from outlay.errors import ConfigError
from outlay.evals.canaries import Canary, Probe, canaries_in, probe
from outlay.evals.coding_sessions import CodingSession
from outlay.events.codec import decode
from outlay.events.records import COMPACTION, CallFinished, CallStarted, Decision, Event
from outlay.policies.shortening import cleared, cut_of, replaced
from outlay.protocols.model import Model
from outlay.protocols.store import Store
from outlay.values.budget import Budget
from outlay.values.content import Text
from outlay.values.message import DIGEST_SIZE, Message, user
from outlay.values.request import ModelRequest, Prelude
from outlay.values.stored import load
from outlay.values.transcript import EMPTY

_ROOT = bytes(DIGEST_SIZE)
_PLENTY = Decimal(1_000)


@dataclass(frozen=True, slots=True)
class Shortened:
    """One conversation before and after: `what` it was, its length in characters, how often it was shortened, and what
    became of the canaries. `refused` summaries left it as it was."""

    what: str
    characters_before: int
    characters_after: int
    times: int
    refused: int
    probes: tuple[Probe, ...]
    cost: Decimal | None = None

    @property
    def lost(self) -> tuple[Probe, ...]:
        return tuple(found for found in self.probes if found.lost)


async def on_sessions(
    compaction: Compaction, seeds: Iterable[int], turns: int, writer: Model | None = None, usd: Decimal = _PLENTY
) -> list[Shortened]:
    """Sessions made by a program, each run with and without the compaction. `writer` is a real model for the
    summaries, which cost at most `usd` each session. Raises what a run raised."""
    found: list[Shortened] = []
    for seed in seeds:
        session = CodingSession.of(seed, turns)
        whole = await session.play(None, None, Budget(usd=_PLENTY))
        whole.unwrap()
        # the scripted turns cost nobody anything, and count all the same: shortened, no more than whole
        short = await session.play(compaction, writer, Budget(usd=usd + whole.bill.at_least))
        short.unwrap()
        decided = [e.data for e in short.events if isinstance(e, Decision) and e.about == COMPACTION]
        before, after = whole.transcript.messages, short.transcript.messages
        probes = probe(session.canaries, before, after, compaction.survivors)
        summaries = short.bill.by("purpose").get(COMPACTION)
        found.append(
            Shortened(
                f"session {seed} of {turns} turns",
                _size(before),
                _size(after),
                sum(data["outcome"] == "done" for data in decided),
                sum(data["outcome"] in ("refused", "failed") for data in decided),
                tuple(probes),
                None if summaries is None or writer is None else summaries.cost,
            )
        )
    return found


async def on_run(store: Store, run_id: str, compaction: Compaction, own: Sequence[Canary] = ()) -> list[Shortened]:
    """Each compaction that a stored run made: what was sent before and after it. A run that made none is shortened
    here, by code, as its longest conversation would be. `own` canaries are looked for beside those that code finds."""
    events = [decode(row.body) for row in await store.events(run_id)]
    found: list[Shortened] = []
    for path, way, before_head, after_head in _pairs(events):
        before, after = await _said(store, before_head), await _said(store, after_head)
        if before and after:
            before = (*before, *_since_the_answer(after))
            found.append(_looked_up(f"{path}: {way}", before, after, compaction, own, times=1))
    if not found:
        before = max([await _said(store, head) for head in _ends(events)], key=_size, default=())
        if not before:
            raise ConfigError(
                f"run {run_id} has no conversation in the store", hint="it was pruned, or made no call: name another"
            )
        after = would_be(before, compaction)
        what = "as it would be shortened"
        found.append(_looked_up(what, before, after, compaction, own, times=int(after is not before)))
    return found


def would_be(messages: tuple[Message, ...], compaction: Compaction) -> tuple[Message, ...]:
    """A conversation shortened in every way that is allowed, with a summary that code writes."""
    transcript = EMPTY.append(*messages)
    shorter = cleared(transcript, compaction.keep_turns, compaction.keep_tools) if compaction.clear else transcript
    cut = cut_of(shorter, compaction.keep_turns) if compaction.summarise else None
    if cut is not None:
        words = asked(compaction.survivors, compaction.max_summary_tokens)
        asking = ModelRequest("", "", Prelude(), transcript.append(user(words)), compaction.max_summary_tokens)
        notes = read(extract(asking), compaction.survivors, messages[:cut])
        opening = Message("user", (*messages[0].parts, Text(notes.text)), messages[0].label)
        done = replaced(shorter, cut, opening)
        shorter = done if _size(done.messages) < _size(shorter.messages) else shorter
    return messages if shorter is transcript else shorter.messages


def _looked_up(
    what: str,
    before: tuple[Message, ...],
    after: tuple[Message, ...],
    compaction: Compaction,
    own: Sequence[Canary],
    *,
    times: int,
) -> Shortened:
    found = probe(canaries_in(before, compaction.survivors), before, after, compaction.survivors)
    # what the user wrote down must survive, whatever field it is of
    found += [replace(one, must=True) for one in probe(own, before, after, compaction.survivors)]
    return Shortened(what, _size(before), _size(after), times, 0, tuple(found))


def _pairs(events: Sequence[Event]) -> list[tuple[str, str, str, str]]:
    """Path, way, and the heads of the conversation before and after each compaction: those of the answer before it and
    of the request after it, which is what was really sent."""
    answered: dict[str, str] = {}
    waiting: dict[str, tuple[str, str]] = {}
    found: list[tuple[str, str, str, str]] = []
    for event in events:
        if isinstance(event, CallFinished) and event.purpose != COMPACTION:
            answered[event.path] = event.head
        elif isinstance(event, Decision) and event.about == COMPACTION and event.data.get("outcome") == "done":
            way, before = waiting.get(event.path, ("", answered.get(event.path, "")))
            both = f"{way} and {event.data.get('way')}" if way else str(event.data.get("way"))
            waiting[event.path] = both, before
        elif isinstance(event, CallStarted) and event.purpose != COMPACTION and event.path in waiting:
            way, before = waiting.pop(event.path)
            if before:
                found.append((event.path, way, before, event.head))
    return found


def _since_the_answer(messages: Sequence[Message]) -> Sequence[Message]:
    """What came after the last answer: the results of its calls, which no compaction touches."""
    last = max((i for i, message in enumerate(messages) if message.role == "assistant"), default=-1)
    return messages[last + 1 :]


def _ends(events: Sequence[Event]) -> list[str]:
    """The head of the last answer at each path."""
    return list({e.path: e.head for e in events if isinstance(e, CallFinished)}.values())


async def _said(store: Store, head: str) -> tuple[Message, ...]:
    """The messages up to a head, oldest first; none where one is gone from the store."""
    link = bytes.fromhex(head)
    found: list[Message] = []
    while link != _ROOT:
        content = (await store.blobs([link])).get(link)
        if content is None:
            return ()
        link, message = content[:DIGEST_SIZE], load(content[DIGEST_SIZE:])
        found.append(message)
    return tuple(reversed(found))


def _size(messages: Sequence[Message]) -> int:
    return sum(len(message.canonical) for message in messages)
