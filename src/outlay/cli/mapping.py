"""A map at work: rows in, a line out for each that finishes, and what it came to."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, cast

from outlay.analysis.bill import Bill
from outlay.analysis.text import one_line
from outlay.cli.addresses import address_of
from outlay.cli.answers import AnswerFile, Finished
from outlay.cli.batchlines import BatchLines
from outlay.cli.ending import without
from outlay.cli.inputs import InputType
from outlay.cli.mapnames import MapName
from outlay.cli.problems import Problem
from outlay.cli.progress import Progress, is_terminal
from outlay.cli.rows import Row, RowFile
from outlay.cli.setting import Setting
from outlay.cli.tally import Tally
from outlay.cli.words import jsonable, money
from outlay.errors import BudgetExceeded, StoreFailed
from outlay.errors import one_line as first_line
from outlay.events import (
    AlertEvent,
    BudgetAlert,
    CallFailed,
    CallFinished,
    Decision,
    Event,
)
from outlay.protocols.store import Store
from outlay.runtime.alerts import alert_text
from outlay.runtime.host import LaneLike
from outlay.runtime.many import run_many
from outlay.runtime.result import Result
from outlay.values.counted import counted

#: Rows that ended so are answered; any other end leaves the row for the next time.
ANSWERED = ("completed", "turn_limit", "watchdog", "error")
_LISTED = 20
#: The keys in a path (`crew/scout[3]`): what happens to every item is one reason.
_KEYS = re.compile(r"\[[^]]*\]")


@dataclass(slots=True)
class Survey:
    """What a file holds, seen before anything is spent. `bad` are the rows that cannot be run, by number."""

    rows: int = 0
    todo: int = 0
    answered: int = 0
    bad: dict[int, Row] = field(default_factory=dict[int, Row])

    @staticmethod
    def of(file: RowFile, takes: InputType, finished: Finished, *, skip: bool) -> Survey:
        """Read all of it once. Raises Problem at the first bad row, unless they are to be skipped."""
        survey, seen = Survey(), dict[str, int]()
        for row in file:
            problem = row.problem
            if not problem and (line := seen.setdefault(row.key, row.line)) != row.line:
                problem = f"its id {row.key!r} is that of line {line} too"
            if not problem:
                problem = _misfit(takes, row)
            if problem:
                if not skip:
                    before = f"{counted(survey.rows, 'row')} before it {'is' if survey.rows == 1 else 'are'} fine"
                    raise Problem(
                        f"cannot read {file.path} line {row.line}: {problem}",
                        f"{before}; nothing has been run or paid" if survey.rows else "nothing has been run or paid",
                        next=_columns(takes, row) if not survey.rows else "fix the line, or --on-bad-row skip",
                    )
                survey.bad[row.number] = Row(row.number, row.line, row.id, None, problem)
            elif row.key in finished.keys:
                survey.answered += 1
            else:
                survey.todo += 1
            survey.rows += 1
        if not survey.rows:
            raise Problem(f"{file.path} has no rows", next="one JSON object a line, or a CSV header and rows below it")
        return survey

    def listed(self) -> list[str]:
        """The bad rows, a line each."""
        lines = [f"line {row.line}: {row.problem}" for row in list(self.bad.values())[:_LISTED]]
        return [*lines, f"… {len(self.bad) - _LISTED:,} more"] if len(self.bad) > _LISTED else lines


def _columns(takes: InputType, row: Row) -> str:
    """What to do about a first row: where a whole row came instead of a text, the others are no better."""
    given: Any = row.input
    columns = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    names = [one_line(name, 40) for name in columns if name != "id"]
    if not (takes.only_text and names):
        return "fix the line, or --on-bad-row skip"
    return f"--field {names[0]}" + (f", or another of {', '.join(names[1:_LISTED])}" if names[1:] else "")


def _misfit(takes: InputType, row: Row) -> str:
    try:
        takes.convert(row.input)
    except ValueError as error:
        return str(error) + (
            "; name its column with --field" if takes.only_text and isinstance(row.input, dict) else ""
        )
    return ""


class Outcome:
    """What a map came to, and what it cost; it grows by a row at a time."""

    def __init__(self) -> None:
        self.rows = 0
        self.degraded = 0
        #: Why rows failed or went on with less, and how many of them.
        self.why: Counter[str] = Counter()
        self.failed = 0
        self.costs: list[Decimal] = []
        self.stop_reason = "completed"
        self.stop: BudgetExceeded | None = None
        #: The store takes no more: nothing may be paid for any longer.
        self.lost: StoreFailed | None = None
        self.next_row: int | None = None
        self.seconds = 0.0
        self.interrupted = False
        #: Calls that were sent in a batch and have no answer yet, by run and custom id.
        self._out: set[tuple[str, str]] = set()
        self._bill = Bill()
        self._bills: list[Bill] = []
        #: Of runs under way: one that is cut off gives no result, but has its place in the bill.
        self._unbilled: dict[str, list[Event]] = {}

    @property
    def out(self) -> int:
        """Calls that are in batches at the provider."""
        return len(self._out)

    def see(self, event: Event) -> None:
        """Every event of every run."""
        if isinstance(event, Decision) and event.about == "batch":
            self._out.add((event.run, event.path))
        elif isinstance(event, CallFinished | CallFailed):
            self._out.discard((event.run, event.path))
        self._unbilled.setdefault(event.run, []).append(event)

    def add(self, result: Result[Any]) -> Bill:
        """A run that gave a result; its bill."""
        self._unbilled.pop(result.run_id, None)
        self.why.update({_KEYS.sub("", without(part)) for part in result.skipped})
        if result.stop_reason == "error" and result.error is not None:
            self.why[first_line(result.error)] += 1
        self._add(result.bill)
        return result.bill

    def close(self, seconds: float) -> None:
        """No more comes: what cut-off runs cost, or may have cost, is added."""
        self.seconds = seconds
        for events in self._unbilled.values():
            self._add(Bill.of(events))
        self._unbilled.clear()

    def _add(self, bill: Bill) -> None:
        self._bills.append(bill)
        # Merged now and then, and less often the more there are: all of it takes linear time.
        if len(self._bills) >= max(256, len(self._bill.runs)):
            self._merge()

    @property
    def bill(self) -> Bill:
        self._merge()
        return self._bill

    def _merge(self) -> None:
        if self._bills:
            self._bill = Bill.merge((self._bill, *self._bills))
            self._bills.clear()


class Mapping:
    """Runs the rows of a file that have no answer yet, and appends theirs. Ctrl-C ends it in good order."""

    def __init__(
        self, setting: Setting, file: RowFile, takes: InputType, survey: Survey, answers: AnswerFile, tally: Tally
    ) -> None:
        self.setting = setting
        self.outcome = Outcome()
        self._file = file
        self._takes = takes
        self._survey = survey
        self._answers = answers
        self._tally = tally
        self._open: set[int] = set()
        self._unseen: int | None = None
        self._batches = BatchLines()
        title = f"{setting.root.name} · {counted(survey.rows, 'row')} · {setting.choice.says}"
        self.progress = Progress(
            title,
            tally,
            rows=survey.rows - len(survey.bad),
            before=survey.answered,
            limit=setting.budget,
        )

    async def run(self, store: Store, concurrency: int | None, lane: LaneLike) -> Outcome:
        outcome, rows = self.outcome, self._rows()
        deps = await self.setting.make_deps()
        address = address_of(self.setting.flow, self.setting.deps)
        name: MapName | None = None
        if lane != "live":
            name = MapName(store, address, self._answers.path, self._survey.answered)
            await name.find()
        results = run_many(
            self.setting.root,
            rows,
            concurrency=concurrency,
            lane=lane,
            budget=self.setting.limits,
            deps=deps,
            store=store,
            models=self.setting.choice.lane,
            on_event=self._see,
            on_alert=self.setting.alarms(self._alert),
            watchdog=self.setting.watchdog,
            source=address,
            run_id=None if name is None else name.of_row,
        )
        try:
            async with self.progress, aclosing(results):
                if self.setting.choice.notice:
                    self.progress.say(f"  {self.setting.choice.notice}")
                async for row, result in results:
                    if self._take(row, result) and name is not None:
                        await name.answer()
        except asyncio.CancelledError:
            # Ctrl-C: the loop's runner takes the first as a wish to end, and so do we.
            outcome.stop_reason, outcome.interrupted = "cancelled", True
        except BudgetExceeded as error:  # a budget of the flow's own that asked for an exception
            outcome.stop_reason, outcome.stop = "budget", error
        outcome.close(self.progress.seconds)
        next(rows, None)  # the first that was not started, if there is one
        if self._unseen is not None:
            self._open.add(self._unseen)
        outcome.next_row = min(self._open, default=None)
        if outcome.lost is not None:
            raise outcome.lost
        if name is not None and outcome.stop_reason == "completed":
            await name.close()
        return outcome

    def _see(self, event: Event) -> None:
        self._tally.add(event)
        self.outcome.see(event)
        if line := self._batches.line(event):
            self.progress.say(f"  {line}")

    def _rows(self) -> Iterator[tuple[Row, Any]]:
        finished = self._answers.finished.keys
        for row in self._file:
            if row.problem or row.number in self._survey.bad or row.key in finished:
                continue
            if self.outcome.stop_reason == "budget" or self.outcome.lost is not None:
                self._unseen = row.number  # no more is started; this is where to go on
                return
            self._open.add(row.number)
            yield row, self._takes.convert(row.input)

    def _take(self, row: Row, result: Result[Any]) -> bool:
        """Note what came of a row. Is it answered?"""
        outcome = self.outcome
        bill = outcome.add(result)
        if isinstance(result.error, StoreFailed):
            outcome.lost = outcome.lost or result.error
        if not self._is_answer(result):
            if isinstance(result.error, BudgetExceeded):
                outcome.stop = outcome.stop or result.error
            if outcome.stop_reason != "budget":
                outcome.stop_reason = result.stop_reason
            return False
        line = {
            "id": row.id,
            "input": row.input,
            "output": jsonable(result.output),
            "stop_reason": result.stop_reason,
            "degraded": result.degraded,
            "cost": money(bill.total),
            "run_id": result.run_id,
        }
        failed = result.stop_reason == "error"
        if failed:
            error = result.error
            line["error"] = f"{type(error).__name__}: {getattr(error, 'message', error)}"
        self._answers.write(line)
        self._open.discard(row.number)
        outcome.rows += 1
        outcome.degraded += result.degraded
        outcome.failed += failed
        if bill.total is not None:
            outcome.costs.append(bill.total)
        self.progress.add(degraded=result.degraded, failed=failed, cost=bill.total)
        return True

    def _is_answer(self, result: Result[Any]) -> bool:
        if isinstance(result.error, StoreFailed):  # the row is not to blame; an output that is there was paid for
            return result.output is not None
        # Without --budget it is a limit of the flow's own that stopped the row: it would do so again.
        return result.stop_reason in ANSWERED or (result.stop_reason == "budget" and self.setting.budget is None)

    def _alert(self, alert: AlertEvent) -> None:
        say_alert(self.progress, alert)


def say_alert(progress: Progress, alert: AlertEvent) -> None:
    """A line above the bars, except for what a bar says by itself in a terminal."""
    if not (isinstance(alert, BudgetAlert) and is_terminal()):
        progress.say(f"  {alert_text(alert)}")
