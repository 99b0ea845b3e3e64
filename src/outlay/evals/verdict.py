"""The verdict on a comparison, and what would flip it. Rules over its figures, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from outlay.evals.comparison import Comparison
from outlay.evals.mcnemar import LEVEL, least_cases, needed
from outlay.evals.side import Side
from outlay.evals.wording import chance, dollars, percent, points, points_within, seconds, times, within
from outlay.values.counted import counted
from outlay.values.money import show_limit

Kind = Literal["set-up", "not measured", "too few", "better", "depends", "worth it", "no difference"]
#: Errors that say something of the set-up and nothing of the flow.
_SET_UP = ("error: AuthFailed", "error: ConfigError", "error: UnpricedModel")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`ship` is the name of a side, empty where the figures do not say. `text` is one paragraph."""

    kind: Kind
    ship: str
    text: str


def verdict_on(found: Comparison) -> Verdict:
    """The first rule that applies, with its reason."""
    a, b = found.a, found.b
    for side in (a, b):
        kind = next(iter(side.failures), "")
        if kind in _SET_UP and side.failures[kind] == len(side.cases):
            return Verdict(
                "set-up", "", f"No verdict: every run of {side.name} ended with {kind}, so this is the set-up."
            )
    if not found.pairs:
        why = "; ".join(f"{side.name}: {next(iter(side.failures), 'nothing')}" for side in (a, b))
        return Verdict("not measured", "", f"No verdict: of no case could both outcomes be judged ({why}).")
    said = f"{_success(a)} and {_success(b)}{_by_opinion(found)}"
    if found.too_few:
        text = (
            f"No verdict on success: {said}, but {counted(len(found.pairs), 'case')} cannot tell, because fewer than "
            f"{least_cases()} cases that differ are never evidence (the best that can come of them is "
            f"{chance(2.0 ** (1 - len(found.pairs)))}). {_price(found)}"
        )
        return Verdict("too few", "", text)
    if found.worth is not None:
        return _by_value(found, said)
    if found.differs:
        better, other = (b, a) if found.only_b > found.only_a else (a, b)
        return _by_success(found, said, better, other)
    return _by_cost(found, said)


def _by_success(found: Comparison, said: str, better: Side, other: Side) -> Verdict:
    evidence = f"{said}, which chance does not explain (McNemar {chance(found.p)})"
    price = found.price_of_a_success
    if found.dollars is None:
        return Verdict("depends", "", f"{better.name} succeeds more often: {evidence}. {_price(found)}")
    if price is None:
        text = f"Ship {better.name}: it succeeds more often and is not dearer. {evidence}. {_price(found)}"
        return Verdict("better", better.name, text)
    text = (
        f"Ship {better.name} where a success is worth more than {dollars(price)}, else {other.name}: {evidence}. "
        f"{_price(found)} Say what a success is worth (--value) to have it decided."
    )
    return Verdict("depends", "", text)


def _by_cost(found: Comparison, said: str) -> Verdict:
    a, b = found.a, found.b
    bounds = "" if found.success is None else f"; the difference is {points_within(found.success)}"
    evidence = f"no evidence that they differ in success: {said} (McNemar {chance(found.p)}{bounds})"
    ship, why = _cheaper(found)
    single = f"the single agent, {ship.name}" if ship.agents == 1 and max(a.agents, b.agents) > 1 else ship.name
    text = f"Ship {single}: {why}, and there is {evidence}. {_price(found)}"
    return Verdict("no difference", ship.name, text)


def _by_value(found: Comparison, said: str) -> Verdict:
    worth, value = found.worth, found.setup.value
    assert worth is not None
    assert value is not None
    at = f"at {show_limit(value)} a success"
    bounds = within(worth, lambda amount: dollars(amount, signed=True))
    if worth.low > 0 or worth.high < 0:
        better = found.b if worth.low > 0 else found.a
        text = (
            f"Ship {better.name}: {at} it is worth {dollars(abs(worth.value))} more a case; {found.b.name} against "
            f"{found.a.name} is {dollars(worth.value, signed=True)} {bounds}, where {said}. "
            f"{_price(found)}"
        )
        return Verdict("worth it", better.name, text)
    ship, why = _cheaper(found)
    text = (
        f"Ship {ship.name}: {at} neither is worth more for certain ({found.b.name} against {found.a.name} "
        f"{dollars(worth.value, signed=True)} {bounds}), where {said}; {why}. {_price(found)}"
    )
    return Verdict("no difference", ship.name, text)


