"""What must be durable before what (SEMANTICS 2 and 3)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from flows import at_once, cents, dear, worker

from outlay import Agent, Budget, run, stream
from outlay.errors import StoreFailed
from outlay.events import CallFinished, CallStarted, decode
from outlay.patterns import FanOut
from outlay.protocols.store import Fence, Row
from outlay.stores import MemoryStore


class SlowStore(MemoryStore):
    """A store that needs half a second to make events durable, and can fail."""

    def __init__(self, fails_after: int | None = None) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self.durable = 0
        self.contents: dict[bytes, bytes] = {}
        self.fails_after = fails_after

    def append(self, rows: Sequence[Row], fence: Fence | None = None) -> None:
        self.rows.extend(rows)

    def keep(self, blobs: Iterable[tuple[bytes, bytes]]) -> None:
        for name, content in blobs:
            assert self.contents.setdefault(name, content) == content

    async def flush(self, run: str | None = None) -> None:
        upto = len(self.rows)
        await asyncio.sleep(0.5)
        if self.fails_after is not None and upto > self.fails_after:
            raise StoreFailed("disk full")
        self.durable = max(self.durable, upto)

    async def room(self) -> None:
        return None

    async def events(self, run: str | None = None, kinds: Sequence[str] = ()) -> list[Row]:
        return []

    async def blobs(self, digests: Sequence[bytes]) -> dict[bytes, bytes]:
        return self.contents

    async def close(self) -> None:
        return None

    @property
    def bodies(self) -> list[bytes]:
        """What is durable."""
        return [row.body for row in self.rows[: self.durable]]


def test_an_intent_is_durable_before_anything_is_sent() -> None:
    """A crash after sending always leaves a record that the call was begun."""
    store = SlowStore()
    sent: list[str] = []

    def answer(request: Any) -> str:
        begun = {row.path for row in map(decode, store.bodies) if isinstance(row, CallStarted)}
        assert request.path in begun
        sent.append(request.text)
        return request.text

    at_once(run(FanOut(Agent("a", dear(answer))), ["x", "y", "z"], store=store))
    assert sent == ["x", "y", "z"]


def test_everything_is_durable_before_a_result_leaves() -> None:
    """What the caller is told cannot be lost afterwards."""
    store = SlowStore()
    result = at_once(run(worker(), "x", store=store))
    assert store.durable == len(store.rows) == len(result.events)
    assert store.rows[-1].kind == "run_finished"
    assert [decode(row.body) for row in store.rows] == list(result.events)


def test_deltas_are_never_stored() -> None:
    """They are for the eye; the answer is in the conversation."""
    store = SlowStore()

    async def main() -> None:
        async with stream(Agent("a", dear(["one two three"])), "x", store=store) as s:
            async for _ in s:
                pass

    at_once(main())
    assert not {"text_delta", "retracted"} & {row.kind for row in store.rows}
    assert any(b"one two three" in content for content in store.contents.values())


def test_a_conversation_is_stored_once_however_long_it_grows() -> None:
    """Each message under its own link, so that stored history grows with what is said and not with its square."""
    store = SlowStore()
    agent = Agent("a", dear(lambda r: "bad" if len(r.messages) < 15 else "good"), output_retries=9, max_turns=9)
    checked = agent.replace(verify=[lambda text: None if text == "good" else "again"])
    result = at_once(run(checked, "x", store=store))
    assert result.output == "good"
    assert len(store.contents) == len(result.transcript) + 3  # and the instructions, the input, the output


@pytest.mark.parametrize("fails_after", [0, 3])
def test_a_store_that_fails_starts_nothing_more_and_loses_nothing_paid(fails_after: int) -> None:
    """What was paid for is handed over and billed; the error says what the store lost."""
    model = dear(lambda _: cents(1))
    result = at_once(run(Agent("a", model), "x", store=SlowStore(fails_after), budget=Budget(usd=1)))
    assert isinstance(result.error, StoreFailed)
    assert result.stop_reason == "error"
    paid = [e for e in result.events if isinstance(e, CallFinished)]
    assert len(paid) == len(model.calls)
    assert result.bill.in_doubt == 0
