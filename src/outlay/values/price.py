"""What a model's tokens cost, and the sums over them."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from outlay.values.usage import Usage

MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Rates:
    """US dollars per million tokens of each bucket."""

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal
    cache_write_1h: Decimal

    @property
    def dearest_input(self) -> Decimal:
        """The most that one input token can cost, whatever the cache does."""
        return max(self.input, self.cache_read, self.cache_write, self.cache_write_1h)


@dataclass(frozen=True, slots=True)
class Price:
    """A model's rates, with the dearer ones that some providers charge for long contexts.

    `tiers` are `(above, rates)` in ascending order: a request whose whole input is larger than `above` tokens
    pays those rates for all of its tokens.
    """

    rates: Rates
    tiers: tuple[tuple[int, Rates], ...] = field(default=())

    @staticmethod
    def per_million(input: Decimal | str | float, output: Decimal | str | float) -> Price:
        """A price of two figures: cache reads and writes count as input."""
        i, o = Decimal(str(input)), Decimal(str(output))
        return Price(Rates(i, o, i, i, i))

    def rates_at(self, input_tokens: float) -> Rates:
        """The rates of a request whose whole input is so large, in tokens."""
        rates = self.rates
        for above, dearer in self.tiers:
            if input_tokens > above:
                rates = dearer
        return rates

    def cost(self, usage: Usage) -> Decimal:
        """The exact cost of one request in US dollars."""
        rates = self.rates_at(usage.all_input_tokens) if self.tiers else self.rates
        short_writes = usage.cache_write_tokens - usage.cache_write_1h_tokens
        micro = (
            rates.input * usage.input_tokens
            + rates.output * usage.output_tokens
            + rates.cache_read * usage.cache_read_tokens
            + rates.cache_write * short_writes
            + rates.cache_write_1h * usage.cache_write_1h_tokens
        )
        return micro / MILLION

    def worst(self, input_tokens: int, output_tokens: int) -> Decimal:
        """The most that a request with at most these tokens can cost: every rate that could apply, the dearest."""
        dear_in, dear_out = self.rates.dearest_input, self.rates.output
        for above, rates in self.tiers:
            if input_tokens > above:
                dear_in, dear_out = max(dear_in, rates.dearest_input), max(dear_out, rates.output)
        return (dear_in * input_tokens + dear_out * output_tokens) / MILLION

    def output_tokens_for(self, money: Decimal, input_tokens: int) -> int:
        """How many output tokens `money` buys after the dearest input; negative where the input alone is too dear."""
        left = money - self.worst(input_tokens, 0)
        per_token = self.worst(input_tokens, 1) - self.worst(input_tokens, 0)
        if left < 0:
            return -1
        return int(left / per_token) if per_token else 2**31
