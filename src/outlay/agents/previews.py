"""Texts that are too long to pass on: kept as an artifact, shown by their beginning."""

from __future__ import annotations

from typing import Any

from outlay.agents.content import as_text
from outlay.protocols.context import RunContext

#: About what a model reads in a minute; longer results become an artifact with a preview.
MAX_RESULT_TOKENS = 8_000
CHARS_PER_TOKEN = 4
_PREVIEW_CHARS = 2_000


def about_tokens(text: str) -> int:
    """An estimate: four characters a token, rounded up."""
    return -(-len(text) // CHARS_PER_TOKEN)


async def preview(ctx: RunContext[object], text: str, max_tokens: int, source: str, *, reads: bool = False) -> str:
    """The text, or where it is longer than `max_tokens` its beginning, its size and the artifact that is the whole.

    `source` is what gave it. Who `reads` has the tool `read_artifact`, and is told how to go on.
    """
    most = max_tokens * CHARS_PER_TOKEN
    if len(text) <= most:
        return text
    name = await ctx.artifact(text, name=source, source=source)
    shown = text[: min(_PREVIEW_CHARS, most)]
    how = f", read on with read_artifact from offset {len(shown)}" if reads else ""
    return f"{shown}\n… [{len(text):,} characters in all; this is the beginning, the whole is artifact {name}{how}]"


async def shown(ctx: RunContext[object], value: Any, max_tokens: int, source: str) -> tuple[Any, int]:
    """A result as it is passed on, and about how many tokens that is: as it is, or its `preview` as text."""
    try:
        text = as_text(value)
    except ValueError:  # no JSON holds it: only a function can take it
        return value, 0
    seen = await preview(ctx, text, max_tokens, source)
    return value if seen == text else seen, about_tokens(seen)
