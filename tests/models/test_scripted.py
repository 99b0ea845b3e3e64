"""Scripted models: what a test or an offline stand-in says, as a provider would have said it."""

import asyncio
import enum
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import pytest
from pydantic import BaseModel

from outlay.errors import ConfigError, Overloaded
from outlay.models.prices import PriceTable
from outlay.models.scripted import Offline, ScriptedModel, tokens_in
from outlay.sim import VirtualClock, VirtualLoop
from outlay.testing import Reply
from outlay.values.message import user
from outlay.values.price import Price
from outlay.values.request import ModelRequest, OutputSpec, Prelude, ToolSpec
from outlay.values.transcript import EMPTY
from outlay.values.usage import Usage


class Intent(BaseModel):
    label: Literal["billing", "technical"]
    confidence: float


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: int


def request(text="hello", *, output=None, output_type=str, system=(), tools=(), cap=1024):
    prelude = Prelude(system, tools, output)
    return ModelRequest("scout", "crew/scout", prelude, EMPTY.append(user(text)), cap, output_type=output_type)


def asks_for(output_type, *, wrapped):
    return request(output=OutputSpec("out", "{}", wrapped), output_type=output_type)


def send(model, req=None, on_text=None, clock=None):
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.run(model.send(req or request(), None, on_text))


def text_of(model, req=None):
    return send(model, req).message.text


def test_a_list_is_said_in_order():
    model = ScriptedModel(["one", "two"])
    assert [text_of(model), text_of(model)] == ["one", "two"]


def test_a_used_up_list_is_an_error_that_counts_calls_and_replies():
    model = ScriptedModel(["one"], name="down")
    send(model)
    with pytest.raises(ConfigError, match="'down' was called 2 times and has 1 replies") as caught:
        send(model)
    assert caught.value.path == "crew/scout"


def test_a_function_sees_the_request():
    seen = []

    def answer(req):
        seen.append((req.agent, req.path, req.text, req.messages[0].role, req.tools))
        return "yes"

    assert text_of(ScriptedModel(answer), request("why?")) == "yes"
    assert seen == [("scout", "crew/scout", "why?", "user", ())]


def test_a_function_may_be_asynchronous():
    async def answer(req):
        await asyncio.sleep(1)
        return req.text.upper()

    assert text_of(ScriptedModel(answer)) == "HELLO"


def test_the_requests_are_kept():
    model = ScriptedModel(["a", "b"])
    requests = [request("1"), request("2")]
    for req in requests:
        send(model, req)
    assert model.calls == requests


@pytest.mark.parametrize("wrong", ["hello", 3, None])
def test_replies_that_are_neither_a_list_nor_a_function_are_refused(wrong):
    with pytest.raises(ConfigError, match="neither a list of replies nor a function"):
        ScriptedModel(wrong)


@pytest.mark.parametrize(
    ("value", "output_type", "wrapped", "text"),
    [
        (Intent(label="billing", confidence=0.9), Intent, False, {"label": "billing", "confidence": 0.9}),
        (Point(1, 2), Point, False, {"x": 1, "y": 2}),
        ({"x": 1}, dict, False, {"x": 1}),
        (Colour.RED, Colour, True, {"value": "red"}),
        ("billing", Literal["billing", "technical"], True, {"value": "billing"}),
        ([Point(1, 2)], list[Point], True, {"value": [{"x": 1, "y": 2}]}),
        (0.5, float, True, {"value": 0.5}),
        (None, int | None, True, {"value": None}),
    ],
)
def test_a_value_is_encoded_as_the_output_asks(value, output_type, wrapped, text):
    assert json.loads(text_of(ScriptedModel([value]), asks_for(output_type, wrapped=wrapped))) == text


@pytest.mark.parametrize("text", ["not JSON", '{"value": "billing"}', '{"other": 1}'])
def test_text_that_is_no_value_is_said_as_it_stands(text):
    assert text_of(ScriptedModel([text]), asks_for(Literal["billing"], wrapped=True)) == text


def test_a_function_that_forgets_to_return_is_an_error():
    with pytest.raises(ConfigError, match="answered None"):
        send(ScriptedModel(lambda req: None))


@pytest.mark.parametrize("error", [Overloaded("busy"), Overloaded, KeyError("k")])
def test_an_exception_is_raised_after_the_latency(error):
    clock = VirtualClock()
    with pytest.raises(error if isinstance(error, type) else type(error)):
        send(ScriptedModel([error], latency=30), clock=clock)
    assert clock.elapsed == 30


def test_the_same_exception_may_stand_several_times():
    error = Overloaded("busy")
    model = ScriptedModel([error] * 3)
    depths = []
    for _ in range(3):
        with pytest.raises(Overloaded) as caught:
            send(model)
        assert caught.value is error
        depths.append(len(caught.traceback))
    assert len(set(depths)) == 1


