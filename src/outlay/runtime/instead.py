"""What another model would have cost for a request: what a cascade's savings are against."""

from __future__ import annotations

from decimal import Decimal
from typing import cast

from outlay.protocols.caching import Caching, terms_of
from outlay.protocols.model import Model
from outlay.runtime.prefixes import Prefix, chain, characters, prefixes
from outlay.runtime.state import RunState
from outlay.values.estimate import CHARACTERS_PER_TOKEN
from outlay.values.request import ModelRequest
from outlay.values.usage import Usage


def cost_instead(run: RunState, model: Model, request: ModelRequest, usage: Usage, *, ahead: bool) -> Decimal | None:
    """About what `model` would cost for an answer with this usage, if every such request went to it: with its prompt
    cache, which would then hold what conversations begin with, and in the same lane. Without input tokens (a student's
    answer, one that is not there yet) these are estimated from the texts. None where the price is unknown.
    """
    if run.stages.lane is not None and run.stages.lane.takes(request, model):
        price = run.directory.price_at(model, "batch")
        return None if price is None else price.cost(_counted(request, usage, None).without_cache())
    return live_cost(run, model, request, usage, ahead=ahead)


def live_cost(run: RunState, model: Model, request: ModelRequest, usage: Usage, *, ahead: bool) -> Decimal | None:
    """The same, of a request that is asked at once."""
    price = run.directory.price(model)
    terms = terms_of(model, request)
    if price is None or terms is None:
        return None if price is None else price.cost(_counted(request, usage, None))
    known, now = prefixes(), run.loop.time()
    where = (cast("Caching", model).cache_place(), model.id)
    provider = known.providers.get(where)
    scale = None if provider is None else provider.scale
    parts = list(chain(request.prelude))
    begun: Prefix = (*where, parts[-1][0], "instead")
    if ahead:
        known.begin(begun, now)
    kept = int(sum(length for _, length in parts) / CHARACTERS_PER_TOKEN * (scale or 1.0))
    rates = price.rates
    if request.cache == "off" or kept < terms.minimum or rates.cache_read >= rates.input:
        kept = 0
    elif known.starts(begun, now, "5m") < 2:
        kept = 0  # this one would be the first
    return price.cost(_reading(_counted(request, usage, scale), kept))


def _reading(usage: Usage, kept: int) -> Usage:
    """The same tokens, with at least `kept` of them read from a cache."""
    if kept <= usage.cache_read_tokens:
        return usage
    read = min(kept, usage.all_input_tokens)
    return Usage(usage.all_input_tokens - read, read, 0, usage.output_tokens)


def _counted(request: ModelRequest, usage: Usage, scale: float | None) -> Usage:
    """With input tokens. `scale` is measured, and then has the output's schema in it."""
    if usage.all_input_tokens:
        return usage
    prelude = request.prelude
    length = sum(length for _, length in chain(prelude)) + request.transcript.total("characters", characters)
    if scale is None and prelude.output is not None:
        length += len(prelude.output.schema)
    return Usage(int(length / CHARACTERS_PER_TOKEN * (scale or 1.0)), 0, 0, usage.output_tokens)
