"""The transcript: append-only, hash-chained, shared by its forks (DESIGN idea 5, SEMANTICS 6)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from outlay.values.message import DIGEST_SIZE, Message


class Transcript:
    """A conversation as a chain of links to its own past.

    Appending makes one new link in O(1) and leaves the old one as it was, so two continuations of one past share
    it. `head` is the hash of everything up to here: equal heads mean equal conversations.
    """

    __slots__ = ("_totals", "head", "length", "message", "parent")

    parent: Transcript | None
    message: Message | None
    head: bytes
    length: int

    def __init__(self, parent: Transcript | None = None, message: Message | None = None) -> None:
        self.parent = parent
        self.message = message
        self._totals: dict[str, int] | None = None
        if parent is None or message is None:
            self.head = bytes(DIGEST_SIZE)
            self.length = 0
        else:
            chain = hashlib.blake2b(parent.head, digest_size=DIGEST_SIZE)
            chain.update(message.canonical)
            self.head = chain.digest()
            self.length = parent.length + 1

    def append(self, *messages: Message) -> Transcript:
        """This conversation and what came next."""
        link = self
        for message in messages:
            link = Transcript(link, message)
        return link

    def links(self) -> Iterator[Transcript]:
        """From the newest link to the oldest, without the empty root."""
        link = self
        while link.parent is not None:
            yield link
            link = link.parent

    @property
    def messages(self) -> tuple[Message, ...]:
        """Oldest first."""
        found: list[Message] = []
        link = self
        while link.parent is not None and link.message is not None:
            found.append(link.message)
            link = link.parent
        found.reverse()
        return tuple(found)

    def __iter__(self) -> Iterator[Message]:
        return iter(self.messages)

    def __len__(self) -> int:
        return self.length

    def __repr__(self) -> str:
        return f"Transcript({self.length} messages, head {self.head.hex()[:12]})"

    @property
    def last(self) -> Message | None:
        return self.message

    def wire(self, dialect: str, encode: Callable[[Message], bytes]) -> bytes:
        """All messages as `dialect` sends them, joined by commas from cached bytes."""
        return b"".join(self.pieces(dialect, encode))

    def pieces(self, dialect: str, encode: Callable[[Message], bytes]) -> list[bytes]:
        """What `wire` joins, for a body that joins it with the rest: a long conversation is copied once."""
        found: list[bytes] = []
        for message in self.messages:
            if piece := message.wire(dialect, encode):
                found += (piece, b",")
        return found[:-1]

    def total(self, what: str, measure: Callable[[Message], int]) -> int:
        """The sum of `measure` over all messages, remembered by each link that was asked: a turn adds what is new.

        The link before it remembers too: many runs may go on from one history.
        """
        sum_of_new = 0
        link = self
        while link.parent is not None and link.message is not None:
            if link._totals is not None and what in link._totals:
                sum_of_new += link._totals[what]
                break
            sum_of_new += measure(link.message)
            link = link.parent
        self._remember(what, sum_of_new)
        if self.message is not None and self.parent is not None and self.parent.parent is not None:
            self.parent._remember(what, sum_of_new - measure(self.message))
        return sum_of_new

    def _remember(self, what: str, total: int) -> None:
        if self._totals is None:
            self._totals = {}
        self._totals[what] = total

    def first_difference(self, other: Transcript) -> int | None:
        """The index of the first message in which two conversations differ, or None when neither departs."""
        ours, theirs = self.messages, other.messages
        for i, (a, b) in enumerate(zip(ours, theirs, strict=False)):
            if a.canonical != b.canonical:
                return i
        return None


EMPTY = Transcript()
