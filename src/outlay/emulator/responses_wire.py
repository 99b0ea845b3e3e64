"""Writing Responses answers: the response object and the numbered events that build it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from outlay.emulator.answer import Answer, BilledUsage, Call, arguments_text
from outlay.emulator.exchange import Provider
from outlay.emulator.ids import Ids
from outlay.emulator.json import Json, rows, table, text
from outlay.emulator.logprobs import asked_in_responses, by_piece, entries
from outlay.emulator.problems import ErrorAnswer, invalid, not_found
from outlay.emulator.responses_request import ENCRYPTED, input_items, read_response
from outlay.emulator.signatures import Signer
from outlay.emulator.tokens import count, pieces
from outlay.emulator.wire import Event, Tier, named_event

_KEPT_RESPONSES = 10_000
_INCOMPLETE = {
    "max_tokens": "max_output_tokens",
    "context_window": "max_output_tokens",
    "content_filter": "content_filter",
}


class ResponsesWire:
    """`POST /v1/responses`, and the responses stored for `previous_response_id` and retrieval."""

    provider: Provider = "openai"

    def __init__(self, signer: Signer, ids: Ids, clock: Callable[[], float]) -> None:
        self._signer = signer
        self._ids = ids
        self._clock = clock
        self._stored: OrderedDict[str, tuple[Json, list[Json]]] = OrderedDict()

    def clear(self) -> None:
        """Forget all stored responses."""
        self._stored.clear()

    def read(self, body: Json, *, counting: bool = False) -> Call:
        """See `Wire.read`."""
        return read_response(body, self._earlier(body), self._signer, counting=counting)

    def plain(self, call: Call, answer: Answer, tier: Tier) -> Json:
        """See `Wire.plain`."""
        response = self._finished(call, answer, self._items(call, answer))
        self._store(call, response)
        return response

    def events(self, call: Call, answer: Answer) -> list[Event]:
        """See `Wire.events`."""
        numbered = _Numbered()
        items = self._items(call, answer)
        opened = self._response(call, answer, "in_progress", [])
        numbered.add("response.created", response=opened)
        numbered.add("response.in_progress", response=opened)
        for index, item in enumerate(items):
            _item_events(numbered, index, item, answer)
        response = self._finished(call, answer, items)
        numbered.add(f"response.{response['status']}", response=response)
        self._store(call, response)
        return numbered.events

    def error_event(self, error: ErrorAnswer, request_id: str, sent: int) -> bytes:
        """See `Wire.error_event`."""
        body = error.openai_error()
        code = body["code"] or body["type"]
        return named_event(
            "error", {"type": "error", "code": code, "message": body["message"], "param": None, "sequence_number": sent}
        )

    def unknown_event(self) -> bytes:
        """See `Wire.unknown_event`."""
        return named_event("response.weather", {"type": "response.weather", "outlook": "unknown"})

    def retrieve(self, response_id: str) -> Json:
        """A stored response."""
        if (stored := self._stored.get(response_id)) is None:
            raise not_found(f"Response with id '{response_id}' not found.")
        return stored[0]

    def _earlier(self, body: Json) -> list[Json]:
        previous = body.get("previous_response_id")
        if previous is None:
            return []
        if (stored := self._stored.get(text(previous))) is None:
            raise invalid(
                f"Previous response with id '{previous}' not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        return stored[1]

    def _store(self, call: Call, response: Json) -> None:
        body = call.request.body
        if body.get("store") is False:
            return
        items = [*self._earlier(body), *input_items(body.get("input")), *rows(response["output"])]
        self._stored[response["id"]] = (response, items)
        if len(self._stored) > _KEPT_RESPONSES:
            self._stored.popitem(last=False)

    def _items(self, call: Call, answer: Answer) -> list[Json]:
        items: list[Json] = []
        status = "incomplete" if answer.stop in _INCOMPLETE else "completed"
        if answer.thinking:
            wanted = table(call.request.body.get("reasoning")).get("summary")
            summary = [{"type": "summary_text", "text": answer.thinking}] if wanted else []
            items.append(
                {
                    "id": self._ids.draw("rs_"),
                    "type": "reasoning",
                    "encrypted_content": ENCRYPTED + self._signer.sign(answer.thinking),
                    "summary": summary,
                }
            )
        content: list[Json] = []
        if answer.text:
            likely = entries(answer) if asked_in_responses(call.request.body) else []
            content.append({"type": "output_text", "annotations": [], "logprobs": likely, "text": answer.text})
        if answer.refusal:
            content.append({"type": "refusal", "refusal": answer.refusal})
        if content:
            items.append(
                {
                    "id": self._ids.draw("msg_"),
                    "type": "message",
                    "status": "completed" if answer.tool_calls else status,
                    "content": content,
                    "role": "assistant",
                }
            )
        for index, call_ in enumerate(answer.tool_calls):
            last = index == len(answer.tool_calls) - 1
            items.append(
                {
                    "id": self._ids.draw("fc_"),
                    "type": "function_call",
                    "status": status if last else "completed",
                    "arguments": arguments_text(call_),
                    "call_id": call_.id,
                    "name": call_.name,
                }
            )
        return items

    def _finished(self, call: Call, answer: Answer, items: list[Json]) -> Json:
        response = self._response(call, answer, "incomplete" if answer.stop in _INCOMPLETE else "completed", items)
        response["usage"] = usage_body(answer.usage)
        if reason := _INCOMPLETE.get(answer.stop):
            response["incomplete_details"] = {"reason": reason}
        else:
            response["completed_at"] = int(self._clock())
        return response

    def _response(self, call: Call, answer: Answer, status: str, items: list[Json]) -> Json:
        body = call.request.body
        reasoning = table(body.get("reasoning"))
        return {
            "id": answer.id,
            "object": "response",
            "created_at": int(self._clock()),
            "status": status,
            "background": False,
            "billing": {"payer": "developer"},
            "completed_at": None,
            "error": None,
            "frequency_penalty": 0.0,
            "incomplete_details": None,
            "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "max_tool_calls": None,
            "model": call.request.model,
            "moderation": None,
            "output": items,
            "parallel_tool_calls": body.get("parallel_tool_calls", True),
            "presence_penalty": 0.0,
            "previous_response_id": body.get("previous_response_id"),
            "prompt_cache_key": body.get("prompt_cache_key"),
            "prompt_cache_retention": body.get("prompt_cache_retention"),
            "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
            "safety_identifier": None,
            "service_tier": "default",
            "store": body.get("store", True),
            "temperature": body.get("temperature", 1.0),
            "text": {
                "format": table(body.get("text")).get("format") or {"type": "text"},
                "verbosity": "medium",
            },
            "tool_choice": body.get("tool_choice", "auto"),
            "tools": rows(body.get("tools")),
            "top_logprobs": body.get("top_logprobs") or 0,
            "top_p": body.get("top_p", 1.0),
            "truncation": "disabled",
            "usage": None,
            "user": None,
            "metadata": body.get("metadata") or {},
        }


def usage_body(usage: BilledUsage) -> Json:
    """Usage as Responses writes it: `input_tokens` includes what was cached."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cache_write_tokens": usage.cache_write_tokens,
            "cached_tokens": usage.cache_read_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.output_tokens,
    }


