"""A budget sweep: one flow under ever tighter limits, beside the same flow that knows nothing of them.

The limits are in force: every simulated run reserves and settles as a real one does. Overruns are counted from what the
runs' events say that they spent and when they ended, not from what the limit should have done.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from outlay.agents.function import as_node
from outlay.analysis.percentiles import percentile
from outlay.errors import ConfigError
from outlay.forecast.assumptions import Assumptions, Beliefs
from outlay.forecast.figures import Rate
from outlay.forecast.silent import taking_the_rest_as_right
from outlay.forecast.simulation import Plan, simulate
from outlay.forecast.tally import Outcome
from outlay.values.budget import Budget

SHARES = (1.0, 0.75, 0.5, 0.25, 0.1)
#: A deadline is kept on a clock that adds up floats.
_ROUNDING = 1e-6
Unit = Literal["dollars", "seconds"]


@dataclass(frozen=True, slots=True)
class Step:
    """One limit. `success`: completed, nothing skipped, and right as far as that is declared; `answered` anything at
    all, a best answer so far included. `overruns`: runs that spent more, or took longer, than the limit. `blind` is the
    flow without the limit: it succeeds where it completes within it.
    """

    unit: Unit
    share: float
    limit: float
    success: Rate
    answered: Rate
    overruns: int
    blind_success: Rate
    blind_overruns: int


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """`dollars` and `seconds` are the 95th percentiles without limits, of which the limits are shares. `silent` are
    taken as right, since nothing is declared of them and something is of others.
    """

    flow: str
    runs: int
    seed: int
    dollars: float
    seconds: float
    success: Rate
    steps: tuple[Step, ...]
    silent: tuple[str, ...]
    took: float = field(compare=False)

    def render(self) -> str:
        from outlay.forecast.frontier.render import swept

        return swept(self)

    def __str__(self) -> str:
        return self.render()


def sweep(
    node: Any,
    inputs: Sequence[Any] = (),
    *,
    n: int = 1_000,
    assumptions: Assumptions | None = None,
    seed: int = 0,
    deps: Any = None,
    workers: int | None = None,
    shares: Sequence[float] = SHARES,
) -> Sweep:
    """Run the flow without limits, then under `shares` of its 95th percentile of dollars, then of seconds: `n` runs
    each, every one with the same chance in all of them.

    Raises ConfigError for a flow that cannot run, a loop without an end, and a call without a price.
    """
    root = as_node(node)
    began = time.perf_counter()
    given, taken = taking_the_rest_as_right(root, assumptions or Assumptions())

    def play(*limits: Budget) -> list[Outcome]:
        plan = Plan(root, tuple(inputs) or ("x" * 200,), n, seed, given, limits, deps, common=True)
        return simulate(plan, Beliefs(given), workers=workers)

    free = play()
    if any(outcome.unpriced for outcome in free):
        raise ConfigError(
            f"{root.name} has calls without a price, so no budget can be a share of what it costs",
            hint="give the models' prices in outlay.toml",
        )
    dollars = percentile([outcome.dollars for outcome in free], 95) or 0.0
    seconds = percentile([outcome.seconds for outcome in free], 95) or 0.0
    steps: list[Step] = []
    for share in shares if dollars else ():
        budget = Budget(usd=_cents(dollars * share))
        assert budget.money is not None
        steps.append(_step("dollars", share, float(budget.money), play(budget), free))
    for share in shares if seconds else ():
        steps.append(_step("seconds", share, seconds * share, play(Budget(seconds=seconds * share)), free))
    return Sweep(
        flow=root.name,
        runs=n,
        seed=seed,
        dollars=dollars,
        seconds=seconds,
        success=Rate.of(sum(map(_success, free)), n),
        steps=tuple(steps),
        silent=taken,
        took=time.perf_counter() - began,
    )


def _step(unit: Unit, share: float, limit: float, held: Sequence[Outcome], free: Sequence[Outcome]) -> Step:
    n = len(held)
    return Step(
        unit,
        share,
        limit,
        Rate.of(sum(map(_success, held)), n),
        Rate.of(sum(outcome.answered for outcome in held), n),
        sum(is_over(outcome, unit, limit) for outcome in held),
        Rate.of(sum(_success(outcome) for outcome in free if not is_over(outcome, unit, limit)), n),
        sum(is_over(outcome, unit, limit) for outcome in free),
    )


def _success(outcome: Outcome) -> float:
    return outcome.clean * (1.0 if outcome.right is None else outcome.right)


def is_over(outcome: Outcome, unit: Unit, limit: float) -> bool:
    """Did this run spend more, or take longer? A call that cost more than was reserved for it counts, too."""
    if unit == "dollars":
        return outcome.dollars > limit * (1 + _ROUNDING) or outcome.overruns > 0
    return outcome.seconds > limit + _ROUNDING


def _cents(dollars: float) -> Decimal:
    """To a millionth of a dollar, down."""
    return Decimal(int(dollars * 1_000_000)) / 1_000_000
