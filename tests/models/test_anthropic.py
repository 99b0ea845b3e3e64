"""What `Anthropic` sends, what it refuses to send, and how it reads what recordings do not show."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest

from outlay.errors import AuthFailed, BadResponse, ConfigError, ModelTimeout, Overloaded, RateLimited
from outlay.models.anthropic import UNBOUNDED, Anthropic
from outlay.protocols.model import Model
from outlay.protocols.transport import HttpReply, Timeouts, Transport
from outlay.values.content import File, Image, ProviderBlock, Text, ToolCall, ToolResult
from outlay.values.message import Message, user
from outlay.values.price import Price
from outlay.values.request import ContextEdit, ModelRequest, ModelResponse, OutputSpec, Prelude, ToolSpec
from outlay.values.settings import ModelSettings
from outlay.values.transcript import EMPTY
from outlay.values.usage import Usage

DEFAULT = Timeouts()
KEY = "sk-ant-test-0123456789"
HAIKU = Anthropic("claude-haiku-4-5", api_key=KEY)
ADD = ToolSpec("add", "Add two numbers.", '{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}')
ANSWER = {
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5-20251001",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 8, "output_tokens": 2},
}


@dataclass
class Fake:
    """A Transport with one answer; a stream comes in pieces, and may end in an error."""

    body: bytes | list[bytes] = field(default_factory=lambda: json.dumps(ANSWER).encode())
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    breaks: Exception | None = None
    sent: list[tuple[str, Mapping[str, str], bytes, Timeouts]] = field(default_factory=list)

    @property
    def request(self) -> Any:
        return json.loads(self.sent[-1][2])

    @property
    def whole(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else b"".join(self.body)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, timeouts: Timeouts = DEFAULT) -> HttpReply:
        self.sent.append((url, headers, body, timeouts))
        if self.breaks is not None:
            raise self.breaks
        return HttpReply(self.status, self.headers, self.whole)

    @asynccontextmanager
    async def stream(
        self, url: str, headers: Mapping[str, str], body: bytes, timeouts: Timeouts = DEFAULT
    ) -> AsyncIterator[Fake]:
        self.sent.append((url, headers, body, timeouts))
        yield self

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self.body if isinstance(self.body, list) else [self.body]:
            yield piece
        if self.breaks is not None:
            raise self.breaks

    async def read(self) -> bytes:
        return self.whole


def sse(*events: dict[str, Any]) -> list[bytes]:
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


START = {"type": "message_start", "message": {"model": "m-1", "usage": {"input_tokens": 9, "output_tokens": 1}}}
TEXT = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
HEL = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}}
LO = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}}
END = {"type": "content_block_stop", "index": 0}
DELTA = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}}
STOP = {"type": "message_stop"}


def ask(*messages: Message | str, **changes: Any) -> ModelRequest:
    conversation = EMPTY.append(*(user(one) if isinstance(one, str) else one for one in messages or ("Hi",)))
    return replace(ModelRequest("a", "a", Prelude(), conversation, 1024), **changes)


async def sent(request: ModelRequest, model: Anthropic = HAIKU) -> Any:
    fake = Fake()
    await model.send(request, fake)
    return fake.request


async def content(*parts: Any, role: Any = "user") -> Any:
    """The blocks that a message of these parts is sent as."""
    return (await sent(ask(Message(role, parts))))["messages"][0]["content"]


async def streamed(*pieces: bytes, **changes: Any) -> tuple[ModelResponse, list[str]]:
    seen: list[str] = []
    return await HAIKU.send(ask(), Fake(list(pieces), **changes), seen.append), seen


def is_a_model(model: Model, transport: Transport) -> None:
    """For the type checker: the adapter and the fake fit the protocols."""


is_a_model(HAIKU, Fake())


# ── what is sent ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_request_in_full() -> None:
    """System, tools, output schema, settings and messages stand where the Messages API wants them."""
    prelude = Prelude(
        ("Be brief.", "  "), (ADD,), OutputSpec("out", '{"type":"object","properties":{"n":{"type":"integer"}}}')
    )
    settings = ModelSettings(
        effort="low", thinking="adaptive", stop=("END",), tool_choice="add", extra={"metadata": {"user_id": "u"}}
    )
    fake = Fake()
    model = Anthropic("claude-sonnet-4-6", api_key=KEY)
    await model.send(ask("Hi", prelude=prelude, settings=settings), fake)
    assert fake.request == {
        "model": "claude-sonnet-4-6",
        "system": [{"type": "text", "text": "Be brief."}],
        "tools": [{"name": "add", "description": "Add two numbers.", "input_schema": json.loads(ADD.schema)}],
        "tool_choice": {"type": "tool", "name": "add"},
        "output_config": {
            "format": {
                "type": "json_schema",
                "schema": {
                    "type": "object",
                    "properties": {"n": {"type": "integer"}},
                    "additionalProperties": False,
                },
            },
            "effort": "low",
        },
        "thinking": {"type": "adaptive"},
        "metadata": {"user_id": "u"},
        "stop_sequences": ["END"],
        "max_tokens": 1024,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    }
    url, headers, _, timeouts = fake.sent[0]
    assert url == "https://api.anthropic.com/v1/messages"
    assert headers == {"content-type": "application/json", "anthropic-version": "2023-06-01", "x-api-key": KEY}
    assert timeouts == Timeouts()


async def test_the_prefix_of_a_conversation_stays_the_same_bytes() -> None:
    """The next turn's body begins with the whole of this turn's, so the provider's prompt cache holds."""
    prelude = Prelude(("Be brief.",), (ADD,))
    first, second = Fake(), Fake()
    request = ask("Hi", prelude=prelude)
    response = await HAIKU.send(request, first)
    longer = request.transcript.append(response.message, user("Go on"))
    await HAIKU.send(replace(request, transcript=longer), second)
    assert second.sent[0][2].startswith(first.sent[0][2].removesuffix(b"]}"))


