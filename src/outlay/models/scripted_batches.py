"""Batches of models that are your own code: what a provider's batch does, in this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from outlay.errors import ConfigError, ModelError
from outlay.protocols.batches import Handed, Lost, Read, Seen, Traced
from outlay.protocols.clock import wall_now
from outlay.protocols.model import Model
from outlay.protocols.transport import Transport
from outlay.values.request import ModelRequest

_DAY = 86_400.0


class ScriptedBatches:
    """How a scripted model's batches go.

    Each takes `seconds`, and is over after a day: what is not done by then has expired. `results` may change the JSON
    lines that a batch gives, as a provider that errs would. `sent` are the ids of the requests of each batch, in order,
    `cancelled` the batches that were given up.
    """

    def __init__(
        self,
        seconds: float = 0.0,
        *,
        results: Callable[[list[bytes]], list[bytes]] | None = None,
        most_requests: int = 100_000,
    ) -> None:
        if not 0 <= seconds < float("inf"):
            raise ConfigError(f"ScriptedBatches: seconds={seconds!r} must not be negative")
        self.seconds = seconds
        self.results = results
        self.most_requests = most_requests
        self.sent: list[tuple[str, ...]] = []
        self.cancelled: list[str] = []

    def of(self, model: Model) -> BatchesOf:
        return BatchesOf(self, model)


class BatchesOf:
    """The batches of one scripted model (protocols/batches.py)."""

    most_bytes = 1_000_000_000
    window = _DAY

    def __init__(self, batches: ScriptedBatches, model: Model) -> None:
        self._batches = batches
        self._model = model
        self._begun: dict[str, tuple[float, Sequence[Handed]]] = {}
        self._read: dict[tuple[str, int], Read] = {}

    @property
    def group(self) -> str:
        return f"{self._model.provider} {self._model.id}"

    @property
    def most_requests(self) -> int:
        return self._batches.most_requests

    def hand(self, id: str, request: ModelRequest) -> Handed:
        return Handed(id, request.text.encode(errors="replace"), request)

    async def submit(self, token: str, handed: Sequence[Handed], transport: Transport) -> str:
        # not the loop's time: a batch goes on when the loop that began it has ended
        self._begun[token] = (wall_now(), tuple(handed))
        self._batches.sent.append(tuple(one.id for one in handed))
        return token

    async def look(self, batch: str, transport: Transport) -> Seen:
        if batch not in self._begun:
            gone = ModelError("the process that had this batch is gone", retryable=True, may_be_billed=False)
            return Seen(batch, True, gone)
        took = wall_now() - self._begun[batch][0]
        return Seen(batch, took >= min(self._batches.seconds, _DAY))

    async def lines(self, seen: Seen, transport: Transport) -> list[bytes]:
        _, handed = self._begun[seen.id]
        read = await asyncio.gather(*(self._run(one.request, transport) for one in handed))
        lines: list[bytes] = []
        for n, (one, what) in enumerate(zip(handed, read, strict=True)):
            self._read[seen.id, n] = what
            lines.append(json.dumps({"custom_id": one.id, "batch": seen.id, "n": n}).encode())
        return lines if self._batches.results is None else self._batches.results(lines)

    async def cancel(self, batch: str, transport: Transport) -> None:
        self._batches.cancelled.append(batch)

    def read(self, line: dict[str, Any]) -> Read:
        what = self._read.get((str(line.get("batch")), line.get("n", -1)))
        return what or Read("failed", error=ModelError("the line says nothing", retryable=True, may_be_billed=True))

    async def trace(self, lost: Lost, transport: Transport) -> Traced:
        return Traced(lost.token if lost.token in self._begun else "")

    async def _run(self, request: ModelRequest, transport: Transport) -> Read:
        if self._batches.seconds > _DAY:
            late = ModelError("the batch expired before this request was run", retryable=True, may_be_billed=False)
            return Read("expired", error=late)
        try:
            return Read("answered", await self._model.send(request, transport))
        except ModelError as error:
            return Read("failed", error=error)
