"""The batch clients of both providers: what they send, and what they make of whatever comes back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from outlay.errors import BadRequest, BadResponse, ModelError, Overloaded, RateLimited
from outlay.models import Anthropic, OpenAI, OpenAIChat
from outlay.protocols.batches import Lost, Seen, Traced
from outlay.protocols.transport import HttpReply
from outlay.values.message import user
from outlay.values.request import ModelRequest, Prelude
from outlay.values.transcript import EMPTY

NOW = 1_800_000_000.0
CLAUDE = Anthropic("claude-haiku-4-5", api_key="key-of-mine").batches()
GPT = OpenAI("gpt-5.4", api_key="key-of-mine", base_url="http://there/v1").batches()


@dataclass
class Server:
    """A Transport that answers by path; a list is used up, its last answer stays."""

    answers: Mapping[str, Any]
    sent: list[tuple[str, str, bytes]] = field(default_factory=list)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, timeouts: Any = None) -> HttpReply:
        return self._answer("POST", url, body)

    async def get(self, url: str, headers: Mapping[str, str], timeouts: Any = None) -> HttpReply:
        return self._answer("GET", url, b"")

    def stream(self, *_: Any) -> Any:
        raise AssertionError("nothing in a batch is streamed")

    def _answer(self, method: str, url: str, body: bytes) -> HttpReply:
        self.sent.append((method, url, body))
        path = url.split("/v1", 1)[1]
        given = self.answers[path]
        if isinstance(given, list):
            given = given.pop(0) if len(given) > 1 else given[0]
        status, content = given if isinstance(given, tuple) else (200, given)
        return HttpReply(status, {}, content if isinstance(content, bytes) else json.dumps(content).encode())


def ask(text: str = "Hi") -> ModelRequest:
    return ModelRequest("a", "a", Prelude(("Be brief.",)), EMPTY.append(user(text)), 100)


def lost(ids: Sequence[str], **facts: Any) -> Lost:
    return Lost("token", tuple(ids), NOW, **facts)


def errored(kind: str) -> dict[str, Any]:
    return {"type": "errored", "error": {"type": "error", "error": {"type": kind, "message": "m"}}}


# ── Anthropic ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_anthropic_takes_all_requests_in_one_body() -> None:
    """Each as it would be sent at once, and nothing streamed."""
    server = Server({"/messages/batches": {"id": "msgbatch_1"}})
    assert (
        await CLAUDE.submit("t", [CLAUDE.hand("ol-1", ask()), CLAUDE.hand("ol-2", ask("Ho"))], server) == "msgbatch_1"
    )
    first, second = json.loads(server.sent[0][2])["requests"]
    assert (first["custom_id"], second["custom_id"]) == ("ol-1", "ol-2")
    assert first["params"]["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
    assert first["params"]["max_tokens"] == 100
    assert "stream" not in first["params"]


async def test_the_results_are_read_where_they_belong_and_not_where_an_answer_says() -> None:
    """The key goes nowhere that a body names."""
    body = {"processing_status": "ended", "results_url": "http://evil/results", "request_counts": {"succeeded": 1}}
    server = Server({"/messages/batches/b": body, "/messages/batches/b/results": b'{"custom_id":"x"}\n'})
    seen = await CLAUDE.look("b", server)
    assert (seen.ended, seen.requests) == (True, 1)
    assert await CLAUDE.lines(seen, server) == [b'{"custom_id":"x"}']
    assert not any("evil" in url for _, url, _ in server.sent)


async def test_an_id_cannot_lead_to_another_address() -> None:
    server = Server({"/messages/batches/..%2F..%2Fx": {"processing_status": "in_progress"}})
    assert not (await CLAUDE.look("../../x", server)).ended


@pytest.mark.parametrize(
    ("result", "fate", "kind", "again"),
    [
        ({"type": "expired"}, "expired", ModelError, True),
        ({"type": "canceled"}, "cancelled", ModelError, True),
        (
            {"type": "errored", "error": {"type": "error", "error": {"type": "overloaded_error"}}},
            "failed",
            Overloaded,
            True,
        ),
        (
            {"type": "errored", "error": {"type": "error", "error": {"type": "invalid_request_error"}}},
            "failed",
            BadRequest,
            False,
        ),
        ({"type": "succeeded", "message": {"content": "?"}}, "failed", BadResponse, True),
        ({"type": "succeeded", "message": None}, "failed", BadResponse, True),
        ({"type": "something new"}, "failed", ModelError, None),
        ({}, "failed", ModelError, None),
        ("what", "failed", ModelError, None),
    ],
)
async def test_what_anthropic_says_of_one_request(result, fate, kind, again) -> None:
    """Never an exception, always a word on whether another attempt may help; only what ran may be billed."""
    read = CLAUDE.read({"custom_id": "x", "result": result})
    assert (read.fate, read.response) == (fate, None)
    assert isinstance(read.error, kind)
    assert again is None or read.error.retryable == again
    assert read.error.may_be_billed == isinstance(read.error, BadResponse)


async def test_a_lost_submission_at_anthropic_is_known_by_its_ids() -> None:
    """Older batches, those of another size and those that are known to be another's are not even opened."""
    new, old = "2027-01-15T08:00:00Z", "2027-01-15T07:00:00Z"

    def batch(id: str, requests: int, created: str = new, ended: bool = True) -> dict[str, Any]:
        status = "ended" if ended else "in_progress"
        return {"id": id, "created_at": created, "processing_status": status, "request_counts": {"a": requests}}

    pages = {
        "/messages/batches?limit=100": {
            "data": [batch("other-size", 3), batch("ours", 2), batch("a-stranger", 2)],
            "has_more": True,
            "last_id": "a-stranger",
        },
        "/messages/batches?limit=100&after_id=a-stranger": {"data": [batch("b", 2), batch("old", 2, old)]},
        "/messages/batches/a-stranger/results": b'{"custom_id":"theirs"}\n',
        "/messages/batches/b/results": b'broken\n{"custom_id":"ol-2"}\n',
    }
    server = Server(pages)
    assert await CLAUDE.trace(lost(["ol-1", "ol-2"], others=frozenset({"ours"})), server) == Traced("b")
    assert len(server.sent) == 4