async def test_tool_results_come_first_in_a_user_message() -> None:
    """The provider demands it; what else the message holds follows."""
    parts = (Text("And now?"), ToolResult("t1", "add", "3"), ToolResult("t2", "add", "", is_error=True))
    request = ask("Hi", Message("assistant", (ToolCall("t1", "add", '{"a": 1}'),)), Message("tool", parts))
    messages = (await sent(request))["messages"]
    assert messages[1] == {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}}],
    }
    assert messages[2] == {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "t1", "content": "3"},
            {"type": "tool_result", "tool_use_id": "t2", "is_error": True},
            {"type": "text", "text": "And now?"},
        ],
    }


async def test_blocks_of_other_providers_are_dropped() -> None:
    """Encrypted reasoning of one provider means nothing to another; a message of nothing else is left out."""
    foreign = ProviderBlock("openai", "reasoning", '{"type":"reasoning"}')
    own = ProviderBlock("anthropic", "thinking", '{"type":"thinking","thinking":"","signature":"s"}')
    request = ask("Hi", Message("assistant", (foreign,)), Message("assistant", (foreign, own, Text("ok"))))
    assert [message["content"] for message in (await sent(request))["messages"]] == [
        [{"type": "text", "text": "Hi"}],
        [{"type": "thinking", "thinking": "", "signature": "s"}, {"type": "text", "text": "ok"}],
    ]


async def test_ids_of_other_providers_are_made_to_fit() -> None:
    """Call and result keep pointing at each other."""
    request = ask(
        "Hi", Message("assistant", (ToolCall("call|1", "f", ""),)), Message("tool", (ToolResult("call|1", "f", "x"),))
    )
    messages = (await sent(request))["messages"]
    assert messages[1]["content"][0]["id"] == messages[2]["content"][0]["tool_use_id"] == "call_1"
    assert messages[1]["content"][0]["input"] == {}


async def test_arguments_that_are_no_object_are_shown_to_the_model() -> None:
    """The API wants an object; the broken text goes into one, so that the model can see what it wrote."""
    (block,) = await content(ToolCall("t", "f", '{"a": '), role="assistant")
    assert block["input"] == {"INVALID_JSON": '{"a": '}


async def test_blank_texts_are_left_out() -> None:
    """The API refuses them, and the model itself writes them before a tool call."""
    assert await content(Text("\n\n"), Text("x"), role="assistant") == [{"type": "text", "text": "x"}]
    assert await content(Text("")) == [{"type": "text", "text": ""}]


async def test_half_a_character_does_not_break_a_request() -> None:
    """A lone surrogate cannot be encoded and becomes a question mark."""
    body = await sent(ask(prelude=Prelude(("a\ud83db",))))
    assert body["system"] == [{"type": "text", "text": "a?b"}]


async def test_pictures_and_documents() -> None:
    """By bytes, by address and by id; text files as text documents."""
    png = b"\x89PNG\r\n\x1a\nxx"
    found = await content(
        Image(data=png),
        Image(url="https://example.org/a.png"),
        File(data=b"%PDF-1.4", name="a.pdf"),
        File(url="https://example.org/a.pdf"),
        File(file_id="file_1"),
        File(data="né".encode(), name="a.csv", media_type="text/csv; charset=utf-8"),
        File(data=png, media_type="image/png"),
    )
    assert found == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgp4eA=="}},
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQ="},
            "title": "a.pdf",
        },
        {"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "né"}, "title": "a.csv"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgp4eA=="}},
    ]


