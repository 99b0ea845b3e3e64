"""A run's watchdog at work (policies/watchdog.py decides): it listens to the run's events, and stands before each new
effect. What is paid for, or under way, is never touched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from decimal import Decimal
from statistics import median
from typing import TYPE_CHECKING

from outlay.analysis.runs import KINDS, runs
from outlay.errors import WatchdogStopped
from outlay.events.codec import decode
from outlay.events.records import Answered, Decision, Event, RunFinished, WatchdogAlert
from outlay.policies.watchdog import ENOUGH_RUNS, Action, Finding, Watch, Watchdog
from outlay.protocols.store import Store
from outlay.runtime.asking import APPROVE, id_of, leave_of
from outlay.runtime.flight import is_beside
from outlay.runtime.second_opinion import NODE, second_opinion
from outlay.runtime.state import RunState

if TYPE_CHECKING:
    from outlay.runtime.context import Context

#: The newest completed runs of a flow that its usual cost is taken from.
_NEWEST = 200


class Watcher:
    """The watchdog of one run or of the many of a map, and what they share: the usual cost of their flow."""

    __slots__ = ("_store", "_usual", "facts", "watchdog")

    def __init__(self, watchdog: Watchdog, store: Store | None) -> None:
        self.watchdog = watchdog
        self.facts = watchdog.facts()
        self._store = store
        self._usual: asyncio.Future[Sequence[Decimal]] | None = None

    async def watch(self, state: RunState, root: Context) -> None:
        """Look after a run from here on, with all that it has done so far in mind."""
        usual = await self._usual_of(state, root)
        state.recorder.digests = True
        watching = state.watching = Watching(state, root, Watch(self.watchdog, usual))
        past = () if state.past is None else state.past.events
        watching.begin(past)

    async def _usual_of(self, state: RunState, root: Context) -> Decimal | None:
        """The median cost of the flow's past runs: as the run's first leg found it."""
        if self.watchdog.usual is None or self._store is None:
            return None
        past = () if state.past is None else state.past.events
        for event in past:
            if isinstance(event, Decision) and event.about == "usual_cost":
                return None if event.data["usd"] is None else Decimal(event.data["usd"])
        if self._usual is None:
            self._usual = asyncio.ensure_future(_costs(self._store, root.node.name))
        costs = await asyncio.shield(self._usual)
        usual = median(costs) if len(costs) >= ENOUGH_RUNS else None
        root.decide("usual_cost", usd=None if usual is None else str(usual), runs=len(costs))
        return usual


async def _costs(store: Store, flow: str) -> Sequence[Decimal]:
    found = runs(decode(row.body) for row in await store.events(None, KINDS))
    return [r.cost for r in found if r.flow == flow and r.outcome == "completed" and r.cost is not None][-_NEWEST:]


class Watching:
    """One run under its watchdog."""

    __slots__ = ("_asking", "_finals", "_paused", "_root", "_state", "_stops", "_tries", "_unjudged", "_watch")

    def __init__(self, state: RunState, root: Context, watch: Watch) -> None:
        self._state = state
        self._root = root
        self._watch = watch
        self._stops: list[Finding] = []
        #: How many stops there were when a final step began, by its path.
        self._finals: dict[str, int] = {}
        #: What the run waits for leave to go on with, by the item's id.
        self._paused: dict[str, Finding] = {}
        #: What a model is to be asked about before anything is done, and how many events there were by then: whoever
        #: resumes the run asks the same again.
        self._unjudged: list[tuple[Finding, int]] = []
        self._asking = asyncio.Lock()
        self._tries = 0

    def begin(self, past: Iterable[Event]) -> None:
        """Take over what earlier legs of the run found, and did not come to; then listen."""
        found: list[tuple[Finding, int]] = []
        told: set[tuple[str, str, str, int]] = set()
        for event in past:
            found += [(finding, event.seq + 1) for finding in self._watch.see(event)]
            match event:
                case WatchdogAlert():
                    finding = Finding(event.rule, event.path, event.about, event.level, event.text)
                    told.add(finding.key)
                    self._hold(finding, event.action)
                case Answered() if event.id in self._paused:
                    answered = self._paused.pop(event.id)
                    if event.answer != APPROVE:
                        self._stops.append(answered)
                case RunFinished():
                    self._stops.clear()  # whoever resumes it has seen that
                case _:
                    pass
        for finding, seen in found:
            if finding.key not in told:  # it broke off before it could say so, or has another watchdog now
                self._found(finding, seen)
        self._state.recorder.listen(self._see)

    def changed(self, path: str, what: str) -> None:
        """Something shared was read or written that leaves no event."""
        self._watch.changed(path, "shared", what)

    def _see(self, event: Event) -> None:
        for finding in self._watch.see(event):
            self._found(finding, event.seq + 1)

    def _found(self, finding: Finding, seen: int) -> None:
        dog = self._watch.watchdog
        action = dog.action(finding.rule)
        if action != "warn" and dog.opinion is not None and finding.level == 1:
            self._unjudged.append((finding, seen))
        else:
            self._tell(finding, action)

    def _tell(self, finding: Finding, action: Action, opinion: str = "") -> None:
        state = self._state
        state.recorder.emit(
            WatchdogAlert,
            finding.path,
            rule=finding.rule,
            action=action,
            text=finding.text,
            about=finding.about,
            level=finding.level,
            opinion=opinion,
        )
        self._hold(finding, action)
        event = state.recorder.events[-1]
        if state.warn is not None and isinstance(event, WatchdogAlert):
            state.warn(event)

    def _hold(self, finding: Finding, action: str) -> None:
        if action == "stop":
            self._stops.append(finding)
        elif action == "pause":
            self._paused[id_of(self._state, _about(finding))] = finding

    async def gate(self, path: str, final: str) -> None:
        """Stands before each new effect. Returns where it may begin, at once or once a human has given leave; raises
        WatchdogStopped. `final` is the path of the final step that it is part of: stops from before it began let that
        pass, so that what is paid for is put together.
        """
        if path.startswith(f"{self._root.path}/{NODE}["):
            return
        while self._unjudged:
            async with self._asking:
                if self._unjudged:
                    await self._judge(*self._unjudged[0])
                    del self._unjudged[0]
        for id, finding in list(self._paused.items()):
            await self._leave(path, id, finding)
        before = self._finals.setdefault(final, len(self._stops)) if final else 0
        if len(self._stops) > before:
            raise self._state.stopped(self._stop(self._stops[-1], path))

    async def _judge(self, finding: Finding, seen: int) -> None:
        self._tries += 1
        events = self._state.recorder.events[:seen]
        opinion = await second_opinion(self._root, self._watch.watchdog.opinion, finding, events, self._tries)
        self._tell(finding, "warn" if opinion.spares else self._watch.watchdog.action(finding.rule), opinion.text)

    async def _leave(self, path: str, id: str, finding: Finding) -> None:
        state = self._state
        if is_beside.get():  # nobody waits for a detached node
            raise state.stopped(self._stop(finding, path))
        question = f"{finding.text}, at {finding.path}. Go on?"
        if state.on_ask is None:
            decided = await leave_of(state, path, _about(finding), question)
        else:
            async with self._asking:
                if id not in self._paused:
                    return
                decided = await leave_of(state, path, _about(finding), question)
        if self._paused.pop(id, None) is not None and decided.answer != APPROVE:
            self._stops.append(finding)

    def _stop(self, finding: Finding, path: str) -> WatchdogStopped:
        return WatchdogStopped(
            f"the watchdog stopped the run: {finding.text}, at {finding.path}",
            rule=finding.rule,
            path=path,
            hint="see what it does in its trace; resumed, it goes on until it reaches the limit once more",
        )


def _about(finding: Finding) -> str:
    return " ".join(("watchdog", *map(str, finding.key)))
