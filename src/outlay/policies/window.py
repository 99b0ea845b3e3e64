"""Budgets with a window: what all processes together may use of a scope in a day or a month.

The books of a window are one document that all processes change by compare-and-set. A process does not ask for each
call: it takes a lease, an amount that is committed to it in the books, and accounts below it on its own. What counts
against the limit is `spent + doubt + all leases`, so whatever the processes do with their leases, no sum of theirs is
above it. A lease goes down by what its process reports or gives back, and by nothing else: that of a process which
died is in doubt for the rest of the window (SEMANTICS 5).

Pure values: no clock, no store. A `Share` is one process's side of its lease.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from outlay.policies.ledger import RESOURCES, Ask, Resource
from outlay.values.budget import Budget
from outlay.values.money import ZERO

#: A lease is worth at most so many calls, and at most this part of what is left, shared by all who have one.
_MOST_CALLS = 64
_SHARE = 16


@dataclass(frozen=True, slots=True)
class Amount:
    usd: Decimal = ZERO
    tokens: int = 0
    calls: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.usd + other.usd, self.tokens + other.tokens, self.calls + other.calls)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.usd - other.usd, self.tokens - other.tokens, self.calls - other.calls)

    def times(self, n: int) -> Amount:
        return Amount(self.usd * n, self.tokens * n, self.calls * n)

    def of(self, resource: Resource) -> Decimal | int:
        return self.usd if resource == "usd" else self.tokens if resource == "tokens" else self.calls

    def covers(self, other: Amount) -> bool:
        return self.usd >= other.usd and self.tokens >= other.tokens and self.calls >= other.calls

    def at_least_nothing(self) -> Amount:
        return Amount(max(self.usd, ZERO), max(self.tokens, 0), max(self.calls, 0))

    def at_most(self, other: Amount) -> Amount:
        return Amount(min(self.usd, other.usd), min(self.tokens, other.tokens), min(self.calls, other.calls))


NOTHING = Amount()


def total(amounts: Iterable[Amount]) -> Amount:
    return sum(amounts, NOTHING)


def need_of(ask: Ask, output_tokens: int) -> Amount:
    """What a call may use at most."""
    return Amount(ask.worst_usd(output_tokens), ask.input_tokens + output_tokens, 1)


@dataclass(frozen=True, slots=True)
class Lease:
    """`owner` is the process, by the name under which it keeps its own lease alive. `gone` is what its runs have used
    of it, as far as it has said: nobody need wait for that."""

    owner: str
    amount: Amount
    gone: Amount = NOTHING


@dataclass(frozen=True, slots=True)
class Books:
    """One window of one scope. `asking` are those who wait for room, and since when; `marks` the alerts given."""

    spent: Amount = NOTHING
    doubt: Amount = NOTHING
    leases: Mapping[str, Lease] = field(default_factory=dict[str, Lease])
    asking: Mapping[str, float] = field(default_factory=dict[str, float])
    marks: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def committed(self) -> Amount:
        return self.spent + self.doubt + total(lease.amount for lease in self.leases.values())

    def with_lease(self, token: str, lease: Lease) -> Books:
        kept = {name: other for name, other in self.leases.items() if name != token}
        return replace(self, leases=kept if lease.amount == NOTHING else {**kept, token: lease})

    def settled(self, owner: str, spent: Amount, doubt: Amount) -> Books:
        """What a dead process's journal shows of its lease: no longer unknown. The rest stays in doubt."""
        books = self
        for token, lease in self.leases.items():
            if lease.owner == owner:
                known = spent.at_most(lease.amount)
                unknown = doubt.at_most(lease.amount - known)
                spent, doubt = spent - known, doubt - unknown
                left = Lease(owner, lease.amount - known - unknown, (lease.gone - known - unknown).at_least_nothing())
                books = replace(books, spent=books.spent + known, doubt=books.doubt + unknown).with_lease(token, left)
        return books

    def dump(self) -> bytes:
        plain = {
            "spent": _plain(self.spent),
            "doubt": _plain(self.doubt),
            "leases": {token: [x.owner, _plain(x.amount), _plain(x.gone)] for token, x in self.leases.items()},
            "asking": self.asking,
            "marks": self.marks,
        }
        return json.dumps(plain, separators=(",", ":")).encode()

    @staticmethod
    def load(body: bytes | None) -> Books:
        if body is None:
            return Books()
        plain = json.loads(body)
        leases = {
            token: Lease(owner, _amount(amount), _amount(gone))
            for token, (owner, amount, gone) in plain["leases"].items()
        }
        return Books(_amount(plain["spent"]), _amount(plain["doubt"]), leases, plain["asking"], plain["marks"])


