"""Options that several commands take."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import click

from outlay.cli.problems import Problem

Command = TypeVar("Command", bound=Callable[..., Any])
DEFAULT_STORE = ".outlay/outlay.db"


def amount(text: str) -> Decimal:
    """An amount of money on the command line, exact."""
    from outlay.values.money import usd

    try:
        return usd(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def seconds_above_zero(text: str) -> float:
    """A length of time; not nan, which passes click's own ranges."""
    return _number(text, "a number of seconds above 0", lambda value: 0 < value < math.inf)


def share(text: str) -> float:
    return _number(text, "a share, from 0 to 1", lambda value: 0 <= value <= 1)


def _number(text: str, kind: str, fits: Callable[[float], bool]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not fits(value):
        raise click.BadParameter(f"{text!r} is not {kind}")
    return value


def flow_options(command: Command) -> Command:
    """What every command that runs a flow takes."""
    for option in reversed(
        (
            click.option("--budget", type=amount, metavar="USD", help="Spend at most this much, in US dollars."),
            click.option(
                "--models",
                type=click.Choice(["live", "offline"]),
                help="Real models, or the agents' offline stand-ins. Default: live if the flow's keys are set.",
            ),
            click.option(
                "--deps",
                metavar="FILE:FACTORY",
                help="A function that makes `ctx.deps`; it is called once, without arguments.",
            ),
        )
    ):
        command = option(command)
    return command


def store_option(command: Command) -> Command:
    return click.option(
        "--store",
        metavar="PATH",
        help=f"Where runs are kept: a file, or postgresql://… Default: OUTLAY_STORE, else {DEFAULT_STORE}.",
    )(command)


def json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")(command)


def debug_option(command: Command) -> Command:
    """`--debug` after the command's name too. The group reads it; here it is only allowed."""
    return click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")(command)


def store_path(store: str | None) -> str:
    """The store that is meant: the option, the environment, or the default."""
    return store or os.environ.get("OUTLAY_STORE") or DEFAULT_STORE


def store_if_any(store: str | None, without: str) -> str | None:
    """For commands that do without one: None where there is none yet, and none was named; `without` says how."""
    path = store_path(store)
    if "://" in path or Path(path).expanduser().is_file():
        return path
    if store is not None:
        raise Problem(f"there is no store at {path}", next=f"leave --store out {without}")
    return None


def existing_store(store: str | None) -> str:
    """The same for commands that only read: a store that is not there is an error, and is not made."""
    path = store_path(store)
    if "://" not in path and not Path(path).expanduser().is_file():
        if path == ":memory:":
            raise Problem("a store in memory holds no runs", next="name the file that a run wrote, with --store")
        raise Problem(
            f"there is no store at {path} yet",
            next="outlay demo makes one; or name another with --store or OUTLAY_STORE",
        )
    return path
