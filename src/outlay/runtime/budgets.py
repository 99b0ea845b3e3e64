"""Budgets in force: the accounts of a run's nodes over one ledger, waiting, alerts and what is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from outlay.errors import BudgetExceeded, UnpricedModel
from outlay.events.records import CallStarted
from outlay.policies.ledger import Account, Alert, Answer, Ask, Hold, Ledger, Refusal, Ticket, Unpriced
from outlay.policies.window import NOTHING, Amount, Short, end_of, need_of, short_of
from outlay.protocols.node import Node
from outlay.protocols.prices import did_you_mean
from outlay.runtime.directory import default_prices
from outlay.runtime.windows import Window, Windows
from outlay.values.budget import Budget
from outlay.values.money import ZERO, show_limit, show_usd

Chain = tuple[Account, ...]


def accounts_for(name: str, budgets: Sequence[Budget], windows: Windows | None = None) -> Chain:
    """Open an account for each budget. `windows` are where those with a scope are counted."""
    return tuple(_account(name, budget, windows) for budget in budgets)


def _account(name: str, budget: Budget, windows: Windows | None) -> Account:
    if budget.scope is None:
        return Account(name, budget)
    assert windows is not None, "checked before the run: a window needs a store"
    return WindowAccount(budget, windows)


class WindowAccount(Account):
    """A budget that counts across runs. It is no account of the ledger: what it counts is in its `window`."""

    __slots__ = ("_windows", "window")

    def __init__(self, budget: Budget, windows: Windows) -> None:
        assert budget.scope is not None
        super().__init__(budget.scope, budget)
        self.alerts = {}
        self._windows = windows
        #: None until somebody has looked.
        self.window: Window | None = None

    async def current(self) -> Window:
        """The window of this moment."""
        assert self.budget.scope is not None
        assert self.budget.per is not None
        self.window = await self._windows.of(self.budget.scope, self.budget.per)
        return self.window

    def carry(self, usd: Decimal, doubt: Decimal, tokens: int, calls: int, *, unpriced: bool) -> None:
        """Nothing: what an earlier leg used was counted when it happened."""

    @property
    def usd_left(self) -> Decimal | None:
        return self.usd_limit if self.usd_limit is None or self.window is None else self.window.left(self.budget).usd

    @property
    def tokens_left(self) -> int | None:
        limit = self.tokens_limit
        return limit if limit is None or self.window is None else self.window.left(self.budget).tokens

    @property
    def calls_left(self) -> int | None:
        limit = self.calls_limit
        return limit if limit is None or self.window is None else self.window.left(self.budget).calls

    @property
    def share_used(self) -> Decimal:
        return ZERO if not self.usd_limit or self.usd_left is None else 1 - self.usd_left / self.usd_limit


@dataclass(frozen=True, slots=True)
class Slip:
    """What a call in flight holds of a window."""

    account: WindowAccount
    window: Window
    need: Amount


class BudgetTree:
    """One run's accounts. The root ones may be shared with other runs of a map."""

    __slots__ = ("_of_node", "_slips", "_used", "_windows", "ledger", "root", "tell")

    def __init__(
        self, ledger: Ledger, root: Chain, on_alert: Callable[[Alert], None], windows: Windows | None = None
    ) -> None:
        self.ledger = ledger
        self.root = root
        self.tell = on_alert
        self._windows = windows
        self._of_node: dict[Node[Any, Any], Chain] = {}
        self._slips: dict[Hold, list[Slip]] = {}
        #: What this run has used of each window, spent and in doubt.
        self._used: dict[Window, tuple[Amount, Amount]] = {}

    async def look(self) -> None:
        """Learn what is left of the root's windows, before anything is asked of them."""
        for account in self.root:
            if isinstance(account, WindowAccount):
                await account.current()

    def close(self) -> None:
        """The run is over: what it used of its windows goes to their books."""
        for window, (spent, doubt) in self._used.items():
            window.share.end(spent, doubt)
        self._used = {}

    def of(self, node: Node[Any, Any]) -> Chain:
        """The node's own accounts: one for all its calls in a run, wherever in the flow it stands."""
        found = self._of_node.get(node)
        if found is None:
            found = self._of_node[node] = accounts_for(node.name, node.budgets, self._windows)
        return found

    def set_aside(self, chain: Chain, ask: Ask) -> Hold:
        """A finishing reserve, of the run's own budgets: what other runs share is not kept from them."""
        return self.ledger.set_aside(_own(chain), ask)

    def settle(self, hold: Hold, usd: Decimal | None, tokens: int) -> None:
        for slip in self._slips.pop(hold, ()):
            self._count(slip, Amount(usd or ZERO, tokens, 1), NOTHING)
        for alert in self.ledger.settle(hold, usd, tokens):
            self.tell(alert)

    def doubt(self, hold: Hold) -> None:
        for slip in self._slips.pop(hold, ()):
            self._count(slip, NOTHING, slip.need)
        for alert in self.ledger.doubt(hold):
            self.tell(alert)

    def carry(self, chain: Chain, usd: Decimal | None, tokens: int) -> None:
        """Count a call of an earlier leg in the accounts of its nodes; the root ones have it from the start."""
        for account in chain[len(self.root) :]:
            account.carry(usd or ZERO, ZERO, tokens, 1, unpriced=usd is None)

    def undo(self, intent: CallStarted) -> None:
        """What an earlier leg began, and left in doubt in the root accounts, goes on and is reserved anew."""
        tokens = intent.input_bound + intent.max_output_tokens
        for account in self.root:
            account.carry(ZERO, -(intent.reserved or ZERO), -tokens, -1, unpriced=False)

    def release(self, hold: Hold) -> None:
        for slip in self._slips.pop(hold, ()):
            self._count(slip, Amount(calls=1), NOTHING)
        self.ledger.release(hold)

    def _count(self, slip: Slip, spent: Amount, doubt: Amount) -> None:
        window = slip.window
        if doubt == NOTHING:
            window.settle(slip.need, spent)
        else:
            window.lose(doubt)
        before = self._used.get(window, (NOTHING, NOTHING))
        self._used[window] = (before[0] + spent, before[1] + doubt)
        for alert in window.alerts(slip.account):
            self.tell(alert)

    async def reserve(self, chain: Chain, ask: Ask, path: str, model: str, finish: Hold | None = None) -> Hold:
        """Reserve, waiting in line where calls in flight, here or in other processes, could make room.

        Raises BudgetExceeded, or UnpricedModel where a money budget meets an unknown price.
        """
        windows = () if self._windows is None else [a for a in chain if isinstance(a, WindowAccount)]
        if not windows:
            return await self._in_ledger(chain, ask, path, model, finish)
        for account in windows:
            if ask.price is None and account.usd_limit is not None and not account.budget.allow_unpriced:
                raise unpriced(model, account.name, path)
        return await self._in_all(_own(chain), windows, ask, path, model, finish)

    async def _in_all(
        self, own: Chain, windows: Sequence[WindowAccount], ask: Ask, path: str, model: str, finish: Hold | None
    ) -> Hold:
        """The ledger and the windows at once: both or neither, and nothing is held while one of them is waited for."""
        cut, clipped = ask, None
        while True:
            now = [await account.current() for account in windows]
            hold = await self._in_ledger(own, cut, path, model, finish)
            need = need_of(ask, hold.output_tokens)
            slips: list[Slip] = []
            for account, window in zip(windows, now, strict=True):
                if window.take(need):
                    slips.append(Slip(account, window, need))
            if len(slips) == len(windows):
                self._slips[hold] = slips
                if clipped is not None and hold.clipped is None:
                    hold.clipped = clipped
                return hold
            for slip in slips:
                slip.window.put_back(need)
            self.ledger.give_up(hold)
            for account, window in zip(windows, now, strict=True):
                room = await window.room_for(account.budget, replace(cut, output_tokens=hold.output_tokens))
                if isinstance(room, Short):
                    raise exhausted(Refusal(account, room.resource, room.needed, room.left), path)
                if room < hold.output_tokens:
                    full, left = need_of(ask, ask.output_tokens), window.left(account.budget)
                    if not left.covers(full):
                        short = short_of(full, left, left)
                        clipped = Refusal(account, short.resource, short.needed, short.left)
                        cut = replace(cut, output_tokens=room)

    async def _in_ledger(self, chain: Chain, ask: Ask, path: str, model: str, finish: Hold | None) -> Hold:
        if not chain:
            return Hold((), ask.worst_usd(ask.output_tokens), 0, ask.output_tokens)
        waiting: asyncio.Future[Answer] | None = None

        def answered(answer: Answer) -> None:
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)
            elif isinstance(answer, Hold):
                self.ledger.release(answer)

        answer = self.ledger.ask(chain, ask, None if finish is not None else answered, finish=finish)
        if isinstance(answer, Ticket):
            waiting = asyncio.get_running_loop().create_future()
            ticket = answer
            try:
                answer = await waiting
            except asyncio.CancelledError:
                if waiting.done() and not waiting.cancelled() and isinstance(waiting.result(), Hold):
                    self.ledger.release(waiting.result())  # pyright: ignore[reportArgumentType]
                self.ledger.withdraw(ticket)
                raise
        if isinstance(answer, Hold):
            return answer
        if isinstance(answer, Unpriced):
            raise unpriced(model, answer.account.name, path)
        assert isinstance(answer, Refusal)
        raise exhausted(answer, path)


