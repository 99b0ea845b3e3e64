"""Alike: the questions that were answered at one place of a flow, in memory beside the store that keeps them."""

from __future__ import annotations

from contextlib import suppress
from hashlib import blake2b
from typing import Final
from weakref import WeakKeyDictionary

import msgspec

from outlay.errors import Conflict
from outlay.protocols.documents import Change, Documents
from outlay.values.content import Text
from outlay.values.request import ModelRequest
from outlay.values.reuse import Near, Similarity

COLLECTION: Final = "answers_alike"
#: Seconds after which the store is asked again for what other processes have answered.
_AGAIN: Final = 60.0
#: Of one place and tenant, the newest so many questions are looked at.
MOST: Final = 20_000


class _Asked(msgspec.Struct, array_like=True):
    """`at` in seconds since the epoch; `said` is a digest of the answer's text."""

    at: float
    question: str
    said: str


_decode: Final = msgspec.json.Decoder(_Asked).decode


class Alike:
    """The stored questions of one group, which have all but the question in common."""

    def __init__(self, group: str, similar: Similarity) -> None:
        self._group = group
        #: By name, when each was answered.
        self._known: dict[str, float] = {}
        self._neighbours = similar.neighbours()
        self._read_at: float | None = None

    @classmethod
    async def of(cls, store: Documents, group: str, similar: Similarity, seconds: float, now: float) -> Alike:
        """Those of this group, read from the store where that was not done lately."""
        groups = _groups.setdefault(store, {})
        found = groups.get((group, similar))
        if found is None:
            found = groups[group, similar] = cls(group, similar)
        if found._read_at is None or not 0 <= now - found._read_at < _AGAIN:
            found._read_at = now
            await found._read(store, seconds, now)
        return found

    def near(self, question: str) -> Near | None:
        return self._neighbours.near(question)

    def remembered(self, question: str, name: str, answer: str, now: float) -> Change:
        """Remember an answered question; what keeps it."""
        said = blake2b(answer.encode(errors="surrogatepass"), digest_size=8).hexdigest()
        self._known[name] = now
        self._neighbours.add([(question, name, said)])
        return Change(COLLECTION, f"{self._group}/{name}", msgspec.json.encode(_Asked(now, question, said)), None)

    def forget(self, name: str) -> None:
        self._known.pop(name, None)
        self._neighbours.forget(name)

    async def _read(self, store: Documents, seconds: float, now: float) -> None:
        """What other processes have answered, and none that is too old; that goes from the store, too."""
        kept: dict[str, _Asked] = {}
        expired: list[Change] = []
        for document in await store.list(COLLECTION, self._group + "/"):
            try:
                asked = _decode(document.body)
            except msgspec.MsgspecError:  # of another version, or damaged
                continue
            if 0 <= now - asked.at < seconds:
                kept[document.key.rpartition("/")[2]] = asked
            else:
                expired.append(Change(COLLECTION, document.key, None, document.version))
        newest = sorted(kept, key=lambda name: (-kept[name].at, name))[:MOST]
        new = [name for name in newest if name not in self._known]
        self._neighbours.add([(kept[name].question, name, kept[name].said) for name in new])
        for name in [name for name, at in self._known.items() if at < now and name not in kept]:
            self.forget(name)
        self._known.update((name, kept[name].at) for name in new)
        if expired:
            with suppress(Conflict):  # somebody has answered it again
                await store.commit(expired)


_groups: WeakKeyDictionary[Documents, dict[tuple[str, Similarity], Alike]] = WeakKeyDictionary()


def question_of(request: ModelRequest) -> str | None:
    """The one thing that was asked; None in a conversation that goes on, and for what is not only text."""
    last = request.transcript.last
    if request.transcript.length != 1 or last is None or last.role != "user" or not last.parts:
        return None
    return last.text if all(isinstance(part, Text) for part in last.parts) else None