def _cheaper(found: Comparison) -> tuple[Side, str]:
    """The side to take where success does not decide, and why."""
    a, b = found.a, found.b
    if found.dollars is not None and (found.dollars.low > 0 or found.dollars.high < 0):
        cheap = a if found.dollars.low > 0 else b
        return cheap, "it is cheaper"
    if a.agents != b.agents:
        simple = a if a.agents < b.agents else b
        return simple, f"it is simpler ({counted(a.agents, 'agent')} against {b.agents})"
    if found.seconds is not None and (found.seconds.low > 0 or found.seconds.high < 0):
        return (a if found.seconds.low > 0 else b), "it is faster"
    return a, "nothing speaks for a change"


def _success(side: Side) -> str:
    return f"{side.name} succeeds in {side.successes:,} of {len(side.cases) - side.unmeasured:,}"


def _by_opinion(found: Comparison) -> str:
    return "" if found.setup.checkers else f" (by the opinion of {found.setup.judge}, a model)"


def _price(found: Comparison) -> str:
    a, b = found.a, found.b
    parts: list[str] = []
    if found.multiplier is not None:
        dear, cheap = (b, a) if found.multiplier.value >= 1 else (a, b)
        factor = found.multiplier.value if dear is b else 1 / found.multiplier.value
        costs = f"{dollars(dear.dollars_a_case)} against {dollars(cheap.dollars_a_case)} a case"
        parts.append(f"{dear.name} costs {times(factor)} what {cheap.name} costs ({costs})")
    elif a.cost is None or b.cost is None:
        parts.append("What they cost is not known, because a model has no price")
    slow = found.seconds
    if slow is not None and (slow.low > 0 or slow.high < 0):
        late = b if slow.value > 0 else a
        parts.append(f"{late.name} takes {seconds(abs(slow.value))} longer")
    return f"{' and '.join(parts)}." if parts else ""


# ── what would flip it ────────────────────────────────────────────────────────────────────────────────────


def flips(found: Comparison) -> list[str]:
    """What would have to be otherwise for another verdict, in figures."""
    return list(_flips(found)) if found.pairs else []


def _flips(found: Comparison) -> Iterator[str]:
    a, b = found.a, found.b
    if found.price_of_a_success is not None and found.success is not None and found.dollars is not None:
        better, other = (b, a) if found.success.value > 0 else (a, b)
        sure = f", if the difference of {points(abs(found.success.value))} is real" if not found.differs else ""
        yield (
            f"Value: above {dollars(found.price_of_a_success)} a success {better.name} is worth its price, below it "
            f"{other.name} is{sure}."
        )
    if found.multiplier is not None and found.multiplier.value not in (0.0, 1.0):
        factor = found.multiplier.value
        dear, cheap, share = (b, a, 1 - 1 / factor) if factor > 1 else (a, b, 1 - factor)
        yield f"Price: {dear.name} would have to cost {percent(share)} less to cost what {cheap.name} does."
        parity = (factor if factor > 1 else 1 / factor) * cheap.successes / max(len(cheap.cases), 1)
        if cheap.successes:
            ask = (
                f"succeed in {percent(parity)} of cases"
                if parity <= 1
                else f"succeed in {percent(parity)} of cases, which cannot be"
            )
            yield f"Success: for as many successes a dollar as {cheap.name}, {dear.name} would have to {ask}."
    yield from _evidence(found)


def _evidence(found: Comparison) -> Iterator[str]:
    a, b = found.a, found.b
    ahead, behind = (b, a) if found.only_b >= found.only_a else (a, b)
    if found.differs:
        lead = abs(found.only_b - found.only_a)
        less = next(k for k in range(1, lead + 1) if not _still(found, k))
        yield (
            f"Evidence: if {counted(less, 'case')} that only {ahead.name} won had gone to {behind.name}, the "
            "difference could be chance."
        )
        return
    more = needed(found.only_a, found.only_b)
    where = "" if more <= len(found.pairs) - found.only_a - found.only_b else ", more than this data set has left"
    yield (
        f"Evidence: {more} more {'case' if more == 1 else 'cases'} that only {ahead.name} wins would show a difference "
        f"(McNemar p < {LEVEL:g}){where}."
    )


def _still(found: Comparison, moved: int) -> bool:
    """Is it evidence still, with so many cases moved from the side that is ahead to the other?"""
    least, most = sorted((found.only_a, found.only_b))
    return needed(least + moved, most - moved) == 0 and most - moved > least + moved