async def test_a_file_that_no_model_reads_is_refused_before_sending() -> None:
    """`bound` runs before anything is reserved, and says so too."""
    request = ask(Message("user", (File(data=b"PK", name="a.zip", media_type="application/zip"),)))
    with pytest.raises(ConfigError, match=r"application/zip \(a\.zip\)"):
        HAIKU.bound(request)


@pytest.mark.parametrize(
    ("model", "settings", "expected"),
    [
        ("claude-haiku-4-5", ModelSettings(thinking=2048), {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        ("claude-haiku-4-5", ModelSettings(thinking="off"), {}),
        ("claude-opus-4-7", ModelSettings(thinking="off"), {}),
        ("claude-sonnet-5", ModelSettings(thinking="off"), {"thinking": {"type": "disabled"}}),
        ("claude-opus-4-8", ModelSettings(thinking="adaptive"), {"thinking": {"type": "adaptive"}}),
        ("claude-opus-4-8", ModelSettings(effort="xhigh"), {"output_config": {"effort": "xhigh"}}),
        ("claude-haiku-4-5", ModelSettings(temperature=0.5), {"temperature": 0.5}),
        ("claude-haiku-4-5", ModelSettings(top_p=0.9), {"top_p": 0.9}),
        ("claude-haiku-4-5", ModelSettings(extra={"speed": "fast"}), {"speed": "fast"}),
        (
            "claude-opus-4-8",
            ModelSettings(effort="low", extra={"output_config": {"task_budget": {"total": 9}}}),
            {"output_config": {"effort": "low", "task_budget": {"total": 9}}},
        ),
    ],
)
async def test_settings_on_the_wire(model: str, settings: ModelSettings, expected: Any) -> None:
    """Each setting in the provider's spelling, per model; `extra` as it is."""
    plain = {"model", "max_tokens", "messages"}
    body = await sent(ask(settings=settings, max_output_tokens=4096), Anthropic(model, api_key=KEY))
    assert {name: value for name, value in body.items() if name not in plain} == expected


@pytest.mark.parametrize(
    ("choice", "expected"),
    [("auto", {"type": "auto"}), ("none", {"type": "none"}), ("required", {"type": "any"}), (None, None)],
)
async def test_tool_choices(choice: str | None, expected: Any) -> None:
    """Our words for the provider's; no tools, no choice."""
    settings = ModelSettings(tool_choice=choice)
    assert (await sent(ask(prelude=Prelude((), (ADD,)), settings=settings))).get("tool_choice") == expected
    assert "tool_choice" not in await sent(ask(settings=ModelSettings(tool_choice="auto")))


async def test_server_tools_stand_beside_ours() -> None:
    """`extra={"tools": …}` is how the provider's own tools are asked for."""
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 1}
    body = await sent(ask(prelude=Prelude((), (ADD,)), settings=ModelSettings(extra={"tools": [search]})))
    assert [tool["name"] for tool in body["tools"]] == ["add", "web_search"]
    assert (await sent(ask(settings=ModelSettings(extra={"tools": [search]}))))["tools"] == [search]


async def test_where_and_as_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Key and address come from the environment unless given; headers override."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", " sk-env \n")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://localhost:9/v1/")
    fake = Fake()
    await Anthropic("m").send(ask(), fake)
    assert (fake.sent[0][0], fake.sent[0][1]["x-api-key"]) == ("http://localhost:9/v1/messages", "sk-env")
    other = Anthropic("m", api_key="k", base_url="http://other", headers={"Anthropic-Version": "2026-10-21"})
    await other.send(ask(), fake)
    url, headers, _, _ = fake.sent[1]
    assert (url, headers["anthropic-version"]) == ("http://other/v1/messages", "2026-10-21")


def test_who_it_is() -> None:
    """Names for bills and limits; a key is never shown; the price is asked for by provider and name."""
    assert (HAIKU.id, HAIKU.provider, HAIKU.dialect) == ("anthropic:claude-haiku-4-5", "anthropic", "anthropic")
    assert KEY not in repr(Anthropic("m", api_key=KEY, headers={"authorization": f"Bearer {KEY}"}))
    assert hash(HAIKU) == hash(Anthropic("claude-haiku-4-5", api_key=KEY))

    class Book:
        def find(self, provider: str, model: str) -> Price | None:
            return Price.per_million(1, 5) if (provider, model) == ("anthropic", "claude-haiku-4-5") else None

    price = HAIKU.price(Book())
    assert price is not None
    assert price.rates.output == Decimal(5)


