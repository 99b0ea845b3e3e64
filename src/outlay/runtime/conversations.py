"""The conversations of a session: one for each place in the flow where an agent remembers.

Kept as a chain of pages, each the name of the page before it and the names of up to `PAGE` messages. A turn writes its
messages and one page, so that a session grows with what is said, and a conversation is read in a few round trips.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from outlay.errors import JournalMismatch
from outlay.protocols.store import Store
from outlay.values.label import TRUSTED, Label
from outlay.values.message import DIGEST_SIZE, Message
from outlay.values.stored import content_digest, dump, load
from outlay.values.transcript import EMPTY, Transcript

#: The place of a root agent, whatever it is called: another root goes on with the same conversation.
ROOT = ""
PAGE = 64
_FIRST = bytes(DIGEST_SIZE)


@dataclass(frozen=True, slots=True)
class Turn:
    """What a run made of a conversation: the messages that it added, or `anew` all that there are."""

    said: tuple[Message, ...]
    anew: bool


class Conversations:
    """What the agents of one run remember: what was said before it, and what they add."""

    __slots__ = ("_anew", "_before", "_labels", "_now")

    def __init__(self, before: Mapping[str, Transcript]) -> None:
        self._before = before
        self._now: dict[str, Transcript] = {}
        #: Places whose conversation was shortened: it no longer goes on from the one before.
        self._anew: set[str] = set()
        self._labels: dict[str, Label] = {}

    def before(self, place: str) -> Transcript:
        """The conversation as it was when the run began: every visit of one run sees the same, in whatever order."""
        return self._before.get(place, EMPTY)

    def label(self, place: str) -> Label:
        """What all that was said before comes to."""
        found = self._labels.get(place)
        if found is None:
            found = self._labels[place] = label_of(self.before(place))
        return found

    def add(self, place: str, began: Transcript, ended: Transcript) -> None:
        """A visit that began with one transcript came to another. What a sibling has added meanwhile stays."""
        now = self._now.get(place, self.before(place))
        added = since(began, ended)
        if since(now, ended) is not None:
            self._now[place] = ended
        elif added is not None:
            self._now[place] = now.append(*added)
        else:  # a compaction took its place; where it did for a sibling too, both stay
            others = since(began, now)
            self._now[place] = ended.append(*(now.messages if others is None else others))
            self._anew.add(place)

    def turns(self) -> dict[str, Turn]:
        """What the run made of the conversations, by place."""
        return {
            place: Turn(now.messages, anew=True)
            if place in self._anew
            else Turn(since(self.before(place), now) or (), anew=False)
            for place, now in self._now.items()
        }


def label_of(transcript: Transcript) -> Label:
    """The join of the labels of all messages."""
    label = TRUSTED
    for link in transcript.links():
        if link.message is not None and link.message.label is not TRUSTED:
            label = label.join(link.message.label)
    return label


def since(before: Transcript, after: Transcript) -> tuple[Message, ...] | None:
    """The messages of `after` that follow `before`, None where it does not go on from there."""
    found: list[Message] = []
    link = after
    while link.length > before.length and link.parent is not None and link.message is not None:
        found.append(link.message)
        link = link.parent
    return tuple(reversed(found)) if link.head == before.head else None


@dataclass(frozen=True, slots=True)
class Page:
    """The newest page of a conversation: messages by digest, and the page before."""

    before: bytes = _FIRST
    messages: tuple[bytes, ...] = ()

    @staticmethod
    def of(body: bytes) -> Page:
        """Raises ValueError for what is no page."""
        names = [body[at : at + DIGEST_SIZE] for at in range(0, len(body), DIGEST_SIZE)]
        if not names or len(names[-1]) != DIGEST_SIZE:
            raise ValueError("not a page of a conversation")
        return Page(names[0], tuple(names[1:]))

    @property
    def body(self) -> bytes:
        return b"".join((self.before, *self.messages))

    def extended(self, messages: Sequence[Message], keep: Callable[[bytes], str]) -> str:
        """The name of the page that ends with `messages`. `keep` stores a content and gives its name."""
        page = self
        for message in messages:
            if len(page.messages) == PAGE:
                page = Page(bytes.fromhex(keep(page.body)))
            page = Page(page.before, (*page.messages, bytes.fromhex(keep(dump(message)))))
        return keep(page.body)


async def read_page(store: Store, name: str) -> Page:
    """Raises JournalMismatch where it is gone or damaged."""
    if not name:
        return Page()
    digest = bytes.fromhex(name)
    try:
        return Page.of(_checked(digest, await store.blobs([digest])))
    except ValueError as error:
        raise _broken(str(error)) from error


async def read(store: Store, tips: Mapping[str, str]) -> Conversations:
    """The conversations whose newest pages are `tips`, by place. Raises JournalMismatch for a broken one."""
    return Conversations({place: await _read(store, tip) for place, tip in sorted(tips.items())})


async def _read(store: Store, tip: str) -> Transcript:
    pages: list[Page] = []
    page = await read_page(store, tip)
    while page.messages:
        pages.append(page)
        page = Page() if page.before == _FIRST else await read_page(store, page.before.hex())
    names = [name for page in reversed(pages) for name in page.messages]
    found: dict[bytes, bytes] = {}
    for start in range(0, len(names), 1_000):
        found.update(await store.blobs(names[start : start + 1_000]))
    try:
        return EMPTY.append(*(load(_checked(name, found)) for name in names))
    except ValueError as error:
        raise _broken(str(error)) from error


def _checked(digest: bytes, found: Mapping[bytes, bytes]) -> bytes:
    content = found.get(digest)
    if content is None:
        raise _broken(f"the content {digest.hex()} is not in the store")
    if content_digest(content) != digest:
        raise _broken(f"the content {digest.hex()} is not what was written")
    return content


def _broken(what: str) -> JournalMismatch:
    return JournalMismatch(
        f"a conversation cannot be read: {what}", hint="restore the store from a copy, or begin another session"
    )