def _plain(amount: Amount) -> list[Any]:
    return [str(amount.usd), amount.tokens, amount.calls]


def _amount(plain: list[Any]) -> Amount:
    return Amount(Decimal(plain[0]), plain[1], plain[2])


def left_of(budget: Budget, used: Amount) -> Amount:
    """What the limits leave; a resource without a limit leaves more than anybody can ask."""
    return Amount(
        Decimal("Infinity") if budget.money is None else budget.money - used.usd,
        _ENDLESS if budget.tokens is None else budget.tokens - used.tokens,
        _ENDLESS if budget.calls is None else budget.calls - used.calls,
    )


_ENDLESS = 2**62


class Share:
    """One process's lease and what has become of it:

    lease = free + held + spent + doubt + over

    `held` by calls in flight; `spent` and `doubt` of runs that go on, which stay in the lease, so that a run which
    breaks off can say later what of it was its own; `over` of runs that are over, for the books at the next commit.
    """

    __slots__ = ("doubt", "held", "lease", "over_doubt", "over_spent", "owner", "spent", "token")

    def __init__(self, token: str, owner: str) -> None:
        self.token = token
        self.owner = owner
        self.lease = self.held = self.spent = self.doubt = self.over_spent = self.over_doubt = NOTHING

    @property
    def used(self) -> Amount:
        """What is known to be gone, or may be."""
        return self.spent + self.doubt + self.over_spent + self.over_doubt

    @property
    def free(self) -> Amount:
        return self.lease - self.held - self.used

    def take(self, need: Amount) -> bool:
        """Hold it, where the lease covers it."""
        if not self.free.covers(need):
            return False
        self.held += need
        return True

    def settle(self, need: Amount, cost: Amount) -> None:
        self.held -= need
        self.spent += cost

    def lose(self, need: Amount) -> None:
        """A call whose fate is unknown: what it held is in doubt."""
        self.held -= need
        self.doubt += need

    def end(self, spent: Amount, doubt: Amount) -> None:
        """A run is over that had used this."""
        self.spent, self.over_spent = self.spent - spent, self.over_spent + spent
        self.doubt, self.over_doubt = self.doubt - doubt, self.over_doubt + doubt

    def plan(self, books: Books, *, draw: Amount = NOTHING, back: Amount = NOTHING) -> Plan:
        """A commit: what runs reported goes to the books, the lease grows by `draw` and shrinks by `back`. What a
        provider took beyond its cap is covered whatever the limit says: it is the truth."""
        beyond = (NOTHING - (self.free - back)).at_least_nothing()
        told = self.over_spent + self.over_doubt
        lease = self.lease - told - back + draw + beyond
        after = replace(books, spent=books.spent + self.over_spent, doubt=books.doubt + self.over_doubt)
        after = after.with_lease(self.token, Lease(self.owner, lease, self.spent + self.doubt))
        return Plan(after, draw + beyond, back, self.over_spent, self.over_doubt)

    def begin(self, plan: Plan) -> None:
        """Before the commit: what is given back must not be used while it is under way."""
        self.lease -= plan.back

    def done(self, plan: Plan) -> None:
        self.lease += plan.gain - plan.over_spent - plan.over_doubt
        self.over_spent -= plan.over_spent
        self.over_doubt -= plan.over_doubt

    def failed(self, plan: Plan) -> None:
        self.lease += plan.back


