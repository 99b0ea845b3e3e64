"""Budgets in force: reserve the worst case in every ancestor at once, settle to the truth (SEMANTICS 5).

No clock, no event loop: `Ledger.ask` answers at once with a grant, a refusal or a ticket to wait with, and
whatever frees room hands the waiting tickets their answers.

An account's room is `limit - spent - doubt - held - aside`:

    spent   settled
    doubt   held for calls that may have been billed; counted as spent, never given back silently
    held    reserved by calls in flight: live, so waiting for them can make room
    aside   the finishing reserve: drawn by the final step only, so waiting for it makes no room

Who holds never waits and who waits never holds, so there is no cycle.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TypeAlias

from outlay.values.budget import Budget
from outlay.values.money import ZERO
from outlay.values.price import Price

Resource: TypeAlias = Literal["usd", "tokens", "calls"]
RESOURCES: tuple[Resource, ...] = ("usd", "tokens", "calls")

#: How often younger requests may overtake one that waits before they must wait behind it.
MOST_BYPASSES = 8
ALERTS = (50, 80, 95)


@dataclass(frozen=True, slots=True)
class Ask:
    """One attempt's need. `input_tokens` is an upper bound; the output cap may shrink to what `least` says.

    `price` is None for a model whose price is unknown. `least` is asked when it comes to clipping, because what an
    agent's answers need is learned while others wait.
    """

    price: Price | None
    input_tokens: int
    output_tokens: int
    least: Callable[[], int] | None = None

    @property
    def least_output_tokens(self) -> int:
        return self.output_tokens if self.least is None else min(self.least(), self.output_tokens)

    def worst_usd(self, output_tokens: int) -> Decimal:
        return ZERO if self.price is None else self.price.worst(self.input_tokens, output_tokens)


class Account:
    """One budget of the tree, with what has happened to it. `name` says whose it is in errors and alerts."""

    __slots__ = (
        "alerts",
        "aside",
        "aside_calls",
        "aside_tokens",
        "budget",
        "calls",
        "calls_limit",
        "doubt",
        "held",
        "held_tokens",
        "name",
        "refused",
        "spent",
        "tokens",
        "tokens_limit",
        "unpriced",
        "usd_limit",
        "waiting",
    )

    def __init__(self, name: str, budget: Budget) -> None:
        self.name = name
        self.budget = budget
        self.usd_limit = budget.money
        self.tokens_limit = budget.tokens
        self.calls_limit = budget.calls
        self.spent = ZERO
        self.doubt = ZERO
        self.held = ZERO
        self.aside = ZERO
        self.aside_tokens = 0
        self.aside_calls = 0
        self.tokens = 0
        self.held_tokens = 0
        self.calls = 0
        self.unpriced = False
        #: A request was refused for good because of this account.
        self.refused = False
        #: Tickets whose chain holds this account.
        self.waiting = 0
        #: How much of each limited resource sets off the next alert, and the per cents still to come.
        self.alerts: dict[Resource, tuple[Decimal, tuple[int, ...]]] = {}
        for resource in RESOURCES:
            if limit := self.limit(resource):
                self.alerts[resource] = (limit * ALERTS[0] / Decimal(100), ALERTS)

    def carry(self, usd: Decimal, doubt: Decimal, tokens: int, calls: int, *, unpriced: bool) -> None:
        """Count what an earlier leg of the run used up. Its alerts were given then."""
        self.spent += usd
        self.doubt += doubt
        self.tokens += tokens
        self.calls += calls
        self.unpriced = self.unpriced or unpriced
        self._skip_alerts()

    def _skip_alerts(self) -> None:
        """Those below what is used were given before."""
        for resource, (mark, percents) in tuple(self.alerts.items()):
            used = Decimal(self.used(resource))
            if used >= mark:
                _crossed(self, resource, used, percents)

    def raise_to(self, resource: Resource, limit: Decimal | int) -> None:
        """A higher limit from here on; what is used counts."""
        if resource == "usd":
            self.usd_limit = Decimal(limit)
        elif resource == "tokens":
            self.tokens_limit = int(limit)
        else:
            self.calls_limit = int(limit)
        self.refused = False
        self.alerts[resource] = (limit * ALERTS[0] / Decimal(100), ALERTS)
        self._skip_alerts()

    def limit(self, resource: Resource) -> Decimal | int | None:
        if resource == "usd":
            return self.usd_limit
        return self.tokens_limit if resource == "tokens" else self.calls_limit

    def used(self, resource: Resource) -> Decimal | int:
        """What counts as used for the alerts."""
        if resource == "usd":
            return self.spent + self.doubt
        return self.tokens if resource == "tokens" else self.calls

    @property
    def usd_left(self) -> Decimal | None:
        return None if self.usd_limit is None else self.usd_limit - self.spent - self.doubt - self.held - self.aside

    @property
    def tokens_left(self) -> int | None:
        return (
            None
            if self.tokens_limit is None
            else self.tokens_limit - self.tokens - self.held_tokens - self.aside_tokens
        )

    @property
    def calls_left(self) -> int | None:
        return None if self.calls_limit is None else self.calls_limit - self.calls - self.aside_calls

    @property
    def share_used(self) -> Decimal:
        """The part of the money that is spent or held, 0 without a money limit."""
        if not self.usd_limit:
            return ZERO
        return (self.spent + self.doubt + self.held) / self.usd_limit


@dataclass(slots=True, eq=False)
class Hold:
    """A granted reservation: `usd` and `tokens` in every account of `chain`, for at most `output_tokens`."""

    chain: Sequence[Account]
    usd: Decimal
    tokens: int
    output_tokens: int
    open: bool = True
    #: What the full output cap did not fit, where it was clipped.
    clipped: Refusal | None = None
    #: Of a finishing reserve: the calls that it keeps free.
    calls: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an ask cannot be met: `account` binds on `resource`, `needed` against `left`."""

    account: Account
    resource: Resource
    needed: Decimal | int
    left: Decimal | int


