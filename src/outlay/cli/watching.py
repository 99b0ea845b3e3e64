"""Options of commands that run a flow: who looks after it, and who is told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from outlay.cli.setting import Setting

Command = TypeVar("Command", bound=Callable[..., Any])
#: On the command line, so many times what the flow's past runs in the store cost is far above it.
USUAL = 5.0


def watch_options(command: Command) -> Command:
    command = click.option(
        "--webhook",
        metavar="URL",
        envvar="OUTLAY_WEBHOOK",
        help="Post each alert there as JSON, too. Default: OUTLAY_WEBHOOK.",
    )(command)
    return click.option(
        "--watchdog",
        type=click.Choice(["warn", "pause", "stop"]),
        help="Look out for a run that is stuck (the same call 5 times, 6 turns without news, 20 retries a minute, 5 "
        "times the usual cost), and do this.",
    )(command)


def watched(setting: Setting, action: Any, webhook: str | None, recorded: Mapping[str, Any] | None = None) -> Setting:
    """The setting with the watchdog that the command line asks for, else the `recorded` one of a run that goes on,
    and with the webhook."""
    from outlay.policies.watchdog import Watchdog

    if webhook:
        from outlay.runtime.webhook import Webhook

        setting = replace(setting, webhook=Webhook(webhook))
        _show_warnings()

    if action is not None:
        return replace(setting, watchdog=Watchdog(usual=USUAL, then=action))
    return replace(setting, watchdog=Watchdog.of(recorded)) if recorded else setting


def _show_warnings() -> None:
    """Alerts that reach nobody are said where the command was typed."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("  %(message)s"))
    handler.setLevel(logging.WARNING)
    logging.getLogger("outlay").addHandler(handler)
