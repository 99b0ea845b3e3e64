"""The emulator's token counter: four characters are one token, always.

It is not a provider's tokenizer and does not try to be. It is deterministic, costs nothing, and is the same
for counting end points, usage, rate limits, caches and streams, so that they agree with each other to the
token: a text of n characters is counted as, billed as and streamed as ceil(n / 4) tokens. Pictures and other
binaries count as a fixed number of tokens, whatever they show.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from outlay.emulator import json

CHARACTERS_PER_TOKEN = 4
IMAGE_TOKENS = 1_600
DOCUMENT_TOKENS = 3_000


def count(text: str) -> int:
    """Tokens of a text."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def cut(text: str, tokens: int) -> str:
    """The first tokens of a text."""
    return text[: max(tokens, 0) * CHARACTERS_PER_TOKEN]


def pieces(text: str, tokens: int = 4) -> list[str]:
    """A text in pieces of so many tokens, as a stream delivers it; the last one may be shorter."""
    width = tokens * CHARACTERS_PER_TOKEN
    return [text[start : start + width] for start in range(0, len(text), width)]


def stand_in(value: Any, tokens: int) -> str:
    """A text of exactly so many tokens that stands for a binary: its digest, repeated.

    Prefix caches compare texts, so two pictures are equal for them exactly if their bytes are.
    """
    digest = blake2b(json.encode(value), digest_size=16).hexdigest()
    length = tokens * CHARACTERS_PER_TOKEN
    return (digest * (length // len(digest) + 1))[:length]
