"""What designs take and manage: the closed form where there is one, simulation with common random numbers else.

Run i of every design is given the same chance, agent by agent (`Plan.common`), so that a difference between two designs
is theirs and not luck's, and few runs tell them apart. Many designs are looked at roughly first (by the closed form, or
in a fifth of the runs); those that another one clearly beats are not looked at again.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from outlay.analysis.percentiles import percentile
from outlay.errors import ConfigError
from outlay.forecast.assumptions import Assumptions, Beliefs
from outlay.forecast.closed import closed_form
from outlay.forecast.distributions import Lognormal
from outlay.forecast.expected import Expected
from outlay.forecast.figures import Rate
from outlay.forecast.frontier.choosing import Measured, pareto
from outlay.forecast.frontier.designs import Design
from outlay.forecast.frontier.rewriting import rewritten
from outlay.forecast.moments import Moments
from outlay.forecast.simulated import Chance, SimulatedModels
from outlay.forecast.simulation import Plan, simulate
from outlay.forecast.tally import Outcome
from outlay.forecast.workers import spread
from outlay.protocols.node import Node

#: The rough look is a fifth of the runs; what is beaten by more than a slack in it is left where it is: the first slack
#: that leaves at most so many designs.
ROUGHLY, SLACKS, MOST_CLOSE = 5, (0.03, 0.01, 0.0), 64
#: Standard normal quantiles.
_Z95, _Z975 = 1.644854, 1.959964


@dataclass(frozen=True, slots=True)
class Question:
    """What every design is asked: these inputs, so many runs, this seed and these assumptions."""

    root: Node[Any, Any]
    inputs: Sequence[Any]
    n: int
    seed: int
    assumptions: Assumptions
    deps: Any = None
    workers: int | None = None


@dataclass(slots=True)
class Bench:
    """Measures designs of one flow, each once. `beliefs` notes what was assumed of the base flow."""

    asked: Question
    beliefs: Beliefs
    _nodes: dict[tuple[int, ...], Node[Any, Any]] = field(default_factory=dict[tuple[int, ...], "Node[Any, Any]"])
    _outcomes: dict[tuple[int, ...], list[Outcome]] = field(default_factory=dict[tuple[int, ...], "list[Outcome]"])

    def possible(self, designs: Iterable[Design]) -> tuple[list[Design], list[tuple[Design, str]]]:
        """Those that are flows, and those that are none, with the reason: a stage may not fit its new neighbour."""
        found: list[Design] = []
        others: list[tuple[Design, str]] = []
        for design in designs:
            try:
                self.node(design)
            except ConfigError as error:
                others.append((design, error.message))
            else:
                found.append(design)
        return found, others

    def measure(self, designs: Sequence[Design], keep: Sequence[Design] = ()) -> list[Measured]:
        """Every design; those of `keep`, and those that nothing clearly beats, in all runs. Raises ConfigError."""
        rough = self._closed(designs)
        slacks = (0.0,)  # dollars and success of the closed form are exact
        if rough is None:
            few = self.asked.n if len(designs) <= 2 * ROUGHLY else -(-self.asked.n // ROUGHLY)
            rough, slacks = self._simulated(designs, few), SLACKS
        kept = {one.design.picks for one in _near(rough, slacks)} | {design.picks for design in keep}
        close = {
            one.design.picks: one
            for one in self._simulated([design for design in designs if design.picks in kept], self.asked.n)
        }
        return [close.get(one.design.picks, one) for one in rough]

    def node(self, design: Design) -> Node[Any, Any]:
        """The flow of this design."""
        found = self._nodes.get(design.picks)
        if found is None:
            found = rewritten(self.asked.root, design.arguments, design.without, design.at_once)
            self._nodes[design.picks] = found
        return found

    @property
    def base_outcomes(self) -> Sequence[Outcome]:
        """The runs of the flow as it stands."""
        return next(outcomes for picks, outcomes in self._outcomes.items() if not any(picks))

    def _closed(self, designs: Sequence[Design]) -> list[Measured] | None:
        """None where a design has no closed form. Quantiles of seconds are those of the lognormal of its moments."""
        asked = self.asked
        found: list[Measured] = []
        for design in designs:
            directory = SimulatedModels(self.node(design), self.beliefs, Chance(), lane=design.lane)
            if design.lane != "live":
                return None
            expected = closed_form(
                self.node(design), asked.inputs[0], beliefs=Beliefs(asked.assumptions), directory=directory
            )
            if not isinstance(expected, Expected):
                return None
            found.append(from_closed_form(design, expected))
        return found

    def _simulated(self, designs: Sequence[Design], n: int) -> list[Measured]:
        """In `n` runs each; those that are there already count."""
        missing = [design for design in designs if len(self._outcomes.get(design.picks, ())) < n]
        plans = [self._plan(design, len(self._outcomes.get(design.picks, ())), n) for design in missing]
        beliefs = self.beliefs

        def work(k: int) -> list[Outcome]:
            return simulate(plans[k], beliefs if missing[k].is_base else Beliefs(plans[k].assumptions), workers=1)

        for design, outcomes in zip(missing, spread(work, len(plans), self.asked.workers), strict=True):
            self._outcomes.setdefault(design.picks, []).extend(outcomes)
        return [from_runs(design, self._outcomes[design.picks][:n]) for design in designs]

    def _plan(self, design: Design, first: int, n: int) -> Plan:
        asked = self.asked
        return Plan(
            self.node(design),
            asked.inputs,
            n - first,
            asked.seed,
            asked.assumptions,
            deps=asked.deps,
            first=first,
            common=True,
            lane=design.lane,
        )


def _near(rough: Sequence[Measured], slacks: Sequence[float]) -> list[Measured]:
    """Those that may well be on the frontier."""
    found: list[Measured] = []
    for slack in slacks:
        found = pareto(rough, slack)
        if len(found) <= MOST_CLOSE:
            break
    return found


def from_runs(design: Design, outcomes: Sequence[Outcome]) -> Measured:
    """The figures of simulated runs. Raises ConfigError where a call has no price."""
    if unpriced := sum(outcome.unpriced for outcome in outcomes):
        raise ConfigError(
            f"{unpriced:,} calls of the design “{design}” have no price, so that it cannot be compared",
            hint="give the model's price in outlay.toml, or leave it out of the space",
        )
    chances = [(outcome.right if outcome.right is not None else 1.0) * outcome.clean for outcome in outcomes]
    n = len(chances)
    error = _Z975 * statistics.pstdev(chances) / math.sqrt(n)
    if all(chance in (0.0, 1.0) for chance in chances):  # hundred of hundred is no certainty
        rate = Rate.of(sum(map(int, chances)), n)
        error = (rate.high - rate.low) / 2
    return Measured(
        design,
        math.fsum(outcome.dollars for outcome in outcomes) / n,
        percentile([outcome.seconds for outcome in outcomes], 95) or 0.0,
        math.fsum(chances) / n,
        error,
        sum(outcome.calls for outcome in outcomes) / n,
        n,
    )


def from_closed_form(design: Design, expected: Expected) -> Measured:
    right = 1.0 if expected.right is None else expected.right
    return Measured(
        design, expected.dollars, quantile95(expected.seconds), expected.clean * right, 0.0, expected.calls, 0
    )


def quantile95(seconds: Moments) -> float:
    """The 95th percentile of the lognormal with this mean and variance."""
    if seconds.mean <= 0 or not seconds.variance:
        return seconds.mean
    sigma2 = math.log1p(seconds.variance / seconds.mean**2)
    shape = Lognormal(seconds.mean * math.exp(-sigma2 / 2), math.sqrt(sigma2))
    return shape.median * math.exp(_Z95 * shape.spread)


__all__ = ["Bench", "Question", "from_runs", "quantile95"]
