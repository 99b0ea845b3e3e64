"""The Chat Completions adapter: what it sends to OpenAI and to other servers, and the ways in which those differ."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_requests import answering, asking, sse

from outlay.errors import BadResponse, ConfigError, ContextTooLong, ModelError, RateLimited, ServerError
from outlay.models.openai_chat import OpenAIChat, Structured
from outlay.models.openai_common import UNBOUNDED
from outlay.values.content import File, Image, ProviderBlock, Text, ToolCall, ToolResult
from outlay.values.message import Message
from outlay.values.price import Price
from outlay.values.request import ModelRequest, ModelResponse, OutputSpec, ToolSpec

SEARCH = ToolSpec(
    "search",
    "Find things.",
    '{"type":"object","properties":{"q":{"type":"string"}},"required":["q"]}',
)
ANSWER = OutputSpec("answer", '{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}')
OFFICIAL = OpenAIChat("gpt-4o", api_key="key-0123456789")
LOCAL = OpenAIChat("qwen3:8b", base_url="http://localhost:11434/v1")


def completion(message: dict[str, Any], finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    return {"model": "m-1", "choices": [{"index": 0, "message": message, "finish_reason": finish}], **more}


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"model": "m-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def call(function: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": function, **more}


def sent(request: ModelRequest, model: OpenAIChat = OFFICIAL, *, streamed: bool = False) -> dict[str, Any]:
    transport = answering([chunk({"content": "x"}, "stop")] if streamed else completion({"content": "x"}))
    asyncio.run(model.send(request, transport, (lambda _: None) if streamed else None))
    return transport.request


def received(body: Any, *, model: OpenAIChat = LOCAL, streamed: bool | None = None) -> ModelResponse:
    streamed = isinstance(body, list) if streamed is None else streamed
    return asyncio.run(model.send(asking(), answering(body), (lambda _: None) if streamed else None))


class TestRequests:
    def test_a_plain_question_to_openai(self) -> None:
        """The system stands first, and the cap goes by OpenAI's present name."""
        assert sent(asking("hi", system=("Be brief.", "Be kind."))) == {
            "model": "gpt-4o",
            "messages": [{"role": "system", "content": "Be brief.\n\nBe kind."}, {"role": "user", "content": "hi"}],
            "max_completion_tokens": 1024,
            "stream": False,
        }

    def test_a_plain_question_to_another_server(self) -> None:
        """Other servers know the cap as max_tokens and get no key."""
        transport = answering(completion({"content": "x"}))
        asyncio.run(LOCAL.send(asking("hi"), transport))
        url, headers, _ = transport.sent[0]
        assert url == "http://localhost:11434/v1/chat/completions"
        assert "authorization" not in headers
        assert transport.request == {
            "model": "qwen3:8b",
            "messages": [{"role": "user", "content": "hi"}],
            "max_tokens": 1024,
            "stream": False,
        }

    def test_reasoning_models_of_openai_take_a_developer_message(self) -> None:
        """The instructions of a reasoning model are a developer message."""
        assert sent(asking(system=("s",)), OpenAIChat("gpt-5.4", api_key="k"))["messages"][0]["role"] == "developer"

    def test_a_stream_asks_for_its_usage(self) -> None:
        """Without asking, a stream would not say what it cost."""
        assert sent(asking(), streamed=True)["stream_options"] == {"include_usage": True}

    def test_a_server_that_takes_no_stream_options_gets_none(self) -> None:
        """extra may leave the member out."""
        assert "stream_options" not in sent(asking(extra={"stream_options": None}), LOCAL, streamed=True)
        assert "stream_options" not in sent(asking(extra={"stream_options": None}), LOCAL)

    def test_settings_reach_the_body(self) -> None:
        """Each setting goes out under OpenAI's name."""
        body = sent(asking(temperature=0.1, top_p=0.2, seed=3, stop=("a", "b"), extra={"logit_bias": {"1": 2}}))
        expected = {"temperature": 0.1, "top_p": 0.2, "seed": 3, "stop": ["a", "b"], "logit_bias": {"1": 2}}
        assert {key: body[key] for key in expected} == expected
        assert sent(asking(effort="low"), LOCAL)["reasoning_effort"] == "low"

    @pytest.mark.parametrize(
        ("choice", "expected"),
        [("auto", "auto"), ("none", "none"), ("search", {"type": "function", "function": {"name": "search"}})],
    )
    def test_a_tool_choice_is_put_in_the_protocols_way(self, choice: str, expected: Any) -> None:
        """Words stay words, a name becomes an object."""
        assert sent(asking(tools=(SEARCH,), tool_choice=choice))["tool_choice"] == expected

    def test_a_tool_choice_without_tools_is_not_sent(self) -> None:
        """OpenAI refuses the member where there is nothing to choose from."""
        assert "tool_choice" not in sent(asking(tool_choice="none"))

    def test_strict_tools_are_for_openai_alone(self) -> None:
        """Other servers may not know the member."""
        assert sent(asking(tools=(SEARCH,)))["tools"][0]["function"]["strict"] is True
        assert "strict" not in sent(asking(tools=(SEARCH,)), LOCAL)["tools"][0]["function"]

    @pytest.mark.parametrize(
        ("structured", "format", "told"),
        [("json_schema", "json_schema", False), ("json_object", "json_object", True), ("prompt", None, True)],
    )
    def test_an_output_type_asks_for_summary_as_the_server_can(
        self, structured: Structured, format: str | None, told: bool
    ) -> None:
        """By schema, by JSON mode with the schema in the prompt, or in the prompt alone."""
        model = OpenAIChat("m", base_url="http://localhost/v1", structured=structured)
        body = sent(asking("q", system=("s",), output=ANSWER), model)
        assert body.get("response_format", {}).get("type") == format
        assert (ANSWER.schema in body["messages"][0]["content"]) is told

    def test_a_conversation_with_tools_goes_back(self) -> None:
        """Calls stand with the assistant's text, each result is a message of its own, what a user adds comes after."""
        turn = (
            Message("assistant", (Text("wait"), ToolCall("c1", "search", "{}"), ToolCall("c2", "search", "{}"))),
            Message(
                "tool",
                (ToolResult("c1", "search", "one"), ToolResult("c2", "search", "bad", is_error=True), Text("and?")),
            ),
        )
        assert sent(asking("q", *turn))["messages"][1:] == [
            {
                "role": "assistant",
                "content": "wait",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "search", "arguments": "{}"}},
                    {"id": "c2", "type": "function", "function": {"name": "search", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "one"},
            {"role": "tool", "tool_call_id": "c2", "content": "Error: bad"},
            {"role": "user", "content": "and?"},
        ]

    def test_arguments_that_are_no_json_do_not_break_the_next_turn(self) -> None:
        """Servers that parse arguments get an object that shows what the model wrote; OpenAI gets the text."""
        turn = Message("assistant", (ToolCall("c", "search", '{"q": '),))
        arguments = [
            sent(asking("q", turn), model)["messages"][1]["tool_calls"][0]["function"]["arguments"]
            for model in (OFFICIAL, LOCAL)
        ]
        assert arguments[0] == '{"q": '
        assert json.loads(arguments[1]) == {"invalid_json": '{"q": '}

    def test_pictures_and_documents_are_content(self) -> None:
        """Pictures go as URLs, documents as data or by id; a document by address is refused before sending."""
        parts = (Text("see"), Image(data=b"GIF89a"), File(data=b"%PDF", name="a.pdf"), File(file_id="file-1"))
        assert sent(asking(Message("user", parts)))["messages"][0]["content"] == [
            {"type": "text", "text": "see"},
            {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lGODlh"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}},
            {"type": "file", "file": {"file_id": "file-1"}},
        ]
        with pytest.raises(ConfigError, match="by address"):
            sent(asking(Message("user", (File(url="https://x.example/a.pdf"),))))

    @given(
        st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=4), st.text(st.characters(codec="utf-8"))
    )
    def test_a_longer_conversation_has_the_shorter_ones_bytes_as_its_prefix(self, texts: list[str], more: str) -> None:
        """Appending a message never changes the bytes before it, so a server's prefix cache holds."""
        bodies: list[bytes] = []
        for said in (texts, [*texts, more]):
            transport = answering(completion({"content": "x"}))
            asyncio.run(LOCAL.send(asking(*said, system=("s",), tools=(SEARCH,)), transport))
            bodies.append(transport.sent[0][2])
        assert bodies[1].startswith(bodies[0][: bodies[0].rindex(b'],"max_tokens"')])


