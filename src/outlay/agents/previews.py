"""Texts that are too long to pass on: kept as an artifact, shown by their beginning, read in pieces."""

from __future__ import annotations

from typing import Any

from outlay.agents.content import as_text
from outlay.protocols.context import RunContext

#: About what a model reads in a minute; longer results become an artifact with a preview.
MAX_RESULT_TOKENS = 8_000
CHARS_PER_TOKEN = 4
_PREVIEW_CHARS = 2_000
#: What one call of `read_artifact` gives at most.
_PIECE_CHARS = 20_000


def about_tokens(text: str) -> int:
    """An estimate: four characters a token, rounded up."""
    return -(-len(text) // CHARS_PER_TOKEN)


def preview(ctx: RunContext[object], text: str, max_tokens: int) -> str:
    """The text, or where it is longer than `max_tokens` its beginning, its size and the name of the whole."""
    most = max_tokens * CHARS_PER_TOKEN
    if len(text) <= most:
        return text
    name = ctx.artifact(text)
    return (
        f"{text[: min(_PREVIEW_CHARS, most)]}\n"
        f"… [{len(text):,} characters in all; this is the beginning, the whole is artifact {name}]"
    )


def shown(ctx: RunContext[object], value: Any, max_tokens: int) -> tuple[Any, int]:
    """A result as it is passed on, and about how many tokens that is: as it is, or its `preview` as text."""
    try:
        text = as_text(value)
    except ValueError:  # no JSON holds it: only a function can take it
        return value, 0
    seen = preview(ctx, text, max_tokens)
    return value if seen == text else seen, about_tokens(seen)


async def read_artifact(ctx: RunContext[object], name: str, start: int = 0) -> str:
    """Read on in a result that was too long to show: up to 20,000 characters of its artifact.

    Args:
        name: the artifact's name, as the preview gives it
        start: the character to begin at
    """
    text = await ctx.read_artifact(name)
    if text is None:
        raise LookupError(f"this run has kept no artifact {name[:80]!r}; names stand at the end of a preview")
    start = max(0, start)
    piece = text[start : start + _PIECE_CHARS]
    left = len(text) - start - len(piece)
    return piece if left <= 0 else f"{piece}\n… [{left:,} more characters, from start={start + len(piece)}]"
