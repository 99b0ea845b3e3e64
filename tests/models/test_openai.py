"""The Responses adapter: what it sends, what it refuses to send, and what it makes of odd or broken answers."""

from __future__ import annotations

import asyncio
import base64
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_requests import answering, asking, sse
from recordings import Interaction, Playback, recorded

from outlay.errors import (
    AuthFailed,
    BadRequest,
    BadResponse,
    ConfigError,
    ContextTooLong,
    ModelError,
    ModelTimeout,
    Overloaded,
    RateLimited,
    Refused,
    ServerError,
)
from outlay.models.openai import OpenAI
from outlay.models.openai_chat import OpenAIChat
from outlay.models.openai_common import DOCUMENT_TOKENS, UNBOUNDED
from outlay.values.content import File, Image, ProviderBlock, Text, ToolCall, ToolResult
from outlay.values.message import Message
from outlay.values.price import Price
from outlay.values.request import ModelRequest, ModelResponse, OutputSpec, ToolSpec

PNG = b"\x89PNG\r\n\x1a\n" + bytes(3000)
SEARCH = ToolSpec(
    "search",
    "Find things.",
    '{"type":"object","properties":{"q":{"type":"string"}},"required":["q"]}',
)
LOOSE = ToolSpec("note", "Keep.", '{"type":"object","properties":{"x":{"type":"integer","default":1}}}')
ANSWER = OutputSpec("An answer", '{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}')
MODEL = OpenAI("gpt-5.4", api_key="key-0123456789")


def completed(*output: Any, **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    return {"status": "completed", "model": "gpt-5.4-x", "output": list(output), "usage": usage, **more}


def message(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}], **more}


def sent(request: ModelRequest, model: OpenAI = MODEL) -> dict[str, Any]:
    transport = answering(completed(message("ok")))
    asyncio.run(model.send(request, transport))
    return transport.request


def received(body: Any, *, streamed: bool = False) -> ModelResponse:
    return asyncio.run(MODEL.send(asking(), answering(body), (lambda _: None) if streamed else None))


