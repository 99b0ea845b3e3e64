"""What a command that runs a flow is made of: the node, its models, its store, its dependencies."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from outlay.cli.flows import load_factory, load_flow
from outlay.cli.lanes import Choice, choose
from outlay.cli.options import store_path
from outlay.policies.watchdog import Watchdog
from outlay.protocols.node import Node
from outlay.runtime.alerts import Alarm
from outlay.stores.addresses import shown
from outlay.values.budget import Budget


@dataclass(frozen=True, slots=True)
class Setting:
    """Parsed options, and the flow that they are for."""

    flow: str
    root: Node[Any, Any]
    choice: Choice
    store: str
    budget: Decimal | None
    deps: str | None
    watchdog: Watchdog | None = None
    webhook: Alarm | None = None

    def alarms(self, shown: Alarm) -> Sequence[Alarm]:
        """Who is told of alerts: the terminal, and the webhook."""
        return (shown,) if self.webhook is None else (shown, self.webhook)

    @property
    def limits(self) -> Budget | None:
        return None if self.budget is None else Budget(usd=self.budget)

    @property
    def place(self) -> str:
        """The store, as it may be shown."""
        return shown(self.store)

    @property
    def folder(self) -> Path:
        """Where the user's code is: errors quote its lines."""
        target = self.flow.rpartition(":")[0]
        return Path(target).resolve().parent if target.endswith(".py") else Path.cwd()

    async def make_deps(self) -> Any:
        if self.deps is None:
            return None
        made = load_factory(self.deps)()
        return await made if inspect.isawaitable(made) else made


def prepare(flow: str, models: str | None, store: str | None, budget: Decimal | None, deps: str | None) -> Setting:
    """Load the flow and choose its models. Raises Problem before anything is spent."""
    root = load_flow(flow)
    if deps is not None:
        load_factory(deps)
    return Setting(flow, root, choose(root, models), store_path(store), budget, deps)


@contextlib.contextmanager
def results_only_on_stdout() -> Generator[None]:
    """What a user's file prints goes to stderr: stdout is for results."""
    with contextlib.redirect_stdout(sys.stderr):
        yield
