"""Options of commands that run a flow: who looks after it, and who is told."""

from __future__ import annotations

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
    return click.option(
        "--watchdog",
        type=click.Choice(["warn", "pause", "stop"]),
        help="Look out for a run that is stuck (the same call 5 times, 6 turns without news, 20 retries a minute, 5 "
        "times the usual cost), and do this.",
    )(command)


def watched(setting: Setting, action: Any, recorded: Mapping[str, Any] | None = None) -> Setting:
    """The setting with the watchdog that the command line asks for, else the `recorded` one of a run that goes on."""
    from outlay.policies.watchdog import Watchdog

    if action is not None:
        return replace(setting, watchdog=Watchdog(usual=USUAL, then=action))
    return replace(setting, watchdog=Watchdog.of(recorded)) if recorded else setting
