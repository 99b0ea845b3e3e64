"""`outlay approve` and `outlay deny`: decide what a run waits for."""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Awaitable, Callable

import click

from outlay.analysis.text import one_line
from outlay.cli.items import document, find_item, item_line, ways_to_decide
from outlay.cli.options import debug_option, json_option, store_option
from outlay.cli.problems import Problem
from outlay.cli.stored import reading
from outlay.cli.words import short
from outlay.errors import ConfigError
from outlay.protocols.store import Store
from outlay.runtime.approvals import approve, deny
from outlay.runtime.inbox import Inbox
from outlay.runtime.pending import Pending

_by = click.option("--by", metavar="NAME", help="Who decides. Default: your login name.")


@click.command("approve")
@click.argument("id", metavar="ID")
@click.option("--answer", metavar="TEXT", help="The answer to a question, or what became of an effect in doubt.")
@click.option("--result", metavar="TEXT", help="With --answer happened: what the effect gave.")
@click.option("--reason", metavar="TEXT", default="", help="Why; it is kept with the run.")
@_by
@store_option
@json_option
@debug_option
def command(
    id: str, answer: str | None, result: str | None, reason: str, by: str | None, store: str | None, as_json: bool
) -> None:
    """Say yes to the item ID of `outlay approvals` (the beginning of it is enough), or answer it.

    \b
        outlay approve 3fa2c9d1
        outlay approve 77b01e42 --answer yes --reason "checked with finance"
    """

    def decide(item: Pending, opened: Store, name: str) -> Awaitable[Pending]:
        return approve(item.id, store=opened, by=name, reason=reason, answer=answer, result=result)

    _decide(id, decide, by, store, as_json=as_json)


@click.command("deny")
@click.argument("id", metavar="ID")
@click.option("--reason", metavar="TEXT", required=True, help="Why; a model is told so.")
@_by
@store_option
@json_option
@debug_option
def deny_command(id: str, reason: str, by: str | None, store: str | None, as_json: bool) -> None:
    """Say no to the item ID of `outlay approvals` (the beginning of it is enough).

    \b
        outlay deny 3fa2c9d1 --reason "not to strangers"
    """

    def decide(item: Pending, opened: Store, name: str) -> Awaitable[Pending]:
        return deny(item.id, store=opened, by=name, reason=reason)

    _decide(id, decide, by, store, as_json=as_json)


def _decide(
    id: str,
    decide: Callable[[Pending, Store, str], Awaitable[Pending]],
    by: str | None,
    store: str | None,
    *,
    as_json: bool,
) -> None:
    async def work(opened: Store) -> tuple[Pending, int]:
        inbox = Inbox(opened)
        item = await find_item(inbox, id)
        try:
            item = await decide(item, opened, _login() if by is None else by)
        except ConfigError as error:
            raise Problem(error.message, next=ways_to_decide(item)) from error
        left = [other for other in await inbox.list() if other.run_id == item.run_id and other.decision is None]
        return item, len(left)

    item, left = reading(store, work)
    if as_json:
        click.echo(json.dumps(document(item, time.time()), ensure_ascii=False, indent=2))
        return
    assert item.decision is not None
    click.echo(one_line(f"{item.decision.answer}: {item_line(item)}", 118))
    run = short(item.run_id)
    click.echo(f"  next: outlay resume {run}" if not left else f"  run {run} waits for {left:,} more: outlay approvals")


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no name for this user on this machine
        return ""
