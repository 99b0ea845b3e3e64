"""The accounting of shared windows as a law: whatever processes do, in whatever order, never over, nothing lost."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay import Budget
from outlay.policies.ledger import Ask
from outlay.policies.window import (
    NOTHING,
    Amount,
    Books,
    Draw,
    Lease,
    Plan,
    Share,
    Short,
    end_of,
    judge,
    label_of,
    need_of,
    total,
)
from outlay.values.price import Price

CENT = Price.per_million(0, 10_000)  # a cent a token


def ask(tokens: int, least: int | None = None) -> Ask:
    return Ask(CENT, 0, tokens, None if least is None else lambda: least)


def cents(n: int) -> Decimal:
    return Decimal(n) / 100


class Processes:
    """Four processes on one document, by compare-and-set, with commits that come late or never, and crashes."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.limit = cents(chance.randint(1, 400))
        self.budget = Budget(usd=self.limit, scope="s", per="day")
        self.books, self.version = Books(), 0
        self.shares: list[Share] = []
        self.seen: list[tuple[Books, int]] = []
        self.flying: dict[int, tuple[Plan, int]] = {}
        self.holds: list[list[Amount]] = []
        self.paid = NOTHING  # what was really spent or may have been, by all processes, dead or alive
        self.dead = 0
        self.steps: Counter[str] = Counter()
        for _ in range(4):
            self.join()

    def join(self) -> None:
        n = len(self.shares)
        self.shares.append(Share(f"t{n}", f"p{n}"))
        self.seen.append((self.books, self.version))
        self.holds.append([])

    def step(self) -> None:
        rules = {"decide": 4, "land": 8, "call": 8, "settle": 6, "look": 1, "end": 1, "crash": 0.15, "resume": 0.1}
        name = self.chance.choices(list(rules), list(rules.values()))[0]
        if getattr(self, name)(self.chance.randrange(self.dead, len(self.shares))):
            self.steps[name] += 1

    def look(self, i: int) -> bool:
        if i not in self.flying:
            self.seen[i] = (self.books, self.version)
        return i not in self.flying

    def decide(self, i: int) -> bool:
        """On what it saw last, which may be stale."""
        if i in self.flying:
            return False
        share, (books, version) = self.shares[i], self.seen[i]
        back = self.chance.random() < 0.15
        draw = NOTHING
        if not back:
            others = [(int(token[1:]), lease) for token, lease in books.leases.items() if token != share.token]
            kept = total(lease.amount if n < self.dead else lease.gone for n, lease in others)
            tokens = self.chance.randint(1, 20)
            verdict = judge(self.budget, books, share, ask(tokens, self.chance.randint(1, tokens)), kept)
            if not isinstance(verdict, Draw):
                return False
            draw = verdict.amount
        plan = share.plan(books, draw=draw, back=share.free.at_least_nothing() if back else NOTHING)
        share.begin(plan)
        self.flying[i] = (plan, version)
        return True

    def land(self, i: int) -> bool:
        """The commit arrives: it counts if nobody was faster."""
        if i not in self.flying:
            return False
        plan, version = self.flying.pop(i)
        if version == self.version:
            self.books, self.version = plan.books, self.version + 1
            self.shares[i].done(plan)
        else:
            self.shares[i].failed(plan)
        self.seen[i] = (self.books, self.version)
        return version == self.version - 1

    def call(self, i: int) -> bool:
        tokens = self.chance.randint(1, 20)
        need = need_of(ask(tokens), tokens)
        taken = self.shares[i].take(need)
        if taken:
            self.holds[i].append(need)
        return taken

    def settle(self, i: int) -> bool:
        if not self.holds[i]:
            return False
        need = self.holds[i].pop(self.chance.randrange(len(self.holds[i])))
        if self.chance.random() < 0.2:
            self.shares[i].lose(need)
            self.paid += need
        else:
            tokens = self.chance.randint(0, need.tokens)
            cost = Amount(cents(tokens), tokens, 1)
            self.shares[i].settle(need, cost)
            self.paid += cost
        return True

    def end(self, i: int) -> bool:
        """All its runs are over."""
        self.shares[i].end(self.shares[i].spent, self.shares[i].doubt)
        return True

    def crash(self, _: int) -> bool:
        """The eldest dies, its last commit under way; another joins. What it held may have been billed."""
        i = self.dead
        plan, version = self.flying.pop(i, (None, 0))
        if plan is not None and version == self.version and self.chance.random() < 0.5:
            self.books, self.version = plan.books, self.version + 1
        self.paid += total(self.holds[i])
        self.dead += 1
        self.join()
        return True

    def resume(self, _: int) -> bool:
        """The runs of the one that died last go on, and their journals show what they had used."""
        if not self.dead:
            return False
        share, before = self.shares[self.dead - 1], self.books.committed
        self.books, self.version = self.books.settled(share.owner, share.spent, share.doubt), self.version + 1
        share.spent = share.doubt = NOTHING
        assert self.books.committed == before
        return True

    def check(self) -> None:
        """Never over; what the living believe to have is committed to them; all that was paid is in the books."""
        assert self.books.committed.usd <= self.limit
        assert self.paid.usd <= self.limit
        assert self.books.committed.covers(self.paid)
        for i in range(self.dead, len(self.shares)):
            share = self.shares[i]
            lease = self.books.leases.get(share.token, Lease("", NOTHING)).amount
            returning = self.flying[i][0].back if i in self.flying else NOTHING
            assert lease == share.lease + returning
            assert share.free.covers(NOTHING)
            assert share.free + share.held + share.used == share.lease


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_no_interleaving_of_processes_is_over_or_loses_anything(seed: int) -> None:
    """Stale views, late commits, lost ones, crashes, settles and resumes, in any order: after each step it holds."""
    processes = Processes(random.Random(seed))
    for _ in range(150):
        processes.step()
        processes.check()


