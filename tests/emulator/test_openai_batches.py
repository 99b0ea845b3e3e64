"""Files and Batches of the OpenAI protocol: a whole life cycle, by the clock."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from outlay.emulator import EmulatedRequest, Fault

MODEL = "gpt-5.4-nano"


def lines(count: int, url: str = "/v1/responses") -> bytes:
    """An input file that asks once per row."""

    def body(n: int) -> dict[str, Any]:
        if url == "/v1/responses":
            return {"model": MODEL, "input": f"Row {n}"}
        return {"model": MODEL, "messages": [{"role": "user", "content": f"Row {n}"}]}

    rows = ({"custom_id": f"row-{n}", "method": "POST", "url": url, "body": body(n)} for n in range(count))
    return "\n".join(map(json.dumps, rows)).encode()


async def start(c, content: bytes, endpoint: Any = "/v1/responses"):
    uploaded = await c.openai.files.create(file=("rows.jsonl", content), purpose="batch")
    return await c.openai.batches.create(input_file_id=uploaded.id, endpoint=endpoint, completion_window="24h")


async def read(c, file_id: str) -> dict[str, Any]:
    content = (await c.openai.files.content(file_id)).text
    return {line["custom_id"]: line for line in map(json.loads, content.splitlines())}


async def test_a_file_is_stored_and_given_back(connect):
    """Upload, retrieve, content, list, delete."""
    c = await connect()
    stored = await c.openai.files.create(file=("notes.txt", b"Some notes."), purpose="user_data")
    assert (stored.filename, stored.bytes, stored.purpose) == ("notes.txt", 11, "user_data")
    assert (await c.openai.files.retrieve(stored.id)).id == stored.id
    assert (await c.openai.files.content(stored.id)).content == b"Some notes."
    assert [file.id async for file in c.openai.files.list()] == [stored.id]
    assert (await c.openai.files.delete(stored.id)).deleted
    with pytest.raises(openai.NotFoundError, match="No such File object"):
        await c.openai.files.retrieve(stored.id)


@pytest.mark.parametrize("endpoint", ["/v1/responses", "/v1/chat/completions"])
async def test_a_batch_goes_through_all_its_states(connect, clock, endpoint):
    """Validating, in progress, finalizing, completed; the output has a line per request, and usage is summed."""
    c = await connect(clock=clock, batch_seconds=100, behaviour=lambda request: request.text.upper())
    batch = await start(c, lines(3, endpoint), endpoint)
    assert (batch.status, batch.output_file_id) == ("validating", None)
    states = []
    for seconds in (5, 25, 60, 5):
        clock.forward(seconds)
        states.append((await c.openai.batches.retrieve(batch.id)).status)
    assert states == ["validating", "in_progress", "finalizing", "finalizing"]
    clock.forward(100)
    batch = await c.openai.batches.retrieve(batch.id)
    assert (batch.status, batch.request_counts.completed, batch.error_file_id) == ("completed", 3, None)
    assert batch.completed_at - batch.created_at == 100
    found = await read(c, batch.output_file_id)
    assert sorted(found) == ["row-0", "row-1", "row-2"]
    body = found["row-1"]["response"]["body"]
    said = body["output"][0]["content"][0]["text"] if "output" in body else body["choices"][0]["message"]["content"]
    assert said == "ROW 1"
    billed = c.emulator.billed()[MODEL]
    assert (batch.usage.input_tokens, batch.usage.output_tokens) == (billed.prompt_tokens, billed.output_tokens)


async def test_entries_fail_one_by_one(connect):
    """What failed stands in the error file with its status; the rest in the output file."""

    def behave(request: EmulatedRequest) -> str | Fault:
        return Fault.http(500) if request.text == "Row 1" else "Fine."

    c = await connect(behaviour=behave)
    batch = await c.openai.batches.retrieve((await start(c, lines(3))).id)
    assert (batch.request_counts.completed, batch.request_counts.failed) == (2, 1)
    assert sorted(await read(c, batch.output_file_id)) == ["row-0", "row-2"]
    failed = (await read(c, batch.error_file_id))["row-1"]["response"]
    assert (failed["status_code"], failed["body"]["error"]["type"]) == (500, "server_error")


async def test_a_cancelled_batch_keeps_what_was_finished(connect, clock):
    """Cancelling at once, cancelled when looked at again; the rest is in the error file."""
    c = await connect(clock=clock, batch_seconds=100)
    batch = await start(c, lines(4))
    clock.forward(50)
    assert (await c.openai.batches.cancel(batch.id)).status == "cancelling"
    batch = await c.openai.batches.retrieve(batch.id)
    assert (batch.status, batch.request_counts.completed) == ("cancelled", 2)
    assert sorted(await read(c, batch.output_file_id)) == ["row-0", "row-1"]
    assert (await read(c, batch.error_file_id))["row-3"]["error"]["code"] == "batch_cancelled"


async def test_a_batch_expires_after_a_day(connect, clock):
    """What is not finished by then is in the error file."""
    c = await connect(clock=clock, batch_seconds=2 * 86_400)
    batch = await start(c, lines(4))
    clock.forward(86_400)
    batch = await c.openai.batches.retrieve(batch.id)
    assert (batch.status, batch.request_counts.completed) == ("expired", 2)
    assert (await read(c, batch.error_file_id))["row-2"]["error"]["code"] == "batch_expired"


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b"{not json", "invalid_json_line", 1),
        (lines(1) + b"\n" + lines(1), "duplicate_custom_id", 2),
        (lines(1, "/v1/chat/completions"), "invalid_url", 1),
        (b"", "empty_file", 1),
    ],
)
async def test_a_bad_input_file_fails_the_batch(connect, content, code, line):
    """Validation names the line; nothing runs and nothing is billed."""
    c = await connect()
    batch = await c.openai.batches.retrieve((await start(c, content)).id)
    assert (batch.status, batch.errors.data[0].code, batch.errors.data[0].line) == ("failed", code, line)
    assert not c.emulator.billed()


async def test_batches_are_listed(connect):
    """The newest first, page by page."""
    c = await connect()
    ids = [(await start(c, lines(1))).id for _ in range(3)]
    assert [batch.id async for batch in c.openai.batches.list(limit=2)] == ids[::-1]


async def test_a_batch_of_a_missing_file_is_a_400(connect):
    """As is one for an end point that batches do not serve."""
    c = await connect()
    with pytest.raises(openai.BadRequestError, match="No such File object"):
        await c.openai.batches.create(input_file_id="file-x", endpoint="/v1/responses", completion_window="24h")
    with pytest.raises(openai.BadRequestError, match="Invalid value: '/v1/embeddings'"):
        await c.openai.batches.create(input_file_id="file-x", endpoint="/v1/embeddings", completion_window="24h")
