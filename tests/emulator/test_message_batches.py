"""Message Batches: a whole life cycle, by the clock."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from outlay.emulator import EmulatedRequest, Fault, Faults

MODEL = "claude-haiku-4-5"


def requests(count: int, **params: Any) -> list[Any]:
    ask = {"model": MODEL, "max_tokens": 50, **params}
    return [
        {"custom_id": f"row-{n}", "params": ask | {"messages": [{"role": "user", "content": f"Row {n}"}]}}
        for n in range(count)
    ]


async def results(c, batch_id: str) -> dict[str, Any]:
    return {line.custom_id: line.result async for line in await c.anthropic.messages.batches.results(batch_id)}


async def test_a_batch_is_in_progress_until_its_time_has_passed(connect, clock):
    """Counts move only at the end; then the results are there, one for each request, at batch prices."""
    c = await connect(clock=clock, batch_seconds=100, behaviour=lambda request: request.text.upper())
    batch = await c.anthropic.messages.batches.create(requests=requests(3))
    assert (batch.processing_status, batch.request_counts.processing, batch.results_url) == ("in_progress", 3, None)
    clock.forward(99)
    assert (await c.anthropic.messages.batches.retrieve(batch.id)).processing_status == "in_progress"
    with pytest.raises(anthropic.AnthropicError):
        await c.anthropic.messages.batches.results(batch.id)
    clock.forward(1)
    batch = await c.anthropic.messages.batches.retrieve(batch.id)
    assert (batch.processing_status, batch.request_counts.succeeded) == ("ended", 3)
    assert (batch.ended_at - batch.created_at).total_seconds() == 100
    found = await results(c, batch.id)
    assert {key: result.message.content[0].text for key, result in found.items()} == {
        "row-0": "ROW 0",
        "row-1": "ROW 1",
        "row-2": "ROW 2",
    }
    assert found["row-0"].message.usage.service_tier == "batch"


async def test_results_come_in_no_particular_order(connect):
    """A client must go by custom_id, as the API says."""
    c = await connect()
    batch = await c.anthropic.messages.batches.create(requests=requests(20))
    await c.anthropic.messages.batches.retrieve(batch.id)
    assert list(await results(c, batch.id)) != [f"row-{n}" for n in range(20)]


async def test_entries_fail_one_by_one(connect):
    """An invalid request and a fault are errored results; the rest succeeds; only what succeeded is billed."""

    def behave(request: EmulatedRequest) -> str | Fault:
        return Fault.http(500) if request.text == "Row 1" else "Fine."

    c = await connect(behaviour=behave)
    entries = requests(3)
    entries[2]["params"].pop("max_tokens")
    batch = await c.anthropic.messages.batches.create(requests=entries)
    counts = (await c.anthropic.messages.batches.retrieve(batch.id)).request_counts
    assert (counts.succeeded, counts.errored) == (1, 2)
    found = await results(c, batch.id)
    assert found["row-0"].type == "succeeded"
    assert found["row-1"].error.error.type == "api_error"
    assert "max_tokens: Field required" in found["row-2"].error.error.message
    assert c.emulator.billed()[MODEL].output_tokens == 2


async def test_a_cancelled_batch_keeps_what_was_finished(connect, clock):
    """Canceling at once, ended when looked at again; the rest is canceled and costs nothing."""
    c = await connect(clock=clock, batch_seconds=100, behaviour="Fine.")
    batch = await c.anthropic.messages.batches.create(requests=requests(4))
    clock.forward(50)
    assert (await c.anthropic.messages.batches.cancel(batch.id)).processing_status == "canceling"
    batch = await c.anthropic.messages.batches.retrieve(batch.id)
    assert (batch.processing_status, batch.request_counts.succeeded, batch.request_counts.canceled) == ("ended", 2, 2)
    assert sorted(r.type for r in (await results(c, batch.id)).values()) == ["canceled"] * 2 + ["succeeded"] * 2
    assert c.emulator.billed()[MODEL].output_tokens == 4


async def test_a_batch_expires_after_a_day(connect, clock):
    """What is not finished by then is expired."""
    c = await connect(clock=clock, batch_seconds=2 * 86_400, behaviour="Fine.")
    batch = await c.anthropic.messages.batches.create(requests=requests(4))
    clock.forward(86_400)
    counts = (await c.anthropic.messages.batches.retrieve(batch.id)).request_counts
    assert (counts.succeeded, counts.expired) == (2, 2)


async def test_batches_are_listed_and_deleted(connect):
    """The newest first, page by page; one that has ended can be deleted."""
    c = await connect()
    ids = [(await c.anthropic.messages.batches.create(requests=requests(1))).id for _ in range(3)]
    assert [batch.id async for batch in c.anthropic.messages.batches.list(limit=2)] == ids[::-1]
    assert (await c.anthropic.messages.batches.delete(ids[0])).type == "message_batch_deleted"
    with pytest.raises(anthropic.NotFoundError):
        await c.anthropic.messages.batches.retrieve(ids[0])


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        ([], "at least 1 item"),
        ([{"custom_id": "a b", "params": {}}], "custom_id: String should match pattern"),
        ([{"custom_id": "a", "params": {}}] * 2, "duplicate custom_id 'a'"),
    ],
)
async def test_a_malformed_batch_is_a_400(connect, entries, complaint):
    """Checked when it is created; the requests inside are checked when they run."""
    c = await connect()
    with pytest.raises(anthropic.BadRequestError, match=complaint):
        await c.anthropic.messages.batches.create(requests=entries)


async def test_a_batch_may_exist_although_its_creation_failed(connect):
    """The answer is lost after the work: whoever creates again has two, and finds the first in the list."""
    c = await connect(faults=Faults(at={1: Fault.reset(billed=True)}))
    with pytest.raises(anthropic.APIConnectionError):
        await c.anthropic.messages.batches.create(requests=requests(1))
    assert len([batch async for batch in c.anthropic.messages.batches.list()]) == 1
