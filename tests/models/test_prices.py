"""Prices: what genai-prices says, in our buckets, with unknown kept apart from free."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlay.errors import ConfigError
from outlay.models.prices import GenaiPrices, InTier, Overridden, PriceTable
from outlay.values.price import Price
from outlay.values.usage import Usage

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
BOOK = GenaiPrices(at=NOW)
#: How to say each of our tiers to genai-prices.
CONTEXTS = {
    ("anthropic", "batch"): {"processing": "batch"},
    ("anthropic", "fast"): {"speed": "fast"},
    ("openai", "batch"): {"processing": "batch"},
    ("openai", "flex"): {"service_tier": "flex"},
    ("openai", "priority"): {"service_tier": "priority"},
    ("openai", "fast"): {"service_tier": "fast"},
}
MODELS = [(p.id, m.id) for p in get_snapshot().providers if p.id in ("anthropic", "openai") for m in p.models]
PRICED = [
    (provider, model, tier, price)
    for provider, model in MODELS
    for tier in ("", "batch", "flex", "priority", "fast")
    if (price := BOOK.find(provider, model, tier)) is not None
]
ONE_MILLION = Decimal(1_000_000)

tokens = st.one_of(st.integers(0, 3_000), st.integers(0, 2_000_000))


@st.composite
def usages(draw):
    written = draw(tokens)
    return Usage(draw(tokens), draw(tokens), written, draw(tokens), draw(st.integers(0, written)))


def genai_cost(provider, model, tier, usage):
    reported = {
        "input_tokens": usage.all_input_tokens,  # inclusive, unlike ours
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cache_write_1h_tokens": usage.cache_write_1h_tokens,
        "output_tokens": usage.output_tokens,
    }
    return genai_prices.calc_price(
        genai_prices.Usage(**reported),
        model,
        provider_id=provider,
        genai_request_timestamp=NOW,
        price_context=CONTEXTS.get((provider, tier)),
    ).total_price


@given(entry=st.sampled_from(PRICED), usage=usages())
@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_every_model_and_tier_costs_exactly_what_genai_prices_says(entry, usage):
    provider, model, tier, price = entry
    assert price.cost(usage) == genai_cost(provider, model, tier, usage)


@pytest.mark.parametrize(("provider", "model", "tier", "price"), PRICED, ids=lambda x: x if isinstance(x, str) else "")
def test_each_bucket_alone_costs_what_genai_prices_says(provider, model, tier, price):
    for size in (1, 100_000, 100_001, 200_001, 272_000, 272_001):
        for usage in (
            Usage(input_tokens=size),
            Usage(cache_read_tokens=size),
            Usage(cache_write_tokens=size),
            Usage(cache_write_tokens=size, cache_write_1h_tokens=size),
            Usage(input_tokens=size, output_tokens=size),
        ):
            assert price.cost(usage) == genai_cost(provider, model, tier, usage)


def test_most_models_are_priced():
    standard = [entry for entry in PRICED if entry[2] == ""]
    assert len(standard) > 100
    assert {provider for provider, *_ in standard} == {"anthropic", "openai"}


@pytest.mark.parametrize(
    ("provider", "model", "input", "output"),
    [
        ("anthropic", "claude-haiku-4-5", 1, 5),
        ("anthropic", "claude-haiku-4-5-20251001", 1, 5),
        ("anthropic", "claude-sonnet-4-6", 3, 15),
        ("anthropic", "claude-opus-4-8", 5, 25),
        ("openai", "gpt-5.4", "2.5", 15),
        ("openai", "GPT-5.4-mini-2026-03-17", "0.75", "4.5"),
    ],
)
def test_well_known_models_have_their_list_price(provider, model, input, output):
    rates = BOOK.find(provider, model).rates
    assert (rates.input, rates.output) == (Decimal(input), Decimal(output))


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-7-unheard-of"),
        ("openai", ""),
        ("nobody", "gpt-5.4"),
        ("openai", "whisper-1"),  # by the hour
        ("openai", "gpt-image-1"),  # by kinds of token that Usage does not tell apart
        ("openai", "text-embedding-3-small"),  # no output rate
        ("openai", "moderation"),  # no rate at all
    ],
)
def test_what_cannot_be_priced_is_none_and_never_free(provider, model):
    assert BOOK.find(provider, model) is None


def test_a_server_of_ones_own_is_not_billed_at_openais_list_price():
    """genai-prices itself finds OpenAI's price for any provider whose name contains "openai"."""
    assert genai_prices.calc_price(genai_prices.Usage(input_tokens=1), "gpt-5.4", provider_id="openai-chat").total_price
    assert BOOK.find("openai-chat", "gpt-5.4") is None