class TestRequests:
    def test_a_plain_question_is_a_stateless_body(self) -> None:
        """Text goes out as text, nothing is stored at OpenAI, and sealed reasoning is asked for."""
        assert sent(asking("hi", system=("Be brief.", "Be kind."))) == {
            "model": "gpt-5.4",
            "instructions": "Be brief.\n\nBe kind.",
            "input": [{"role": "user", "content": "hi"}],
            "max_output_tokens": 1024,
            "stream": False,
            "store": False,
            "include": ["reasoning.encrypted_content"],
        }

    def test_only_reasoning_models_are_asked_for_sealed_reasoning(self) -> None:
        """gpt-4.1 refuses the include, so it does not get it."""
        assert "include" not in sent(asking(), OpenAI("gpt-4.1", api_key="k"))

    def test_tools_are_strict_where_their_schema_allows(self) -> None:
        """A tool whose every argument is required is strict; one with a default is not, and keeps its schema."""
        strict, loose = sent(asking(tools=(SEARCH, LOOSE)))["tools"]
        assert strict["strict"] is True
        assert strict["parameters"]["additionalProperties"] is False
        assert loose["strict"] is False
        assert loose["parameters"] == json.loads(LOOSE.schema)

    def test_an_output_type_is_a_strict_json_schema(self) -> None:
        """The schema goes out under a name that OpenAI takes."""
        assert sent(asking(output=ANSWER))["text"]["format"] == {
            "type": "json_schema",
            "name": "An_answer",
            "strict": True,
            "schema": {**json.loads(ANSWER.schema), "additionalProperties": False},
        }

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({"effort": "high"}, {"reasoning": {"effort": "high"}}),
            ({"thinking": "off"}, {"reasoning": {"effort": "none"}}),
            ({"thinking": "adaptive"}, {"reasoning": {"effort": "medium"}}),
            ({"temperature": 0.2, "top_p": 0.9}, {"temperature": 0.2, "top_p": 0.9}),
            ({"tool_choice": "required"}, {"tool_choice": "required"}),
            ({"tool_choice": "search"}, {"tool_choice": {"type": "function", "name": "search"}}),
            ({"extra": {"service_tier": "flex"}}, {"service_tier": "flex"}),
            ({"extra": {"store": True}}, {"store": True}),
            ({"extra": {"parallel_tool_calls": False}}, {"parallel_tool_calls": False}),
            ({"extra": {"text": {"verbosity": "low"}}}, {"text": {"verbosity": "low"}}),
            (
                {"effort": "low", "extra": {"reasoning": {"summary": "auto"}}},
                {"reasoning": {"summary": "auto", "effort": "low"}},
            ),
            (
                {"extra": {"include": ["web_search_call.action.sources"]}},
                {"include": ["reasoning.encrypted_content", "web_search_call.action.sources"]},
            ),
        ],
    )
    def test_settings_reach_the_body(self, settings: dict[str, Any], expected: dict[str, Any]) -> None:
        """Each setting stands where the API wants it."""
        request = asking(tools=(SEARCH,), **settings)
        MODEL.check(request.prelude, request.settings, request.max_output_tokens)
        body = sent(request)
        assert {key: body[key] for key in expected} == expected

    def test_server_tools_stand_beside_the_agents_own(self) -> None:
        """extra's tools and text are added to what the adapter writes, not put in its place."""
        extra = {"tools": [{"type": "web_search"}], "text": {"verbosity": "low"}}
        body = sent(asking(tools=(SEARCH,), output=ANSWER, extra=extra))
        assert [tool["type"] for tool in body["tools"]] == ["function", "web_search"]
        assert body["text"].keys() == {"format", "verbosity"}

    def test_pictures_and_documents_are_content(self) -> None:
        """Bytes go out as data URLs; addresses and file ids as they are."""
        parts = (
            Text("look"),
            Image(data=PNG),
            Image(url="https://x.example/a.png"),
            File(data=b"%PDF", name="a.pdf"),
            File(url="https://x.example/b.pdf"),
            File(file_id="file-1"),
        )
        content = sent(asking(Message("user", parts)))["input"][0]["content"]
        encoded = base64.b64encode(PNG).decode()
        assert content == [
            {"type": "input_text", "text": "look"},
            {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{encoded}"},
            {"type": "input_image", "detail": "auto", "image_url": "https://x.example/a.png"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
            {"type": "input_file", "file_url": "https://x.example/b.pdf"},
            {"type": "input_file", "file_id": "file-1"},
        ]

    def test_an_error_of_a_tool_says_so(self) -> None:
        """The protocol has no flag for a failed tool, so its output says that it is an error."""
        turn = (
            Message("assistant", (Text("wait"), ToolCall("c1", "search", "{}"))),
            Message("tool", (ToolResult("c1", "search", "no such index", is_error=True),)),
        )
        assert sent(asking("q", *turn))["input"][1:] == [
            {"role": "assistant", "content": "wait"},
            {"type": "function_call", "call_id": "c1", "name": "search", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "Error: no such index"},
        ]

    def test_blocks_of_other_providers_and_unsealed_reasoning_stay_here(self) -> None:
        """Another provider's thinking means nothing to OpenAI, and reasoning without its seal is not stored there."""
        parts = (
            ProviderBlock("anthropic", "thinking", '{"type":"thinking"}', "hm"),
            ProviderBlock("openai", "reasoning", '{"type":"reasoning","id":"rs_1","summary":[]}'),
            ProviderBlock("openai", "web_search_call", '{"type":"web_search_call","id":"ws_1"}'),
            Text("yes"),
        )
        items = sent(asking("q", Message("assistant", parts)))["input"]
        assert items[1:] == [{"type": "web_search_call", "id": "ws_1"}, {"role": "assistant", "content": "yes"}]

    def test_a_call_made_by_a_program_keeps_its_caller(self) -> None:
        """A function call with members of its own goes back whole, and once."""
        call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "caller": {"type": "program"}}
        answer = received(completed(call))
        assert answer.message.tool_calls == (ToolCall("c", "f", "{}"),)
        assert sent(asking("q", answer.message))["input"][1:] == [call]

    @given(
        st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=4), st.text(st.characters(codec="utf-8"))
    )
    def test_a_longer_conversation_has_the_shorter_ones_bytes_as_its_prefix(self, texts: list[str], more: str) -> None:
        """Appending a message never changes the bytes before it, so the provider's prompt cache holds."""
        bodies: list[bytes] = []
        for request in (
            asking(*texts, system=("s",), tools=(SEARCH,)),
            asking(*texts, more, system=("s",), tools=(SEARCH,)),
        ):
            transport = answering(completed(message("ok")))
            asyncio.run(MODEL.send(request, transport))
            bodies.append(transport.sent[0][2])
        shorter = bodies[0][: bodies[0].rindex(b'],"max_output_tokens"')]
        assert bodies[1].startswith(shorter)

    def test_the_key_goes_into_the_header_and_nowhere_else(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The key and address come from the environment where they are not given; repr shows no key."""
        monkeypatch.setenv("OPENAI_API_KEY", "from-env")
        monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1/v1/")
        model = OpenAI("gpt-5.4", headers={"X-Team": "a"})
        transport = answering(completed(message("ok")))
        asyncio.run(model.send(asking(), transport))
        url, headers, _ = transport.sent[0]
        assert url == "http://localhost:1/v1/responses"
        assert headers["authorization"] == "Bearer from-env"
        assert headers["x-team"] == "a"
        assert "key-0123456789" not in repr(MODEL)
        assert (MODEL.id, MODEL.provider, MODEL.dialect, MODEL.name) == (
            "openai:gpt-5.4",
            "openai",
            "openai",
            "gpt-5.4",
        )

    def test_its_price_is_openais(self) -> None:
        """The price book is asked for the model at openai."""

        class Book:
            def find(self, provider: str, model: str) -> Price | None:
                return Price.per_million(1, Decimal(len(provider + model)))

        assert MODEL.price(Book()) == Price.per_million(1, len("openaigpt-5.4"))


class TestCheck:
    @pytest.mark.parametrize(
        ("name", "settings", "names"),
        [
            ("gpt-5.4", {"stop": ("x",)}, "stop"),
            ("gpt-5.4", {"seed": 1}, "seed"),
            ("gpt-5.4", {"thinking": 2000}, "2000"),
            ("gpt-5.4", {"effort": "minimal"}, "minimal"),
            ("gpt-5", {"effort": "xhigh"}, "xhigh"),
            ("gpt-5", {"thinking": "off"}, "cannot switch its thinking off"),
            ("gpt-5", {"temperature": 0.5}, "temperature"),
            ("gpt-5.4", {"temperature": 0.5, "effort": "low"}, "temperature"),
            ("gpt-5.6-sol", {"top_p": 0.5}, "top_p"),
            ("o3", {"top_p": 0.5}, "top_p"),
            ("ft:o4-mini:org", {"temperature": 1.0}, "temperature"),
            ("gpt-4.1", {"effort": "low"}, "effort"),
            ("gpt-4.1", {"thinking": "adaptive"}, "does not think"),
            ("gpt-5.4", {"thinking": "off", "effort": "high"}, "contradict"),
            ("gpt-5.4", {"thinking": "adaptive", "effort": "none"}, "contradict"),
            ("gpt-5.4", {"tool_choice": "nothing"}, "nothing"),
            ("gpt-5.4", {"extra": {"model": "x"}}, "model"),
            ("gpt-5.4", {"extra": {"background": True}}, "background"),
            ("gpt-5.4", {"extra": {"max_output_tokens": 9}}, "max_output_tokens"),
            ("gpt-5.4", {"extra": {"tools": "web_search"}}, "tools"),
            ("gpt-5.4", {"extra": {"text": {"format": {}}}}, "format"),
            ("gpt-5.4", {"extra": {"reasoning": {"effort": "low"}}}, "effort"),
        ],
    )
    def test_what_the_model_lacks_is_refused_before_anything_is_spent(
        self, name: str, settings: dict[str, Any], names: str
    ) -> None:
        """A setting that cannot be kept is a ConfigError that names it, and says what to do."""
        request = asking(tools=(SEARCH,), output=ANSWER, **settings)
        with pytest.raises(ConfigError) as caught:
            OpenAI(name, api_key="k").check(request.prelude, request.settings, 1024)
        assert names in str(caught.value)
        assert caught.value.hint or "extra[" in str(caught.value)

    @pytest.mark.parametrize(
        ("name", "settings"),
        [
            ("gpt-4.1", {"temperature": 0.0, "top_p": 0.5, "thinking": "off"}),
            ("gpt-5.4", {"temperature": 0.0}),
            ("gpt-5.6-sol", {"temperature": 0.0, "effort": "none"}),
            ("gpt-5.6-sol", {"effort": "max"}),
            ("gpt-5", {"effort": "minimal"}),
            ("gpt-6-astra", {"effort": "max", "thinking": "adaptive"}),
            ("somebody-elses-model", {"effort": "minimal", "temperature": 0.0}),
        ],
    )
    def test_what_the_model_has_is_allowed(self, name: str, settings: dict[str, Any]) -> None:
        """Sampling is free where the model does not reason; unknown models are left to their server."""
        request = asking(**settings)
        OpenAI(name, api_key="k").check(request.prelude, request.settings, 1024)

    def test_a_missing_key_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a key the error names the variable."""
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
            OpenAI("gpt-5.4").check(asking().prelude, asking().settings, 1024)

    def test_an_output_cap_below_openais_least_is_refused(self) -> None:
        """OpenAI takes no cap below 16, whether it is asked for or left over by a budget."""
        with pytest.raises(ConfigError, match="16"):
            MODEL.check(asking().prelude, asking().settings, 15)
        transport = answering(completed())
        with pytest.raises(BadRequest, match="15 output tokens"):
            asyncio.run(MODEL.send(asking(max_output_tokens=15), transport))
        assert not transport.sent

    def test_a_tool_name_that_openai_refuses_is_refused_here(self) -> None:
        """Tool names have a fixed alphabet."""
        request = asking(tools=(ToolSpec("a tool", "", "{}"),))
        with pytest.raises(ConfigError, match="a tool"):
            MODEL.check(request.prelude, request.settings, 1024)


class TestStops:
    @pytest.mark.parametrize(
        ("body", "stop", "raw"),
        [
            (completed(message("done")), "end", "completed"),
            (completed({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}), "tool", "completed"),
            (
                completed(message("half"), status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
                "length",
                "max_output_tokens",
            ),
            (
                completed(message("hm"), status="incomplete", incomplete_details={"reason": "content_filter"}),
                "refusal",
                "content_filter",
            ),
            (
                completed({"type": "message", "content": [{"type": "refusal", "refusal": "I cannot."}]}),
                "refusal",
                "completed",
            ),
            (completed(status="incomplete", incomplete_details={"reason": "something_new"}), "length", "something_new"),
        ],
    )
    @pytest.mark.parametrize("streamed", [False, True])
    def test_an_end_that_is_no_success_is_not_taken_for_one(
        self, body: dict[str, Any], stop: str, raw: str, streamed: bool
    ) -> None:
        """Refusals and truncated answers are responses with that stop, streamed or not."""
        kind = f"response.{body['status']}"
        answer = received([{"type": kind, "response": body}] if streamed else body, streamed=streamed)
        assert (answer.stop, answer.raw_stop) == (stop, raw)

    def test_the_words_of_a_refusal_are_kept(self) -> None:
        """What the model said when it declined is the message's text."""
        body = completed({"type": "message", "content": [{"type": "refusal", "refusal": "I cannot."}]})
        assert received(body).message.text == "I cannot."

    @pytest.mark.parametrize(
        ("code", "error"),
        [
            ("server_error", ServerError),
            ("rate_limit_exceeded", RateLimited),
            ("invalid_image_url", BadRequest),
            ("bio_policy", Refused),
            ("context_length_exceeded", ContextTooLong),
            ("something_new", ServerError),
        ],
    )
    @pytest.mark.parametrize("streamed", [False, True])
    def test_a_failed_response_is_a_typed_error(self, code: str, error: type[ModelError], streamed: bool) -> None:
        """A response with status failed raises the error of its code."""
        body = {"status": "failed", "error": {"code": code, "message": "why"}, "output": [], "usage": None}
        with pytest.raises(error, match="why") as caught:
            received([{"type": "response.failed", "response": body}] if streamed else body, streamed=streamed)
        assert type(caught.value) is error

    def test_a_failure_after_the_first_words_may_be_billed(self) -> None:
        """A response that fails once the model had begun keeps its reservation."""
        body = {"status": "failed", "error": {"code": "server_error", "message": "m"}, "output": [], "usage": None}
        begun = {"type": "response.output_text.delta", "delta": "a"}
        for events, billed in (([], False), ([begun], True)):
            with pytest.raises(ServerError) as caught:
                received([*events, {"type": "response.failed", "response": body}], streamed=True)
            assert caught.value.may_be_billed is billed

    @pytest.mark.parametrize(
        "usage",
        [
            None,
            {},
            {"input_tokens": 5},
            {"input_tokens": 10**30, "output_tokens": 1},
            {"input_tokens": 5, "output_tokens": True},
            {"input_tokens": 5, "output_tokens": 1, "input_tokens_details": {"cached_tokens": -3}},
            {"input_tokens": 5, "output_tokens": 1, "input_tokens_details": {"cached_tokens": 2**80}},
        ],
    )
    def test_missing_usage_is_unknown_and_not_zero(self, usage: Any) -> None:
        """Without both figures there is no usage."""
        assert received(completed(message("x"), usage=usage)).usage is None

    def test_cache_reads_and_writes_are_taken_out_of_the_input(self) -> None:
        """The four buckets do not overlap and sum to OpenAI's total."""
        details = {"cached_tokens": 60, "cache_write_tokens": 30}
        raw = {"input_tokens": 100, "input_tokens_details": details, "output_tokens": 5, "total_tokens": 105}
        usage = received(completed(message("x"), usage=raw)).usage
        assert usage is not None
        assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (10, 60, 30)
        assert usage.total_tokens == 105


class TestBrokenAnswers:
    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (400, BadRequest),
            (401, AuthFailed),
            (403, AuthFailed),
            (404, BadRequest),
            (408, ModelTimeout),
            (409, BadRequest),
            (413, ContextTooLong),
            (429, RateLimited),
            (500, ServerError),
            (502, ServerError),
            (503, Overloaded),
            (529, Overloaded),
        ],
    )
    @pytest.mark.parametrize("model", [MODEL, OpenAIChat("gpt-4o", api_key="key-0123456789")], ids=["new", "chat"])
    @pytest.mark.parametrize("streamed", [False, True])
    def test_each_status_has_its_error(
        self, status: int, error: type[ModelError], model: OpenAI | OpenAIChat, streamed: bool
    ) -> None:
        """A status raises its typed error with request id and wait, whole or streamed."""
        headers = {"x-request-id": "req_1", "retry-after": "7"}
        transport = answering({"error": {"message": "key-0123456789 says no", "type": "t"}}, status, headers)
        with pytest.raises(error) as caught:
            asyncio.run(model.send(asking(), transport, (lambda _: None) if streamed else None))
        found = caught.value
        assert type(found) is error
        assert (found.status, found.request_id, found.retry_after) == (status, "req_1", 7.0)
        assert "says no" in str(found)
        assert "key-0123456789" not in str(found)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html>gateway</html>",
            b'{"status":"completed","output":[',
            b"[]",
            b"{}",
            b"null",
            b'{"status":"completed","output":[{"type":"message","content":"\xff"}]}',
            b'{"status":"completed","output":[{"type":"message","content":7}]}',
            b'{"status":"in_progress","output":[]}',
            b'{"output":' + b"[" * 100_000,
        ],
    )
    def test_a_body_that_is_no_answer_was_probably_billed(self, body: bytes) -> None:
        """A 200 that cannot be read is a BadResponse that keeps its reservation."""
        with pytest.raises(BadResponse) as caught:
            received(body)
        assert caught.value.may_be_billed

    async def test_a_stream_that_stops_anywhere_is_no_answer(self) -> None:
        """Cut before the end of its last event, at any byte, a stream is a BadResponse and never a short answer."""
        whole = sse(
            {"type": "response.created", "response": {"status": "in_progress"}},
            {"type": "response.output_text.delta", "delta": "hé"},
            {"type": "response.completed", "response": completed(message("hé"))},
        )
        assert (await MODEL.send(asking(), answering(whole), lambda _: None)).message.text == "hé"
        for end in range(len(whole) - 1):
            with pytest.raises(BadResponse) as caught:
                await MODEL.send(asking(), answering(whole[:end]), lambda _: None)
            assert caught.value.may_be_billed

    @pytest.mark.parametrize(
        ("event", "error"),
        [
            ({"type": "error", "code": "rate_limit_exceeded", "message": "slow down"}, RateLimited),
            ({"type": "error", "error": {"type": "server_error", "message": "oops"}}, ServerError),
            ({"type": "error", "code": "context_length_exceeded", "message": "m"}, ContextTooLong),
            ({"type": "error", "code": None, "message": None}, ServerError),
        ],
    )
    def test_an_error_event_is_a_typed_error(self, event: dict[str, Any], error: type[ModelError]) -> None:
        """An error inside a stream has its type; it may be billed only once the model had begun to answer."""
        for before, billed in (([], False), ([{"type": "response.output_text.delta", "delta": "a"}], True)):
            with pytest.raises(error) as caught:
                received([*before, event], streamed=True)
            assert caught.value.may_be_billed is billed

    @pytest.mark.parametrize("events", [["not json"], ["[DONE]"], ['{"type":"response.completed"}'], ["[1]"]])
    def test_a_stream_of_nonsense_is_a_broken_answer(self, events: list[Any]) -> None:
        """Events that cannot be read, or say nothing, are a BadResponse."""
        with pytest.raises(BadResponse):
            received(events, streamed=True)

    def test_items_that_came_one_by_one_make_up_for_an_empty_last_event(self) -> None:
        """A server that leaves the output out of its last event has still given it."""
        events = [
            {"type": "response.output_item.done", "output_index": 1, "item": message("two")},
            {"type": "response.output_item.done", "output_index": 0, "item": message("one ")},
            {"type": "response.completed", "response": completed()},
            {"type": "response.something_new", "delta": {"nested": True}},
        ]
        assert received(events, streamed=True).message.text == "one two"