async def test_a_batch_that_is_at_work_may_be_the_lost_one() -> None:
    """It shows its requests when it has ended, and not before."""
    at_work = {"id": "b", "created_at": "2027-01-15T08:00:00Z", "request_counts": {"processing": 2}}
    server = Server({"/messages/batches?limit=100": {"data": [at_work]}})
    assert await CLAUDE.trace(lost(["ol-1", "ol-2"]), server) == Traced(unclear=True)
    assert await CLAUDE.trace(lost(["ol-1"]), server) == Traced()


# ── OpenAI ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_openai_takes_a_file_and_then_a_batch_of_it() -> None:
    """The batch carries our mark, by which it is found again."""
    server = Server({"/files": {"id": "file-1"}, "/batches": {"id": "batch_1"}})
    assert await GPT.submit("tok", [GPT.hand("ol-1", ask()), GPT.hand("ol-2", ask("Ho"))], server) == "batch_1"
    (_, _, form), (_, _, made) = server.sent
    lines = [json.loads(line) for line in form.splitlines() if line.startswith(b'{"custom_id"')]
    assert [(line["custom_id"], line["method"], line["url"]) for line in lines] == [
        ("ol-1", "POST", "/v1/responses"),
        ("ol-2", "POST", "/v1/responses"),
    ]
    assert lines[0]["body"]["model"] == "gpt-5.4"
    assert json.loads(made) == {
        "input_file_id": "file-1",
        "endpoint": "/v1/responses",
        "completion_window": "24h",
        "metadata": {"outlay": "tok"},
    }


async def test_a_file_that_did_not_arrive_was_never_billed() -> None:
    """Without a batch of it a file costs nothing."""
    server = Server({"/files": (500, {"error": {"message": "no"}})})
    with pytest.raises(Overloaded) as caught:
        await GPT.submit("tok", [GPT.hand("ol-1", ask())], server)
    assert not caught.value.may_be_billed


