"""The stages of a call's path that later work plugs into: asked in the order of the rules, each once an attempt."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from outlay import Agent, Budget, Result, tool
from outlay.errors import Overloaded, PolicyViolation
from outlay.events import CallStarted, Decision
from outlay.protocols.stages import AnswerKey, Given, Stages
from outlay.runtime.execution import execute
from outlay.runtime.host import hosting
from outlay.testing import Reply, ScriptedModel
from outlay.values.content import ProviderBlock, Text
from outlay.values.message import Message, user
from outlay.values.request import ModelResponse
from outlay.values.transcript import EMPTY
from outlay.values.usage import Usage


class Plugged:
    """Every stage in one, writing down who was asked; `known` is what its memories find."""

    def __init__(self, known: ModelResponse | None = None, forbid: str = "") -> None:
        self.asked: list[str] = []
        self.known = known
        self.forbid = forbid

    def allow(self, effect: str, label: Any, path: str) -> None:
        self.asked.append(f"policy {effect}")
        if effect == self.forbid:
            raise PolicyViolation(f"{effect} may not happen here", path=path)

    async def find(self, key: str, request: Any) -> ModelResponse | None:
        self.asked.append("find")
        return self.known

    async def remember(self, key: str, request: Any, response: Any) -> None:
        self.asked.append("remember")

    def admit(self, model: Any, now: float) -> None:
        self.asked.append("breaker")

    def passes(self, model: Any) -> bool:
        return True

    def down_since(self, model: Any) -> None:
        return None

    def record(self, model: Any, error: Any, sent: float, now: float) -> None:
        self.asked.append("worked" if error is None else "failed")

    async def acquire(self, model: Any, tokens: int, run: str) -> str:
        self.asked.append("permit")
        return "permit"

    def least(self, model: Any) -> float:
        return 0.0

    def release(self, model: Any, permit: str, came: Any, seconds: float) -> None:
        self.asked.append(f"{permit} back after {type(came).__name__}")

    def unused(self, model: Any, permit: str) -> None:
        self.asked.append(f"{permit} back unused")


class PluggedAnswers:
    """The response cache, writing into the same list; it holds nothing."""

    fresh = False

    def __init__(self, plugged: Plugged) -> None:
        self.plugged = plugged

    async def find(self, key: AnswerKey, request: Any) -> Given | None:
        self.plugged.asked.append("find stored")

    async def remember(self, key: AnswerKey, request: Any, response: Any) -> None:
        self.plugged.asked.append("store")

    async def stale(self, key: AnswerKey, request: Any) -> None:
        return None


def run_with(plugged: Plugged, agent: Agent[Any], **options: Any) -> Result[Any]:
    async def go() -> Result[Any]:
        async with hosting({}) as host:
            stages = Stages(plugged, plugged, PluggedAnswers(plugged), plugged, plugged)
            return await execute(dataclasses.replace(host, stages=stages), agent, "hi", (Budget(calls=9),), **options)

    return asyncio.run(go())


def test_the_stages_are_asked_in_order_and_the_last_ones_for_each_attempt() -> None:
    """Label policy, journal, stored answers; then breaker and permit before each attempt; then both are told."""
    plugged = Plugged()
    overloaded = Overloaded("busy", retry_after=0)

    def answer(request: Any) -> Any:
        plugged.asked.append("model")
        return overloaded if plugged.asked.count("model") == 1 else "fine"

    assert run_with(plugged, Agent("a", ScriptedModel(answer), cache_answers=60)).output == "fine"
    assert plugged.asked == [
        "policy model", "find", "find stored",
        "breaker", "permit", "model", "permit back after Overloaded", "failed",
        "breaker", "permit", "model", "permit back after ModelResponse", "worked",
        "remember", "store",
    ]  # fmt: skip


def test_what_a_memory_knows_is_neither_sent_nor_paid() -> None:
    """A known answer ends the path at once: no reservation, no intent, no call."""
    known = ModelResponse(Message("assistant", (Text("from before"),)), "end", Usage(output_tokens=5))
    plugged, model = Plugged(known), ScriptedModel([])
    result = run_with(plugged, Agent("a", model))
    assert (result.output, model.calls, plugged.asked) == ("from before", [], ["policy model", "find"])
    assert not any(isinstance(event, CallStarted) for event in result.events)


def test_a_policy_decides_at_the_tool_call() -> None:
    """What it forbids does not happen, and is no error result for the model to work around."""
    sent: list[str] = []

    @tool(side_effect=True)
    def send(to: str) -> str:
        """Send."""
        sent.append(to)
        return "sent"

    model = ScriptedModel([Reply(tool_calls=[("send", {"to": "x"})]), "done"])
    result = run_with(Plugged(forbid="send"), Agent("a", model, tools=[send]))
    assert isinstance(result.error, PolicyViolation)
    assert sent == []


@pytest.mark.parametrize(("dialect", "events"), [("anthropic", 1), ("scripted", 0)])
def test_provider_only_blocks_are_dropped_with_an_event_when_the_provider_changes(dialect: str, events: int) -> None:
    """Said once, at the first call after the change."""
    thinking = ProviderBlock(dialect, "thinking", "{}", "hm")
    past = EMPTY.append(user("before"), Message("assistant", (thinking, Text("so"))))
    model = ScriptedModel([Reply(tool_calls=[("missing", {})]), "done"])
    result = run_with(Plugged(), Agent("a", model), history=past)
    dropped = [e.data for e in result.events if isinstance(e, Decision) and e.about == "dropped_blocks"]
    assert dropped == [{"model": "scripted", "anthropic thinking": 1}] * events
