"""Budgets in force: the accounts of a run's nodes over one ledger, waiting, alerts and what is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from outlay.errors import BudgetExceeded, ConfigError, UnpricedModel
from outlay.policies.ledger import Account, Alert, Answer, Ask, Hold, Ledger, Refusal, Ticket, Unpriced
from outlay.protocols.node import Node
from outlay.values.budget import Budget
from outlay.values.money import ZERO, show_limit, show_usd

Chain = tuple[Account, ...]


def accounts_for(name: str, budgets: Sequence[Budget]) -> Chain:
    """Open an account for each budget. Raises ConfigError for a window, which needs a journal to count in."""
    for budget in budgets:
        if budget.scope is not None:
            raise ConfigError(
                f"budget scope={budget.scope!r} per={budget.per!r} counts across runs, which is not there yet",
                hint="give a budget for this run: Budget(usd=…)",
            )
    return tuple(Account(name, budget) for budget in budgets)


class BudgetTree:
    """One run's accounts. The root ones may be shared with other runs of a map."""

    __slots__ = ("_of_node", "_on_alert", "ledger", "root")

    def __init__(self, ledger: Ledger, root: Chain, on_alert: Callable[[Alert], None]) -> None:
        self.ledger = ledger
        self.root = root
        self._on_alert = on_alert
        self._of_node: dict[Node[Any, Any], Chain] = {}

    def of(self, node: Node[Any, Any]) -> Chain:
        """The node's own accounts: one for all its calls in a run, wherever in the flow it stands."""
        found = self._of_node.get(node)
        if found is None:
            found = self._of_node[node] = accounts_for(node.name, node.budgets)
        return found

    def settle(self, hold: Hold, usd: Decimal | None, tokens: int) -> None:
        for alert in self.ledger.settle(hold, usd, tokens):
            self._on_alert(alert)

    def doubt(self, hold: Hold) -> None:
        for alert in self.ledger.doubt(hold):
            self._on_alert(alert)

    def carry(self, chain: Chain, usd: Decimal | None, tokens: int) -> None:
        """Count a call of an earlier leg in the accounts of its nodes; the root ones have it from the start."""
        for account in chain[len(self.root) :]:
            account.carry(usd or ZERO, ZERO, tokens, 1, unpriced=usd is None)

    def release(self, hold: Hold) -> None:
        self.ledger.release(hold)

    async def reserve(self, chain: Chain, ask: Ask, path: str, model: str, finish: Hold | None = None) -> Hold:
        """Reserve, waiting in line where calls in flight could make room.

        Raises BudgetExceeded, or UnpricedModel where a money budget meets an unknown price.
        """
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


def unpriced(model: str, scope: str, path: str = "") -> UnpricedModel:
    return UnpricedModel(
        f"the price of {model} is not known, so the money budget of {scope} cannot hold",
        model=model,
        path=path,
        hint=f'give its price in outlay.toml: [prices."{model}"] input = "1.00", output = "5.00" (US dollars per '
        "million tokens), or allow it with Budget(…, allow_unpriced=True)",
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