class TestServers:
    def test_the_environments_key_goes_only_where_the_environment_says(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """OPENAI_API_KEY is sent to OpenAI and to OPENAI_BASE_URL, never to an address given in code."""
        monkeypatch.setenv("OPENAI_API_KEY", "from-env")

        def key(model: OpenAIChat) -> str | None:
            transport = answering(completion({"content": "x"}))
            asyncio.run(model.send(asking(), transport))
            return transport.sent[0][1].get("authorization")

        assert key(OpenAIChat("m")) == "Bearer from-env"
        assert key(OpenAIChat("m", base_url="https://eu.api.openai.com/v1")) == "Bearer from-env"
        assert key(OpenAIChat("m", base_url="https://elsewhere.example/v1")) is None
        assert key(OpenAIChat("m", base_url="https://elsewhere.example/v1", api_key="own")) == "Bearer own"
        monkeypatch.setenv("OPENAI_BASE_URL", "https://gateway.example/v1")
        assert key(OpenAIChat("m")) == "Bearer from-env"

    def test_limits_and_prices_count_by_server(self) -> None:
        """At OpenAI the list price holds; another server's price is its own, and unknown unless the book has it."""
        asked: list[tuple[str, str]] = []

        class Book:
            def find(self, provider: str, model: str) -> Price | None:
                asked.append((provider, model))
                return Price.per_million(1, 1) if provider == "openai" else None

        assert OFFICIAL.price(Book()) == Price.per_million(1, 1)
        assert LOCAL.price(Book()) is None
        assert asked[2:] == [("openai-chat", "qwen3:8b"), ("localhost", "qwen3:8b")]
        assert (OFFICIAL.provider, LOCAL.provider) == ("openai-chat", "localhost")
        assert (LOCAL.id, LOCAL.dialect) == ("openai-chat:qwen3:8b", "openai-chat")
        assert "key-0123456789" not in repr(OFFICIAL)

    @pytest.mark.parametrize(
        ("model", "settings", "names"),
        [
            (OpenAIChat("o3", api_key="k"), {"stop": ("x",)}, "stop"),
            (OFFICIAL, {"stop": ("a", "b", "c", "d", "e")}, "at most 4"),
            (OFFICIAL, {"effort": "low"}, "effort"),
            (OpenAIChat("gpt-5", api_key="k"), {"temperature": 0.0}, "temperature"),
            (LOCAL, {"thinking": 100}, "thinking"),
            (LOCAL, {"extra": {"n": 3}}, "n"),
            (LOCAL, {"extra": {"response_format": {}}}, "response_format"),
            (LOCAL, {"tool_choice": "required"}, "required"),
            (OpenAIChat("m", base_url="nowhere"), {}, "nowhere"),
        ],
    )
    def test_what_cannot_be_kept_is_refused_before_anything_is_spent(
        self, model: OpenAIChat, settings: dict[str, Any], names: str
    ) -> None:
        """A setting that the model or server lacks is a ConfigError that names it."""
        request = asking(output=ANSWER, **settings)
        with pytest.raises(ConfigError, match=names):
            model.check(request.prelude, request.settings, 1024)

    def test_only_openai_needs_a_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ollama and its like run without one."""
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        request = asking(temperature=0.0, effort="minimal", stop=("x",) * 9)
        LOCAL.check(request.prelude, request.settings, 1)
        with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
            OpenAIChat("gpt-4o").check(asking().prelude, asking().settings, 1)

    def test_there_is_a_bound_but_no_count(self) -> None:
        """The protocol counts nothing; a search by the server has no bound."""
        assert asyncio.run(LOCAL.count(asking(), answering({}))) is None
        assert LOCAL.bound(asking("x" * 500)) >= 500
        assert OFFICIAL.bound(asking(extra={"web_search_options": {}})) == UNBOUNDED


class TestAnswers:
    @pytest.mark.parametrize(
        ("finish", "message", "stop"),
        [
            ("stop", {"content": "x"}, "end"),
            ("length", {"content": "x"}, "length"),
            ("content_filter", {"content": "x"}, "refusal"),
            ("stop", {"content": None, "refusal": "I cannot."}, "refusal"),
            ("tool_calls", {"tool_calls": [call({"name": "f", "arguments": "{}"}, id="a")]}, "tool"),
            ("stop", {"tool_calls": [call({"name": "f", "arguments": "{}"}, id="a")]}, "tool"),
            ("length", {"tool_calls": [call({"name": "f", "arguments": '{"a'}, id="a")]}, "length"),
            ("function_call", {"function_call": {"name": "f", "arguments": "{}"}}, "tool"),
            ("eos", {"content": "x"}, "end"),
            (None, {"content": "x"}, "end"),
        ],
    )
    def test_a_finish_reason_is_put_in_our_words(self, finish: str | None, message: dict[str, Any], stop: str) -> None:
        """Calls mean tool whatever the server calls the end; refusals and cuts are never a success."""
        answer = received(completion(message, finish))
        assert (answer.stop, answer.raw_stop) == (stop, finish or "")

    @pytest.mark.parametrize("finish", ["error", "abort", "insufficient_system_resource"])
    def test_an_answer_that_the_server_gave_up_is_broken(self, finish: str) -> None:
        """Some servers report a failure as a finish reason."""
        with pytest.raises(BadResponse, match=finish):
            received(completion({"content": "half"}, finish))

    def test_arguments_that_come_as_an_object_become_their_text(self) -> None:
        """Ollama once gave the parsed object; none at all means no arguments."""
        calls = [call({"name": "f", "arguments": {"a": [1]}}, id="a"), call({"name": "g"}, id="b")]
        answer = received(completion({"tool_calls": calls}, "tool_calls"))
        assert [c.arguments for c in answer.message.tool_calls] == ['{"a":[1]}', "{}"]

    def test_calls_without_ids_get_ids_that_a_replay_gives_again(self) -> None:
        """Made-up ids differ within the conversation and depend on nothing but the place in it."""
        body = completion({"tool_calls": [call({"name": "f"}), call({"name": "f"}, id=""), call({"name": "f"})]})
        first, again = received(body), received(body)
        ids = [c.id for c in first.message.tool_calls]
        assert len(set(ids)) == 3
        assert ids == [c.id for c in again.message.tool_calls]
        turn = asking("q", first.message, "go on")
        later = asyncio.run(LOCAL.send(turn, answering(body)))
        assert not {c.id for c in later.message.tool_calls} & set(ids)

    @pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": 1, "completion_tokens": None}])
    def test_servers_that_report_no_usage_leave_it_unknown(self, usage: Any) -> None:
        """No report is None, not zero."""
        assert received(completion({"content": "x"}, usage=usage)).usage is None

    def test_cached_tokens_are_taken_out_of_the_prompt(self) -> None:
        """The buckets are disjoint, and null details are no details."""
        usage = {"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 8}}
        found = received(completion({"content": "x"}, usage=usage)).usage
        assert found is not None
        assert (found.input_tokens, found.cache_read_tokens, found.output_tokens) == (2, 8, 2)
        bare = received(completion({"content": "x"}, usage={**usage, "prompt_tokens_details": None})).usage
        assert bare is not None
        assert bare.input_tokens == 10

    @pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
    def test_thinking_beside_the_content_is_kept_and_sent_back(self, name: str) -> None:
        """DeepSeek, vLLM and Ollama give the thinking in a member of their own, and get it back there."""
        whole = received(completion({name: "I think", "content": "so"}))
        pieces = received([chunk({name: "I "}), chunk({name: "think"}), chunk({"content": "so"}, "stop")])
        assert whole.message.parts == pieces.message.parts
        assert whole.message.thinking == "I think"
        assert whole.message.text == "so"
        back = sent(asking("q", whole.message), LOCAL)["messages"][1]
        assert back == {"role": "assistant", "content": "so", name: "I think"}
        assert sent(asking("q", whole.message), OFFICIAL)["messages"][1] == {"role": "assistant", "content": "so"}

    def test_what_a_server_puts_beside_a_call_is_sent_back_with_it(self) -> None:
        """Gemini's compatible endpoint refuses a call without the signature that it gave."""
        signed = {"extra_content": {"google": {"thought_signature": "s=="}}}
        calls = [
            call({"name": "f", "arguments": "{}"}, id="a", **signed),
            call({"name": "g", "arguments": "{}"}, id="b"),
        ]
        answer = received(completion({"tool_calls": calls}, "tool_calls"))
        assert sent(asking("q", answer.message), LOCAL)["messages"][1]["tool_calls"] == calls
        assert "extra_content" not in json.dumps(sent(asking("q", answer.message), OFFICIAL))

    def test_content_in_parts_is_their_text(self) -> None:
        """Mistral's reasoning models give a list."""
        parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "yes"}]
        assert received(completion({"content": parts})).message.text == "yes"

    def test_blocks_of_other_dialects_stay_here(self) -> None:
        """Another provider's blocks mean nothing to this server."""
        turn = Message("assistant", (ProviderBlock("openai", "reasoning", "{}", "t"), Text("a")))
        assert sent(asking("q", turn), LOCAL)["messages"][1] == {"role": "assistant", "content": "a"}


