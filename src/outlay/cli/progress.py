"""A running command on stderr: a live panel in a terminal, a plain line every few seconds anywhere else."""

from __future__ import annotations

import asyncio
import math
import os
import sys
import time
from contextlib import suppress
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import click

from outlay.analysis.text import one_line, plain
from outlay.cli.tally import AgentTally, Tally
from outlay.cli.words import dollars, reasons
from outlay.values.counted import counted
from outlay.values.money import show_limit

#: Frames a second of the panel, and seconds between plain lines.
FRAMES, PLAIN_EVERY = 8, 5.0
_BAR = 20


def is_terminal() -> bool:
    """May stderr be drawn upon?"""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")


class Progress:
    """Shows a `Tally` while an `async with` block lasts. `rows` are all rows, `before` those finished earlier."""

    def __init__(self, title: str, tally: Tally, *, rows: int, before: int = 0, limit: Decimal | None = None) -> None:
        self.title = title
        self.tally = tally
        self.rows = rows
        self.before = before
        self.limit = limit
        self.done = 0
        self.degraded = 0
        self.failed = 0
        #: What the finished rows cost, in US dollars: for the estimate of the whole.
        self.costs: list[Decimal] = []
        self._started = time.monotonic()
        self._live: Any = None
        self._task: asyncio.Task[None] | None = None

    def add(self, *, degraded: bool, failed: bool, cost: Decimal | None) -> None:
        """One more row is finished."""
        self.done += 1
        self.degraded += degraded
        self.failed += failed
        if cost is not None:
            self.costs.append(cost)

    @property
    def seconds(self) -> float:
        """Since it was made."""
        return time.monotonic() - self._started

    async def __aenter__(self) -> Self:
        self._started = time.monotonic()
        if is_terminal():
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=True, highlight=False)
            self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")
            self._live.start()
            self._task = asyncio.create_task(self._draw())
        else:
            click.echo(plain(self.title), err=True)
            self._task = asyncio.create_task(self._speak())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._live is not None:
            self._live.update(self._panel(), refresh=True)
            self._live.stop()

    def say(self, text: str) -> None:
        """A line of its own, above the panel."""
        if self._live is not None:
            self._live.console.print(plain(text), markup=False, highlight=False)
        else:
            click.echo(plain(text), err=True)

    async def _draw(self) -> None:
        while True:
            self._live.update(self._panel(), refresh=True)
            await asyncio.sleep(1 / FRAMES)

    async def _speak(self) -> None:
        while True:
            await asyncio.sleep(PLAIN_EVERY)
            click.echo(self.line(), err=True)

    # ── what it says ──────────────────────────────────────────────────────────────────────────────────────

    def line(self) -> str:
        """The whole state on one line."""
        running = sum(agent.running for agent in self.tally.agents.values())
        words = [f"  {self.before + self.done:,} of {counted(self.rows, 'row')}", self._spent()]
        if running:
            words.append(f"{running:,} running")
        words += self._troubles()
        if likely := self._likely():
            words.append(likely)
        return " · ".join(words)

    def lines(self) -> list[str]:
        """The panel as plain text, for tests and for people without a terminal."""
        return self._panel().plain.splitlines()

    def _panel(self) -> Any:
        from rich.text import Text

        panel = Text(no_wrap=True, overflow="crop", end="")
        panel.append(plain(self.title), "bold")
        width = max([10, *(min(len(name), 24) for name in self.tally.agents)])
        for agent in list(self.tally.agents.values()):
            panel.append("\n  " + one_line(agent.name, 24).ljust(width + 2))
            self._agent(panel, agent)
        if self.limit is not None or self.rows > 1:
            panel.append("\n  " + ("budget" if self.limit is not None else "spent").ljust(width + 2))
            self._money(panel)
        if self.rows > 1:
            panel.append("\n  " + "rows".ljust(width + 2))
            self._row_bar(panel)
        for found in list(self.tally.routes.values()):
            if found.default and (to_default := found.by_route[found.default]):
                name = one_line(found.default.replace("_", " "), 24)
                panel.append("\n  " + name.ljust(width + 2) + f"{to_default:,} · " + plain(reasons(found, " · ")))
        return panel

    def _agent(self, panel: Any, agent: AgentTally) -> None:
        total = max(self.rows - self.before, agent.started) if agent.name == self.tally.first else agent.started
        self._bar(panel, agent.done / total if total else 0.0, "green" if agent.done == total else "cyan")
        panel.append(f" {f'{agent.done:,}/{total:,}':>13}   ")
        panel.append(
            "✓" if agent.done == total else f"{agent.running:,} running", "green" if agent.done == total else ""
        )
        panel.append(" " * max(1, 12 - (1 if agent.done == total else len(f"{agent.running:,} running"))))
        panel.append(f"{dollars(agent.cost, agent.unknown):>10}", "bold")
        if agent.retries:
            panel.append(f"   {agent.retries:,} retried", "yellow")

    def _money(self, panel: Any) -> None:
        if self.limit is not None:
            used = float(self.tally.spent / self.limit) if self.limit else 1.0
            self._bar(panel, used, "red" if used > 0.95 else "yellow" if used > 0.8 else "cyan")
            panel.append(" ")
        panel.append(self._spent(), "bold")
        if likely := self._likely():
            panel.append(f"   {likely}", "dim")

    def _row_bar(self, panel: Any) -> None:
        now = self.before + self.done
        self._bar(panel, now / self.rows if self.rows else 1.0, "green" if now == self.rows else "cyan")
        panel.append(f" {f'{now:,}/{self.rows:,}':>13}")
        for trouble in self._troubles(retries=False):
            panel.append(f"   {trouble}", "yellow")

    def _bar(self, panel: Any, share: float, colour: str) -> None:
        full = min(max(share, 0.0), 1.0) * _BAR
        whole = int(full)
        half = "▍" if full - whole >= 0.4 else ""
        panel.append("█" * whole + half, colour)
        panel.append("·" * (_BAR - whole - len(half)), "dim")

    def _spent(self) -> str:
        spent = dollars(self.tally.spent, self.tally.unknown, places=4)
        return spent if self.limit is None else f"{spent} of {show_limit(self.limit)}"

    def _troubles(self, *, retries: bool = True) -> list[str]:
        found = [
            (self.tally.retries if retries else 0, "retried"),
            (self.degraded, "degraded"),
            (self.failed, "failed"),
        ]
        return [f"{number:,} {word}" for number, word in found if number]

    def _likely(self) -> str:
        """The likely cost of all rows from that of the finished ones: mean ± 2 standard errors."""
        n, left = len(self.costs), self.rows - self.before - self.done
        if n < 20 or left <= 0 or self.tally.unknown or not self.tally.spent:
            return ""
        mean = float(sum(self.costs)) / n
        deviation = math.sqrt(math.fsum((float(cost) - mean) ** 2 for cost in self.costs[-1000:]) / min(n, 1000))
        whole = float(sum(self.costs)) + left * mean
        error = 2 * deviation * math.sqrt(left + left**2 / n)
        places = 2 if whole >= 1 else 4
        return f"likely ${max(whole - error, float(self.tally.spent)):,.{places}f}–{whole + error:,.{places}f}"
