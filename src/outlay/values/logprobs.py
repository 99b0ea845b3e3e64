"""How likely each token of an answer was, as the provider says it: kept beside the answer, sent to nobody.

It is a provider-only block of the message (SEMANTICS 6), so whatever keeps the answer keeps this: the journal, stored
answers, forks. No key and no request has it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias, cast

from outlay.values.content import ProviderBlock
from outlay.values.message import Message

#: The kind of the block.
LOGPROBS: Final = "logprobs"
#: Of each token how many bytes of the text it is, and the natural logarithm of its probability.
Tokens: TypeAlias = Sequence[tuple[int, float]]


def logprobs_block(dialect: str, tokens: Tokens) -> ProviderBlock:
    return ProviderBlock(dialect, LOGPROBS, json.dumps([[size, round(value, 6)] for size, value in tokens]))


def tokens_of(entries: Iterable[Any]) -> Tokens | None:
    """OpenAI's form, `[{"token", "logprob", "bytes"}]`; None for what is not of it. A token may be a part of a
    character, and only its bytes are known then.
    """
    found: list[tuple[int, float]] = []
    for entry in entries:
        if not isinstance(entry, dict):
            return None
        said = cast("dict[str, Any]", entry)
        token, value, raw = said.get("token"), said.get("logprob"), said.get("bytes")
        if not isinstance(value, int | float) or not isinstance(token, str) or math.isnan(value):
            return None
        size = len(cast("list[Any]", raw)) if isinstance(raw, list) else len(token.encode(errors="replace"))
        found.append((size, min(float(value), 0.0)))
    return found


def logprobs_of(message: Message) -> Tokens | None:
    """What the message has of it; None where there is nothing, or where it is not of this message's text."""
    for part in message.parts:
        if isinstance(part, ProviderBlock) and part.kind == LOGPROBS:
            tokens = [(int(size), float(value)) for size, value in json.loads(part.json)]
            whole = len(message.text.encode(errors="surrogatepass"))
            return tokens if tokens and sum(size for size, _ in tokens) == whole else None
    return None


def chance_of(text: str, tokens: Tokens, fields: Sequence[str] = ()) -> float | None:
    """The probability of the values of `fields` in an answer that is JSON, given all that stands before each: the
    product over the tokens that they are made of. `a.b` is the field b of the object a; no fields: the whole text. None
    where a field is not there.
    """
    spans = [_span(text, field) for field in fields] if fields else [(0, len(text))]
    if None in spans:
        return None
    wanted = [(_bytes(text, start), _bytes(text, end)) for start, end in cast("list[tuple[int, int]]", spans)]
    return math.exp(
        math.fsum(
            value
            for start, end, value in _placed(tokens)
            if any(start < until and end > since for since, until in wanted)
        )
    )


def _placed(tokens: Tokens) -> Iterator[tuple[int, int, float]]:
    at = 0
    for size, value in tokens:
        yield at, at + size, value
        at += size


def _bytes(text: str, end: int) -> int:
    return len(text[:end].encode(errors="surrogatepass"))


def _span(text: str, field: str) -> tuple[int, int] | None:
    """Where the value of a field stands in a JSON object, quotes included: the closing one says that it ends there."""
    start, end = text.find("{"), len(text)
    for name in field.split("."):
        found = _member(text, start, name)
        if found is None:
            return None
        start, end = found
    return start, end


def _member(text: str, at: int, name: str) -> tuple[int, int] | None:
    """The span of a member's value in the object that begins at `at`."""
    if not text.startswith("{", at) or at < 0:
        return None
    read = json.JSONDecoder().raw_decode
    at += 1
    found: tuple[int, int] | None = None
    try:
        while True:
            key, at = read(text, _after(text, at, " \t\r\n,"))
            start = _after(text, at, " \t\r\n:")
            _, at = read(text, start)
            if key == name:
                found = start, at  # of one that stands there twice, readers take the last
    except (ValueError, RecursionError):  # the object ends, or is none
        return found


def _after(text: str, at: int, skipped: str) -> int:
    while at < len(text) and text[at] in skipped:
        at += 1
    return at