class _Numbered:
    """Events with their sequence numbers."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(self, kind: str, tokens: int = 0, **data: Any) -> None:
        body = {"type": kind, "sequence_number": len(self.events), **data}
        self.events.append(Event(named_event(kind, body), tokens))


def _item_events(numbered: _Numbered, index: int, item: Json, answer: Answer) -> None:
    kind, at = item["type"], {"item_id": item["id"], "output_index": index}
    opened = {key: value for key, value in item.items() if key != "status"}
    if kind == "message":
        numbered.add(
            "response.output_item.added", output_index=index, item=opened | {"status": "in_progress", "content": []}
        )
        for position, part in enumerate(item["content"]):
            _part_events(numbered, at | {"content_index": position}, part, answer)
    elif kind == "function_call":
        numbered.add(
            "response.output_item.added",
            count(item["name"]),
            output_index=index,
            item=opened | {"status": "in_progress", "arguments": ""},
        )
        for part in pieces(item["arguments"]):
            numbered.add("response.function_call_arguments.delta", count(part), **at, delta=part)
        if item["status"] == "completed":
            numbered.add("response.function_call_arguments.done", **at, arguments=item["arguments"], name=item["name"])
    else:
        numbered.add("response.output_item.added", output_index=index, item=opened | {"summary": []})
        for position, part in enumerate(item["summary"]):
            _summary_events(numbered, at | {"summary_index": position}, part)
    numbered.add("response.output_item.done", output_index=index, item=item)


def _part_events(numbered: _Numbered, at: Json, part: Json, answer: Answer) -> None:
    if part["type"] == "refusal":
        numbered.add("response.content_part.added", **at, part=part | {"refusal": ""})
        for piece in pieces(part["refusal"]):
            numbered.add("response.refusal.delta", count(piece), **at, delta=piece)
        numbered.add("response.refusal.done", **at, refusal=part["refusal"])
    else:
        numbered.add("response.content_part.added", **at, part=part | {"text": "", "logprobs": []})
        said = pieces(part["text"])
        likely: list[list[Json]] = list(by_piece(answer, said)) if part["logprobs"] else [[] for _ in said]
        for piece, logprobs in zip(said, likely, strict=True):
            numbered.add("response.output_text.delta", count(piece), **at, delta=piece, logprobs=logprobs)
        numbered.add("response.output_text.done", **at, text=part["text"], logprobs=part["logprobs"])
    numbered.add("response.content_part.done", **at, part=part)


def _summary_events(numbered: _Numbered, at: Json, part: Json) -> None:
    numbered.add("response.reasoning_summary_part.added", **at, part=part | {"text": ""})
    for piece in pieces(part["text"]):
        numbered.add("response.reasoning_summary_text.delta", count(piece), **at, delta=piece)
    numbered.add("response.reasoning_summary_text.done", **at, text=part["text"])
    numbered.add("response.reasoning_summary_part.done", **at, part=part)