class TestBounds:
    @given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=5))
    def test_the_bound_covers_every_byte_of_text(self, texts: list[str]) -> None:
        """A token is at least one byte, so no tokenizer can find more tokens than the bound."""
        bound = MODEL.bound(asking(*texts, system=("be kind",), tools=(SEARCH,)))
        assert bound >= sum(len(text.encode()) for text in texts) + len("be kind" + SEARCH.schema)

    def test_media_count_by_formula_and_not_by_their_base64(self) -> None:
        """A picture costs at most its family's dearest tiling, however many bytes it has."""
        model = OpenAI("gpt-4o", api_key="k")
        small = model.bound(asking(Message("user", (Image(data=PNG),))))
        large = model.bound(asking(Message("user", (Image(data=PNG + bytes(3_000_000)),))))
        assert abs(large - small) <= 2
        assert 1445 < small < 2500
        by_address = model.bound(asking(Message("user", (Image(url="https://x.example/a.png"),))))
        assert by_address > 1445

    def test_a_picture_cut_into_patches_costs_by_its_size(self) -> None:
        """A small picture is bounded by its own patches, a huge one by its family's budget."""

        def bound(width: int, height: int) -> int:
            png = b"\x89PNG\r\n\x1a\n" + bytes(8) + width.to_bytes(4, "big") + height.to_bytes(4, "big")
            return MODEL.bound(asking(Message("user", (Image(data=png),))))

        assert bound(64, 32) < 600
        assert 1024 < bound(1024, 1024) < 3500
        assert bound(100_000, 100_000) == bound(50_000, 90_000) < 26_000

    def test_documents_have_a_declared_cap(self) -> None:
        """A PDF counts as the largest window; plain text as its bytes."""
        pdf = MODEL.bound(asking(Message("user", (File(data=b"%PDF"),))))
        text = MODEL.bound(asking(Message("user", (File(data=b"x" * 900, name="a.txt", media_type="text/plain"),))))
        assert pdf > DOCUMENT_TOKENS
        assert 900 < text < 2000

    def test_what_nothing_bounds_says_so(self) -> None:
        """Server-side history and unlimited server tools have no bound; a declared limit of calls makes one."""
        tools = [{"type": "web_search"}]
        assert MODEL.bound(asking(extra={"conversation": "conv_1"})) == UNBOUNDED
        assert MODEL.bound(asking(extra={"tools": tools})) == UNBOUNDED
        own = {"type": "function", "name": "f", "parameters": {}, "strict": False}
        assert MODEL.bound(asking(extra={"tools": [own]})) < 1000
        limited = MODEL.bound(asking(extra={"tools": tools, "max_tool_calls": 2}))
        assert 2 * DOCUMENT_TOKENS < limited < UNBOUNDED

    def test_a_count_is_of_the_request_that_would_be_sent(self) -> None:
        """The count sees the input, tools and schema, and nothing that only generation takes."""
        transport = answering({"input_tokens": 41})
        request = asking("q", tools=(SEARCH,), output=ANSWER, effort="low", temperature=None)
        assert asyncio.run(MODEL.count(request, transport)) == 41
        assert transport.request.keys() == {"model", "tools", "text", "reasoning", "input"}

    def test_no_count_is_none_and_a_wrong_key_is_an_error(self) -> None:
        """Where nothing can be counted the bound stands; a refused key is said at once."""
        for body, status in (({"input_tokens": 1}, 404), ({}, 200), (b"<html>", 200), ({}, 429)):
            assert asyncio.run(MODEL.count(asking(), answering(body, status))) is None
        assert asyncio.run(MODEL.count(asking(extra={"tools": [{"type": "web_search"}]}), answering({}))) is None
        with pytest.raises(AuthFailed, match="OPENAI_API_KEY"):
            asyncio.run(MODEL.count(asking(), answering({}, 401)))


