"""The output is neither too long nor too short."""

from __future__ import annotations

from typing import Any

from outlay.checkers.checker import Checker, named, text_of
from outlay.errors import ConfigError


def length(
    *,
    max_words: int | None = None,
    min_words: int | None = None,
    max_chars: int | None = None,
    min_chars: int | None = None,
) -> Checker:
    """Passes a text within these limits, inclusive. Words are what white space separates."""
    limits = [("words", min_words, max_words), ("characters", min_chars, max_chars)]
    if all(least is None and most is None for _, least, most in limits):
        raise ConfigError("length() has no limit", hint="write length(max_words=200)")
    for unit, least, most in limits:
        if min(least or 0, most or 0) < 0 or (least is not None and most is not None and least > most):
            raise ConfigError(f"length(): no text has at least {least} and at most {most} {unit}")

    def check(output: Any) -> str | None:
        text = text_of(output)
        sizes = (len(text.split()), len(text))
        problems = [
            problem
            for size, (unit, least, most) in zip(sizes, limits, strict=True)
            if (problem := _problem(size, unit, least, most)) is not None
        ]
        return "; ".join(problems) or None

    return named("length", check)


def _problem(size: int, unit: str, least: int | None, most: int | None) -> str | None:
    if most is not None and size > most:
        return f"{size:,} {unit}, at most {most:,}: shorten it by {size - most:,}"
    if least is not None and size < least:
        return f"{size:,} {unit}, at least {least:,}: lengthen it by {least - size:,}"
    return None
