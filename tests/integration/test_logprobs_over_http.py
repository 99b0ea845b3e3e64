"""Log-probabilities on both of OpenAI's wires: asked for where a gate goes by them, and nowhere else."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Any, Literal

import openai
import pytest
from cache_support import emulated
from pydantic import BaseModel

from outlay import Agent, run, run_sync, stream
from outlay.emulator import EmulatedReply, EmulatedRequest, Emulator
from outlay.events import CallStarted
from outlay.patterns import Cascade
from outlay.routing import likelihood, logprob

WIRES = ["openai", "openai-chat"]
CHEAP, STRONG = "gpt-4.1-mini", "gpt-4.1"


class Ticket(BaseModel):
    label: Literal["refund", "other"]


def clerk(wire: str, **options: Any) -> Agent[Ticket]:
    tiers = [f"{wire}:{CHEAP}", f"{wire}:{STRONG}"]
    return Agent("clerk", Cascade(tiers, logprob("label", at_least=0.9)), output_type=Ticket, **options)


def behave(request: EmulatedRequest) -> EmulatedReply:
    """The cheap one is sure of refunds only; what a token is has nothing to do with where pieces of a stream end."""
    label = "refund" if "refund" in request.text else "other"
    sure = 0.99 if label == "refund" or request.model == STRONG else 0.6
    pieces = (('{"label":"', 0.0), (f'{label}"', math.log(sure)), ("}", 0.0))
    return EmulatedReply("".join(piece for piece, _ in pieces), logprobs=pieces)


def asks(body: Mapping[str, Any]) -> bool:
    return body.get("logprobs") is True or "message.output_text.logprobs" in (body.get("include") or [])


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_gate_reads_what_the_provider_says_of_a_field(monkeypatch: Any, wire: str, streamed: bool) -> None:
    async def asked(text: str) -> Any:
        if not streamed:
            return await run(clerk(wire), text)
        async with stream(clerk(wire), text) as s:
            async for _ in s:
                pass
        return s.result

    with emulated(monkeypatch, behaviour=behave) as emulator:
        sure, unsure = (asyncio.run(asked(text)) for text in ("my refund", "hello"))
        bodies = [record.body for record in emulator.requests]
    assert [line.purpose for line in sure.bill.lines] == ["tier:0"]
    assert likelihood(sure.transcript.messages[-1], "label") == pytest.approx(0.99, abs=1e-4)
    assert [line.purpose for line in unsure.bill.lines] == ["tier:0", "tier:1"]
    assert [asks(body or {}) for body in bodies] == [True, True, False]


@pytest.mark.parametrize("wire", WIRES)
def test_they_are_kept_and_go_back_to_nobody(monkeypatch: Any, wire: str) -> None:
    """A correction sends the refused answer again, without what stood beside it."""
    checked: list[str] = []

    def twice(output: Ticket) -> str | None:
        checked.append(output.label)
        return "once more" if len(checked) == 1 else None

    with emulated(monkeypatch, behaviour=behave) as emulator:
        run_sync(clerk(wire, verify=[twice]), "my refund").unwrap()
        bodies = [record.body for record in emulator.requests]
    assert "once more" in str(bodies[1])
    assert "logprob" not in str(bodies[1])


@pytest.mark.parametrize("wire", WIRES)
def test_they_come_out_of_a_batch_as_well(monkeypatch: Any, wire: str) -> None:
    with emulated(monkeypatch, behaviour=behave) as emulator:
        result = run_sync(clerk(wire), "my refund", lane="batch")
        assert emulator.requests
    assert result.unwrap().label == "refund"
    assert [event.lane for event in result.events if isinstance(event, CallStarted)] == ["batch"]


async def test_the_sdk_reads_them_plain_and_streamed() -> None:
    with Emulator(behaviour=behave) as emulator:
        async with openai.AsyncOpenAI(base_url=emulator.openai_url, api_key="k", max_retries=0) as client:
            ask: Any = {"model": CHEAP, "messages": [{"role": "user", "content": "hello"}], "logprobs": True}
            plain = await client.chat.completions.create(**ask)
            chunks = [chunk async for chunk in await client.chat.completions.create(**ask, stream=True)]
            wanted: Any = ["message.output_text.logprobs"]
            response = await client.responses.create(model=CHEAP, input="hello", include=wanted)
            again = await client.responses.create(model=CHEAP, input="x", include=wanted, stream=True)
            events = [event async for event in again]
    assert [(one.token, round(math.exp(one.logprob), 3)) for one in plain.choices[0].logprobs.content] == [
        ('{"label":"', 1.0),
        ('other"', 0.6),
        ("}", 1.0),
    ]
    streamed = [one for c in chunks if c.choices and c.choices[0].logprobs for one in c.choices[0].logprobs.content]
    assert streamed == plain.choices[0].logprobs.content
    tokens = [one.token for one in response.output[0].content[0].logprobs]
    assert tokens == [one.token for one in streamed]
    deltas = [one.token for e in events if e.type == "response.output_text.delta" for one in e.logprobs]
    assert deltas == tokens


async def test_a_reasoning_model_refuses_and_nothing_is_said_unasked() -> None:
    with Emulator(behaviour=behave) as emulator:
        async with openai.AsyncOpenAI(base_url=emulator.openai_url, api_key="k", max_retries=0) as client:
            hello: Any = [{"role": "user", "content": "hello"}]
            with pytest.raises(openai.PermissionDeniedError, match="not allowed to request logprobs"):
                await client.chat.completions.create(model="o4-mini", messages=hello, logprobs=True)
            plain = await client.chat.completions.create(model=CHEAP, messages=hello)
            assert plain.choices[0].logprobs is None


def test_tokens_that_are_not_the_text_are_a_mistake_in_the_script() -> None:
    with pytest.raises(ValueError, match="do not make up its text"):
        EmulatedReply("abc", logprobs=(("ab", 0.0),))
