"""What a reader of a comparison must be told before believing it."""

from __future__ import annotations

from collections.abc import Iterator

from outlay.evals.comparison import Comparison
from outlay.evals.mcnemar import least_cases
from outlay.evals.wording import dollars
from outlay.values.counted import counted
from outlay.values.money import show_limit

_OFTEN = 0.1
_FEW = 30


def cautions(found: Comparison) -> list[str]:
    """One sentence each, the gravest first."""
    return [*_of_outcomes(found), *_of_money(found), *_of_the_judge(found), *_of_models(found)]


def _of_outcomes(found: Comparison) -> Iterator[str]:
    a, b, pairs = found.a, found.b, found.pairs
    for side in (a, b):
        if side.unmeasured:
            first = next(case for case in side.cases if case.success is None)
            said = next((f" ({check.problem})" for check in first.checks if check.raised), "")
            yield (
                f"{side.name}: of {counted(side.unmeasured, 'case')} nobody can say whether it was a success, so they "
                f"count for neither side. The first is {first.case}, {first.failure}{said}."
            )
    if pairs and found.too_few:
        yield (
            f"{counted(len(pairs), 'case')}: the interval of the difference is useless, whatever it says. With fewer "
            f"than {least_cases()} no outcome is evidence."
        )
    elif pairs and len(pairs) < _FEW:
        yield f"{counted(len(pairs), 'case')} are few: a difference must be large to be seen."
    if found.success is not None and not found.too_few and not found.differs and 0.0 not in found.success and pairs:
        yield (
            "The bootstrap's interval of the difference leaves 0 out and McNemar's exact test sees no evidence: of few "
            "cases the exact test is right, and the verdict goes by it."
        )
    if pairs and len(set(pairs)) == 1:
        what = "both failed" if pairs[0] == (False, False) else "both succeeded" if pairs[0] == (True, True) else ""
        if what:
            cases = "every case that was judged" if a.unmeasured or b.unmeasured else "every case"
            yield f"All outcomes are equal: {what} in {cases}, so this data set cannot tell them apart."


def _of_money(found: Comparison) -> Iterator[str]:
    limit = found.setup.limit
    if limit is None:
        yield "No --budget was given: neither side was limited, and their budgets are equal only in that."
    for side in (found.a, found.b):
        stopped = side.stopped("budget")
        if limit is not None and stopped:
            yield f"{side.name} used up its {show_limit(limit)} in {counted(stopped, 'case')}: more could help."
        if side.in_doubt:
            yield f"{side.name}: {dollars(side.in_doubt)} more may be on the invoice, for calls of unknown fate."
    if found.unpriced:
        yield f"Of {counted(found.unpriced, 'case')} the cost is not known: totals and multipliers are left out."


def _of_the_judge(found: Comparison) -> Iterator[str]:
    setup = found.setup
    if not setup.judge:
        return
    yield f"{setup.judge} is a model: what it says is an opinion, not a check."
    if len(setup.kin) == 1:
        (kin,) = setup.kin
        other = found.b.name if kin == found.a.name else found.a.name
        yield (
            f"Judge and {kin} are one family ({setup.kinship}) and {other} is not: models like what they would have "
            f"written themselves, which favours {kin}."
        )
    elif setup.kinship:
        yield f"Judge and judged are one family ({setup.kinship}): models like what they would have written themselves."


def _of_models(found: Comparison) -> Iterator[str]:
    if found.setup.lane == "offline":
        yield (
            "Offline stand-ins answered, not models: success and seconds are those of the stand-ins, dollars are list "
            "prices for their texts."
        )
    if found.setup.lane == "scripted":
        yield "Scripted models answered: seconds are not a model's."
    for side in (found.a, found.b):
        errors = side.stopped("error")
        if errors >= max(1, _OFTEN * len(side.cases)):
            yield f"{side.name}: {counted(errors, 'run')} ended with an error: that may be the day, and not the flow."
