"""List prices by model: the ones genai-prices ships, and yours laid over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from outlay.errors import ConfigError
from outlay.protocols.prices import PriceBook, names_of
from outlay.values.price import Price, Rates

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, PriceVariant, Provider, TieredPrices

#: The names under which providers report their ordinary price; the last is Groq's.
STANDARD = frozenset({"", "standard", "default", "on_demand"})

#: How genai-prices names a tier. It prices a context that it does not know as standard, so a tier counts only where
#: the model lists one of these; Anthropic's `service_tier: batch`, handed on as it is, would lose the discount.
_CONTEXTS: Mapping[str, tuple[Mapping[str, str], ...]] = {
    "batch": ({"processing": "batch"},),
    "flex": ({"service_tier": "flex"},),
    "priority": ({"service_tier": "priority"},),
    "fast": ({"service_tier": "fast"}, {"speed": "fast"}),
}
#: The tiers that have a price of their own.
TIERS = frozenset(_CONTEXTS)

_TOKENS = frozenset({"input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok"})
#: Fees of server-side tools, charged by the use and not by the token. Outlay sends no server tool of its own accord.
_SERVER_TOOLS = frozenset({"web_searches_kcount", "storage_searches_kcount"})


class GenaiPrices:
    """The price list of genai-prices, which is a snapshot shipped with that package: nothing is downloaded.

    `provider` is its exact id (`anthropic`, `openai`); dated and aliased model names resolve as it resolves them.
    Prices that change on a date follow the day, or the fixed moment `at`, which makes a replay bill as it did then.
    None for what `Usage` cannot express: models charged by image, audio, character or request, and models without
    a rate for input or for output.
    """

    def __init__(self, *, at: datetime | None = None) -> None:
        self._at = at
        self._found: dict[tuple[str, str, str], tuple[date, Price | None]] = {}

    def find(self, provider: str, model: str, tier: str = "") -> Price | None:
        """The price of `model` at `provider`; `tier` is batch, flex, priority, fast, or the standard one.

        A tier that is unknown, or that this model is not sold in, is None, never the standard price.
        """
        now = self._at or datetime.now(UTC)
        key = (provider, model, tier)
        known = self._found.get(key)
        if known is not None and known[0] == now.date():
            return known[1]
        price, lasting = _look_up(provider, model, tier, now)
        if lasting:
            self._found[key] = (now.date(), price)
        return price

    def names(self, provider: str) -> Iterable[str]:
        """The models of `provider` that stand in the list, dated and aliased names left out. Not all have a price."""
        from genai_prices.data_snapshot import get_snapshot

        return [info.id for seller in get_snapshot().providers if seller.id == provider for info in seller.models]


class PriceTable:
    """Prices by `provider:model`, or `provider:model@tier` for batch, flex, priority and fast.

    For what no list knows (your own server, `openai-chat:my-model`) and for what you pay instead of the list price.
    """

    def __init__(self, prices: Mapping[str, Price]) -> None:
        for key in prices:
            provider, colon, model = key.partition(":")
            if not (provider and colon and model):
                raise ConfigError(
                    f"price table: {key!r} names no model", hint="write it like the model, 'openai-chat:my-model'"
                )
        self._prices = dict(prices)

    def __len__(self) -> int:
        return len(self._prices)

    def find(self, provider: str, model: str, tier: str = "") -> Price | None:
        """The price given for exactly this model and tier."""
        key = f"{provider}:{model}"
        return self._prices.get(key if tier in STANDARD else f"{key}@{tier}")

    def knows(self, provider: str, model: str) -> bool:
        """Whether any price, of whatever tier, was given for this model."""
        key = f"{provider}:{model}"
        return key in self._prices or any(f"{key}@{tier}" in self._prices for tier in TIERS)

    def names(self, provider: str) -> Iterable[str]:
        """The models of `provider` that a price was given for."""
        keys = (key.partition(":") for key in self._prices)
        return [model for seller, _, model in keys if seller == provider and model.rpartition("@")[2] not in TIERS]


class Overridden:
    """`book` with `table` over it.

    A model in the table is priced by the table alone: its batch price is unknown until `…@batch` is given, because
    the list's discount is on the list's price and not on yours.
    """

    def __init__(self, table: PriceTable, book: PriceBook) -> None:
        self.table = table
        self.book = book

    def find(self, provider: str, model: str, tier: str = "") -> Price | None:
        if self.table.knows(provider, model):
            return self.table.find(provider, model, tier)
        return self.book.find(provider, model, tier)

    def names(self, provider: str) -> Iterable[str]:
        """Your own first."""
        return [*self.table.names(provider), *names_of(self.book, provider)]


class InTier:
    """`book` as it is for requests of one tier: `model.price(InTier(book, response.tier))`."""

    def __init__(self, book: PriceBook, tier: str) -> None:
        self.book = book
        self.tier = tier

    def find(self, provider: str, model: str, tier: str = "") -> Price | None:
        return self.book.find(provider, model, tier or self.tier)


def _look_up(provider: str, model: str, tier: str, now: datetime) -> tuple[Price | None, bool]:
    """The price, and whether it lasts until midnight UTC (some models change it by the hour)."""
    # Imported here because it costs 0.17 s of CPU, which `outlay --help` should not pay.
    from genai_prices.data_snapshot import get_snapshot

    # By exact id: genai-prices itself takes any name that contains "openai", and would give the list price
    # of OpenAI to a model of the same name on a server of yours.
    seller = next((p for p in get_snapshot().providers if p.id == provider), None)
    if seller is None:
        return None, True
    info = seller.find_model(model.lower(), all_providers=get_snapshot().providers)
    if info is None:
        return None, True
    lasting = not _changes_by_the_hour(info)
    if tier in STANDARD:
        return _price(info.get_prices(now)), lasting
    variant = _variant(seller, info, tier, now)
    if variant is None:
        return None, lasting
    return _price(info.get_prices(now, variant.when)), lasting


def _variant(seller: Provider, info: ModelInfo, tier: str, now: datetime) -> PriceVariant | None:
    if not any(info is own for own in seller.models):
        return None  # genai-prices does not carry a tier over to a provider it fell back to
    for variant in info.price_variants or ():
        active = variant.constraint is None or variant.constraint.active(now)
        if active and variant.when in _CONTEXTS.get(tier, ()):
            return variant
    return None


def _changes_by_the_hour(info: ModelInfo) -> bool:
    from genai_prices.types import ModelPrice, TimeOfDateConstraint

    conditions = [] if isinstance(info.prices, ModelPrice) else info.prices
    return any(isinstance(c.constraint, TimeOfDateConstraint) for c in (*conditions, *(info.price_variants or ())))


def _price(listed: ModelPrice) -> Price | None:
    given: dict[str, Decimal | TieredPrices] = {k: v for k, v in vars(listed).items() if v is not None}
    if not {"input_mtok", "output_mtok"} <= given.keys() <= _TOKENS | _SERVER_TOOLS:
        return None
    rates = {key: value for key, value in given.items() if key in _TOKENS}
    starts = sorted({tier.start for value in rates.values() if not isinstance(value, Decimal) for tier in value.tiers})
    # genai-prices, like the providers, applies a tier to the whole request: Price.tiers means the same.
    return Price(_rates(rates, None), tuple((start, _rates(rates, start)) for start in starts))


def _rates(listed: Mapping[str, Decimal | TieredPrices], above: int | None) -> Rates:
    """The rates for inputs of more than `above` tokens.

    A cache rate that is not listed is the input rate: without a listed discount a cached token is charged as input,
    and OpenAI charges nothing extra for writing. Writes for an hour default to the rate of ordinary writes.
    """

    def rate(key: str, default: Decimal) -> Decimal:
        value = listed.get(key)
        if value is None or isinstance(value, Decimal):
            return default if value is None else value
        reached = [tier.price for tier in value.tiers if above is not None and tier.start <= above]
        return reached[-1] if reached else value.base

    input = rate("input_mtok", Decimal(0))
    write = rate("cache_write_mtok", input)
    return Rates(
        input=input,
        output=rate("output_mtok", Decimal(0)),
        cache_read=rate("cache_read_mtok", input),
        cache_write=write,
        cache_write_1h=rate("cache_write_1h_mtok", write),
    )