# ── what is refused before anything is spent ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("model", "settings", "said"),
    [
        ("claude-haiku-4-5", ModelSettings(seed=1), "has no seed"),
        ("claude-haiku-4-5", ModelSettings(effort="high"), "has no effort setting"),
        ("claude-opus-4-6", ModelSettings(effort="xhigh"), "knows the efforts low, medium, high, max, not 'xhigh'"),
        ("claude-opus-4-8", ModelSettings(effort="none"), "not 'none'"),
        ("claude-haiku-4-5", ModelSettings(thinking="adaptive"), "has no adaptive thinking"),
        ("claude-haiku-4-5", ModelSettings(thinking=512), "1,024 tokens or more, not 512"),
        (
            "claude-haiku-4-5",
            ModelSettings(thinking=4096),
            "cannot think for 4,096 tokens within an output cap of 4,096",
        ),
        ("claude-opus-4-8", ModelSettings(thinking=2048), "takes no thinking budget"),
        ("claude-fable-5-2", ModelSettings(thinking="off"), "always thinks"),
        ("claude-opus-5", ModelSettings(thinking="off", effort="max"), "needs thinking for effort='max'"),
        ("claude-opus-4-7", ModelSettings(temperature=0.5), "takes no temperature"),
        ("claude-sonnet-5-5", ModelSettings(top_p=0.5), "takes no top_p"),
        ("claude-haiku-4-5", ModelSettings(temperature=1.5), "from 0 to 1, not 1.5"),
        ("claude-haiku-4-5", ModelSettings(temperature=1, top_p=0.9), "temperature or top_p, not both"),
        ("claude-haiku-4-5", ModelSettings(thinking=1024, temperature=0.2), "thinks at temperature 1 only"),
        ("claude-3-7-sonnet-latest", ModelSettings(thinking=1024, top_p=0.2), "top_p of 0.95 or more"),
        ("claude-haiku-4-5", ModelSettings(tool_choice="nope"), "none of its tools: add"),
        ("claude-haiku-4-5", ModelSettings(tool_choice="add", thinking=1024), "while a tool is forced"),
        ("claude-fable-5-1", ModelSettings(tool_choice="required"), "cannot be forced to call a tool"),
        ("claude-haiku-4-5", ModelSettings(extra={"model": "x"}), "gets 'model' from Outlay"),
        ("claude-haiku-4-5", ModelSettings(temperature=1, extra={"temperature": 0}), "gets 'temperature' from Outlay"),
        ("claude-haiku-4-5", ModelSettings(extra={"tools": {}}), "a list as extra['tools']"),
        ("claude-haiku-4-5", ModelSettings(extra={"x": object()}), "cannot be sent this extra="),
        (
            "claude-haiku-4-5",
            ModelSettings(
                extra={"tools": [{"name": f"t{i}", "cache_control": {"type": "ephemeral"}} for i in range(5)]}
            ),
            "takes at most 4 cache breakpoints, extra= has 5",
        ),
    ],
)
def test_a_setting_that_the_model_lacks(model: str, settings: ModelSettings, said: str) -> None:
    """It is named with the model, never dropped."""
    with pytest.raises(ConfigError) as caught:
        Anthropic(model, api_key=KEY).check(Prelude((), (ADD,)), settings, 4096)
    assert said in str(caught.value)
    assert f"anthropic:{model}" in str(caught.value)


@pytest.mark.parametrize(
    ("model", "prelude", "cap", "said"),
    [
        ("claude-haiku-4-5", Prelude(), 64_001, "at most 64,000 tokens"),
        ("claude-3-5-haiku-latest", Prelude((), (), OutputSpec("o", "{}")), 1024, "has no structured outputs"),
        ("claude-haiku-4-5", Prelude((), (ToolSpec("a b", "", "{}"),)), 1024, "takes no tool named 'a b'"),
        (
            "claude-haiku-4-5",
            Prelude((), (), OutputSpec("o", '{"type":"object","additionalProperties":{"type":"string"}}')),
            1024,
            "mapping with free keys",
        ),
        (
            "claude-haiku-4-5",
            Prelude((), (), OutputSpec("o", '{"type":"object","properties":{"x":{"title":"X"}}}')),
            1024,
            "output_type.x may be anything",
        ),
    ],
)
def test_a_prelude_that_the_model_cannot_take(model: str, prelude: Prelude, cap: int, said: str) -> None:
    """Caps, output schemas and names of tools are checked before anything is spent."""
    with pytest.raises(ConfigError) as caught:
        Anthropic(model, api_key=KEY).check(prelude, ModelSettings(), cap)
    assert said in str(caught.value)