class TestStreams:
    def test_pieces_of_parallel_calls_are_put_together(self) -> None:
        """Pieces find their call by index; names and ids come once."""
        found = received(
            [
                chunk({"tool_calls": [call({"name": "f", "arguments": ""}, index=0, id="a")]}),
                chunk({"tool_calls": [call({"name": "g", "arguments": '{"x"'}, index=1, id="b")]}),
                chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
                chunk({"tool_calls": [{"index": 1, "function": {"arguments": ":1}"}}]}),
                chunk({}, "tool_calls"),
            ]
        )
        assert found.message.tool_calls == (ToolCall("a", "f", "{}"), ToolCall("b", "g", '{"x":1}'))

    @pytest.mark.parametrize("index", [{}, {"index": 0}])
    def test_calls_are_told_apart_without_a_useful_index(self, index: dict[str, int]) -> None:
        """Some servers leave the index out, or give 0 to every call: a new id with a name is a new call."""
        found = received(
            [
                chunk({"tool_calls": [call({"name": "f", "arguments": '{"a":1}'}, id="a", **index)]}),
                chunk({"tool_calls": [call({"name": "f", "arguments": "{"}, id="b", **index)]}),
                chunk({"tool_calls": [{"function": {"arguments": "}"}, **index}]}),
                chunk({}, "stop"),
            ]
        )
        assert found.message.tool_calls == (ToolCall("a", "f", '{"a":1}'), ToolCall("b", "f", "{}"))
        assert found.stop == "tool"

    def test_the_usage_may_come_with_the_last_piece_after_it_or_not_at_all(self) -> None:
        """All three are in use; only the last means that the cost is unknown."""
        usage = {"prompt_tokens": 3, "completion_tokens": 1}
        with_it = received([chunk({"content": "x"}, "stop", usage=usage), "[DONE]"])
        after_it = received([chunk({"content": "x"}, "stop"), {"choices": [], "usage": usage}, "[DONE]"])
        without = received([chunk({"content": "x"}, "stop", usage=None)])
        assert with_it.usage == after_it.usage
        assert after_it.usage is not None
        assert without.usage is None

    async def test_a_stream_that_stops_before_its_finish_reason_is_no_answer(self) -> None:
        """Cut anywhere before the finish reason is complete, a stream is a BadResponse; after it, it is an answer."""
        head = sse(chunk({"role": "assistant", "content": ""}), chunk({"content": "é"}), chunk({}, "stop"))
        whole = head + sse({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}, "[DONE]")
        for end in range(len(whole) + 1):
            if end < len(head) - 1:
                with pytest.raises(BadResponse) as caught:
                    await LOCAL.send(asking(), answering(whole[:end]), lambda _: None)
                assert caught.value.may_be_billed
            elif end >= len(head):
                assert (await LOCAL.send(asking(), answering(whole[:end]), lambda _: None)).message.text == "é"

    def test_what_breaks_after_the_answer_costs_the_usage_and_not_the_answer(self) -> None:
        """A complete answer is kept although its usage report got lost."""
        found = received([chunk({"content": "x"}, "stop"), '{"choices": [], "usa'])
        assert (found.message.text, found.usage) == ("x", None)

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            ({"code": 429, "message": "slow"}, RateLimited),
            ({"code": "502", "message": "upstream"}, ServerError),
            ({"code": "²", "message": "no number"}, ServerError),
            ({"code": "9" * 5000, "message": "no status"}, ServerError),
            ({"type": "server_error", "message": "oops"}, ServerError),
            ("plain words", ServerError),
        ],
    )
    def test_an_error_inside_a_stream_is_a_typed_error(self, error: Any, kind: type[ModelError]) -> None:
        """It may be billed only once the model had begun to answer."""
        for before, billed in (([], False), ([chunk({"content": "a"})], True)):
            with pytest.raises(kind) as caught:
                received([*before, {"error": error}])
            assert type(caught.value) is kind
            assert caught.value.may_be_billed is billed

    @pytest.mark.parametrize("streamed", [False, True])
    def test_an_error_in_the_place_of_an_answer_is_a_typed_error(self, streamed: bool) -> None:
        """Older vLLM servers report it so, under a 200, in a stream and without."""
        error = {"object": "error", "message": "the prompt is too long", "type": "BadRequestError", "code": 400}
        with pytest.raises(ContextTooLong, match="too long") as caught:
            received([error, "[DONE]"] if streamed else error, streamed=streamed)
        assert not caught.value.may_be_billed

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html></html>",
            b"{}",
            b'{"choices":[]}',
            b'{"choices":null}',
            b"[]",
            b'{"choices":[{"message":{"content":"\xff"}}]}',
        ],
    )
    @pytest.mark.parametrize("streamed", [False, True])
    def test_a_body_that_is_no_answer_was_probably_billed(self, body: bytes, streamed: bool) -> None:
        """A 200 that cannot be read is a BadResponse that keeps its reservation."""
        with pytest.raises(BadResponse) as caught:
            received(body, streamed=streamed)
        assert caught.value.may_be_billed
