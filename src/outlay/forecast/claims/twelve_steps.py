"""The twelve-step table: one premium call against eight ways to make twelve."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from outlay.forecast.claims.claim import Claim, Figure
from outlay.forecast.claims.designs import (
    HIT,
    HIT_AS_MADE,
    PREMIUM,
    SMALL,
    Design,
    at_once,
    in_a_row,
    per_dollar,
    right,
    step,
    steps,
)
from outlay.forecast.expected import Expected
from outlay.forecast.reliability import repeated

SECTION = "Twelve steps"
SOURCE = "published twelve-step table"
OURS = "our row beside it"


def twelve_steps() -> Iterator[Claim]:
    """The table as printed, then the rows it leaves out."""
    twelve = in_a_row(steps(PREMIUM, 12))
    yield _row("single premium call", step(PREMIUM), 0.030, 2.0, 98.50, 32.8)
    yield _row("twelve in a row", twelve, 0.360, 24.0, 83.41, 2.3)
    yield _row("twelve at once", at_once(steps(PREMIUM, 12)), 0.360, 2.0, 83.41, 2.3)
    shared = in_a_row([*steps(PREMIUM, 4), at_once([in_a_row(steps(SMALL, 4)), in_a_row(steps(SMALL, 4))])])
    yield _row(
        "routed: 4 premium, 8 small",
        shared,
        0.136,
        9.6,
        59.87,
        4.4,
        only_if="the small steps run as two chains of four beside each other",
    )
    cached = in_a_row([*steps(PREMIUM, 6), *steps(HIT, 6)])
    yield _row("six of twelve cached", cached, 0.180, 12.1, 91.33, 5.1, only_if="a cached step never fails")
    retried = in_a_row(steps(PREMIUM, 12, retries=1))
    free = replace(twelve.expected, right=retried.expected.right)
    yield _row(
        "each of twelve retried once",
        free,
        0.360,
        24.0,
        99.73,
        2.8,
        only_if="retries are free, every failure is noticed and retries are independent",
    )
    yield _row("six steps", in_a_row(steps(PREMIUM, 6)), 0.180, 12.0, 91.33, 5.1)
    combined = at_once([*steps(HIT, 2), *steps(SMALL, 4, retries=1)])
    unpaid = at_once([*steps(HIT, 2), *steps(SMALL, 4)]).expected
    yield _row(
        "combined: six steps, routed, cached, at once, retried",
        replace(unpaid, right=combined.expected.right),
        0.008,
        0.4,
        98.80,
        123.5,
        only_if="both cache hits fall on the premium steps and are never wrong, and retries are free",
    )
    printed = (98.50, 91.33, 83.41, 69.58, 48.41)
    figures = [
        Figure(f"N={n}", said, 100 * repeated(PREMIUM.right, n), 2, "%")
        for n, said in zip((1, 6, 12, 24, 48), printed, strict=True)
    ]
    yield Claim(SECTION, "reliability decays with the number of steps", SOURCE, tuple(figures))
    yield from _left_out(retried, combined)


def _left_out(retried: Design, combined: Design) -> Iterator[Claim]:
    """What an honest table also shows."""
    apart = in_a_row([*steps(PREMIUM, 4), *steps(SMALL, 8)])
    yield _row("routed, all in one chain", apart, 0.136, 11.2, 59.87, 4.4, source=OURS)
    as_made = in_a_row([*steps(PREMIUM, 6), *steps(HIT_AS_MADE, 6)])
    yield _row("six cached with the p they were made with", as_made, 0.180, None, 83.41, 4.6, source=OURS)
    yield _row("each of twelve retried once, retries paid", retried, None, None, 99.73, None, source=OURS)
    on_small = at_once([*steps(HIT, 2), *steps(PREMIUM, 2, retries=1), *steps(SMALL, 2, retries=1)])
    unpaid = at_once([*steps(HIT, 2), *steps(PREMIUM, 2), *steps(SMALL, 2)]).expected
    yield _row(
        "combined, hits on small steps",
        replace(unpaid, right=on_small.expected.right),
        0.064,
        2.0,
        99.35,
        15.5,
        source=OURS,
        only_if="retries are free; it is under the single call's 32.8 all the same",
    )
    found = combined.expected
    figures = (Figure("", 0.00844, found.dollars, 5, "$"), Figure("per dollar", 117.1, per_dollar(found), 1))
    yield Claim(SECTION, "combined, expected retries paid", OURS, figures)
    yield _worth("all twelve small pays where a success is worth less than", 1.03, in_a_row(steps(SMALL, 12)).expected)
    one = in_a_row([*steps(PREMIUM, 11), step(SMALL)]).expected
    yield _worth("one small step of twelve pays where a success is worth less than", 0.83, one)
    all_small = in_a_row(steps(SMALL, 12)).expected
    note = f"a measure that prefers {100 * right(all_small):.1f} % success to 83.4 % misleads"
    figures = (Figure("per dollar", 21.1, per_dollar(all_small), 1),)
    yield Claim(SECTION, "on quality per dollar alone, all small always wins", OURS, figures, note=note)


def _worth(claim: str, printed: float, cheaper: Expected) -> Claim:
    """The value V of a success at which both designs are worth the same: `V · right - dollars` is equal."""
    dear = in_a_row(steps(PREMIUM, 12)).expected
    value = (dear.dollars - cheaper.dollars) / (right(dear) - right(cheaper))
    return Claim(SECTION, claim, OURS, (Figure("", printed, value, 2, "$"),))


def _row(
    claim: str,
    design: Design | Expected,
    dollars: float | None,
    seconds: float | None,
    success: float | None,
    quality: float | None,
    *,
    only_if: str = "",
    source: str = SOURCE,
) -> Claim:
    found = design.expected if isinstance(design, Design) else design
    figures = (
        Figure("", dollars, found.dollars, 3, "$"),
        Figure("", seconds, found.seconds.mean, 1, "s"),
        Figure("", success, 100 * right(found), 2, "%"),
        Figure("per dollar", quality, per_dollar(found), 1),
    )
    return Claim(SECTION, claim, source, figures, only_if)
