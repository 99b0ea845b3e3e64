"""Caches, cascades, tiers and what a session costs."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import count

from outlay.agents.agent import Agent
from outlay.forecast.assumptions import Assumptions
from outlay.forecast.claims.claim import Claim, Figure
from outlay.forecast.claims.designs import Model, in_a_row, step, steps
from outlay.forecast.closed import closed_form
from outlay.forecast.expect import Expect
from outlay.forecast.expected import Expected
from outlay.forecast.fits import Fit
from outlay.patterns import Pipeline
from outlay.values.price import Price, Rates
from outlay.values.usage import Usage

CACHE, MONEY, CITED = "Caches and cascades", "Money", "Cited, not recomputed"
SOURCE = "published cost advice"
ANTHROPIC = "Anthropic 2025, How we built our multi-agent research system"
#: $3 and $15 a million tokens; a cache read is a tenth of the input, a write 1.25 times (1 h: twice).
MIDDLE_PRICE = Price(Rates(Decimal(3), Decimal(15), Decimal("0.3"), Decimal("3.75"), Decimal(6)))
PREFIX = 30_000


def caches() -> Iterator[Claim]:
    saved = 100 * (1 - float(_cached(20) / _uncached(20)))
    figure = Figure("saves", 90, saved, 2, "%")
    note = "the first use is a write, at 1.25 times the input"
    yield Claim(CACHE, "a cached prefix of 30K tokens used 20 times saves 90 %", SOURCE, (figure,), "", note)
    figures = (Figure("reads at 5 min", 3, _break_even(hour=False)), Figure("at 1 h", 3, _break_even(hour=True)))
    note = "the first read pays a 5-minute write, the second an hour's"
    yield Claim(CACHE, "a cache pays after three to five turns", SOURCE, figures, "", note)
    figures = (Figure("alone", 24.05, _history(100, 0) / _history(20, 0), 2, "×"),)
    yield Claim(CACHE, "history: 100 turns cost so many times 20 turns, without a static prefix", SOURCE, figures)
    with_prefix = _history(100, 30) / _history(20, 30)
    yield Claim(CACHE, "the same over a prefix of 30K and 1K a turn", SOURCE, (Figure("", 9.9, with_prefix, 1, "×"),))
    escalated = _cascade(0.3)
    figures = (Figure("", 3.4, escalated, 1), Figure("against", 5, LARGE.dollars))
    even = 100 * (LARGE.dollars - SMALL.dollars) / (MIDDLE.dollars + LARGE.dollars)
    claim = "a cascade at prices 1, 3 and 5 that escalates 30 %"
    note = f"not broken: it breaks even with the large model at {even:.0f} % escalation"
    yield Claim(CACHE, claim, SOURCE, figures, "what is escalated pays for the middle and for the large model", note)


def _uncached(uses: int) -> Decimal:
    return uses * MIDDLE_PRICE.cost(Usage(input_tokens=PREFIX))


def _cached(uses: int, *, hour: bool = False) -> Decimal:
    write = Usage(cache_write_tokens=PREFIX, cache_write_1h_tokens=PREFIX if hour else 0)
    return MIDDLE_PRICE.cost(write) + (uses - 1) * MIDDLE_PRICE.cost(Usage(cache_read_tokens=PREFIX))


def _break_even(*, hour: bool) -> int:
    """The number of reads after which the cache is cheaper."""
    return next(reads for reads in count(1) if _cached(reads + 1, hour=hour) < _uncached(reads + 1))


def _history(turns: int, prefix: int) -> float:
    """Input tokens of a conversation, in thousands: each turn reads the prefix and all turns so far."""
    return float(sum(prefix + turn for turn in range(1, turns + 1)))


SMALL, MIDDLE, LARGE = Model(1.0, 1.0, 1.0), Model(3.0, 1.0, 1.0), Model(5.0, 1.0, 1.0)


def _cascade(escalated: float) -> float:
    first, rest = step(SMALL).expected, in_a_row([step(MIDDLE), step(LARGE)]).expected
    return first.then(rest, reached=escalated).dollars


def money() -> Iterator[Claim]:
    session = 40 * float(MIDDLE_PRICE.cost(Usage(input_tokens=50_000, output_tokens=4_000)))
    yield Claim(MONEY, "40 turns of 50K in and 4K out at $3 and $15", SOURCE, (Figure("", 8.40, session, 2, "$"),))
    figure = Figure("a year", 60_000, session * 100 * 3 * 200, 0, "$")
    yield Claim(MONEY, "100 developers, 3 such sessions on 200 days", SOURCE, (figure,))
    mixed = in_a_row([step(SMALL), *steps(MIDDLE, 2)]).expected
    figures = (
        Figure("against all large", -53, _change(mixed, _alike(LARGE, 3)), 0, "%"),
        Figure("against all middle", -22, _change(mixed, _alike(MIDDLE, 3)), 0, "%"),
    )
    yield Claim(MONEY, "triage on one small and two middle calls, at 1, 3 and 5", SOURCE, figures)
    two = in_a_row([*steps(LARGE, 2), *steps(MIDDLE, 3)]).expected
    figures = (Figure("at least", -60, _change(two, _alike(LARGE, 5)), 0, "%"),)
    most = _change(_alike(MIDDLE, 5), _alike(LARGE, 5))
    note = f"the ceiling, all five middle, is {most:.0f} %"
    yield Claim(MONEY, "tiering to two large and three middle calls saves 60 to 80 %", SOURCE, figures, "", note)
    figures = (Figure("one agent", 3.75, 15 / 4, 2, "×"),)
    note = "15 × and 4 × are both against a chat"
    yield Claim(MONEY, "multi-agent takes 15 × the tokens, an agent 4 ×", ANTHROPIC, figures, "", note)


def tickets() -> Iterator[Claim]:
    """The ticket table. Its volumes and token counts are not at hand, so these are ours, at today's list prices."""
    a_ticket = ticket().dollars
    figures = tuple(
        Figure(f"{stage} {volume:,}", None, a_ticket * volume, 0, "$") for stage, volume in TICKETS_A_MONTH.items()
    )
    note = (
        f"our volumes and tokens, the printed ones are not at hand: {' and '.join(TICKET_MODELS)}, each call of "
        f"{TICKET_TOKENS[0]:,} tokens in and {TICKET_TOKENS[1]:,} out, ${a_ticket:.4f} a ticket"
    )
    claim = "a month of tickets, one small and two middle calls each, at list prices"
    yield Claim(MONEY, claim, "published ticket table", figures, "", note)