def test_tool_choice_without_tools() -> None:
    """Nothing can be called where there is nothing."""
    with pytest.raises(ConfigError, match="has none"):
        HAIKU.check(Prelude(), ModelSettings(tool_choice="required"), 1024)


def test_an_unknown_model_may_do_everything() -> None:
    """What we do not know is the provider's to refuse."""
    model = Anthropic("claude-next", api_key=KEY)
    model.check(Prelude(), ModelSettings(temperature=0.3, top_p=0.3), 500_000)
    model.check(Prelude(), ModelSettings(effort="max", thinking="adaptive"), 500_000)
    model.check(Prelude(), ModelSettings(thinking=10_000), 500_000)


def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable to set is in the message; a header that carries the key is enough."""
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="ANTHROPIC_API_KEY"):
        Anthropic("m").check(Prelude(), ModelSettings(), 1024)
    with pytest.raises(ConfigError, match="another character") as caught:
        Anthropic("m", api_key="sk ant “x”").check(Prelude(), ModelSettings(), 1024)
    assert "“x”" not in str(caught.value)
    Anthropic("m", headers={"Authorization": "Bearer x"}).check(Prelude(), ModelSettings(), 1024)


# ── bounds and counts ─────────────────────────────────────────────────────────────────────────────────────────


def png(width: int, height: int, size: int = 90_000) -> Image:
    return Image(data=b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + bytes(size))


def pictured(*parts: Any, model: str = "claude-haiku-4-5") -> int:
    """What these parts add to the bound, in tokens."""
    wrapped = len('{"type":"image","source":{"type":"base64","media_type":"image/png","data":""}},') * len(parts)
    with_parts, without = ask(Message("user", (Text("x"), *parts))), ask(Message("user", (Text("x"),)))
    adapter = Anthropic(model, api_key=KEY)
    return adapter.bound(with_parts) - adapter.bound(without) - wrapped


def test_the_bound_of_pictures_follows_the_formula() -> None:
    """Not the bytes of a picture count but its area, by whichever published formula gives more, up to the cap."""
    assert pictured(png(750, 100)) == 108  # patches: 27 × 4
    assert pictured(png(1000, 1000)) == 1334  # area / 750
    assert pictured(png(8000, 8000)) == 1600
    assert pictured(png(8000, 8000), model="claude-opus-4-8") == 4784
    assert pictured(Image(data=b"\xff\xd8\xff" + bytes(9000), media_type="image/png")) == 1600


def test_the_bound_of_documents() -> None:
    """Pages where they can be counted; what nobody has seen may fill the window."""
    two = File(data=b"%PDF /Type /Page /Type /Page", name="file")
    assert 2 * (1600 + 3000) <= pictured(two) <= 2 * (1600 + 3000) + 100
    unseen = ask(Message("user", (File(file_id="file_1"),)))
    assert HAIKU.bound(unseen) == 200_000
    assert Anthropic("claude-next", api_key=KEY).bound(unseen) > 1_000_000


def test_the_bound_counts_text_by_its_bytes() -> None:
    """A token is a byte or more of text; tools and output schemas add what the provider adds."""
    assert HAIKU.bound(ask("é" * 5000)) >= 10_000
    plain = HAIKU.bound(ask("x"))
    assert HAIKU.bound(ask("x", prelude=Prelude((), (ADD,)))) >= plain + 800 + len(ADD.schema)


@pytest.mark.parametrize(
    ("extra", "least", "most"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, UNBOUNDED, UNBOUNDED),
        ({"mcp_servers": [{"type": "url", "url": "https://example.org"}]}, UNBOUNDED, UNBOUNDED),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}]}, 600_000, 605_000),
        ({"context_management": {"edits": [{"type": "compact_20260112"}]}}, 400_000, 401_000),
        ({"tools": [{"type": "memory_20250818", "name": "memory"}]}, 4_000, 5_200),
        ({"metadata": {"user_id": "u"}}, 0, 1_000),
    ],
)
def test_where_the_provider_goes_on_by_itself(extra: dict[str, Any], least: int, most: int) -> None:
    """Each step may fill the window again; steps without a declared limit fit no budget."""
    assert least <= HAIKU.bound(ask("x", settings=ModelSettings(extra=extra))) <= most


async def test_counting_is_the_providers() -> None:
    """The same body without cap and sampling; whatever goes wrong is None, but a bad key is said."""
    fake = Fake(b'{"input_tokens": 42, "new": 1}')
    request = ask("Hi", prelude=Prelude(("S",), (ADD,)), settings=ModelSettings(temperature=0.1))
    assert await HAIKU.count(request, fake) == 42
    assert set(fake.request) == {"model", "system", "tools", "messages"}
    assert fake.sent[0][0].endswith("/v1/messages/count_tokens")
    assert await HAIKU.count(request, Fake(b"{}", 400)) is None
    assert await HAIKU.count(request, Fake(b"<html>")) is None
    assert await HAIKU.count(request, Fake(breaks=ModelTimeout("late"))) is None
    with pytest.raises(AuthFailed):
        await HAIKU.count(request, Fake(b"{}", 401))


# ── what comes back ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("end_turn", "end"),
        ("stop_sequence", "end"),
        ("tool_use", "tool"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "refusal"),
        ("pause_turn", "pause"),
        ("something_new", "end"),
    ],
)
async def test_stop_reasons(reason: str, stop: str) -> None:
    """Refusal and length are no success; a new word is kept as it is."""
    response = await HAIKU.send(ask(), Fake(json.dumps({**ANSWER, "stop_reason": reason}).encode()))
    assert (response.stop, response.raw_stop) == (stop, reason)


@pytest.mark.parametrize(
    ("usage", "expected", "tier"),
    [
        (None, None, ""),
        ({}, None, ""),
        ("odd", None, ""),
        ({"input_tokens": 3, "output_tokens": None}, None, ""),
        ({"input_tokens": "many", "output_tokens": 4}, None, ""),
        ({"input_tokens": 3, "output_tokens": -4}, None, ""),
        ({"output_tokens": 4}, None, ""),
        ({"input_tokens": 3, "output_tokens": True}, None, ""),
        ({"input_tokens": 10**400, "output_tokens": 4}, None, ""),
        ({"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": -1}, None, ""),
        ({"input_tokens": 3, "output_tokens": 4, "iterations": [{"input_tokens": "x", "output_tokens": 1}]}, None, ""),
        ({"input_tokens": 3, "output_tokens": 4, "cache_creation_input_tokens": None}, Usage(3, 0, 0, 4), ""),
        (
            {
                "input_tokens": 1,
                "cache_read_input_tokens": 2,
                "cache_creation_input_tokens": 30,
                "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
                "output_tokens": 4,
                "service_tier": "priority",
            },
            Usage(1, 2, 30, 4, 20),
            "priority",
        ),
        (
            {"input_tokens": 1, "output_tokens": 1, "service_tier": "standard", "speed": "fast"},
            Usage(1, 0, 0, 1),
            "fast",
        ),
        (
            {
                "input_tokens": 10,
                "output_tokens": 5,
                "iterations": [
                    {"type": "compaction", "input_tokens": 100, "output_tokens": 50, "cache_creation_input_tokens": 7},
                    {"type": "advisor_message", "model": "other", "input_tokens": 1000, "output_tokens": 1000},
                    {"type": "message", "input_tokens": 10, "output_tokens": 5},
                ],
            },
            Usage(110, 0, 7, 55),
            "",
        ),
    ],
)
async def test_usage(usage: Any, expected: Usage | None, tier: str) -> None:
    """Four disjoint buckets, the report beside them; a missing or garbled report is None, not zero."""
    response = await HAIKU.send(ask(), Fake(json.dumps({**ANSWER, "usage": usage}).encode()))
    assert response.usage == expected
    assert response.tier == tier
    if expected is not None:
        assert response.usage is not None
        assert response.usage.raw == usage


async def test_new_fields_and_blocks_never_break_an_answer() -> None:
    """What was paid for is read; blocks that we do not know are kept and sent back."""
    block = {"type": "hologram", "depth": 3, "text": {"not": "text"}, "id": None}
    body = {**ANSWER, "content": [block, {"type": "text", "text": "x", "new": [1]}], "new": {"a": 1}, "model": None}
    response = await HAIKU.send(ask(), Fake(json.dumps(body).encode()))
    assert response.message.text == "x"
    assert await content(*response.message.parts, role="assistant") == [block, {"type": "text", "text": "x"}]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>Login</body></html>",
        b'{"content": [',
        b'{"type": "error", "error": {"type": "of_a_new_kind", "message": "sorry"}}',
        b'{"content": "text"}',
        b'{"content": [{"text": "no type"}]}',
        b"[]",
        b"null",
        b'{"content": [' + b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("listen", [False, True])
async def test_a_200_that_is_no_answer(body: bytes, listen: bool) -> None:
    """Plain or asked for as a stream, it is a BadResponse and possibly billed."""
    with pytest.raises(BadResponse) as caught:
        await HAIKU.send(ask(), Fake(body), (lambda _: None) if listen else None)
    assert caught.value.may_be_billed
    assert caught.value.provider == "anthropic"


@pytest.mark.parametrize("listen", [False, True])
async def test_errors_are_typed_and_carry_what_is_known(listen: bool) -> None:
    """The same for plain and streamed requests."""
    body = b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'
    fake = Fake(body, 429, {"retry-after": "3", "request-id": "req_9"})
    with pytest.raises(RateLimited, match="slow down") as caught:
        await HAIKU.send(ask(), fake, (lambda _: None) if listen else None)
    assert (caught.value.retry_after, caught.value.request_id, caught.value.status) == (3.0, "req_9", 429)


async def test_a_refused_key_is_not_repeated() -> None:
    """The hint names the variable; the key itself is cut out, even where the provider echoes it."""
    body = json.dumps({"error": {"type": "authentication_error", "message": f"invalid x-api-key {KEY}"}}).encode()
    with pytest.raises(AuthFailed, match="ANTHROPIC_API_KEY") as caught:
        await HAIKU.send(ask(), Fake(body, 401))
    assert KEY not in str(caught.value)


async def test_errors_of_the_transport_get_the_providers_name() -> None:
    """The transport knows hosts, not providers."""
    with pytest.raises(ModelTimeout) as caught:
        await HAIKU.send(ask(), Fake(breaks=ModelTimeout("late")))
    assert caught.value.provider == "anthropic"


# ── streams ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_stream() -> None:
    """Texts are handed over as they come; the last counts stand."""
    response, seen = await streamed(*sse(START, TEXT, HEL, {"type": "ping"}, LO, END, DELTA, STOP))
    assert seen == ["Hel", "lo"]
    assert (response.message.text, response.stop, response.model) == ("Hello", "end", "m-1")
    assert response.usage == Usage(input_tokens=9, output_tokens=7)
    assert response.first_token is not None


async def test_the_first_token_is_timed_by_the_loop() -> None:
    """Seconds from sending, by the loop's clock, which may be virtual."""
    loop = asyncio.get_running_loop()
    moments = iter([100.0, 100.5])
    patch = pytest.MonkeyPatch()
    patch.setattr(loop, "time", lambda: next(moments, 101.0))
    try:
        response, _ = await streamed(*sse(START, TEXT, HEL, END, DELTA, STOP))
    finally:
        patch.undo()
    assert response.first_token == 0.5


