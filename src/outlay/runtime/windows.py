"""Budgets with a window, in one process: its share of what all of them may use (policies/window.py).

A call that the share covers costs no round trip. One that it does not draws more by compare-and-set, or waits, while
other processes' leases could make room: whoever waits has given back what it does not use, and looks again. A share
that nobody asks of is given back after a second, and at the end.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from contextvars import Context
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from outlay.errors import ConfigError, Conflict, OutlayError
from outlay.policies.ledger import ALERTS, RESOURCES, Account, Alert, Ask
from outlay.policies.window import (
    NOTHING,
    Amount,
    Books,
    Draw,
    Lease,
    Share,
    Short,
    judge,
    label_of,
    left_of,
    need_of,
    total,
)
from outlay.protocols.clock import wall_clock
from outlay.protocols.documents import Change, Document
from outlay.protocols.store import Store
from outlay.runtime.ownership import me, ownership_in
from outlay.values.budget import Budget

COLLECTION = "windows"
#: The newest window of each scope that any process has seen: a clock that goes backwards opens no older one.
HEADS = "window_heads"
#: In seconds: a share that was not asked of for so long is given back, and so often a busy one looks who waits.
REST = 1.0
#: How long one who waits goes without looking, in seconds: the first time, and the longest.
_POLL = (0.02, 0.5)
#: Whoever waits says so again within this time; one that does not is gone.
_ASKING_SECONDS = 5.0
_MOST_CHARACTERS = 200

T = TypeVar("T")
#: The shares of this process that are in use: a lease of ours that is not among them is left over.
_live: set[str] = set()


class Window:
    """One window of one scope. All runs of this process on one store and loop account for it together."""

    __slots__ = (
        "_asks",
        "_books",
        "_commits",
        "_freed",
        "_key",
        "_line",
        "_marks",
        "_seen_asks",
        "_store",
        "_tidying",
        "_timer",
        "_version",
        "_wall",
        "label",
        "share",
        "users",
    )

    def __init__(self, store: Store, scope: str, per: str, label: str, wall: Callable[[], float]) -> None:
        self._store = store
        self._key = _key(scope, per, label)
        self._wall = wall
        self.label = label
        self.share = Share(secrets.token_hex(6), me())
        self.users = 0
        self._books = Books()
        self._version = 0
        self._marks: dict[str, int] = {}
        self._asks = self._seen_asks = 0
        #: Who needs more than the share has: one at a time, in the order of asking.
        self._line = asyncio.Lock()
        self._commits = asyncio.Lock()
        self._freed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._tidying: asyncio.Task[None] | None = None

    async def open(self) -> None:
        await ownership_in(self._store).begin(f"@{self.share.token}", self._wall)
        _live.add(self.share.token)
        await self._look()

    async def close(self) -> None:
        """Report what was used, and give back the rest."""
        if self._timer is not None:
            self._timer.cancel()
        try:
            if self._tidying is not None:
                await asyncio.wait([self._tidying])
            self.share.lose(self.share.held)  # no call should be under way; if one is, nobody will hear of its end
            self.share.end(self.share.spent, self.share.doubt)
            if self.share.lease != NOTHING or self.share.over_spent != NOTHING:
                while not await self._commit(back=True):
                    pass
        finally:
            _live.discard(self.share.token)
            ownership_in(self._store).end(f"@{self.share.token}")

    # ── a call ────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, need: Amount) -> bool:
        """Hold what a call may use, where the share covers it. Who waits in line gives back what comes free meanwhile,
        so that calls behind it find nothing and stand in line too."""
        self._asks += 1
        taken = self.share.take(need)
        self._rest()
        return taken

    def settle(self, need: Amount, cost: Amount) -> None:
        self.share.settle(need, cost)
        self._changed()

    def lose(self, need: Amount) -> None:
        self.share.lose(need)
        self._changed()

    def put_back(self, need: Amount) -> None:
        """It was not needed after all."""
        self.share.held -= need
        self._changed()

    async def room_for(self, budget: Budget, ask: Ask) -> int | Short:
        """See to it that the share covers a call, waiting for others where they could make room: for how many output
        tokens it does now. It is not held yet."""
        full = need_of(ask, ask.output_tokens)
        async with self._line:
            pause, fresh, waiting, said = _POLL[0], False, False, float("-inf")
            try:
                while not self.share.free.covers(full):
                    version = self._version
                    verdict = judge(budget, self._books, self.share, ask, NOTHING)
                    if fresh and not (isinstance(verdict, Draw) and verdict.output_tokens == ask.output_tokens):
                        kept = await self._kept()
                        if version != self._version:
                            continue
                        verdict = judge(budget, self._books, self.share, ask, kept)
                    elif not isinstance(verdict, Draw) or verdict.output_tokens < ask.output_tokens:
                        await self._look()
                        fresh = True
                        continue
                    if isinstance(verdict, Short):
                        return verdict
                    if isinstance(verdict, Draw):
                        if verdict.amount == NOTHING or await self._commit(draw=verdict.amount, judged=version):
                            return verdict.output_tokens
                        continue
                    if self._has_news or self._wall() - said > _ASKING_SECONDS / 2:
                        if not await self._commit(back=True, asking=True):
                            continue
                        waiting, said = True, self._wall()
                    self._freed.clear()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await self._freed.wait()
                    pause = min(2 * pause, _POLL[1])
                    await self._look()
                return ask.output_tokens
            finally:
                if waiting:
                    with suppress(OutlayError):
                        await self._commit(asking=False)

    async def _kept(self) -> Amount:
        """What will not come back of others' leases: what they have used, and all of those whose process is no more."""
        found: list[Amount] = []
        for token, lease in self._books.leases.items():
            if token != self.share.token:
                found.append(lease.gone if await self._is_alive(token, lease) else lease.amount)
        return total(found)

    async def _is_alive(self, token: str, lease: Lease) -> bool:
        if token in _live:
            return True
        return lease.owner != me() and await ownership_in(self._store).lease_of(lease.owner, self._wall) > 0

    # ── the books ─────────────────────────────────────────────────────────────────────────────────────────

    async def _look(self) -> None:
        async with self._commits:
            self._see(await self._store.read(COLLECTION, self._key))

    def _see(self, found: Document | None) -> None:
        self._version = 0 if found is None else found.version
        self._books = Books.load(None if found is None else found.body)

    async def _commit(
        self, *, draw: Amount = NOTHING, back: bool = False, asking: bool | None = None, judged: int | None = None
    ) -> bool:
        """Change the books; False where somebody was faster, and then they are read. `judged` is the version that
        `draw` was decided on."""
        return await _unbroken(self._commit_now(draw, back, asking, judged))

    async def _commit_now(self, draw: Amount, back: bool, asking: bool | None, judged: int | None) -> bool:
        async with self._commits:
            if judged is not None and judged != self._version:
                return False
            share = self.share
            plan = share.plan(self._books, draw=draw, back=share.free.at_least_nothing() if back else NOTHING)
            now = self._wall()
            waiting = {
                token: since
                for token, since in self._books.asking.items()
                if abs(now - since) < _ASKING_SECONDS and (asking is None or token != share.token)
            }
            if asking:
                waiting[share.token] = now
            marks = {
                name: max(self._marks.get(name, 0), self._books.marks.get(name, 0))
                for name in {**self._books.marks, **self._marks}
            }
            books = replace(plan.books, asking=waiting, marks=marks)
            share.begin(plan)
            try:
                (version,) = await self._store.commit((Change(COLLECTION, self._key, books.dump(), self._version),))
            except Conflict as conflict:
                share.failed(plan)
                self._see(conflict.theirs)
                return False
            share.done(plan)
            self._books, self._version = books, version
            self._rest()
            return True

    # ── rest ──────────────────────────────────────────────────────────────────────────────────────────────

    def _changed(self) -> None:
        self._freed.set()
        self._rest()

    def _rest(self) -> None:
        """What lies idle is looked after in a while."""
        if self._timer is None and self._has_news:
            self._timer = asyncio.get_running_loop().call_later(REST, self._tick, context=Context())

    @property
    def _has_news(self) -> bool:
        """Something lies free, or was used that the books do not know of."""
        mine = self._books.leases.get(self.share.token)
        return self.share.free != NOTHING or self.share.used != (NOTHING if mine is None else mine.gone)

    def _tick(self) -> None:
        self._tidying = asyncio.ensure_future(self._tidy())

    async def _tidy(self) -> None:
        idle, self._seen_asks = self._asks == self._seen_asks, self._asks
        with suppress(OutlayError):  # the next call will find the store broken, and say so
            if not idle:
                await self._look()
            asked = any(token != self.share.token for token in self._books.asking)
            if (idle or asked) and self._has_news:
                await self._commit(back=True)
        self._timer = None
        self._rest()

    # ── what people see ───────────────────────────────────────────────────────────────────────────────────

    def left(self, budget: Budget) -> Amount:
        """What is left, as far as this process knows."""
        return left_of(budget, self._books.committed) + self.share.free

    def show(self, account: Account) -> None:
        """What the scope has used in this window, in the account's own fields."""
        leases = [lease for token, lease in self._books.leases.items() if token != self.share.token]
        others = total(lease.gone for lease in leases)
        used = self._books.spent + self.share.spent + self.share.over_spent + others
        doubt = self._books.doubt + self.share.doubt + self.share.over_doubt
        account.spent, account.doubt = used.usd, doubt.usd
        account.tokens, account.calls = used.tokens + doubt.tokens, used.calls + doubt.calls
        held = total(lease.amount for lease in leases) - others + self.share.held
        account.held, account.held_tokens = held.usd, held.tokens

    def alerts(self, account: Account) -> list[Alert]:
        """The marks that were crossed: each is told once, also where several processes work on the scope."""
        found: list[Alert] = []
        used = self._books.committed - self.share.free - self.share.held
        for resource in RESOURCES:
            limit = Decimal(account.limit(resource) or 0)
            if not limit:
                continue
            name = f"{resource} {limit.normalize():f}"
            before = max(self._marks.get(name, 0), self._books.marks.get(name, 0))
            amount = Decimal(used.of(resource))
            for percent in ALERTS:
                if percent > before and amount * 100 >= percent * limit:
                    self._marks[name] = percent
                    found.append(Alert(account, resource, percent, amount, limit))
        return found