TICKETS_A_MONTH = {"pilot": 1_000, "growth": 10_000, "scale": 100_000, "enterprise": 1_000_000}
TICKET_MODELS = ("anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6")
#: Read and written by each call.
TICKET_TOKENS = (1_000, 150)


def ticket() -> Expected:
    """Three agents in a row, as `outlay forecast` would have them, on a ticket whose tokens are all said beforehand."""
    read, written = TICKET_TOKENS
    small, middle = TICKET_MODELS
    agents = [Agent(f"ticket{i}", model) for i, model in enumerate((small, middle, middle))]
    known = Fit(expect=Expect(output_tokens=written, turns=1, failure=0.0), calls={}, events=0, input_tokens=read)
    found = closed_form(Pipeline(*agents), "", Assumptions(fits={agent.name: known for agent in agents}))
    assert isinstance(found, Expected), found
    return found


def _alike(model: Model, n: int) -> Expected:
    return in_a_row(steps(model, n)).expected


def _change(to: Expected, base: Expected) -> float:
    return 100 * (to.dollars / base.dollars - 1)


def cited() -> Iterator[Claim]:
    """Figures that cannot be recomputed: they are measurements of others, or their inputs are not published."""
    for value, what, source in (
        (90.2, "a multi-agent research system over a single agent, on an internal evaluation", ANTHROPIC),
        (80.0, "of the variance on BrowseComp that token usage alone explains", ANTHROPIC),
        (46.0, "as it circulates", "no source that can be recomputed"),
        (40.0, "as it circulates", "no source that can be recomputed"),
        (53.0, "as it circulates", "no source that can be recomputed"),
        (88.0, "as it circulates", "no source that can be recomputed"),
    ):
        yield Claim(CITED, what, source, (Figure("", value, None, 1 if value % 1 else 0, "%"),))