async def test_parallel_tools_and_thinking_in_a_stream() -> None:
    """Blocks that grow side by side are kept apart and in order."""

    def delta(index: int, **fields: Any) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": index, "delta": fields}

    def start(index: int, **fields: Any) -> dict[str, Any]:
        return {"type": "content_block_start", "index": index, "content_block": fields}

    response, seen = await streamed(
        *sse(
            START,
            start(0, type="thinking", thinking="", signature=""),
            delta(0, type="thinking_delta", thinking="Hm"),
            delta(0, type="thinking_delta", thinking="m."),
            delta(0, type="signature_delta", signature="sig"),
            start(1, type="tool_use", id="t1", name="add", input={}),
            start(2, type="tool_use", id="t2", name="now", input={}),
            delta(1, type="input_json_delta", partial_json='{"a"'),
            delta(2, type="input_json_delta", partial_json=""),
            delta(1, type="input_json_delta", partial_json=": 1}"),
            start(3, type="server_tool_use", id="s1", name="web_search", input={}),
            delta(3, type="input_json_delta", partial_json='{"q": "x"}'),
            start(4, type="compaction", content=None),
            delta(4, type="compaction_delta", content="summary"),
            start(5, type="text", text="", citations=None),
            delta(5, type="citations_delta", citation={"type": "char_location"}),
            delta(5, type="text_delta", text="ok"),
            {**DELTA, "delta": {"stop_reason": "tool_use"}},
            STOP,
        )
    )
    assert seen == ["ok"]
    assert response.message.thinking == "Hmm."
    assert [(c.id, c.name, c.arguments) for c in response.message.tool_calls] == [
        ("t1", "add", '{"a": 1}'),
        ("t2", "now", "{}"),
    ]
    assert await content(*response.message.parts, role="assistant") == [
        {"type": "thinking", "thinking": "Hmm.", "signature": "sig"},
        {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}},
        {"type": "tool_use", "id": "t2", "name": "now", "input": {}},
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"q": "x"}},
        {"type": "compaction", "content": "summary"},
        {"type": "text", "text": "ok"},
    ]


