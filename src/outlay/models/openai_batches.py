"""OpenAI's Batches: a file of up to 50,000 requests or 200 MB for one model, within 24 hours, at half the price.

https://developers.openai.com/api/docs/guides/batch. Answers come back in one file and failures in another. A batch
carries our mark in its metadata, so a lost submission is found by it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from outlay.errors import BadRequest, BadResponse, ModelError, RateLimited
from outlay.models.batch_http import WINDOW, Account, segment
from outlay.models.failures import clean
from outlay.models.fields import rows, string, table
from outlay.protocols.batches import Fate, Handed, Lost, Read, Seen, Traced
from outlay.protocols.transport import HttpReply, Transport
from outlay.values.request import ModelRequest

_ENDED: Final = ("completed", "failed", "expired", "cancelled")
_FATES: Final[dict[str, Fate]] = {"batch_expired": "expired", "batch_cancelled": "cancelled"}
_MARK: Final = "outlay"


class OpenAIBatches:
    """The batches of one model at one account; `endpoint` is where its requests go, such as /v1/responses."""

    most_requests = 50_000
    most_bytes = 200_000_000
    window = WINDOW

    def __init__(self, account: Account, endpoint: str) -> None:
        self._account = account
        self._endpoint = endpoint

    @property
    def group(self) -> str:
        return f"{self._account.provider} {self._account.model} {self._endpoint} {self._account.place}"

    def hand(self, id: str, request: ModelRequest) -> Handed:
        head = json.dumps({"custom_id": id, "method": "POST", "url": self._endpoint})[:-1].encode()
        return Handed(id, head + b',"body":' + self._account.body(request) + b"}", request)

    async def submit(self, token: str, handed: Sequence[Handed], transport: Transport) -> str:
        """The file first, which nobody is billed for; then the batch of it."""
        account = self._account
        content = b"\n".join(one.line for one in handed) + b"\n"
        kind, form = _form(token, content)
        try:
            file = string(account.object(await account.post("/files", form, transport, kind)).get("id"))
        except ModelError as error:
            error.may_be_billed = False
            raise
        if not file:
            raise BadResponse(f"{account.provider} took a file and did not say its id", may_be_billed=False)
        asked = {"input_file_id": file, "endpoint": self._endpoint, "completion_window": "24h"}
        body = json.dumps(asked | {"metadata": {_MARK: token}}).encode()
        return await account.create("/batches", body, transport)

    async def look(self, batch: str, transport: Transport) -> Seen:
        found = self._account.object(await self._account.get(f"/batches/{segment(batch)}", transport))
        status = string(found.get("status"))
        files = tuple(file for name in ("output_file_id", "error_file_id") if (file := string(found.get(name))))
        refused = self._refused(found) if status == "failed" else None
        return Seen(batch, status in _ENDED, refused, files)

    async def lines(self, seen: Seen, transport: Transport) -> list[bytes]:
        found: list[bytes] = []
        for file in seen.results:
            found += (await self._account.get(f"/files/{segment(file)}/content", transport)).body.splitlines()
        return found

    async def cancel(self, batch: str, transport: Transport) -> None:
        await self._account.post(f"/batches/{segment(batch)}/cancel", b"", transport)

    def read(self, line: dict[str, Any]) -> Read:
        problem, response = table(line.get("error")), table(line.get("response"))
        code = string(problem.get("code"))
        if fate := _FATES.get(code):
            what = "expired" if fate == "expired" else "was cancelled"
            error = ModelError(
                f"the batch {what} before this request was run",
                provider=self._account.provider,
                retryable=True,
                may_be_billed=False,
            )
            return Read(fate, error=error)
        status = response.get("status_code")
        if not isinstance(status, int):
            said = clean(string(problem.get("message"))) or code or "it failed in its batch"
            error = ModelError(
                f"{self._account.provider}: {said}",
                provider=self._account.provider,
                retryable=True,
                may_be_billed=False,
            )
            return Read("failed", error=error)
        headers = {"x-request-id": string(response.get("request_id"))}
        reply = HttpReply(status, headers, json.dumps(response.get("body")).encode())
        try:
            if not 200 <= status < 300:
                raise self._account.refusal(reply)
            return Read("answered", self._account.read(reply))
        except ModelError as error:
            return Read("failed", error=error)

    async def trace(self, lost: Lost, transport: Transport) -> Traced:
        for batch in await self._account.newest("/batches", "after", _created, lost.since, transport):
            if table(batch.get("metadata")).get(_MARK) == lost.token:
                return Traced(string(batch.get("id")))
        return Traced()

    def _refused(self, body: dict[str, Any]) -> ModelError:
        """Why a batch was not run at all: too much is waiting at this account, or its file is not what it should be."""
        listed = rows(table(body.get("errors")).get("data"))
        first = listed[0] if listed else dict[str, Any]()
        code, said = string(first.get("code")), clean(string(first.get("message"))) or "no reason given"
        provider = self._account.provider
        message = f"{provider} did not run the batch: {said}"
        if "limit" in code:
            hint = "smaller batches (Batching(max_requests=…)), or wait until others are done"
            return RateLimited(message, hint=hint, provider=provider, may_be_billed=False)
        return BadRequest(message, provider=provider)


def _form(token: str, content: bytes) -> tuple[str, bytes]:
    """An upload as multipart/form-data: its content type, and its body."""
    mark = f"outlay-{token}"
    head = (
        f'--{mark}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="outlay-{token}.jsonl"\r\n'
        "Content-Type: application/jsonl\r\n\r\n"
    )
    return f"multipart/form-data; boundary={mark}", head.encode() + content + f"\r\n--{mark}--\r\n".encode()


def _created(batch: dict[str, Any]) -> float:
    """In seconds since the epoch; one that does not say when may be new."""
    when = batch.get("created_at")
    return float(when) if isinstance(when, int | float) else float("inf")
