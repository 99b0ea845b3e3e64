"""Counts of tokens as a provider reports them: a number that can be one, or unknown.

A report is believed or it is not. One absurd figure would make every sum that it enters absurd, and a wrong one that
was read as zero would make it wrong without a word.
"""

from __future__ import annotations

from typing import Final

#: More than one call can have used: a thousand times the longest context.
MOST_TOKENS: Final = 10**9


def tokens(value: object) -> int | None:
    """A whole number from 0 to `MOST_TOKENS`; None is unknown."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS:
        return value
    return None


def some_tokens(value: object) -> int | None:
    """The same of a part of a report that may be left out, and then is 0."""
    return 0 if value is None else tokens(value)
