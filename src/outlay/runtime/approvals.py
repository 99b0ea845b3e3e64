"""Decide what a run waits for: an approval, a question, an effect in doubt, a budget that is used up."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from outlay.errors import ConfigError
from outlay.protocols.clock import wall_now
from outlay.protocols.store import Store
from outlay.runtime.asking import APPROVE, DENY, GIVE_UP, HAPPENED, higher_limit
from outlay.runtime.inbox import Inbox
from outlay.runtime.pending import Decided, Pending
from outlay.stores.opening import open_store


async def approve(
    id: str, *, store: str | Store, by: str = "", reason: str = "", answer: str | None = None, result: str | None = None
) -> Pending:
    """Say yes to an item of the inbox; the item as it is then. Its run goes on when it is resumed, or at once where
    it is still at work on something else.

    A tool call needs nothing more. A question needs `answer=`, one of its options where it has some. An effect in
    doubt needs `answer="happened"`, with what it gave as `result=` if that is known, `"again"` or `"give up"`.
    A budget needs its new limit: `answer="2.00"`. `by` and `reason` are kept with the run.

    Raises ConfigError for an id that is not there and an answer that is no option, and Conflict, with both decisions,
    where it is decided already, its deadline has passed, or nobody waits for it any more.
    """
    async with _inbox(store) as inbox:
        item = await inbox.read(id)
        if item is not None and item.decision is None and not item.closed:
            answer = _answer(item, answer)
            if result is not None and (item.kind != "in_doubt" or answer != HAPPENED):
                raise ConfigError(
                    "result= says what an effect in doubt gave", hint='leave it out, or say answer="happened" too'
                )
        return await inbox.decide(id, Decided(answer or APPROVE, by, reason, wall_now(), result=result))


async def deny(id: str, *, store: str | Store, by: str = "", reason: str = "") -> Pending:
    """Say no to an item of the inbox; the item as it is then.

    A model is told that its tool call was denied, by whom and why. `ctx.ask` raises PermissionError. An effect in
    doubt is given up. A budget is not raised, and what a watchdog paused does not go on: the run ends with its best
    answer so far. Raises as `approve` does.
    """
    async with _inbox(store) as inbox:
        item = await inbox.read(id)
        answer = GIVE_UP if item is not None and item.kind == "in_doubt" else DENY
        return await inbox.decide(id, Decided(answer, by, reason, wall_now(), denied=True))


def _answer(item: Pending, answer: str | None) -> str:
    """What approving means for this item."""
    if item.kind == "budget":
        try:
            higher_limit(item, answer or "")
        except ValueError as error:
            raise ConfigError(
                f"item {item.id} is a budget that is used up: {item.question}",
                hint=f"give answer=, a higher limit ({item.action}), or resume run {item.run_id} with a higher budget",
            ) from error
        assert answer is not None
        return answer
    if answer is None:
        if item.kind in ("approval", "watchdog"):
            return APPROVE
        options = f", one of {', '.join(map(repr, item.options))}" if item.options else ""
        raise ConfigError(f"item {item.id} asks {item.question[:200]!r}", hint=f"give answer={options}")
    if item.options and answer not in item.options:
        raise ConfigError(
            f"{answer!r} is no answer to item {item.id}", hint=f"answer one of {', '.join(map(repr, item.options))}"
        )
    return answer


@asynccontextmanager
async def _inbox(store: str | Store) -> AsyncGenerator[Inbox]:
    if isinstance(store, str):
        async with open_store(store) as opened:
            yield Inbox(opened)
    else:
        yield Inbox(store)