def exhausted(refusal: Refusal, path: str) -> BudgetExceeded:
    """The refusal as an error that says what was needed and what to do."""
    account, resource = refusal.account, refusal.resource
    account.refused = True
    if isinstance(account, WindowAccount):
        return _window_exhausted(account, refusal, path)
    if resource == "usd":
        spent, held = account.spent, account.doubt + account.held + account.aside
        limit: Any = account.usd_limit
        text = (
            f"budget stop at {show_usd(spent)} of {show_limit(limit)}: the next call reserves "
            f"{show_usd(Decimal(refusal.needed))} and {show_usd(max(Decimal(refusal.left), ZERO))} is left"
        )
        if account.doubt:
            text += f" ({show_usd(account.doubt)} is held in doubt)"
    elif resource == "tokens":
        spent, held, limit = account.tokens, account.held_tokens, account.tokens_limit
        text = (
            f"budget stop at {spent:,} of {limit:,} tokens: the next call reserves {refusal.needed:,} "
            f"and {max(int(refusal.left), 0):,} are left"
        )
    else:
        spent, held, limit = account.calls, 0, account.calls_limit
        text = f"budget stop after {spent:,} of {limit:,} model calls"
        if account.aside_calls:
            text += f" ({account.aside_calls} set aside for the final step)"
    return BudgetExceeded(
        text,
        resource=resource,
        scope=account.name,
        limit=limit,
        spent=spent,
        held=held,
        needed=refusal.needed,
        on_exhausted=account.budget.on_exhausted,
        path=path,
        hint=f"raise {resource}= of the budget of {account.name}, or lower max_output_tokens",
    )


