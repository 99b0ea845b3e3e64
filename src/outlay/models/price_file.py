"""Your own prices from a file.

    # outlay.toml                            US dollars per million tokens, as numbers or strings
    [prices."openai-chat:my-model"]
    input = "0.20"
    output = "0.60"
    cache_read = "0.02"                      # optional, and so are cache_write and cache_write_1h
    tiers = [{ above = 200000, input = "0.40", output = "1.20" }]      # optional: long contexts

    [prices."anthropic:claude-opus-4-8@batch"]
    …

`OUTLAY_PRICES` names another file, TOML or JSON (`{"prices": {…}}`).
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from outlay.errors import ConfigError
from outlay.models.prices import GenaiPrices, Overridden, PriceTable
from outlay.protocols.prices import PriceBook
from outlay.values.money import usd
from outlay.values.price import Price, Rates

_RATES = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
#: A dollar per million tokens is 0.000001 a token: anything this small was meant per token.
_PER_TOKEN = Decimal("0.0001")


def default_book() -> PriceBook:
    """The prices that a run uses: genai-prices, under the entries of your file if there is one."""
    table = find_table()
    return GenaiPrices() if table is None else Overridden(table, GenaiPrices())


def find_table(folder: Path | None = None) -> PriceTable | None:
    """The file that `OUTLAY_PRICES` names, else `outlay.toml` in `folder` (the current one), else None."""
    named = os.environ.get("OUTLAY_PRICES")
    if named:
        return read_table(Path(named))
    path = (folder or Path.cwd()) / "outlay.toml"
    return read_table(path) if path.is_file() else None


def read_table(path: Path) -> PriceTable:
    """The `prices` section of a TOML or JSON file; a file without one is an empty table.

    Raises ConfigError that names the line and the key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the prices in {path}: {error}", hint="check OUTLAY_PRICES") from error
    try:
        # Decimals from the text itself: 0.1 as a float is not a tenth.
        read = json.loads if path.suffix == ".json" else tomllib.loads
        data: Any = read(text, parse_float=Decimal)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    section = cast("Mapping[str, Any]", data).get("prices", {}) if isinstance(data, dict) else None
    if not isinstance(section, dict):
        raise ConfigError(f"{path}: `prices` must be a table of models")
    entries = cast("dict[str, Any]", section)
    return PriceTable({key: _price(_Place(path, text, key), entry) for key, entry in entries.items()})


class _Place:
    """Where in the file an entry stands, for error messages."""

    def __init__(self, path: Path, text: str, key: str) -> None:
        self.path, self.text, self.key = path, text, key

    def wrong(self, problem: str, field: str = "") -> ConfigError:
        lines = self.text.splitlines()
        entry = re.compile(rf"(?<![\w:@-]){re.escape(self.key)}(?![\w:@.-])")
        line = next((i for i, text in enumerate(lines) if entry.search(text)), 0)
        if field:
            here = re.compile(rf"(?<![\w-]){re.escape(field)}[\"']?\s*[=:]")
            line = next((i for i in range(line, len(lines)) if here.search(lines[i])), line)
        name = f"prices.{self.key!r}" + (f", {field}" if field else "")
        return ConfigError(
            f"{self.path}, line {line + 1}: {name}: {problem}",
            hint="rates are US dollars per million tokens, like input = '3.00'",
        )


def _price(place: _Place, entry: Any) -> Price:
    if not isinstance(entry, dict):
        raise place.wrong("must be a table with input and output")
    fields = cast("dict[str, Any]", entry)
    provider, colon, model = place.key.partition(":")
    if not (provider and colon and model):
        raise place.wrong("names no model; write it like 'openai-chat:my-model'")
    tiers: list[tuple[int, Rates]] = []
    for tier in _list(place, fields.get("tiers", [])):
        above = tier.pop("above", None)
        if not isinstance(above, int) or isinstance(above, bool) or above < 0:
            raise place.wrong("each tier needs above = a number of tokens", "tiers")
        tiers.append((above, _rates(place, tier, provider)))
    standard = _rates(place, {k: v for k, v in fields.items() if k != "tiers"}, provider)
    return Price(standard, tuple(sorted(tiers, key=lambda tier: tier[0])))


def _list(place: _Place, tiers: Any) -> list[dict[str, Any]]:
    items = cast("list[Any]", tiers) if isinstance(tiers, list) else [tiers]
    if not all(isinstance(item, dict) for item in items):
        raise place.wrong("must be a list of tables", "tiers")
    return [dict(cast("dict[str, Any]", item)) for item in items]


def _rates(place: _Place, fields: Mapping[str, Any], provider: str) -> Rates:
    for field in fields:
        if field not in _RATES:
            raise place.wrong(f"unknown; a price has {', '.join(_RATES)} and tiers", field)
    for field in ("input", "output"):
        if field not in fields:
            raise place.wrong(f"has no {field}: an unknown price is not free")
    given = {field: _rate(place, field, value) for field, value in fields.items()}
    input = given["input"]
    # Anthropic charges 1.25 and 2 times the input for writes on every model, so a price of two figures implies them.
    # Elsewhere, and for reads, the input rate: what is charged where no discount is agreed.
    anthropic = provider == "anthropic"
    write = given.get("cache_write", input * Decimal("1.25") if anthropic else input)
    return Rates(
        input=input,
        output=given["output"],
        cache_read=given.get("cache_read", input),
        cache_write=write,
        cache_write_1h=given.get("cache_write_1h", max(write, input * 2) if anthropic else write),
    )


def _rate(place: _Place, field: str, value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        raise place.wrong(f"not a rate: {value!r}", field)
    try:
        rate = usd(value)
    except ValueError as error:
        raise place.wrong(str(error), field) from None
    if 0 < rate < _PER_TOKEN:
        raise place.wrong(f"{rate} a million tokens looks like a price per token; multiply it by 1,000,000", field)
    return rate