def test_the_interleavings_are_worth_their_name() -> None:
    """The property above is not true for want of things that happen."""
    steps: Counter[str] = Counter()
    for seed in range(30):
        processes = Processes(random.Random(seed))
        for _ in range(150):
            processes.step()
        steps += processes.steps
    for what, least in (("land", 300), ("call", 80), ("settle", 60), ("crash", 20), ("resume", 5)):
        assert steps[what] >= least, steps


amounts = st.builds(Amount, st.integers(0, 50).map(cents), st.integers(0, 50), st.integers(0, 5))


@given(
    amounts, amounts, st.dictionaries(st.text("abc", min_size=1), st.builds(Lease, st.text("xyz"), amounts, amounts))
)
def test_books_read_back_as_they_were_written(spent: Amount, doubt: Amount, leases: Any) -> None:
    """Exact money and all leases."""
    books = Books(spent, doubt, leases, {"t": 1.5}, {"usd 5": 80})
    assert Books.load(books.dump()) == books
    assert Books.load(None) == Books()


# ── what to do about a call ───────────────────────────────────────────────────────────────────────────────

DOLLAR = Budget(usd=1, scope="s", per="day")


def held_by_others(amount: int) -> Books:
    return Books(leases={"other": Lease("p", Amount(cents(amount)))})


def test_plenty_is_drawn_in_chunks_and_the_rest_call_by_call() -> None:
    """A part of what is left, so that nobody's idle lease is worth much."""
    share = Share("t", "p")
    drawn = judge(DOLLAR, Books(), share, ask(1), NOTHING)
    assert drawn == Draw(Amount(cents(6), 6, 6), 1)
    assert judge(DOLLAR, held_by_others(90), share, ask(1), NOTHING) == Draw(Amount(cents(1), 1, 1), 1)


def test_who_waits_is_not_made_to_wait_longer() -> None:
    """While somebody asks, nobody draws ahead."""
    books = Books(asking={"other": 0.0})
    assert judge(DOLLAR, books, Share("t", "p"), ask(1), NOTHING) == Draw(Amount(cents(1), 1, 1), 1)


def test_wait_before_clip_and_clip_before_refuse() -> None:
    """Wait where a lease could come back; where it is lost, clip as far as the agent allows; else there is no room."""
    share, others = Share("t", "p"), held_by_others(80)
    lost = Amount(cents(80))
    assert judge(DOLLAR, others, share, ask(40, 10), NOTHING) == "wait"
    assert judge(DOLLAR, others, share, ask(40, 10), lost) == Draw(Amount(cents(20), 20, 1), 20)
    assert judge(DOLLAR, others, share, ask(40, 30), lost) == Short("usd", cents(30), cents(20))


def test_each_resource_can_be_the_one_that_is_missing() -> None:
    """Tokens and calls as money; what has no limit is never missing."""
    share, used = Share("t", "p"), Books(spent=Amount(cents(10), 10, 1))
    for budget, short in (
        (Budget(tokens=12, scope="s", per="day"), Short("tokens", 5, 2)),
        (Budget(calls=1, scope="s", per="day"), Short("calls", 1, 0)),
        (Budget(usd="0.12", scope="s", per="day"), Short("usd", cents(5), cents(2))),
    ):
        assert judge(budget, used, share, ask(5), NOTHING) == short
    assert isinstance(judge(Budget(scope="s", per="day"), used, share, ask(5), NOTHING), Draw)


def test_what_a_provider_took_beyond_its_cap_is_in_the_books() -> None:
    """The truth is written down, whatever the limit says; it is nobody's room."""
    share, need = Share("t", "p"), Amount(cents(1), 1, 1)
    plan = share.plan(Books(), draw=need)
    share.begin(plan)
    share.done(plan)
    assert share.take(need)
    share.settle(need, Amount(cents(5), 5, 1))
    share.end(share.spent, share.doubt)
    last = share.plan(plan.books, back=share.free.at_least_nothing())
    assert last.books.spent == Amount(cents(5), 5, 1)
    assert last.books.leases == {}


# ── windows ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("per", "moment", "label", "end"),
    [
        ("day", (2026, 11, 21, 23, 59), "2026-11-21", (2026, 11, 22)),
        ("day", (2027, 1, 1, 0, 0), "2027-01-01", (2027, 1, 2)),
        ("day", (2028, 2, 28, 12, 0), "2028-02-28", (2028, 2, 29)),
        ("month", (2026, 12, 31, 23, 59), "2026-12", (2027, 1, 1)),
        ("month", (2026, 2, 1, 0, 0), "2026-02", (2026, 3, 1)),
    ],
)
def test_a_window_is_a_day_or_a_month_of_utc(per: str, moment: Any, label: str, end: Any) -> None:
    """Its label sorts as time goes, and says when the next one begins."""
    now = datetime(*moment, tzinfo=UTC)
    assert label_of(per, now.timestamp()) == label
    assert end_of(label) == datetime(*end, tzinfo=UTC)
    assert label_of(per, end_of(label).timestamp()) > label
