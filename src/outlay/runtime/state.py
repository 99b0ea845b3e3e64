"""What all contexts of one run share. Plain wiring: each part has its own file and its own job."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from outlay.analysis.escalating import Escalating, SeenTurns
from outlay.errors import Stopped
from outlay.events.records import AlertEvent, SharedDone, ToolFinished
from outlay.policies.retry import RetryPolicy
from outlay.protocols.node import Node
from outlay.protocols.stages import Guard, Stages
from outlay.protocols.store import Store
from outlay.protocols.transport import Transport
from outlay.runtime.beside import Beside
from outlay.runtime.budgets import BudgetTree
from outlay.runtime.conversations import Conversations
from outlay.runtime.directory import Directory
from outlay.runtime.flight import Branches, Flight
from outlay.runtime.inbox import Inbox
from outlay.runtime.parking import Parking
from outlay.runtime.pending import Pending
from outlay.runtime.recall import Past
from outlay.runtime.recorder import Recorder
from outlay.runtime.replay import Replay
from outlay.runtime.result import SkippedPart
from outlay.runtime.session import Session
from outlay.stores.memory import MemoryStore
from outlay.values.transcript import EMPTY, Transcript


@dataclass(slots=True, eq=False)
class RunState:
    id: str
    id_bytes: bytes
    seed: bytes
    loop: asyncio.AbstractEventLoop
    wall: Callable[[], float]
    recorder: Recorder
    budgets: BudgetTree
    directory: Directory
    flight: Flight
    parking: Parking
    beside: Beside
    transport: Transport
    deps: Any
    on_ask: Callable[[Pending], Any] | None
    stages: Stages
    retry: RetryPolicy
    history: Transcript = EMPTY
    root: Node[Any, Any] | None = None
    #: Stops that were raised and not undone, in order: the run reports them even where a node answered all the same.
    stops: list[Stopped] = field(default_factory=list[Stopped])
    skipped: list[SkippedPart] = field(default_factory=list[SkippedPart])
    #: One at a time per tool with side effects, across all agents.
    tool_locks: dict[str, asyncio.Lock] = field(default_factory=dict[str, asyncio.Lock])
    #: Output tokens of the longest answer so far, by agent.
    longest_answers: dict[str, int] = field(default_factory=dict[str, int])
    #: For which agents, and why, this run has said that nothing is cached.
    cache_told: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    #: By agent and model: calls that should have read from the prompt cache, and the tokens that they read.
    cache_reads: dict[tuple[str, str], tuple[int, int]] = field(
        default_factory=dict[tuple[str, str], "tuple[int, int]"]
    )
    branches: Branches = field(default_factory=Branches)
    transcript: Transcript = EMPTY
    closed: Stopped | None = None
    #: What an earlier leg of this run recorded, and whose turn it is to get it again.
    past: Past | None = None
    replay: Replay | None = None
    #: The input that a node of a fork gets instead of its own, by path.
    changed: dict[str, Any] = field(default_factory=dict[str, Any])
    #: Who is told of alerts.
    warn: Callable[[AlertEvent], None] | None = None
    #: Where questions wait for an answer, None without a store; and the ids of all that this run has asked.
    inbox: Inbox | None = None
    asked: set[str] = field(default_factory=set[str])
    #: What the agents of a session remember, and the hold on it, None where the run adds nothing to it.
    conversations: Conversations | None = None
    session: Session | None = None
    #: The task that runs this run, and how often it had been cancelled before.
    task: asyncio.Task[Any] | None = None
    cancels: int = 0
    #: How cascades escalate, in all the runs of a map; and this run's turns of them.
    escalating: Escalating = field(default_factory=Escalating)
    turns: SeenTurns = field(default_factory=SeenTurns)
    #: What nodes learned, in all the runs of a map (RunContext.learned).
    learned: dict[str, Any] = field(default_factory=dict[str, Any])
    #: What looks after the run, where it was given a watchdog.
    watching: Guard | None = None
    #: Made on first use, for what the nodes of a run without a store share.
    memory: MemoryStore | None = None

    @property
    def fresh(self) -> bool:
        """Nothing that was stored is given again."""
        return self.stages.cache is not None and self.stages.cache.fresh

    @property
    def store(self) -> Store:
        """Where shared things are kept: the run's store, or one that lasts as long as the run."""
        if self.recorder.store is not None:
            return self.recorder.store
        if self.memory is None:
            self.memory = MemoryStore()
        return self.memory

    def past_value(self, event: ToolFinished | SharedDone) -> bytes | None:
        """The stored result of an earlier leg's effect, None where it had no JSON."""
        return None if self.past is None else self.past.value(event)

    @property
    def ending(self) -> bool:
        """A cancellation now is the end of the run, not a decision of the flow."""
        cancelled = self.task is not None and self.task.cancelling() > self.cancels
        return cancelled or self.closed is not None or self.parking.suspended

    def stopped(self, stop: Stopped) -> Stopped:
        """Note a stop on its way up."""
        if stop not in self.stops:
            self.stops.append(stop)
        return stop

    def handled(self, path: str, since: int) -> None:
        """Forget the stops below `path` that were noted after the first `since`: what they ended is made up for."""
        below = path + "/"
        self.stops[since:] = [s for s in self.stops[since:] if s.path != path and not s.path.startswith(below)]
