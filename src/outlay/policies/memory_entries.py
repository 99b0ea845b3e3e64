"""What may be remembered, and what it costs to be reminded of it: notes, and no copies of what a tool gave.

A memory is paid for whenever it is reloaded, by whoever reloads it. What is long, raw or copied belongs into an
artifact, which is read in the part that is needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from outlay.values.estimate import estimated_tokens
from outlay.values.price import MILLION, Price

#: So many characters in a row that a tool gave are a copy of it.
_COPIED: Final = 160
_STEP: Final = 40
_BLOB: Final = re.compile(r"data:[\w/+.-]+;base64,|[A-Za-z0-9+/=_-]{200,}")


def tokens_of(text: str) -> int:
    """About four characters a token, rounded up."""
    return estimated_tokens(len(text))


def unfit(text: str, most_tokens: int, results: Iterable[str]) -> str | None:
    """Why a text is no note, None where it is one. `results` is what the tools of the conversation gave."""
    if not text.strip():
        return "it is empty"
    if (tokens := tokens_of(text)) > most_tokens:
        return f"it is about {tokens:,} tokens, at most {most_tokens:,} are remembered"
    if not all(sign.isprintable() or sign in "\n\t" for sign in text):
        return "it holds characters that cannot be shown: raw data"
    if _BLOB.search(text):
        return "it holds encoded data"
    note = " ".join(text.split())
    for result in results:
        given = " ".join(result.split())
        if any(note[at : at + _COPIED] in given for at in range(0, len(note) - _COPIED + 1, _STEP)):
            return "it is a copy of what a tool gave"
    return None


def reload_cost(tokens: int, price: Price | None) -> tuple[Decimal, Decimal] | None:
    """US dollars to read so many tokens into a conversation, and in each further turn of it where its provider keeps
    it cached. None without a price."""
    if price is None:
        return None
    return price.rates.input * tokens / MILLION, price.rates.cache_read * tokens / MILLION
