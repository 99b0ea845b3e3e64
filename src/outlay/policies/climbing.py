"""Which tiers of a cascade are worth asking: the sums, from what each would cost now and what it settled lately.

Asking tier i costs c, its gate's own questions included, and settles a share s of the turns that would go on otherwise,
at a price of V. It pays while

    c ≤ s × V        V(top) = the top's price,  V(i) = min(V(i + 1), c(i) + (1 − s(i)) × V(i + 1))

So a tier without a prompt cache may cost more than the strong one that reads its prompt from one, and a gate that
refuses nearly all makes any tier too dear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

#: Turns that a tier is asked in before anything is made of them; until then it is taken to settle all, and its gate to
#: ask nobody.
ENOUGH = 20
#: What is older than about so many turns counts for little.
MEMORY = 200
#: Of the turns that leave out a tier for its share, each so manieth asks it all the same: answers change.
PROBE = 20
_KEEP = 1 - 1 / MEMORY


@dataclass(slots=True)
class TierSeen:
    """Turns that a tier was asked in (`count`; `asked`: weighted by age), those that it settled, and US dollars that
    its gate spent on asking others."""

    count: int = 0
    asked: float = 0.0
    settled: float = 0.0
    gate_usd: float = 0.0

    @property
    def share(self) -> float:
        return self.settled / self.asked if self.count >= ENOUGH else 1.0

    @property
    def gate(self) -> float:
        return self.gate_usd / self.asked if self.count >= ENOUGH else 0.0


@dataclass(slots=True)
class Climbing:
    """The turns of one agent over one cascade."""

    tiers: int
    seen: list[TierSeen] = field(default_factory=list[TierSeen])
    #: Output tokens of an answer, on average; None before the first.
    output_tokens: float | None = None
    #: Turns that left out a tier for its share.
    thrifty: int = 0

    def __post_init__(self) -> None:
        self.seen = self.seen or [TierSeen() for _ in range(self.tiers)]

    def answered(self, tier: int, *, settled: bool, gate_usd: float, output_tokens: int) -> None:
        """A tier gave an answer that was taken, or not."""
        one = self.seen[tier]
        one.count += 1
        one.asked = one.asked * _KEEP + 1
        one.settled = one.settled * _KEEP + settled
        one.gate_usd = one.gate_usd * _KEEP + gate_usd
        if settled:
            before = output_tokens if self.output_tokens is None else self.output_tokens
            self.output_tokens = before + (output_tokens - before) / PROBE

    def leaves_out(self, usd: Sequence[float | None]) -> tuple[int, ...]:
        """The tiers to be left out of a turn for which each would cost so much, in US dollars; none where one of the
        prices is unknown."""
        prices = [price for price in usd if price is not None]
        if len(prices) < self.tiers:
            return ()
        onwards = prices[-1]
        hopeless: list[int] = []
        poor: list[int] = []
        for tier in reversed(range(self.tiers - 1)):
            one = self.seen[tier]
            cost = prices[tier] + one.gate
            if cost <= one.share * onwards:
                onwards = cost + (1 - one.share) * onwards
            elif cost > onwards:
                hopeless.append(tier)
            else:
                poor.append(tier)
        if poor:
            self.thrifty += 1
            if self.thrifty % PROBE == 0:
                poor = []
        return tuple(sorted(hopeless + poor))