@pytest.mark.parametrize("kept", range(8))
async def test_a_stream_that_stops_half_way(kept: int) -> None:
    """Wherever it stops before `message_stop`, it is broken and possibly billed, not a short answer."""
    events = sse(START, TEXT, HEL, {"type": "ping"}, LO, END, DELTA, STOP)
    with pytest.raises(BadResponse, match=r"half-way|no answer") as caught:
        await streamed(*events[:kept], headers={"request-id": "req_3"})
    assert caught.value.retryable
    assert caught.value.may_be_billed
    assert (caught.value.provider, caught.value.request_id) == ("anthropic", "req_3")


async def test_a_connection_that_breaks_in_a_stream() -> None:
    """The transport's error passes, with provider and request id; after the end it does not matter any more."""
    broken = BadResponse("closed")
    with pytest.raises(BadResponse) as caught:
        await streamed(*sse(START, TEXT, HEL), breaks=broken, headers={"request-id": "req_4"})
    assert (caught.value.provider, caught.value.request_id) == ("anthropic", "req_4")
    response, _ = await streamed(*sse(START, TEXT, HEL, END, DELTA, STOP), breaks=BadResponse("closed"))
    assert response.message.text == "Hel"


@pytest.mark.parametrize("started", [False, True])
async def test_an_error_event(started: bool) -> None:
    """It is typed like an HTTP error; whether it was billed depends on whether the model had begun."""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    with pytest.raises(Overloaded, match="overloaded_error") as caught:
        await streamed(*sse(*([START, TEXT, HEL] if started else []), error), headers={"request-id": "req_5"})
    assert caught.value.may_be_billed is started
    assert caught.value.retryable
    assert caught.value.request_id == "req_5"