RECORDED = [*recorded("openai", "responses"), *recorded("openai", "chat/completions")]


@pytest.mark.parametrize("recording", [p for p in RECORDED if p.values[0] is None or p.values[0].status == 200])
def test_newer_members_never_break_parsing(recording: Interaction) -> None:
    """A recorded answer with an unknown member in every object reads the same."""

    def grown(value: Any) -> Any:
        if isinstance(value, dict):
            return {"brand_new": {"a": [1]}} | {key: grown(inner) for key, inner in value.items()} | {"newer": None}
        return [grown(one) for one in value] if isinstance(value, list) else value

    lines = recording.body.split(b"\n") if recording.streamed else [recording.body]
    out: list[bytes] = []
    for line in lines:
        head, payload = (line[:6], line[6:]) if recording.streamed and line[:6] == b"data: " else (b"", line)
        if payload.strip()[:1] == b"{":
            payload = json.dumps(grown(json.loads(payload))).encode()
        out.append(head + payload)
    changed = Interaction(**{**recording.__dict__, "body": b"\n".join(out)})
    model = OpenAIChat("m", api_key="k") if "chat" in recording.endpoint else OpenAI("m", api_key="k")
    on_text = (lambda _: None) if recording.streamed else None
    old = asyncio.run(model.send(asking(), Playback(recording), on_text))
    new = asyncio.run(model.send(asking(), Playback(changed), on_text))
    assert (new.message.text, new.stop, new.usage) == (old.message.text, old.stop, old.usage)
    assert new.message.tool_calls == old.message.tool_calls
