"""What the tests of the prompt cache share: emulators that cut their own figures, and prompts of a known size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from outlay.emulator.answer import BilledUsage
from outlay.models.prices import GenaiPrices
from outlay.runtime.prefixes import forget
from outlay.testing import Emulator


def text_of(tokens: int, seed: str = "rule") -> str:
    """A text of exactly so many tokens of the emulator, four characters each."""
    return "".join(f"{seed} {n:06}. " for n in range(tokens))[: tokens * 4 - 1] + "."


@contextmanager
def emulated(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Iterator[Emulator]:
    """An emulator behind the models' usual names, and nothing known of any cache."""
    forget()
    with Emulator(**settings) as emulator:
        for name, value in emulator.env().items():
            monkeypatch.setenv(name, value)
        yield emulator
    forget()


def dollars(model: str, usage: BilledUsage, *, cached: bool = True) -> float:
    """What the provider's own books say that it cost at list prices, input only; `cached=False`: without a cache."""
    provider, _, name = model.partition(":")
    price = GenaiPrices().find(provider, name)
    assert price is not None
    rates = price.rates
    if not cached:
        return float(rates.input) * usage.prompt_tokens / 1e6
    return (
        float(rates.input) * usage.input_tokens
        + float(rates.cache_read) * usage.cache_read_tokens
        + float(rates.cache_write) * usage.cache_write_5m_tokens
        + float(rates.cache_write_1h) * usage.cache_write_1h_tokens
    ) / 1e6