def _window_exhausted(account: WindowAccount, refusal: Refusal, path: str) -> BudgetExceeded:
    window, resource, budget = account.window, refusal.resource, account.budget
    assert window is not None, "it has refused something"
    window.show(account)
    spent, held, limit = account.spent, account.doubt + account.held, account.usd_limit
    if resource != "usd":
        spent, held, limit = account.tokens, account.held_tokens, account.tokens_limit
        if resource == "calls":
            spent, held, limit = account.calls, 0, account.calls_limit

    def shown(amount: Decimal | int) -> str:
        return show_usd(Decimal(amount)) if resource == "usd" else f"{amount:,}"

    renews = f"{end_of(window.label):%Y-%m-%d %H:%M} UTC"
    of_limit = show_limit(limit) if resource == "usd" else f"{limit:,} {resource}"  # pyright: ignore
    left = max(refusal.left, 0)
    text = (
        f"budget stop: {account.name} has used {shown(spent)} of {of_limit} for the {budget.per} {window.label}: "
        f"the next call reserves {shown(refusal.needed)} and {shown(left)} is left; it renews at {renews}"
    )
    if held:
        text += f" ({shown(held)} is held by calls in flight, other processes, or in doubt)"
    return BudgetExceeded(
        text,
        resource=resource,
        scope=account.name,
        limit=limit,
        spent=spent,
        held=held,
        needed=refusal.needed,
        on_exhausted=budget.on_exhausted,
        path=path,
        hint=f"go on after {renews}, or raise {resource}= of the budget of {account.name} per {budget.per}",
    )


def _own(chain: Chain) -> Chain:
    """The accounts that are this run's (or this map's) own."""
    return tuple(account for account in chain if not isinstance(account, WindowAccount))


def unpriced(model: str, scope: str, path: str = "") -> UnpricedModel:
    guess = did_you_mean(default_prices(), model)
    return UnpricedModel(
        f"the price of {model} is not known, so the money budget of {scope} cannot hold",
        model=model,
        path=path,
        hint=f'{guess}give its price in outlay.toml: [prices."{model}"] input = "1.00", output = "5.00" '
        "(US dollars per million tokens), or allow it with Budget(…, allow_unpriced=True)",
    )


@dataclass(frozen=True, slots=True)
class Left:
    """What is left for a node: the tightest of the budgets above it."""

    chain: Chain
    deadline: float | None
    now: Callable[[], float]

    @property
    def usd_left(self) -> Decimal | None:
        return min((a.usd_left for a in self.chain if a.usd_left is not None), default=None)

    @property
    def tokens_left(self) -> int | None:
        return min((a.tokens_left for a in self.chain if a.tokens_left is not None), default=None)

    @property
    def calls_left(self) -> int | None:
        return min((a.calls_left for a in self.chain if a.calls_left is not None), default=None)

    @property
    def seconds_left(self) -> float | None:
        return None if self.deadline is None else max(0.0, self.deadline - self.now())

    @property
    def percent_used(self) -> int:
        return max((int(a.share_used * 100) for a in self.chain), default=0)


@dataclass(frozen=True, slots=True)
class SeenLeft:
    """What is left, drawn once for each time that the flow looks."""

    left: Left
    draw: Callable[[str, Callable[[], Any]], Any]

    @property
    def usd_left(self) -> Decimal | None:
        seen = self.draw("usd_left", lambda: None if self.left.usd_left is None else str(self.left.usd_left))
        return None if seen is None else Decimal(seen)

    @property
    def tokens_left(self) -> int | None:
        return self.draw("tokens_left", lambda: self.left.tokens_left)

    @property
    def calls_left(self) -> int | None:
        return self.draw("calls_left", lambda: self.left.calls_left)

    @property
    def seconds_left(self) -> float | None:
        return self.draw("seconds_left", lambda: self.left.seconds_left)

    @property
    def percent_used(self) -> int:
        return self.draw("percent_used", lambda: self.left.percent_used)


__all__ = ["Account", "Alert", "BudgetTree", "Chain", "Left", "SeenLeft", "accounts_for", "exhausted", "unpriced"]
