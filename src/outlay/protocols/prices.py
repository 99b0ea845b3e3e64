"""PriceBook: list prices by model."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Protocol

from outlay.values.price import Price

#: How alike two names are at least, of 1, where one may be the other mistyped: `gtp-5` and `gpt-5` are just so.
_ALIKE = 0.8
_CLOSEST = 5


class PriceBook(Protocol):
    def find(self, provider: str, model: str, tier: str = "") -> Price | None:
        """The price of `model` at `provider` (anthropic, openai), None where it is not known.

        `tier` is the provider's condition of service (`batch`, `flex`, `priority`); empty is the list price.
        """
        ...


def names_of(book: PriceBook, provider: str) -> Iterable[str]:
    """The models of `provider` that a book lists by name; none of a book that has no list (`names`)."""
    listed = getattr(book, "names", None)
    return () if listed is None else listed(provider)


def nearest(model: str, book: PriceBook) -> str:
    """The model that `model` (`provider:name`) may have been meant to be: its provider's with the name most like it,
    of those that `book` has a price for. Empty where none is like it, or where it is listed itself.

    A name that differs in its version alone is no slip: it is a model that came after the list.
    """
    provider, _, name = model.partition(":")
    given, names = name.lower(), {listed.lower(): listed for listed in names_of(book, provider)}
    if given in names:
        return ""
    for found in difflib.get_close_matches(given, names, n=_CLOSEST, cutoff=_ALIKE):
        if not _another_version(given, found) and book.find(provider, names[found]) is not None:
            return f"{provider}:{names[found]}"
    return ""


def did_you_mean(book: PriceBook, *models: str) -> str:
    """The question in a hint, with a space after it; empty where there is nothing to ask."""
    found = ", ".join(near for model in models if (near := nearest(model, book)))
    return f"did you mean {found}? " if found else ""


def _another_version(given: str, listed: str) -> bool:
    """The same words with other numbers. A digit that was hit twice (`4-55`) makes no other number, nor do a lost dash
    or none at all."""
    numbers = _digits(given)
    return numbers not in ("", _digits(listed)) and re.findall(r"[a-z]+", given) == re.findall(r"[a-z]+", listed)


def _digits(name: str) -> str:
    return "".join(re.sub(r"(\d)\1+", r"\1", number) for number in re.findall(r"\d+", name))