def test_parallel_calls_take_replies_in_the_order_in_which_they_begin():
    model = ScriptedModel([str(i) for i in range(50)], latency=2)
    clock = VirtualClock()

    async def body():
        return await asyncio.gather(*[model.send(request(), None) for _ in range(50)])

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        replies = runner.run(body())
    assert [reply.message.text for reply in replies] == [str(i) for i in range(50)]
    assert clock.elapsed == 2


def test_a_reply_may_call_tools():
    model = ScriptedModel(
        [Reply("let me look", [("search", {"query": "é"}), ("search", {"query": "b"})], thinking="hm")]
    )
    response = send(model)
    assert response.stop == "tool"
    assert response.message.text == "let me look"
    assert response.message.thinking == "hm"
    first, second = response.message.tool_calls
    assert (first.name, json.loads(first.arguments)) == ("search", {"query": "é"})
    assert first.id != second.id


def test_tool_call_ids_depend_on_the_conversation_only():
    first, again = (send(ScriptedModel([Reply(tool_calls=[("t", {})])])).message.tool_calls for _ in range(2))
    assert first == again


def test_a_reply_may_say_why_it_stopped():
    assert send(ScriptedModel([Reply("no", stop="refusal")])).stop == "refusal"
    assert send(ScriptedModel(["yes"])).stop == "end"


@pytest.mark.parametrize(("text", "tokens"), [("", 1), ("a", 1), ("abcd", 1), ("abcde", 2), ("x" * 400, 100)])
def test_tokens_are_a_quarter_of_the_characters(text, tokens):
    assert tokens_in(len(text)) == tokens


def test_usage_is_estimated_from_all_text():
    req = request("u" * 40, system=("s" * 80,), tools=(ToolSpec("t" * 4, "d" * 8, "{" * 4),))
    usage = send(ScriptedModel(["a" * 20]), req).usage
    assert usage == Usage(input_tokens=34, output_tokens=5)


def test_the_bound_is_never_below_the_estimate():
    for text in ("", "a", "b" * 1001):
        model = ScriptedModel(["x"])
        assert model.bound(request(text)) >= send(model, request(text)).usage.all_input_tokens


def test_explicit_usage_is_reported_as_it_is():
    usage = Usage(1, 2, 3, 4_000)
    response = send(ScriptedModel([Reply("x" * 9_000, usage=usage)]), request(cap=10))
    assert response.usage == usage
    assert response.stop == "end"


def test_an_answer_over_the_cap_is_cut():
    response = send(ScriptedModel(["x" * 100]), request(cap=10))
    assert response.message.text == "x" * 40
    assert response.stop == "length"
    assert response.usage.output_tokens == 10


def test_thinking_counts_towards_the_cap_and_cut_tool_calls_are_lost():
    reply = Reply("y" * 40, [("t", {})], thinking="x" * 30)
    response = send(ScriptedModel([reply]), request(cap=10))
    assert (response.message.thinking, response.message.text) == ("x" * 30, "y" * 10)
    assert response.message.tool_calls == ()


def test_text_streams_in_pieces():
    pieces = []
    send(ScriptedModel(["  one two\nthree "]), on_text=pieces.append)
    assert pieces == ["  ", "one ", "two\n", "three "]


def test_a_price_is_in_dollars_per_million_tokens():
    book = PriceTable({})
    assert ScriptedModel([]).price(book) is None
    assert ScriptedModel([], price=("0.5", 2)).price(book).cost(Usage(1_000_000, 0, 0, 1_000_000)) == Decimal("2.5")


def test_a_price_below_nothing_is_refused():
    with pytest.raises(ValueError, match="negative"):
        ScriptedModel([], price=(-1, 2))


def test_a_latency_below_nothing_is_refused():
    with pytest.raises(ConfigError, match="latency"):
        ScriptedModel([], latency=-1)


def test_a_stand_in_is_billed_as_the_model_it_stands_for():
    real = ScriptedModel([], name="anthropic:claude-haiku-4-5", price=(1, 5))
    offline = Offline(lambda req: "offline " + req.text, real)
    assert (offline.id, offline.name, offline.provider, offline.dialect) == (real.id, real.name, "offline", "offline")
    assert offline.price(PriceTable({})) == Price.per_million(1, 5)
    assert text_of(offline) == "offline hello"
    assert offline.bound(request()) == 2


def test_a_stand_in_may_be_a_model():
    inner = ScriptedModel(["from a model"], price=(7, 7))
    offline = Offline(inner, ScriptedModel([], name="real", price=(1, 5)))
    assert text_of(offline) == "from a model"
    assert offline.price(PriceTable({})) == Price.per_million(1, 5)
    assert len(inner.calls) == 1