class Windows:
    """The windows that one host's runs use; each is the process's own share on the host's store and loop."""

    __slots__ = ("_newest", "_opening", "_store", "_used")

    def __init__(self, store: Store) -> None:
        self._store = store
        self._newest: dict[tuple[str, str], Window] = {}
        self._used: list[Window] = []
        self._opening = asyncio.Lock()

    async def of(self, scope: str, per: str) -> Window:
        """The window of this moment. One that a later one has followed does not come back, whatever the clock says."""
        name = (scope, per)
        wall = wall_clock(asyncio.get_running_loop())
        newest = self._newest.get(name)
        if newest is not None and label_of(per, wall()) <= newest.label:
            return newest
        async with self._opening:
            newest = self._newest.get(name)
            if newest is not None and label_of(per, wall()) <= newest.label:
                return newest
            window = await self._shared(scope, per, await _label(self._store, scope, per, wall), wall)
            self._newest[name] = window
            self._used.append(window)
            return window

    async def _shared(self, scope: str, per: str, label: str, wall: Callable[[], float]) -> Window:
        windows = _open.setdefault(self._store, {})
        key = (id(asyncio.get_running_loop()), scope, per, label)
        window = windows.get(key)
        if window is None:
            window = windows[key] = Window(self._store, scope, per, label, wall)
            window.users += 1
            try:
                await window.open()
            except BaseException:
                del windows[key]
                raise
        else:
            window.users += 1
        return window

    async def settle(self, owner: str, used: Mapping[tuple[str, str, str], tuple[Amount, Amount]]) -> None:
        """What a run's journal shows of the lease of a process that died is no longer unknown. Sums stay as they are:
        nothing is refunded."""
        for (scope, per, label), (spent, doubt) in used.items():
            while owner != me():
                found = await self._store.read(COLLECTION, _key(scope, per, label))
                if found is None:
                    break
                books = Books.load(found.body)
                after = books.settled(owner, spent, doubt)
                if after == books:
                    break
                with suppress(Conflict):
                    await self._store.commit((Change(COLLECTION, found.key, after.dump(), found.version),))
                    break

    async def close(self) -> None:
        """Let go of the windows; the last one who uses a share gives it back."""
        windows = _open.get(self._store, {})
        used, self._used = self._used, []
        self._newest = {}
        for window in used:
            window.users -= 1
            if not window.users:
                for key in [key for key, other in windows.items() if other is window]:
                    del windows[key]
                with suppress(OutlayError):  # what was not reported stays committed: in doubt, never refunded
                    await window.close()


