"""What a long prefix costs that is used again: a prefix of 30,000 tokens, 20 times at once."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from bench.ladder.measured import Meter
from bench.ladder.models import model_for
from bench.ladder.rungs import Setting
from outlay import Agent, run_many
from outlay.emulator import EmulatedReply, EmulatedRequest
from outlay.models.prices import GenaiPrices

TOKENS, TIMES = 30_000, 20


class Prefix:
    """The workload."""

    name = "prefix"

    async def play(self, setting: Setting, meter: Meter) -> None:
        text = "".join(f"rule {n:06}. " for n in range(TOKENS))[: TOKENS * 4]
        cache: Any = "auto" if setting.prompt_cache else "off"
        agent = Agent("clerk", model_for(setting, None), instructions=text, cache=cache)
        rows = [(n, f"question {n:03}") for n in range(TIMES)]
        async for _, result in run_many(agent, rows, concurrency=TIMES, on_event=meter):
            meter.check(result.output == "Yes.")

    def behaviour(self, request: EmulatedRequest) -> EmulatedReply:
        return EmulatedReply("Yes.")


def prefixes_paid(meter: Meter) -> Decimal:
    """The dollars of the bill for the prefix, in prefixes at the price of uncached input.

    The questions and answers are taken off: they are the rest of the uncached input, and the output.
    """
    (line,) = meter.fold.bill().by("model").values()
    price = GenaiPrices().find("anthropic", line.model.partition(":")[2])
    assert price is not None
    assert None not in (line.input_tokens, line.output_tokens, line.cache_read_tokens, line.cache_write_tokens)
    cached = bool(line.cache_write_tokens)
    questions = (line.input_tokens or 0) - (0 if cached else TOKENS * TIMES)
    rest = (questions * price.rates.input + (line.output_tokens or 0) * price.rates.output) / 1_000_000
    return (line.known_cost - rest) / (TOKENS * price.rates.input / 1_000_000)
