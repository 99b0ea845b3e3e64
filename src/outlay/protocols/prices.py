"""PriceBook: list prices by model."""

from __future__ import annotations

from typing import Protocol

from outlay.values.price import Price


class PriceBook(Protocol):
    def find(self, provider: str, model: str, tier: str = "") -> Price | None:
        """The price of `model` at `provider` (anthropic, openai), None where it is not known.

        `tier` is the provider's condition of service (`batch`, `flex`, `priority`); empty is the list price.
        """
        ...
