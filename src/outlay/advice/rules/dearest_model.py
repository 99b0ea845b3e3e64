"""Every agent on the dearest model: nobody has tried what a cheaper one can do."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from outlay.advice.rule import Rule, Sight
from outlay.advice.survey import Survey
from outlay.protocols.model import Model
from outlay.values.price import Price

#: A small model of each provider, for a comparison of list prices.
SMALL = {"anthropic": "claude-haiku-4-5", "openai": "gpt-5.4-mini"}
#: How much cheaper another model has to be to be worth a word: at most so large a share of the price.
_SHARE = Decimal("0.5")


def look(survey: Survey) -> Iterator[Sight]:
    if len(survey.agents) < 2:
        return
    used: dict[str, Model] = {}
    for agent in survey.agents:
        models = survey.models(agent)
        if len(agent.models) != 1 or not models:
            return  # a cascade, or a cheaper model when money runs short: it is being tried
        used[models[0].id] = models[0]
    prices = [survey.price(model) for model in used.values()]
    if len({_sum(price) for price in prices if price is not None}) != 1 or None in prices:
        return
    dear = next(iter(used.values()))
    small = SMALL.get(dear.provider)
    price, other = prices[0], None if small is None else survey.price_of(dear.provider, small)
    if small is None or price is None or other is None or _sum(other) > _SHARE * _sum(price):
        return
    times = f"{_sum(price) / _sum(other):.2g}"
    yield Sight(
        (survey.root.name,),
        f"all {len(survey.agents)} agents use {' and '.join(sorted(used))}, at {times} times the price of {small}",
        f'the narrowest agent first: model="{dear.provider}:{small}", or Cascade(["{dear.provider}:{small}", '
        f'"{dear.id}"], gate)',
    )


def _sum(price: Price) -> Decimal:
    """Input and output in the proportion in which agents read and write, about three to one."""
    return 3 * price.rates.input + price.rates.output


RULE = Rule(
    "dearest-model",
    "every agent on the dearest model",
    ("money", "latency"),
    "routing, extracting and short answers rarely need it; small models cost a fraction and answer sooner",
    look,
)