@dataclass(frozen=True, slots=True)
class Plan:
    """The books after a commit, and what it changes for the share."""

    books: Books
    gain: Amount
    back: Amount
    over_spent: Amount
    over_doubt: Amount


@dataclass(frozen=True, slots=True)
class Draw:
    """Raise the lease by `amount`: then a call of so many output tokens fits."""

    amount: Amount
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Short:
    """There is no room, and nobody's lease could make any."""

    resource: Resource
    needed: Decimal | int
    left: Decimal | int


Verdict: TypeAlias = Draw | Short | Literal["wait"]


def judge(budget: Budget, books: Books, share: Share, ask: Ask, kept: Amount) -> Verdict:
    """What to do about a call that the share does not cover. `kept` is what will not come back of others' leases.

    As in the ledger: wait before clip, clip only to what the agent declares, and wait only for what can come.
    """
    room = left_of(budget, books.committed)
    now = room + share.free
    # What others have not used, and our own calls in flight, may all come back.
    most = left_of(budget, books.spent + books.doubt + kept + share.used)
    full = need_of(ask, ask.output_tokens)
    if now.covers(full):
        return Draw(_chunk(budget, books, share, full, room), ask.output_tokens)
    if most.covers(full):
        return "wait"
    clipped = _affordable(ask, now)
    if clipped >= ask.least_output_tokens and now.covers(need_of(ask, clipped)):
        return Draw((need_of(ask, clipped) - share.free).at_least_nothing(), clipped)
    least = need_of(ask, ask.least_output_tokens)
    if most.covers(least):
        return "wait"
    return short_of(least, most, now)


def short_of(need: Amount, most: Amount, now: Amount) -> Short:
    """Which resource is the one that is missing."""
    for resource in RESOURCES:
        if most.of(resource) < need.of(resource):
            return Short(resource, need.of(resource), now.of(resource))
    raise AssertionError("what is short lacks something")


def _chunk(budget: Budget, books: Books, share: Share, full: Amount, room: Amount) -> Amount:
    """At least what is missing; some calls more where there is plenty and nobody waits."""
    missing = (full - share.free).at_least_nothing()
    if any(token != share.token for token in books.asking):
        return missing
    part = _SHARE * (1 + len(books.leases))
    calls = _MOST_CALLS
    for resource in RESOURCES:
        if _limit(budget, resource) is not None and full.of(resource):
            calls = min(calls, int(room.of(resource) / full.of(resource)) // part)
    return missing if calls <= 1 else missing + full.times(calls - 1)


def _affordable(ask: Ask, left: Amount) -> int:
    """The largest output cap that fits, -1 where not even the input does."""
    if left.calls < 1:
        return -1
    cap = min(ask.output_tokens, left.tokens - ask.input_tokens)
    if ask.price is not None and left.usd.is_finite():
        cap = min(cap, ask.price.output_tokens_for(left.usd, ask.input_tokens))
    return cap


def _limit(budget: Budget, resource: Resource) -> Decimal | int | None:
    return budget.money if resource == "usd" else budget.tokens if resource == "tokens" else budget.calls


def label_of(per: str, now: float) -> str:
    """The window that `now` (seconds since the epoch) is in: `2026-11-21` or `2026-11`, in UTC. Later is greater."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d" if per == "day" else "%Y-%m")


def end_of(label: str) -> datetime:
    """When the window is over."""
    if label.count("-") == 2:
        return datetime.strptime(label, "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=1)
    start = datetime.strptime(label, "%Y-%m").replace(tzinfo=UTC)
    return (start + timedelta(days=31)).replace(day=1)
