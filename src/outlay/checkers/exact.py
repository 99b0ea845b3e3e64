"""The output is exactly this."""

from __future__ import annotations

from typing import Any

from outlay.checkers.checker import Checker, named, shown, text_of


def exact(expected: Any, *, ignore_case: bool = False) -> Checker:
    """Passes an output equal to `expected`, or with the same text. White space around the text does not count."""

    def same_text(output: Any) -> bool:
        ours, theirs = text_of(expected).strip(), text_of(output).strip()
        return ours.casefold() == theirs.casefold() if ignore_case else ours == theirs

    def check(output: Any) -> str | None:
        same_kind = isinstance(output, bool) == isinstance(expected, bool)  # to Python, True == 1
        if (same_kind and output == expected) or same_text(output):
            return None
        return f"got {shown(text_of(output))!r}, expected exactly {shown(text_of(expected))!r}"

    return named("exact", check)
