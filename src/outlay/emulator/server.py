"""From an HTTP request to the room that answers it: routes, keys, faults, limits, and the books."""

from __future__ import annotations

import asyncio
import logging
import re
from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from aiohttp import web

from outlay.emulator import json
from outlay.emulator.delivery import Delivery, Lost, Pace, sent_headers
from outlay.emulator.exchange import Provider
from outlay.emulator.faults import Fault
from outlay.emulator.json import Json
from outlay.emulator.ledger import Record
from outlay.emulator.listing import anthropic_model, anthropic_models, openai_model, openai_models
from outlay.emulator.problems import ErrorAnswer, Problem, invalid
from outlay.emulator.rooms import Rooms
from outlay.emulator.settings import Settings
from outlay.emulator.wire import Wire

_log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
MAX_UPLOAD_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Visit:
    """One request on its way through the server."""

    http: web.BaseRequest
    record: Record
    delivery: Delivery
    key: str
    fault: Fault | None

    @property
    def base_url(self) -> str:
        """The address that the client used."""
        return f"http://{self.http.host}"


Handler: TypeAlias = "Callable[[Visit, str], Awaitable[web.StreamResponse]]"
"""Answers a visit; the second argument is the id in the path, if it has one."""


class Server:
    """Handles every request of one emulator."""

    def __init__(self, settings: Settings, rooms: Rooms) -> None:
        self._settings = settings
        self._rooms = rooms
        self._positions = 0
        self._random = Random(settings.seed)  # noqa: S311 - latencies
        self.over = asyncio.Event()
        self.in_flight = 0
        self._exact: dict[tuple[str, str], Handler] = {
            ("POST", "/v1/messages"): self._answering(rooms.messages),
            ("POST", "/v1/responses"): self._answering(rooms.responses),
            ("POST", "/v1/chat/completions"): self._answering(rooms.chat),
            ("POST", "/v1/messages/count_tokens"): self._count_tokens,
            ("POST", "/v1/responses/input_tokens"): self._input_tokens,
            ("POST", "/v1/messages/batches"): self._create_message_batch,
            ("GET", "/v1/messages/batches"): self._list_message_batches,
            ("POST", "/v1/batches"): self._create_batch,
            ("GET", "/v1/batches"): self._list_batches,
            ("POST", "/v1/files"): self._upload,
            ("GET", "/v1/files"): self._list_files,
            ("GET", "/v1/models"): self._list_models,
        }
        self._patterns: list[tuple[str, re.Pattern[str], Handler]] = [
            ("GET", re.compile(r"/v1/messages/batches/([^/]+)"), self._retrieve_message_batch),
            ("DELETE", re.compile(r"/v1/messages/batches/([^/]+)"), self._delete_message_batch),
            ("POST", re.compile(r"/v1/messages/batches/([^/]+)/cancel"), self._cancel_message_batch),
            ("GET", re.compile(r"/v1/messages/batches/([^/]+)/results"), self._message_batch_results),
            ("GET", re.compile(r"/v1/batches/([^/]+)"), self._retrieve_batch),
            ("POST", re.compile(r"/v1/batches/([^/]+)/cancel"), self._cancel_batch),
            ("GET", re.compile(r"/v1/files/([^/]+)"), self._retrieve_file),
            ("DELETE", re.compile(r"/v1/files/([^/]+)"), self._delete_file),
            ("GET", re.compile(r"/v1/files/([^/]+)/content"), self._file_content),
            ("GET", re.compile(r"/v1/models/([^/]+)"), self._retrieve_model),
            ("GET", re.compile(r"/v1/responses/([^/]+)"), self._retrieve_response),
        ]

    def reset(self) -> None:
        """Count positions from the beginning again."""
        self._positions = 0
        self._random = Random(self._settings.seed)  # noqa: S311 - latencies

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answer one HTTP request, whatever it is."""
        provider = _provider(http)
        record = self._open(http, provider)
        delivery = Delivery(http, record, sent_headers(provider, record.request_id), self.over)
        self.in_flight += 1
        try:
            handler, item_id = self._route(http.method, http.path)
            key = self._authorize(http, provider)
            fault = self._fault(http.path)
            visit = Visit(http, record, delivery, key, fault)
            if fault is not None and not fault.billed and not fault.answers:
                with suppress(Problem):  # the books show what was asked, whatever it was
                    await self._body(visit)
                return await delivery.suffer(fault)
            response = await handler(visit, item_id)
            if fault is not None and record.fault is None:  # a room that answers no model's question
                return await delivery.damage(response, fault)
            return response
        except Problem as problem:
            record.outcome = "refused" if record.fault is None else "faulted"
            answer = problem.answer
            body = json.encode(answer.body(provider, record.request_id))
            headers = {"x-should-retry": "false"} if provider == "anthropic" and answer.status == 400 else {}
            return delivery.respond(answer.status, body, headers=headers | answer.headers)
        except Lost:
            return web.Response()  # the connection is gone; nothing of this is sent
        except (CancelledError, ConnectionError):
            if record.outcome == "open" and (record.fault is None or record.fault.answers):
                record.outcome = "closed_by_client"
            raise
        except Exception as error:  # a defect of the emulator must not look like one of the client
            _log.exception("the emulator failed at %s %s", http.method, http.path)
            record.outcome = "refused"
            answer = ErrorAnswer(500, f"emulator: internal error, {type(error).__name__}")
            return delivery.respond(500, json.encode(answer.body(provider, record.request_id)))
        finally:
            self.in_flight -= 1
            if record.outcome == "open":
                record.outcome = "answered" if record.fault is None else "faulted"

    def _open(self, http: web.BaseRequest, provider: Provider) -> Record:
        ledger = self._rooms.ledger
        record = Record(
            index=ledger.count,
            provider=provider,
            method=http.method,
            path=http.path,
            headers={name.lower(): value for name, value in http.headers.items()},
            received_at=self._settings.clock(),
            request_id=self._rooms.ids.draw("req_01" if provider == "anthropic" else "req_"),
        )
        ledger.open(record)
        return record

    def _route(self, method: str, path: str) -> tuple[Handler, str]:
        if (handler := self._exact.get((method, path))) is not None:
            return handler, ""
        for verb, pattern, handler in self._patterns:
            if verb == method and (match := pattern.fullmatch(path)) is not None:
                return handler, match[1]
        raise Problem(ErrorAnswer(404, f"Invalid URL ({method} {path})"))

    def _authorize(self, http: web.BaseRequest, provider: Provider) -> str:
        bearer = http.headers.get("authorization", "").removeprefix("Bearer").strip()
        if provider == "anthropic":
            key = http.headers.get("x-api-key", "") or bearer
            if not key:
                raise Problem(ErrorAnswer(401, "x-api-key header is required"))
            if "anthropic-version" not in http.headers:
                raise invalid("anthropic-version: header is required")
        elif not (key := bearer):
            raise Problem(ErrorAnswer(401, _NO_KEY, "invalid_request_error"))
        if self._settings.api_keys and key not in self._settings.api_keys:
            if provider == "anthropic":
                raise Problem(ErrorAnswer(401))
            hidden = f"{key[:3]}***{key[-4:]}" if len(key) > 7 else "***"
            message = (
                f"Incorrect API key provided: {hidden}. You can find your API key at "
                f"https://platform.openai.com/account/api-keys."
            )
            raise Problem(ErrorAnswer(401, message, code="invalid_api_key"))
        return key

    def _fault(self, path: str) -> Fault | None:
        faults = self._settings.faults
        if faults is None or (faults.paths is not None and path not in faults.paths):
            return None
        self._positions += 1
        return faults.draw(self._positions)

    async def _body(self, visit: Visit) -> Json:
        raw = await visit.http.read()
        if len(raw) > MAX_MESSAGE_BYTES:
            raise Problem(ErrorAnswer(413))
        try:
            body = json.decode(raw)
        except ValueError as error:
            if visit.record.provider == "anthropic":
                raise invalid(f"The request body is not valid JSON: {error}") from error
            raise invalid(
                "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your "
                "HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)"
            ) from error
        if not isinstance(body, dict):
            raise invalid("The request body must be a JSON object.")
        visit.record.body = json.table(body)
        return visit.record.body

    def _answering(self, wire: Wire) -> Handler:
        async def handler(visit: Visit, _: str) -> web.StreamResponse:
            return await self._answer(visit, wire)

        return handler

    async def _answer(self, visit: Visit, wire: Wire) -> web.StreamResponse:
        engine, request_body = self._rooms.engine, await self._body(visit)
        call = wire.read(request_body)
        engine.check(call)
        plan = engine.plan(call, visit.key)
        request = call.request
        self._rooms.limiter.admit(request.provider, request.model, plan.uncached + plan.write_5m + plan.write_1h)
        fault = visit.fault
        said = await engine.ask(call)
        if isinstance(said, Fault):
            if not said.billed and not said.answers:
                return await visit.delivery.suffer(said)
            fault, said = said, engine.stand_in(call)
        made = engine.make(call, said, plan)
        visit.delivery.add_headers(self._rooms.limiter.headers(request.provider, request.model))
        return await visit.delivery.deliver(engine, wire, made, self._pace(fault), fault)

    def _pace(self, fault: Fault | None) -> Pace:
        extra = fault.seconds if fault is not None and fault.kind == "slow" else 0.0
        if self._settings.latency.none:
            return Pace(per_event=extra)
        first_token, per_token = self._settings.latency.draw(self._random)
        return Pace(first_token, per_token, extra)

    def _json(self, visit: Visit, body: Json) -> web.StreamResponse:
        return visit.delivery.respond(200, json.encode(body))

    async def _count_tokens(self, visit: Visit, _: str) -> web.StreamResponse:
        call = self._rooms.messages.read(await self._body(visit), counting=True)
        return self._json(visit, {"input_tokens": call.prompt.tokens})

    async def _input_tokens(self, visit: Visit, _: str) -> web.StreamResponse:
        call = self._rooms.responses.read(await self._body(visit), counting=True)
        return self._json(visit, {"object": "response.input_tokens", "input_tokens": call.prompt.tokens})

    async def _create_message_batch(self, visit: Visit, _: str) -> web.StreamResponse:
        body = await self._body(visit)
        return self._json(visit, self._rooms.message_batches.create(body, visit.key, visit.base_url))

    async def _list_message_batches(self, visit: Visit, _: str) -> web.StreamResponse:
        return self._json(visit, await self._rooms.message_batches.list(visit.http.query, visit.base_url))

    async def _retrieve_message_batch(self, visit: Visit, batch_id: str) -> web.StreamResponse:
        body = await self._rooms.message_batches.retrieve(batch_id, visit.base_url)
        headers = {} if body["processing_status"] == "ended" else {"retry-after": "10"}
        return visit.delivery.respond(200, json.encode(body), headers=headers)

    async def _delete_message_batch(self, visit: Visit, batch_id: str) -> web.StreamResponse:
        return self._json(visit, self._rooms.message_batches.delete(batch_id))

    async def _cancel_message_batch(self, visit: Visit, batch_id: str) -> web.StreamResponse:
        return self._json(visit, await self._rooms.message_batches.cancel(batch_id, visit.base_url))

    async def _message_batch_results(self, visit: Visit, batch_id: str) -> web.StreamResponse:
        lines = await self._rooms.message_batches.results(batch_id)
        return visit.delivery.respond(200, lines, "application/x-jsonl")

    async def _create_batch(self, visit: Visit, _: str) -> web.StreamResponse:
        return self._json(visit, self._rooms.batches.create(await self._body(visit), visit.key))

    async def _list_batches(self, visit: Visit, _: str) -> web.StreamResponse:
        return self._json(visit, await self._rooms.batches.list(visit.http.query))

    async def _retrieve_batch(self, visit: Visit, batch_id: str) -> web.StreamResponse:
        return self._json(visit, await self._rooms.batches.retrieve(batch_id))

    async def _cancel_batch(self, visit: Visit, batch_id: str) -> web.StreamResponse:
        return self._json(visit, await self._rooms.batches.cancel(batch_id))

    async def _upload(self, visit: Visit, _: str) -> web.StreamResponse:
        form = await visit.http.post()
        upload, purpose = form.get("file"), form.get("purpose")
        if not isinstance(upload, web.FileField):
            raise invalid("'file' is a required property", param="file")
        if not isinstance(purpose, str):
            raise invalid("'purpose' is a required property", param="purpose")
        stored = self._rooms.files.store(upload.filename, purpose, upload.file.read())
        upload.file.close()
        return self._json(visit, stored.body())

    async def _list_files(self, visit: Visit, _: str) -> web.StreamResponse:
        return self._json(visit, self._rooms.files.list(visit.http.query))

    async def _retrieve_file(self, visit: Visit, file_id: str) -> web.StreamResponse:
        return self._json(visit, self._rooms.files.find(file_id).body())

    async def _delete_file(self, visit: Visit, file_id: str) -> web.StreamResponse:
        return self._json(visit, self._rooms.files.delete(file_id))

    async def _file_content(self, visit: Visit, file_id: str) -> web.StreamResponse:
        return visit.delivery.respond(200, self._rooms.files.find(file_id).content, "application/octet-stream")

    async def _list_models(self, visit: Visit, _: str) -> web.StreamResponse:
        models = anthropic_models if visit.record.provider == "anthropic" else openai_models
        return self._json(visit, models(self._settings.models))

    async def _retrieve_model(self, visit: Visit, model: str) -> web.StreamResponse:
        body = anthropic_model if visit.record.provider == "anthropic" else openai_model
        return self._json(visit, body(model, self._settings.models))

    async def _retrieve_response(self, visit: Visit, response_id: str) -> web.StreamResponse:
        return self._json(visit, self._rooms.responses.retrieve(response_id))


_NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
    "(i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're accessing the "
    "API from your browser and are prompted for a username and password. You can obtain an API key from "
    "https://platform.openai.com/account/api-keys."
)


def _provider(http: web.BaseRequest) -> Provider:
    """Whose protocol this is: by path, and where both have it (models, unknown paths) by its headers."""
    if http.path.startswith("/v1/messages"):
        return "anthropic"
    if http.path.startswith(("/v1/responses", "/v1/chat", "/v1/files", "/v1/batches")):
        return "openai"
    return "anthropic" if "x-api-key" in http.headers or "anthropic-version" in http.headers else "openai"
