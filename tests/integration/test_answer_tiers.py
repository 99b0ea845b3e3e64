"""An answer is billed at the price of the tier that it says it was given in, and at none where that is not known."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from test_bad_answers import KEY, http, server

from outlay import Agent, Budget, run
from outlay.models import Anthropic, OpenAI, OpenAIChat

USAGE = {"input_tokens": 1000, "output_tokens": 100}
RESPONSE = {
    "status": "completed",
    "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}],
    "usage": USAGE,
}
CHOICES = [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]
COMPLETION = {"choices": CHOICES, "usage": {"prompt_tokens": 1000, "completion_tokens": 100}}
MESSAGE = {"content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn"}


async def billed(adapter: Any, name: str, answer: dict[str, Any]) -> Any:
    async with server(http("200 OK", json.dumps(answer).encode())) as (url, _):
        model = adapter(name, api_key=KEY, base_url=url if adapter is Anthropic else f"{url}/v1")
        return (
            await run(Agent("a", model, max_output_tokens=500), "Hi", budget=Budget(usd=1, allow_unpriced=True))
        ).bill


@pytest.mark.parametrize(
    ("tier", "total"),
    [
        (None, "0.004"),
        ("default", "0.004"),
        ("auto", "0.004"),
        ("flex", "0.002"),
        ("priority", "0.008"),
        ("scale", None),
        ("a tier of tomorrow", None),
        ({}, "0.004"),
    ],
)
async def test_openais_tiers(tier: Any, total: str | None) -> None:
    """gpt-5.4 is 2.50 and 15 dollars per million tokens; flex is half of it, priority twice."""
    bill = await billed(OpenAI, "gpt-5.4", {**RESPONSE, "service_tier": tier})
    assert bill.total == (None if total is None else Decimal(total))
    assert bill.lines[0].input_tokens == 1000


@pytest.mark.parametrize(
    ("usage", "total"),
    [({"service_tier": "standard"}, "0.0015"), ({"service_tier": "batch"}, "0.00075"), ({"speed": "fast"}, None)],
)
async def test_anthropics_tiers(usage: dict[str, Any], total: str | None) -> None:
    """claude-haiku-4-5 is 1 and 5 dollars, half of it in a batch, and not sold fast."""
    bill = await billed(Anthropic, "claude-haiku-4-5", {**MESSAGE, "usage": {**USAGE, **usage}})
    assert bill.total == (None if total is None else Decimal(total))


@pytest.mark.parametrize(("tier", "total"), [("on_demand", "0.003"), ("flex", None), (None, "0.003")])
async def test_a_price_of_ones_own_is_for_the_ordinary_tier(
    tier: str | None, total: str | None, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which Groq calls `on_demand`."""
    prices = tmp_path / "outlay.toml"
    prices.write_text('[prices."openai-chat:llama"]\ninput = "1"\noutput = "20"\n')
    monkeypatch.setenv("OUTLAY_PRICES", str(prices))
    from outlay.runtime.directory import default_prices

    default_prices.cache_clear()
    try:
        bill = await billed(OpenAIChat, "llama", {**COMPLETION, "service_tier": tier})
    finally:
        default_prices.cache_clear()
    assert bill.total == (None if total is None else Decimal(total))