@dataclass(frozen=True, slots=True)
class Unpriced:
    """A money budget met a model without a price."""

    account: Account


@dataclass(frozen=True, slots=True)
class Alert:
    account: Account
    resource: Resource | Literal["seconds"]
    percent: int
    spent: Decimal
    limit: Decimal


Answer: TypeAlias = Hold | Refusal | Unpriced


@dataclass(slots=True, eq=False)
class Ticket:
    """A waiting request. `answered` is called once, with a Hold or a Refusal."""

    chain: Sequence[Account]
    ask: Ask
    answered: Callable[[Answer], None]
    bypassed: int = 0
    binding: Account | None = None


@dataclass(slots=True)
class Ledger:
    """The tree of accounts of one run, or of many runs that share a budget."""

    _waiting: deque[Ticket] = field(default_factory=deque[Ticket])

    def ask(
        self,
        chain: Sequence[Account],
        ask: Ask,
        answered: Callable[[Answer], None] | None = None,
        *,
        finish: Hold | None = None,
    ) -> Answer | Ticket:
        """Reserve in all accounts of `chain`, or say what stands in the way.

        With `answered`, a request that calls in flight could make room for becomes a Ticket instead of a refusal.
        `finish` is a finishing reserve to draw on: it is given back and the request granted in one step.
        """
        if finish is not None and finish.open:
            self._put_back(finish)
            verdict = self._decide(chain, ask, may_wait=answered is not None)
            self._pump()  # the step may need less than was set aside for it
        else:
            verdict = self._decide(chain, ask, may_wait=answered is not None)
        blocked = self._waiting and not isinstance(verdict, Unpriced) and finish is None and self._must_queue(chain)
        if isinstance(verdict, Ticket) or (blocked and isinstance(verdict, Hold) and answered is not None):
            assert answered is not None
            if isinstance(verdict, Hold):
                self._undo(verdict)
            ticket = Ticket(chain, ask, answered)
            ticket.binding = _tightest(ticket)
            self._waiting.append(ticket)
            for account in chain:
                account.waiting += 1
            return ticket
        if isinstance(verdict, Hold) and self._waiting:
            self._count_bypass(chain)
        return verdict

    def set_aside(self, chain: Sequence[Account], ask: Ask) -> Hold:
        """A finishing reserve: what `ask` could cost, at most half of what is left, so that work can still be done."""
        usd, tokens, calls = ask.worst_usd(ask.output_tokens), ask.input_tokens + ask.output_tokens, 1
        for account in chain:
            if account.usd_left is not None:
                usd = min(usd, max(account.usd_left, ZERO) / 2)
            if account.tokens_left is not None:
                tokens = min(tokens, max(account.tokens_left, 0) // 2)
            if account.calls_left is not None:
                calls = min(calls, max(account.calls_left, 0) // 2)
        for account in chain:
            account.aside += usd
            account.aside_tokens += tokens
            account.aside_calls += calls
        return Hold(chain, usd, tokens, ask.output_tokens, calls=calls)

    def put_back(self, aside: Hold) -> None:
        """Give an unused finishing reserve back."""
        if aside.open:
            self._put_back(aside)
            self._pump()

    def settle(self, hold: Hold, usd: Decimal | None, tokens: int) -> list[Alert]:
        """The call is over and cost `usd` (None: its price is unknown). Returns the alerts that this sets off."""
        self._close(hold)
        for account in hold.chain:
            account.tokens += tokens
            if usd is None:
                account.unpriced = True
            else:
                account.spent += usd
        return self._after(hold.chain)

    def doubt(self, hold: Hold) -> list[Alert]:
        """The call may or may not have been billed: its whole reservation counts as spent from now on."""
        self._close(hold)
        for account in hold.chain:
            account.doubt += hold.usd
            account.tokens += hold.tokens
        return self._after(hold.chain)

    def give_up(self, hold: Hold) -> None:
        """The call does not start after all: as if it had not been asked for."""
        self._undo(hold)
        self._pump()

    def release(self, hold: Hold) -> None:
        """The call surely cost nothing."""
        self._close(hold)
        self._pump()

    def withdraw(self, ticket: Ticket) -> None:
        """Whoever waited no longer wants it."""
        if ticket in self._waiting:
            self._waiting.remove(ticket)
            _left(ticket)
            self._pump()

    # ── inside ────────────────────────────────────────────────────────────────────────────────────────────

    def _decide(self, chain: Sequence[Account], ask: Ask, *, may_wait: bool) -> Answer | Ticket:
        if ask.price is None:
            for account in chain:
                if account.usd_limit is not None and not account.budget.allow_unpriced:
                    return Unpriced(account)
        full = ask.worst_usd(ask.output_tokens)
        if _fits(chain, full, ask.input_tokens + ask.output_tokens):
            return self._grant(chain, full, ask.input_tokens, ask.output_tokens)
        refusal = _short_of(chain, full, ask.input_tokens + ask.output_tokens, live=False)
        if may_wait and refusal is None:
            return Ticket(chain, ask, _nobody)
        clipped = _affordable(chain, ask)
        if clipped >= ask.least_output_tokens:
            short = _short_of(chain, full, ask.input_tokens + ask.output_tokens, live=True)
            hold = self._grant(chain, ask.worst_usd(clipped), ask.input_tokens, clipped)
            hold.clipped = short
            return hold
        least = ask.worst_usd(ask.least_output_tokens)
        least_tokens = ask.input_tokens + ask.least_output_tokens
        refusal = _short_of(chain, least, least_tokens, live=not may_wait)
        if refusal is not None:
            return refusal
        return Ticket(chain, ask, _nobody)

    def _grant(self, chain: Sequence[Account], usd: Decimal, input_tokens: int, output_tokens: int) -> Hold:
        tokens = input_tokens + output_tokens
        for account in chain:
            account.held += usd
            account.held_tokens += tokens
            account.calls += 1
        return Hold(chain, usd, tokens, output_tokens)

    def _undo(self, hold: Hold) -> None:
        self._close(hold)
        for account in hold.chain:
            account.calls -= 1

    def _close(self, hold: Hold) -> None:
        assert hold.open, "a hold is settled once"
        hold.open = False
        for account in hold.chain:
            account.held -= hold.usd
            account.held_tokens -= hold.tokens

    def _put_back(self, aside: Hold) -> None:
        aside.open = False
        for account in aside.chain:
            account.aside -= aside.usd
            account.aside_tokens -= aside.tokens
            account.aside_calls -= aside.calls

    def _must_queue(self, chain: Sequence[Account]) -> bool:
        """Has somebody who waits on one of these accounts been overtaken often enough?"""
        return any(t.bypassed >= MOST_BYPASSES and t.binding in chain for t in self._waiting)

    def _count_bypass(self, chain: Sequence[Account]) -> None:
        for ticket in self._waiting:
            if ticket.binding in chain:
                ticket.bypassed += 1
                return

    def _after(self, chain: Sequence[Account]) -> list[Alert]:
        alerts = list(_alerts(chain))
        self._pump()
        return alerts

    def _pump(self) -> None:
        """Answer who waits, oldest first.

        Past a few whom one account keeps waiting, nobody else who needs that account is looked at: it is their turn.
        """
        if not self._waiting:
            return
        still: list[Ticket] = []
        answers: list[tuple[Ticket, Answer]] = []
        kept: Counter[int] = Counter()
        closed: dict[int, Account] = {}
        while self._waiting:
            # most runs have one account that all need: once it is closed there is nothing left to look for
            if any(account.waiting == len(self._waiting) + len(still) for account in closed.values()):
                break
            ticket = self._waiting.popleft()
            if closed and any(id(account) in closed for account in ticket.chain):
                still.append(ticket)
                continue
            verdict = self._decide(ticket.chain, ticket.ask, may_wait=True)
            if isinstance(verdict, Ticket):
                ticket.binding = account = _tightest(ticket)
                kept[id(account)] += 1
                if ticket.bypassed >= MOST_BYPASSES or kept[id(account)] >= MOST_BYPASSES:
                    closed[id(account)] = account
                still.append(ticket)
                continue
            if isinstance(verdict, Hold):
                for older in still:
                    if older.binding in ticket.chain:
                        older.bypassed += 1
            _left(ticket)
            answers.append((ticket, verdict))
        self._waiting.extendleft(reversed(still))
        for ticket, verdict in answers:
            ticket.answered(verdict)


def _left(ticket: Ticket) -> None:
    for account in ticket.chain:
        account.waiting -= 1


def _nobody(_: Answer) -> None:
    raise AssertionError("a provisional ticket is never answered")


def _fits(chain: Sequence[Account], usd: Decimal, tokens: int) -> bool:
    for account in chain:
        if account.usd_left is not None and usd > account.usd_left:
            return False
        if account.tokens_left is not None and tokens > account.tokens_left:
            return False
        if account.calls_left is not None and account.calls_left <= 0:
            return False
    return True


def _short_of(chain: Sequence[Account], usd: Decimal, tokens: int, *, live: bool) -> Refusal | None:
    """What would still be missing once all live holds are back (`live=True`: counting them as gone for good)."""
    for account in chain:
        if account.calls_left is not None and account.calls_left <= 0:
            return Refusal(account, "calls", 1, 0)
        if account.usd_left is not None:
            left = account.usd_left if live else account.usd_left + account.held
            if usd > left:
                return Refusal(account, "usd", usd, account.usd_left)
        if account.tokens_left is not None:
            left_tokens = account.tokens_left if live else account.tokens_left + account.held_tokens
            if tokens > left_tokens:
                return Refusal(account, "tokens", tokens, account.tokens_left)
    return None


def _affordable(chain: Sequence[Account], ask: Ask) -> int:
    """The largest output cap that fits everywhere now, -1 where not even the input does."""
    cap = ask.output_tokens
    for account in chain:
        if account.calls_left is not None and account.calls_left <= 0:
            return -1
        if account.usd_left is not None and ask.price is not None:
            cap = min(cap, ask.price.output_tokens_for(account.usd_left, ask.input_tokens))
        if account.tokens_left is not None:
            cap = min(cap, account.tokens_left - ask.input_tokens)
    return cap


def _tightest(ticket: Ticket) -> Account:
    """The account that keeps a ticket waiting."""
    ask = ticket.ask
    usd, tokens = ask.worst_usd(ask.output_tokens), ask.input_tokens + ask.output_tokens
    for account in ticket.chain:
        if not _fits((account,), usd, tokens):
            return account
    return ticket.chain[-1]


def _alerts(chain: Sequence[Account]) -> Iterator[Alert]:
    for account in chain:
        for resource, (mark, percents) in account.alerts.items():
            used = account.used(resource)
            if used >= mark:
                yield from _crossed(account, resource, Decimal(used), percents)


def _crossed(account: Account, resource: Resource, used: Decimal, percents: tuple[int, ...]) -> list[Alert]:
    limit = Decimal(account.limit(resource) or 0)
    crossed = [percent for percent in percents if used * 100 >= percent * limit]
    left = percents[len(crossed) :]
    account.alerts[resource] = (limit * left[0] / 100 if left else Decimal("Infinity"), left)
    return [Alert(account, resource, percent, used, limit) for percent in crossed]
