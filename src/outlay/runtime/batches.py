"""The batch lane: model calls of all runs of a host, collected into the providers' batches.

A batch is a document of the store before it is a batch: its ids are durable before it is sent, the provider's id of it
as soon as that is known. So a process that goes on with a run after a crash finds what the call was sent in and waits
for that, and never sends it again; a submission whose answer was lost is looked for at the provider. A call that was
never in such a document was never sent.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from contextlib import suppress
from contextvars import Context
from typing import Final

from outlay.errors import BadRequest, OutlayError
from outlay.policies.batching import Batching, custom_id
from outlay.protocols.batches import Batches, batches_of
from outlay.protocols.clock import wall_clock
from outlay.protocols.documents import Change, Documents
from outlay.protocols.model import Model
from outlay.runtime.batch import Batch, Facts, Waiting
from outlay.runtime.state import RunState
from outlay.values.request import ModelRequest, ModelResponse

log = logging.getLogger("outlay")
COLLECTION: Final = "batches"
_AS_IT_IS: Final = Batching()
#: Providers keep results for 29 or 30 days; what is older answers nobody any more.
_KEPT_SECONDS: Final = 30 * 86_400.0


class BatchLane:
    """`by_default`: every agent that says nothing else goes by batch. Without a store nothing outlives the process."""

    __slots__ = (
        "_batch_of",
        "_calls",
        "_open",
        "_recalled",
        "_recalling",
        "_sent",
        "_tasks",
        "batching",
        "by_default",
        "running",
        "store",
        "waiting",
    )

    def __init__(self, store: Documents | None, batching: Batching | None = None, *, by_default: bool = False) -> None:
        self.batching = batching or _AS_IT_IS
        self.by_default = by_default
        self.store = store
        #: Runs under way, where somebody counts them: a batch waits for those that may still add to it.
        self.running = 0
        #: Calls that wait, by their ids; how many of each run; and the batch that each id is in.
        self.waiting: dict[str, Waiting] = {}
        self._calls: dict[RunState, int] = {}
        self._batch_of: dict[str, Batch] = {}
        #: By group, the batch that is still open.
        self._open: dict[str, Batch] = {}
        #: Those that were sent, by token.
        self._sent: dict[str, Batch] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._recalled = float("-inf")
        self._recalling = asyncio.Lock()

    @property
    def on_failure(self) -> str:
        return self.batching.on_failure

    def window(self, model: Model) -> float:
        """Seconds that its batch may take."""
        client = batches_of(model)
        return 0.0 if client is None else client.window

    def takes(self, request: ModelRequest, model: Model) -> bool:
        """Does this request go by batch? Not where the provider has none."""
        wanted = request.lane == "batch" or (self.by_default and request.lane != "live")
        return wanted and batches_of(model) is not None

    async def answer(
        self, run: RunState, model: Model, request: ModelRequest, key: str, attempt: int, *, again: bool
    ) -> ModelResponse:
        """The answer to one attempt at a call, hours later. `again`: an earlier process may have sent it.

        Raises ModelError for what the batch left without an answer.
        """
        client = batches_of(model)
        assert client is not None, "asked before"
        id = custom_id(run.id, key, attempt)
        if again and id not in self._batch_of:
            async with self._recalling:
                await self._recall(run, client)
        waiting = Waiting(run, client, request, model.id, run.loop.create_future())
        self.waiting[id] = waiting
        self._calls[run] = self._calls.get(run, 0) + 1
        try:
            batch = self._batch_of.get(id)
            if batch is None:
                self.gather(id, waiting)
            else:
                self._attach(batch, id, waiting)
            return await waiting.answer
        finally:
            del self.waiting[id]
            self._calls[run] -= 1
            if not self._calls[run]:
                del self._calls[run]
            if (batch := self._batch_of.get(id)) is not None and batch.withdraw(id):
                del self._batch_of[id]

    def is_out(self, run: RunState, key: str, attempt: int) -> bool:
        """Has the attempt been sent, and not been answered? Its batch goes on, whoever waits for it."""
        batch = self._batch_of.get(custom_id(run.id, key, attempt))
        return batch is not None and batch.is_out

    def gather(self, id: str, waiting: Waiting) -> None:
        """Put a call into the open batch of its group."""
        handed = waiting.client.hand(id, waiting.request)
        batch = self._open.get(waiting.client.group)
        if batch is None or not batch.takes(handed):
            batch = Batch(self, waiting.client, waiting.run.transport, secrets.token_hex(12))
            self._open[waiting.client.group] = batch
        self._batch_of[id] = batch
        batch.add(handed)
        self._start(batch)

    def all_wait(self) -> bool:
        """Does every run wait for nothing but a batch?"""
        if len(self._calls) < self.running:
            return False
        return all(run.parking.effects <= calls for run, calls in reversed(self._calls.items()))

    def begin(self) -> None:
        """A run begins that may add to a batch."""
        self.running += 1

    def end(self, _: object = None) -> None:
        """A run that began is over."""
        self.running -= 1
        for batch in self._open.values():
            batch.look()

    def closed(self, batch: Batch) -> None:
        """What comes now goes into another."""
        if self._open.get(batch.group) is batch:
            del self._open[batch.group]

    def known(self) -> frozenset[str]:
        """The provider's ids of all batches that are ours."""
        return frozenset(batch.id for batch in self._sent.values() if batch.id)

    def answered(self, id: str) -> None:
        """What the batch said of this id was handed over."""
        self._batch_of.pop(id, None)

    async def write(self, batch: Batch) -> None:
        """Make it durable. Raises StoreFailed."""
        self._sent[batch.token] = batch
        if self.store is not None:
            facts = {"group": batch.group, "since": batch.since, "batch": batch.id, "ids": list(batch.ids)}
            body = json.dumps(facts, separators=(",", ":")).encode()
            await self.store.commit([Change(COLLECTION, batch.token, body, None)])

    async def forget(self, batch: Batch) -> None:
        """It is known not to be at the provider, or to be of no more use."""
        self._sent.pop(batch.token, None)
        for id in batch.ids:
            if self._batch_of.get(id) is batch:
                del self._batch_of[id]
        if self.store is not None:
            await self.store.commit([Change(COLLECTION, batch.token, None, None)])

    async def close(self) -> None:
        """Let go of the batches: those of which every answer was handed over are forgotten, and those that are still
        at work go on at the provider, unless there is no store in which anybody could find them again. To be called
        when what the runs recorded is durable."""
        if not self._tasks and not self._sent:  # as after nearly every run
            return
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self.store is None:
            await asyncio.gather(*(batch.give_up() for batch in self._sent.values()))
        for batch in list(self._sent.values()):
            if batch.is_over and not any(self._batch_of.get(id) is batch for id in batch.ids):
                with suppress(OutlayError):  # it is found, and of no use, the next time
                    await self.forget(batch)

    def _attach(self, batch: Batch, id: str, waiting: Waiting) -> None:
        """Wait for what another process, or another leg of the run, has sent."""
        if batch.group != waiting.client.group:
            raise BadRequest(
                f"the call was sent in a batch at another account or address ({batch.id or 'not known'})",
                hint="go on with the key and the base URL that the run was begun with",
            )
        batch.client, batch.transport = waiting.client, waiting.run.transport
        waiting.tell(batch=batch.id, custom_id=id, requests=len(batch.ids), found=True)
        if batch.is_over:
            batch.hand_over(id)
        else:
            self._start(batch)

    def _start(self, batch: Batch) -> None:
        """See to it, in a task that belongs to no run: it outlives each."""
        if batch.at_work:
            return
        batch.at_work = True
        task = asyncio.Task(batch.live(), loop=asyncio.get_running_loop(), context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _recall(self, run: RunState, client: Batches) -> None:
        """Read what earlier processes sent, unless that was done since this leg of the run began: its last owner was
        gone by then."""
        past = len(run.past.events) if run.past is not None else 0
        began = run.recorder.events[past].time if past < len(run.recorder.events) else float("inf")
        if self.store is None or self._recalled > began:
            return
        now = wall_clock(run.loop)()
        for document in await self.store.list(COLLECTION):
            facts = facts_of(document.body)
            if document.key in self._sent or facts is None:
                continue
            if facts.since < now - _KEPT_SECONDS:
                await self.store.commit([Change(COLLECTION, document.key, None, document.version)])
                continue
            batch = Batch.found(self, client, run.transport, document.key, facts)
            self._sent[batch.token] = batch
            self._batch_of |= dict.fromkeys(batch.ids, batch)
        self._recalled = now


def facts_of(body: bytes) -> Facts | None:
    """What a document says of a batch; None for one of another version, or damaged."""
    try:
        found = json.loads(body)
        return Facts(str(found["group"]), str(found["batch"]), float(found["since"]), tuple(map(str, found["ids"])))
    except (ValueError, KeyError, TypeError):
        log.warning("a document of the batch lane cannot be read and is left alone")
        return None