@pytest.mark.parametrize(
    ("error", "kind", "again"),
    [
        ({"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}, RateLimited, True),
        ({"code": "invalid_json_line", "message": "This line is not parseable"}, BadRequest, False),
        (None, BadRequest, False),
    ],
)
async def test_why_openai_did_not_run_a_batch(error, kind, again) -> None:
    body = {"id": "b", "status": "failed", "errors": {"data": [error]} if error else None}
    seen = await GPT.look("b", Server({"/batches/b": body}))
    assert seen.ended
    assert type(seen.refused) is kind
    assert (seen.refused.retryable, seen.refused.may_be_billed) == (again, False)
    assert error is None or error["message"] in str(seen.refused)


async def test_answers_and_failures_come_in_two_files() -> None:
    body = {"status": "completed", "output_file_id": "out", "error_file_id": "bad"}
    server = Server({"/batches/b": body, "/files/out/content": b"1\n2\n", "/files/bad/content": b"3\n"})
    assert await GPT.lines(await GPT.look("b", server), server) == [b"1", b"2", b"3"]
    assert await GPT.lines(Seen("b", True), server) == []


def line(status: int, body: Any) -> dict[str, Any]:
    return {"response": {"status_code": status, "request_id": "req_1", "body": body}, "error": None}


@pytest.mark.parametrize(
    ("given", "fate", "kind", "again"),
    [
        ({"response": None, "error": {"code": "batch_expired"}}, "expired", ModelError, True),
        ({"response": None, "error": {"code": "batch_cancelled"}}, "cancelled", ModelError, True),
        ({"response": None, "error": {"code": "new", "message": "odd"}}, "failed", ModelError, True),
        (line(400, {"error": {"message": "bad"}}), "failed", BadRequest, False),
        (line(429, {"error": {"message": "slow"}}), "failed", RateLimited, True),
        (line(200, {"status": "completed", "output": 3}), "failed", BadResponse, True),
        (line(200, None), "failed", BadResponse, True),
        ({}, "failed", ModelError, True),
        ({"response": [], "error": 7}, "failed", ModelError, True),
    ],
)
async def test_what_openai_says_of_one_request(given, fate, kind, again) -> None:
    read = GPT.read({"custom_id": "x", **given})
    assert (read.fate, read.response) == (fate, None)
    assert isinstance(read.error, kind)
    assert read.error.retryable == again
    assert read.error.may_be_billed == isinstance(read.error, BadResponse)


async def test_a_lost_submission_at_openai_is_known_by_its_mark() -> None:
    batches = [{"id": "a", "created_at": NOW}, {"id": "b", "created_at": NOW, "metadata": {"outlay": "token"}}]
    server = Server({"/batches?limit=100": {"data": batches}})
    assert await GPT.trace(lost(["ol-1"]), server) == Traced("b")
    assert await GPT.trace(Lost("another", ("ol-1",), NOW), server) == Traced()


# ── both ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("client", [CLAUDE, GPT])
@pytest.mark.parametrize("body", [b"<html>", b"[]", b"", b"null", b"{}"])
async def test_a_batch_that_was_taken_without_an_id_may_be_there(client, body) -> None:
    """So it is looked for, and not sent again."""
    server = Server({"/messages/batches": body, "/files": {"id": "f"}, "/batches": body})
    with pytest.raises(BadResponse) as caught:
        await client.submit("t", [client.hand("ol-1", ask())], server)
    assert caught.value.may_be_billed


@pytest.mark.parametrize("client", [CLAUDE, GPT])
async def test_a_list_that_makes_no_sense_is_nobodys_batch(client) -> None:
    """Neither does a page that leads to itself go on for ever."""
    page = {"data": [None, {"id": 3}, {"id": "x", "created_at": "?", "request_counts": {"n": 9}}], "has_more": True}
    again = page | {"last_id": "x"}

    class Endless(Server):
        def _answer(self, method: str, url: str, body: bytes) -> HttpReply:
            self.sent.append((method, url, body))
            return HttpReply(200, {}, json.dumps(again).encode())

    server = Endless({})
    assert (await client.trace(lost(["ol-1"]), server)).id == ""
    assert len(server.sent) == 2


def test_accounts_and_addresses_do_not_share_batches_and_no_group_says_a_key() -> None:
    def group(**options: Any) -> str:
        return OpenAIChat("m", **options).batches().group

    groups = {group(base_url=url, api_key=key) for url in ("http://a/v1", "http://b/v1") for key in ("k-1", "k-2")}
    assert len(groups) == 4
    assert not any("k-1" in text for text in groups)