@pytest.mark.parametrize(
    "bad",
    [
        b"event: x\ndata: {no json\n\n",
        b"data: []\n\n",
        b'data: {"type": "content_block_delta", "index": 7, "delta": {"type": "text_delta", "text": "x"}}\n\n',
        b'data: {"type": "content_block_start", "index": 0, "content_block": {"text": "no type"}}\n\n',
    ],
)
async def test_events_that_are_not_the_protocol(bad: bytes) -> None:
    """A stream that cannot be understood is a BadResponse, not a crash."""
    with pytest.raises(BadResponse):
        await streamed(*sse(START, TEXT), bad, *sse(DELTA, STOP))


async def test_events_of_new_kinds_are_passed_over() -> None:
    """The provider adds events and deltas without notice."""
    new = {"type": "content_block_sparkle", "index": 0}
    odd = {"type": "content_block_delta", "index": 0, "delta": {"type": "sparkle_delta", "sparkle": "*"}}
    response, _ = await streamed(*sse(START, new, TEXT, HEL, odd, LO, END, DELTA, STOP))
    assert response.message.text == "Hello"


async def test_a_gateway_that_does_not_stream() -> None:
    """A plain answer to a streamed request is an answer, and its text is handed over at once."""
    body = json.dumps(ANSWER).encode()
    response, seen = await streamed(body[:1], body[1:20], body[20:])
    assert (response.message.text, seen, response.first_token) == ("Hello", ["Hello"], None)


async def test_long_answers_are_streamed_even_if_nobody_listens() -> None:
    """An answer of ten minutes outlives idle connections."""
    fake = Fake(sse(START, TEXT, HEL, END, DELTA, STOP))
    response = await HAIKU.send(ask(max_output_tokens=32_000), fake)
    assert fake.request["stream"] is True
    assert response.message.text == "Hel"


async def test_an_error_of_the_listener_is_the_listeners() -> None:
    """What `on_text` raises passes unchanged."""

    def listener(text: str) -> None:
        raise KeyError(text)

    with pytest.raises(KeyError):
        await HAIKU.send(ask(), Fake(sse(START, TEXT, HEL, END, DELTA, STOP)), listener)


async def test_results_are_cleared_by_the_provider_where_it_is_asked() -> None:
    """The beta is added to the user's own; what to keep is said in tool uses."""
    fake = Fake()
    model = Anthropic("claude-haiku-4-5", api_key="k", headers={"Anthropic-Beta": "mine"})
    request = replace(ask("Hi"), edit=ContextEdit(4))
    assert model.edits_context(request)
    await model.send(request, fake)
    assert fake.request["context_management"] == {
        "edits": [
            {
                "type": "clear_tool_uses_20250919",
                "trigger": {"type": "tool_uses", "value": 1},
                "keep": {"type": "tool_uses", "value": 4},
            }
        ]
    }
    assert fake.sent[0][1]["anthropic-beta"] == "mine,context-management-2025-06-27"
    assert not Anthropic("claude-3-5-haiku-latest", api_key="k").edits_context(request)
    own = ModelSettings(extra={"context_management": {"edits": []}})
    assert not model.edits_context(ask("Hi", settings=own))
