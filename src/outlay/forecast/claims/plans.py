"""Plans with debates and retries, and how reliability compounds."""

from __future__ import annotations

from collections.abc import Iterator

from outlay.forecast.claims.claim import Claim, Figure
from outlay.forecast.claims.designs import PREMIUM, Design, Model, at_once, in_a_row, step, steps
from outlay.forecast.moments import exponential_maximum
from outlay.forecast.reliability import Step, chain, repeated
from outlay.values.percent import percent

SECTION = "Plans and debates"
COMPOUNDING = "Compounding"
SOURCE = "published arithmetic on multi-agent plans"
TICKETS_A_DAY = 200_000


def plans() -> Iterator[Claim]:
    """A five-step plan of which two steps are debates; debates against retries."""
    plan = in_a_row([*steps(PREMIUM, 3), debate(3, 2), debate(3, 2)]).expected
    again = in_a_row([*_twice(3), *(at_once(_twice(3)) for _ in range(4))]).expected
    figures = (
        Figure("calls", 15, plan.calls),
        Figure("a day", 90_000, plan.dollars * TICKETS_A_DAY, 0, "$"),
        Figure("calls with every step retried once", 30, again.calls),
        Figure("a day then", 180_000, again.dollars * TICKETS_A_DAY, 0, "$"),
    )
    claim = "five steps, two of them 3-agent 2-round debates, 200,000 tickets at $0.03"
    note = "a debate adds cost and, as these plans count, no reliability"
    yield Claim(SECTION, claim, SOURCE, figures, "", note)
    debates = in_a_row([debate(3, 2), debate(3, 2)]).expected
    figures = (Figure("calls of 15", 12, debates.calls),)
    yield Claim(SECTION, "the debates are where to cut first", SOURCE, figures)
    yield from _debate_or_retry()
    fails = 100 * (1 - repeated(0.985, 30))
    note = f"one in seven would take {_stage(6 / 7, 30):.4f} a call"
    yield Claim(
        SECTION, "30 calls at 0.985 fail one time in seven", SOURCE, (Figure("", 100 / 7, fails, 0, "%"),), "", note
    )


def debate(agents: int, rounds: int) -> Design:
    """Rounds in which all speak at once. It adds cost and, as the published plans count, no reliability."""
    return in_a_row([at_once(steps(PREMIUM, agents)) for _ in range(rounds)])


def _twice(n: int) -> list[Design]:
    """Steps that are always run a second time."""
    return [step(PREMIUM, right=Step(sound=0.0, retries=1)) for _ in range(n)]


def _debate_or_retry() -> Iterator[Claim]:
    weak, strong = Step(sound=0.95), Step(sound=0.98)
    nine = [strong] * 9
    unit = Model(1.0, 1.0, 0.98)
    weak_unit = Model(1.0, 1.0, 0.95)
    plain, debated = chain([*nine, weak]), chain([*nine, Step(sound=0.99)])
    retried = in_a_row([step(weak_unit, retries=1), *steps(unit, 9)]).expected
    assert retried.right is not None
    figures = (
        Figure("as it is", 79.21, 100 * plain, 2, "%"),
        Figure("debate", 82.54, 100 * debated, 2, "%"),
        Figure("debate takes", 12, in_a_row([*steps(unit, 9), *steps(unit, 3)]).expected.seconds.mean, 0, "s"),
        Figure("retry", 83.17, 100 * retried.right, 2, "%"),
        Figure("retry takes", 10.05, retried.seconds.mean, 2, "s"),
        Figure("retry at worst", 11, in_a_row(steps(unit, 11)).expected.seconds.mean, 0, "s"),
    )
    condition = f"{100 * _detection(0.95, 0.99):.1f} % or more of its own failures are detected"
    claim = "a 0.95 step among nine of 0.98: a debate (to 0.99, at three times the time) or one retry"
    yield Claim(SECTION, claim, SOURCE, figures, condition)


def _detection(p: float, wanted: float) -> float:
    """The detection rate from which one independent retry is right as often as `wanted`, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if Step(sound=p, detection=middle, retries=1).right() < wanted:
            low = middle
        else:
            high = middle
    return high


def compounding() -> Iterator[Claim]:
    for p in (0.99, 0.95, 0.90, 0.80):
        figures = tuple(Figure(f"{n} stages", None, 100 * repeated(p, n), 1, "%") for n in (2, 3, 5, 8))
        yield Claim(COMPOUNDING, f"stages of {percent(p)} each", SOURCE, figures)
    yield _one("four stages of 92 %", 71.6, 100 * repeated(0.92, 4), 1, "%")
    yield _one("five agents at 95 %", 77.4, 100 * repeated(0.95, 5), 1, "%")
    yield _one("fifty steps of 99 %", 60.5, 100 * repeated(0.99, 50), 1, "%")
    yield _one(
        "paths between ten agents, n(n-1)/2", 10 * 9 / 2, sum(1 for i in range(10) for j in range(i) if i != j), 0, ""
    )
    yield _one("a stage of four must manage, to match one agent at 90 %", 97.40, 100 * _stage(0.9, 4), 2, "%")
    figure = Figure("", 5, exponential_maximum(5), 2, "×")
    note = "the longest of five exponential times has the mean 1 + 1/2 + 1/3 + 1/4 + 1/5"
    yield Claim(COMPOUNDING, "five voters in parallel take five times as long", SOURCE, (figure,), "", note)


def _stage(whole: float, n: int) -> float:
    """What each of n stages must manage for all of them to manage `whole`, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if repeated(middle, n) < whole else (low, middle)
    return high


def _one(claim: str, printed: float, ours: float, places: int, unit: str) -> Claim:
    assert unit in ("%", "")
    return Claim(COMPOUNDING, claim, SOURCE, (Figure("", printed, ours, places, "%" if unit else ""),))