def test_long_contexts_pay_the_dearer_rate_for_the_whole_request():
    price = BOOK.find("openai", "gpt-5.4")
    assert price.cost(Usage(input_tokens=272_000)) == Decimal("2.5") * 272_000 / ONE_MILLION
    assert price.cost(Usage(input_tokens=272_001)) == Decimal(5) * 272_001 / ONE_MILLION
    mostly_cached = Usage(cache_read_tokens=272_000, input_tokens=1)
    assert price.cost(mostly_cached) == (Decimal("0.5") * 272_000 + 5) / ONE_MILLION


def test_batch_halves_the_price():
    usage = Usage(1_000, 2_000, 3_000, 4_000)
    standard = BOOK.find("anthropic", "claude-haiku-4-5").cost(usage)
    assert BOOK.find("anthropic", "claude-haiku-4-5", "batch").cost(usage) == standard / 2


def test_the_value_that_anthropic_reports_for_a_batch_is_understood():
    """`{"service_tier": "batch"}`, handed to genai-prices as it is, silently gives the standard price."""
    usage, model = genai_prices.Usage(input_tokens=1_000_000), "claude-haiku-4-5"
    trap = genai_prices.calc_price(
        usage, model, provider_id="anthropic", price_context={"service_tier": "batch"}, genai_request_timestamp=NOW
    )
    assert trap.total_price == 1
    assert BOOK.find("anthropic", model, "batch").cost(Usage(input_tokens=1_000_000)) == Decimal("0.5")


@pytest.mark.parametrize("tier", ["standard", "default", "on_demand", ""])
def test_the_ordinary_tier_has_several_names(tier):
    assert BOOK.find("openai", "gpt-5.4", tier) == BOOK.find("openai", "gpt-5.4")


@pytest.mark.parametrize(
    ("provider", "model", "tier"),
    [
        ("openai", "gpt-5.4", "scale"),
        ("openai", "gpt-5.4", "Batch"),
        ("anthropic", "claude-haiku-4-5", "priority"),  # sold by contract, no list price
        ("anthropic", "claude-haiku-4-5", "fast"),
        ("openai", "gpt-3.5-turbo-16k", "flex"),
    ],
)
def test_an_unknown_tier_is_none_and_never_standard(provider, model, tier):
    assert BOOK.find(provider, model) is not None
    assert BOOK.find(provider, model, tier) is None


def test_a_cache_rate_that_is_not_listed_is_the_input_rate():
    rates = BOOK.find("openai", "gpt-5.4-pro").rates
    assert rates.input == rates.cache_read == rates.cache_write == rates.cache_write_1h


def test_a_price_follows_the_moment_it_asks_for_summary():
    before, after = (GenaiPrices(at=datetime(2026, 3, day, tzinfo=UTC)) for day in (12, 13))
    assert before.find("anthropic", "claude-opus-4-6").tiers
    assert not after.find("anthropic", "claude-opus-4-6").tiers


def test_a_price_is_looked_up_once():
    book = GenaiPrices()
    assert book.find("openai", "gpt-5.4") is book.find("openai", "gpt-5.4")


def test_the_price_list_is_imported_at_the_first_lookup():
    program = """
import sys, outlay.models.prices as prices
book = prices.GenaiPrices()
assert "genai_prices" not in sys.modules
book.find("openai", "gpt-5.4")
assert "genai_prices" in sys.modules
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program], check=True, env=env)


def test_a_table_knows_what_no_list_knows():
    table = PriceTable({"openai-chat:my-model": Price.per_million("0.20", "0.60")})
    assert table.find("openai-chat", "my-model").rates.input == Decimal("0.20")
    assert table.find("openai", "my-model") is None
    assert table.find("openai-chat", "my-model", "batch") is None


def test_a_table_overrides_the_list():
    mine = Price.per_million(2, 20)
    book = Overridden(PriceTable({"openai:gpt-5.4": mine}), BOOK)
    assert book.find("openai", "gpt-5.4") is mine
    assert book.find("openai", "gpt-5.4-mini") == BOOK.find("openai", "gpt-5.4-mini")


def test_the_lists_discount_is_not_applied_to_a_price_of_ones_own():
    book = Overridden(PriceTable({"openai:gpt-5.4": Price.per_million(2, 20)}), BOOK)
    assert book.find("openai", "gpt-5.4", "batch") is None
    half = Price.per_million(1, 10)
    book = Overridden(PriceTable({"openai:gpt-5.4": Price.per_million(2, 20), "openai:gpt-5.4@batch": half}), BOOK)
    assert book.find("openai", "gpt-5.4", "batch") is half


def test_a_book_in_a_tier_prices_every_model_in_it():
    book = InTier(BOOK, "batch")
    assert book.find("anthropic", "claude-haiku-4-5") == BOOK.find("anthropic", "claude-haiku-4-5", "batch")


@pytest.mark.parametrize("key", ["my-model", ":x", "openai:", ""])
def test_a_table_entry_must_name_a_provider_and_a_model(key):
    with pytest.raises(ConfigError, match="names no model"):
        PriceTable({key: Price.per_million(1, 1)})
