"""Whether a student is worth having: no, unless all of it is known to hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from outlay.values.percent import percent

#: Examples below which a student is not thought of.
LEAST_EXAMPLES = 2000
_MONTHS = 12


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known of a task. None is not known.

    `examples` are different texts with an answer, `prompts` the different fixed prompts that they were given to,
    `moved` how far the answers of the later half are from those of the earlier (total variation, 0 to 1). `prompted` is
    the share that the cheapest model with the best prompt gets right, as measured, and `wanted` the share that is
    needed. `accepted` is the student's share. `per_month` calls at `usd_per_call`.

    What it costs to have one: `labels` for calibration and evaluation at `usd_per_label`, a run of the teacher over
    them, `usd_of_work`, and all of it again each time the base model changes, `changes` times a year.
    """

    examples: int
    closed: bool = True
    prompts: int | None = None
    moved: float | None = None
    prompted: float | None = None
    wanted: float = 0.98
    accepted: float | None = None
    per_month: float | None = None
    usd_per_call: Decimal | None = None
    labels: int = 500
    usd_per_label: Decimal = Decimal("0.10")
    usd_of_work: Decimal = Decimal(500)
    changes: float = 2.0


@dataclass(frozen=True, slots=True)
class Reason:
    """One condition: does it hold (None: not known), and from what."""

    what: str
    holds: bool | None
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`yes` only where every reason holds. Dollars a year, None where something they need is not known."""

    yes: bool
    reasons: Sequence[Reason]
    saved_a_year: Decimal | None
    spent_a_year: Decimal | None


#: A task whose answers moved further between its halves is not stable.
_STILL = 0.15


def worth(known: Circumstances) -> Verdict:
    """The verdict on a student, with what it rests on."""
    saved, spent = _saved(known), _spent(known)
    reasons = (
        Reason(
            "thousands of examples",
            known.examples >= LEAST_EXAMPLES,
            f"{known.examples:,} different texts, at least {LEAST_EXAMPLES:,} are needed",
        ),
        Reason("narrow", known.closed, "the answers are a closed set" if known.closed else "no closed set of answers"),
        _stable(known),
        _exhausted(known),
        _pays(saved, spent),
    )
    return Verdict(all(reason.holds is True for reason in reasons), reasons, saved, spent)


def _stable(known: Circumstances) -> Reason:
    if known.prompts is None or known.moved is None:
        return Reason("stable", None, "nobody recorded when, and to which prompt, these answers were given")
    if known.prompts > 1:
        return Reason("stable", False, f"the prompt changed: {known.prompts} different ones were used")
    text = f"the answers of the later half are {percent(known.moved)} apart from the earlier"
    return Reason("stable", known.moved <= _STILL, text)


def _exhausted(known: Circumstances) -> Reason:
    if known.prompted is None:
        return Reason("prompting exhausted", None, "what a cheap model with a good prompt gets right is not measured")
    text = (
        f"the best prompted cheap model gets {percent(known.prompted, 1)} right, {percent(known.wanted, 1)} are wanted"
    )
    return Reason("prompting exhausted", known.prompted < known.wanted, text)


def _pays(saved: Decimal | None, spent: Decimal | None) -> Reason:
    if saved is None or spent is None:
        return Reason("the sums pay", None, "calls a month, their price, or the share accepted is not known")
    text = f"it saves about ${saved:,.2f} a year, and costs ${spent:,.2f} to have"
    return Reason("the sums pay", saved > spent, text)


def _saved(known: Circumstances) -> Decimal | None:
    if known.per_month is None or known.usd_per_call is None or known.accepted is None:
        return None
    return Decimal(str(known.per_month)) * _MONTHS * Decimal(str(known.accepted)) * known.usd_per_call


def _spent(known: Circumstances) -> Decimal | None:
    """A year of it: made once, and once more for each change of the base model."""
    if known.usd_per_call is None:
        return None
    once = known.labels * (known.usd_per_label + known.usd_per_call) + known.usd_of_work
    return once * (1 + Decimal(str(known.changes)))


def moved_between(earlier: Sequence[str], later: Sequence[str]) -> float | None:
    """Total variation between the answers of two halves; None where one is empty."""
    if not earlier or not later:
        return None
    return sum(abs(earlier.count(one) / len(earlier) - later.count(one) / len(later)) for one in {*earlier, *later}) / 2
