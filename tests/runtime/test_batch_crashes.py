"""A crash at any moment of the batch lane: after each event, each document, each submission that the provider has.

Whatever the moment, the run goes on to the same answer, no request is submitted twice, and nothing is left in doubt.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from flows import at_once

from outlay import Agent, Batching, Budget, run
from outlay.patterns import FanOut, Pipeline
from outlay.protocols.batches import Handed
from outlay.protocols.documents import Change
from outlay.protocols.store import Fence, Row
from outlay.stores.memory import MemoryStore
from outlay.testing import ScriptedBatches, ScriptedModel

ITEMS = ["one", "two", "three"]
ANSWER = '<["ONE","TWO","THREE"]>'


@dataclass
class Provider:
    """It outlives the processes that use it: what it has of each batch, and the ids of all that it was ever sent."""

    begun: dict[str, tuple[float, Any]] = field(default_factory=dict)
    submitted: Counter[str] = field(default_factory=Counter)

    def copy(self) -> Provider:
        return Provider(dict(self.begun), Counter(self.submitted))


class Tracked(ScriptedBatches):
    """The way to the provider, and to whoever wants to know when something has arrived there."""

    def __init__(self, provider: Provider, arrived: Any = None, results: Any = None) -> None:
        super().__init__(seconds=500, results=results)
        self._provider = provider
        self._arrived = arrived

    def of(self, model: Any) -> Any:
        view = super().of(model)
        view._begun = self._provider.begun  # pyright: ignore[reportPrivateUsage]
        submit = view.submit

        async def tracked(token: str, handed: list[Handed], transport: Any) -> str:
            id = await submit(token, handed, transport)
            self._provider.submitted.update(one.id for one in handed)
            if self._arrived is not None:
                self._arrived()
            return id

        view.submit = tracked  # type: ignore[method-assign]
        return view


class Watched(MemoryStore):
    """Remembers what a crash would leave at each moment: rows, contents and batches, here and at the provider."""

    def __init__(self, provider: Provider) -> None:
        super().__init__()
        self.provider = provider
        self.moments: list[tuple[MemoryStore, Provider]] = []

    def note(self) -> None:
        left = MemoryStore()
        left._runs = {run: dict(rows) for run, rows in self._runs.items()}
        left._blobs, left._kept = dict(self._blobs), dict(self._kept)
        left._documents = {place: held for place, held in self._documents.items() if place[0] == "batches"}
        self.moments.append((left, self.provider.copy()))

    def append(self, rows: Any, fence: Fence | None = None) -> None:
        super().append(rows, fence)
        if any(isinstance(row, Row) for row in rows):
            self.note()

    async def commit(self, changes: Any) -> tuple[int, ...]:
        versions = await super().commit(changes)
        if any(isinstance(change, Change) and change.collection == "batches" for change in changes):
            self.note()
        return versions


def flow(batches: ScriptedBatches) -> Any:
    first = ScriptedModel(lambda request: request.text.upper(), name="m", price=(10, 20), batches=batches)
    second = ScriptedModel(lambda request: f"<{request.text}>", name="n", price=(10, 20), batches=batches)
    return Pipeline(FanOut(Agent("first", first, max_output_tokens=50)), Agent("second", second, max_output_tokens=50))


def go(batches: ScriptedBatches, store: MemoryStore, batching: Batching) -> Any:
    return at_once(run(flow(batches), ITEMS, store=store, run_id="r", lane=batching, budget=Budget(usd=1)))


@pytest.mark.parametrize("batching", [Batching(), Batching(max_requests=1), Batching(max_requests=2, settle=0)])
def test_a_crash_at_any_moment_submits_nothing_twice_and_leaves_nothing_in_doubt(batching) -> None:
    provider = Provider()
    store = Watched(provider)
    whole = go(Tracked(provider, store.note), store, batching)
    assert whole.output == ANSWER
    assert set(provider.submitted.values()) == {1}
    assert len(store.moments) > 30
    for n, (left, there) in enumerate(store.moments):
        result = go(Tracked(there), left, batching)
        assert (n, result.output) == (n, ANSWER), result.error
        assert there.submitted == provider.submitted, n
        bill = result.bill
        assert (n, bill.in_doubt, bill.doubtful, bill.total) == (n, 0, 0, whole.bill.total)
        assert sum(line.retries for line in bill.lines) == 0, n


def test_a_crash_at_any_moment_of_a_batch_that_loses_answers_tries_each_again_once() -> None:
    """The first results lack a line. Whoever comes later reads the same results, and sends what they lack once more."""

    def lossy(lines: list[bytes]) -> list[bytes]:
        return lines[1:] if len(lines) == len(ITEMS) else lines

    provider = Provider()
    store = Watched(provider)
    whole = go(Tracked(provider, store.note, lossy), store, Batching())
    assert whole.output == ANSWER
    assert list(provider.submitted.values()) == [1] * 5  # three, the one that was lost, and the second step
    for n, (left, there) in enumerate(store.moments):
        result = go(Tracked(there, results=lossy), left, Batching())
        assert (n, result.output) == (n, ANSWER), result.error
        assert there.submitted == provider.submitted, n
        assert result.bill.doubtful == 1, n
