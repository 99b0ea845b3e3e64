"""First turns out of a store: what a conversation began with, and what was answered to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from outlay.protocols.store import Store
from outlay.values.content import Text
from outlay.values.message import DIGEST_SIZE, Message
from outlay.values.stored import load
from outlay.values.transcript import EMPTY

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Turn:
    asked: str
    said: str


async def first_turns(store: Store, heads: Sequence[tuple[str, str]]) -> list[Turn | str]:
    """For the transcript's head before and after each answer, in hexadecimal: its turn, or why it is no first turn of
    nothing but text.
    """
    found: list[Turn | str] = []
    for i in range(0, len(heads), _AT_ONCE):
        some = [(bytes.fromhex(before), bytes.fromhex(after)) for before, after in heads[i : i + _AT_ONCE]]
        contents = await store.blobs(list(dict.fromkeys(head for pair in some for head in pair)))
        found += [_turn(contents.get(before), contents.get(after)) for before, after in some]
    return found


def _turn(before: bytes | None, after: bytes | None) -> Turn | str:
    if before is None or after is None:
        return "no longer in the store"
    if before[:DIGEST_SIZE] != EMPTY.head:
        return "not the first turn of a conversation"
    asked, said = _text(load(before[DIGEST_SIZE:])), _text(load(after[DIGEST_SIZE:]))
    return "not only text" if asked is None or said is None else Turn(asked, said)


def _text(message: Message) -> str | None:
    return message.text if message.parts and all(isinstance(part, Text) for part in message.parts) else None
