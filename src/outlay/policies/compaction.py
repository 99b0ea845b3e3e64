"""When to shorten a conversation: by its price, and before the context window is full.

What stands in a conversation is read again with each further request. Shortening it costs once: the call that writes a
summary, and writing into the provider's cache anew what stands behind the first change, instead of reading it there.
With r and w the price of a token that is read again and of one that is written, and R the requests that are expected
to come, the next one included:

    once  = call + (added + behind) × (w − r)
    saves = R × (removed − added) × r − once

It pays where it saves anything. But not each time that it pays: with g tokens of garbage a turn, to shorten every n
turns costs once / n + n × g × r / 2 a turn, which is least where the garbage has come to √(2 × once × g / r) tokens
(the economic order quantity, Harris 1913: ordering is dear, so is keeping in stock).

Tokens and turns to come are estimates, and so is what is saved; the bill is what counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

#: Of what a request may hold, the part that is filled before a conversation is shortened whatever it costs: one more
#: turn, and the summary, must still fit.
FULL: Final = 0.8
#: And the part that it should have come down to after that.
_ROOMY: Final = 0.5


@dataclass(frozen=True, slots=True)
class Way:
    """One way to shorten a conversation, in tokens: `removed` of them go, `added` stand in their place, `behind` are
    those that stay after the first change. `call` is what it costs to write the summary, in US dollars; `grown` is
    how much more it would remove with each turn that one waits."""

    name: str
    removed: int
    added: int
    behind: int
    call: float = 0.0
    grown: float = 0.0

    @property
    def shorter(self) -> int:
        return self.removed - self.added


@dataclass(frozen=True, slots=True)
class Outlook:
    """`turns` requests are expected to come, the next one included. `read` and `write` are what a token of the
    conversation costs where it is sent again and where it is sent for the first time, in US dollars."""

    turns: float
    read: float
    write: float


@dataclass(frozen=True, slots=True)
class Worth:
    """What a way costs `once`, for the summary and for the `rewrite` of the cache, saves with each further request
    (`each`) and in all (`saves`), in US dollars, and how many tokens shorter it has to make the conversation before it
    is worth doing now and not later (`least`)."""

    once: float
    rewrite: float
    each: float
    saves: float
    least: float


@dataclass(frozen=True, slots=True)
class Choice:
    """`way` is the name of what to do, empty for nothing; `why` is for people. Money in US dollars, None if unknown."""

    way: str
    why: str
    saves: float | None = None
    each: float | None = None
    rewrite: float | None = None


def worth(way: Way, outlook: Outlook) -> Worth:
    rewrite = (way.added + way.behind) * (outlook.write - outlook.read)
    once = way.call + rewrite
    each = way.shorter * outlook.read
    least = 0.0
    if outlook.read > 0 and way.grown > 0:
        least = math.sqrt(2 * max(once, 0.0) * way.grown / outlook.read)
    return Worth(once, rewrite, each, outlook.turns * each - once, least)


def choose(ways: Sequence[Way], outlook: Outlook | None, size: int, limit: int | None) -> Choice:
    """What to do with a conversation of `size` tokens, of which a request may hold `limit` (None: unknown).

    `outlook` is None where no price is known: then only the window counts. `ways` in the order in which they are
    preferred where the window is full: what costs no call first.
    """
    shorter = [way for way in ways if way.shorter > 0]
    if limit is not None and size >= FULL * limit and shorter:
        why = f"{size:,} tokens of at most {limit:,}"
        roomy = (way for way in shorter if size - way.shorter <= _ROOMY * limit)
        return _chosen(next(roomy, max(shorter, key=lambda way: way.shorter)), outlook, why)
    if outlook is None:
        return Choice("", "the price is unknown: only the context window counts")
    paying = [way for way in shorter if (found := worth(way, outlook)).saves > 0 and way.shorter >= found.least]
    if not paying:
        return Choice("", "it would cost more than it saves, or more than to wait")
    best = max(paying, key=lambda way: worth(way, outlook).saves)
    return _chosen(best, outlook, f"{outlook.turns:.3g} more requests are expected")


def expected_turns(taken: int, left: int | None, stated: int | None = None) -> float:
    """Requests to come, the next one included: as many as `stated` says of the whole conversation, at most `left`
    (None: no end is known).

    Where nobody says, as many as were `taken`: of a thing seen at a moment that is nothing special, the median future
    is as long as its past (Gott 1993, "Implications of the Copernican principle for our future prospects").
    """
    expected = max((stated if stated is not None else 2 * taken) - taken, 0)
    return float(expected if left is None else min(expected, left))


def _chosen(way: Way, outlook: Outlook | None, why: str) -> Choice:
    if outlook is None:
        return Choice(way.name, why)
    found = worth(way, outlook)
    return Choice(way.name, why, found.saves, found.each, found.rewrite)