def _key(scope: str, per: str, label: str) -> str:
    return f"{per}/{scope}/{label}"


_open: WeakKeyDictionary[Store, dict[tuple[int, str, str, str], Window]] = WeakKeyDictionary()


async def _label(store: Store, scope: str, per: str, wall: Callable[[], float]) -> str:
    """The newest window: the clock's, or a later one that some process has seen."""
    key = f"{per}/{scope}"
    while True:
        label = label_of(per, wall())
        head = await store.read(HEADS, key)
        newest = "" if head is None else head.body.decode()
        if newest >= label:
            return newest
        with suppress(Conflict):
            await store.commit((Change(HEADS, key, label.encode(), 0 if head is None else head.version),))
            return label


def check(budget: Budget, store: Store | None) -> None:
    """Raises ConfigError for a budget with a window that cannot be counted."""
    if budget.scope is None:
        return
    if not 0 < len(budget.scope) <= _MOST_CHARACTERS or not budget.scope.isprintable():
        raise ConfigError(
            f"scope={budget.scope[:80]!r} is not allowed", hint=f"use 1 to {_MOST_CHARACTERS} printable characters"
        )
    if store is None:
        raise ConfigError(
            f"budget scope={budget.scope!r} per={budget.per!r} counts across runs, which needs a store",
            hint='give the store that the runs share: run(…, store="outlay.db")',
        )
    for name in ("seconds", "depth", "fan_out"):
        if getattr(budget, name) is not None:
            raise ConfigError(
                f"budget scope={budget.scope!r}: {name}= cannot be counted across runs",
                hint=f"give it as a budget of its own: budget=[Budget(usd=…, scope=…, per=…), Budget({name}=…)]",
            )


async def _unbroken(work: Coroutine[Any, Any, T]) -> T:
    """Await it to its end also where the waiter is cancelled: half-known money is worse than a late cancellation."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # nobody else will ask
        raise
