"""Another model after an error: on the same path, at its own price, billed to the one that answered."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from flows import at_once, cents, dear, of_kind

from outlay import Agent, Budget, run, run_sync
from outlay.emulator import Emulator, Fault, Faults
from outlay.errors import AuthFailed, BadRequest, ConfigError, ModelError, Overloaded, Refused, UnpricedModel
from outlay.events import CallStarted, Decision
from outlay.patterns import Router
from outlay.stores.memory import MemoryStore
from outlay.testing import Reply, ScriptedModel
from outlay.values.content import ProviderBlock, Text
from outlay.values.message import Message, user
from outlay.values.transcript import EMPTY

DOWN = Overloaded("busy", status=529)


def agent(model: Any, *fallback: Any, **options: Any) -> Agent[str]:
    return Agent("a", model, fallback=fallback, max_output_tokens=200, min_output_tokens=200, **options)


def fallbacks(result: Any) -> list[dict[str, Any]]:
    return [event.data for event in of_kind(result, Decision) if event.about == "fallback"]


def test_the_next_model_answers_and_is_billed() -> None:
    """After the attempts that the first is worth; said in an event, with what became of it."""
    flow = agent(dear([DOWN] * 3, name="first"), dear([cents(1, "fine")], name="second"))
    result = at_once(run(flow, ""))
    assert result.unwrap() == "fine"
    assert fallbacks(result) == [{"from": "first", "to": "second", "after": "Overloaded: busy"}]
    assert [(e.model, e.attempt) for e in of_kind(result, CallStarted)] == [
        ("first", 1),
        ("first", 2),
        ("first", 3),
        ("second", 4),
    ]
    assert [(line.model, line.calls, line.cost) for line in result.bill.lines] == [
        ("first", 0, 0),
        ("second", 1, Decimal("0.01")),
    ]


@pytest.mark.parametrize("error", [AuthFailed("key"), BadRequest("no such model"), ModelError("no connection")])
def test_whatever_the_model_failed_with(error: ModelError) -> None:
    """A revoked key is an outage too; what no retry can help goes on at once."""
    first = dear([error], name="first")
    assert at_once(run(agent(first, dear(["fine"], name="second")), "")).unwrap() == "fine"
    assert len(first.calls) == 1


def test_the_chain_is_gone_down_to_its_end() -> None:
    """The last error is the call's."""
    chain = [dear([AuthFailed(name)], name=name) for name in ("one", "two", "three")]
    result = at_once(run(agent(*chain), ""))
    assert [f["to"] for f in fallbacks(result)] == ["two", "three"]
    assert (type(result.error), getattr(result.error, "message", "")) == (AuthFailed, "three")


def test_neither_a_refusal_nor_a_failed_check_asks_another_model() -> None:
    """Those are answers; a cascade is for them."""
    second = dear([], name="second")
    refused = at_once(run(agent(dear([Refused("no")]), second), ""))
    declined = at_once(run(agent(dear([Reply("no", stop="refusal")]), second), ""))
    wrong = at_once(run(agent(dear(["bad"] * 3), second, verify=[lambda text: "no good"]), ""))
    assert [type(r.error).__name__ for r in (refused, declined, wrong)] == ["Refused", "Refused", "OutputInvalid"]
    assert second.calls == []


def test_the_budget_is_asked_again_at_the_new_price() -> None:
    """A dearer fallback that does not fit is not called."""
    dearer = ScriptedModel(["never"], name="dearer", price=(0, 1000))
    result = at_once(run(agent(dear([AuthFailed("key")]), dearer), "", budget=Budget(usd="0.05")))
    assert (result.stop_reason, dearer.calls) == ("budget", [])


def test_a_fallback_is_checked_before_anything_is_spent() -> None:
    """A name that does not exist, or a price that is unknown under a money budget."""
    first = dear(["never"])
    with pytest.raises(ConfigError, match="mistral"):
        at_once(run(agent(first, "mistral:large"), ""))
    with pytest.raises(UnpricedModel, match="second"):
        at_once(run(agent(first, ScriptedModel(["x"], name="second")), "", budget=Budget(usd=1)))
    assert first.calls == []


def test_one_replacement_for_all_is_asked_once() -> None:
    """`models={"*": …}` stands for the fallback too, and is not asked twice for the same call."""
    down = dear([DOWN] * 3)
    flow = Agent("a", "anthropic:claude-haiku-4-5", fallback="openai:gpt-5.4")
    assert isinstance(at_once(run(flow, "", models={"*": down})).error, Overloaded)
    up = dear(["fine"])
    assert at_once(run(flow, "", models={"a": dear([DOWN] * 3), "openai:gpt-5.4": up})).unwrap() == "fine"


def test_provider_only_blocks_are_dropped_with_an_event() -> None:
    """Signed thinking of one provider means nothing to another."""

    class Theirs(ScriptedModel):
        @property
        def dialect(self) -> str:
            return "theirs"

    past = EMPTY.append(user("before"), Message("assistant", (ProviderBlock("theirs", "thinking", "{}"), Text("so"))))
    flow = agent(Theirs([AuthFailed("key")], name="first"), dear(["fine"], name="second"))
    result = at_once(run(flow, "", history=past))
    dropped = [e.data for e in of_kind(result, Decision) if e.about == "dropped_blocks"]
    assert dropped == [{"model": "second", "theirs thinking": 1}]


def test_the_journal_gives_the_fallbacks_answer_again() -> None:
    """The model that answered is a decision of the moment and no part of the call's identity."""
    store = MemoryStore()
    first, second = dear([DOWN] * 3, name="first"), dear(["fine"], name="second")
    flow = agent(first, second)
    one = at_once(run(flow, "", store=store, run_id="r"))
    again = at_once(run(flow, "", store=store, run_id="r"))
    assert (one.output, again.output, again.bill.total) == ("fine", "fine", one.bill.total)
    assert (len(first.calls), len(second.calls)) == (3, 1)


def test_an_agent_without_a_fallback_takes_the_routers_default() -> None:
    """As before: the degraded path is the pattern's."""

    def human(text: str) -> str:
        return f"human: {text}"

    flow = Router(lambda _: "x", {"x": agent(dear([DOWN] * 3))}, default=human)
    assert at_once(run(flow, "hi")).unwrap() == "human: hi"


def test_over_http_from_one_provider_to_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anthropic answers 529, three times; OpenAI answers, and is billed at its price."""
    with Emulator(faults=Faults(rates={Fault.http(529, retry_after=0): 1.0}, paths=["/v1/messages"])) as emulator:
        for name, value in emulator.env().items():
            monkeypatch.setenv(name, value)
        flow = Agent("a", "anthropic:claude-haiku-4-5", fallback=["openai:gpt-5.4"])
        result = run_sync(flow, "Hello?", budget=Budget(usd=1))
        assert [record.status for record in emulator.requests] == [529, 529, 529, 200]
    assert result.unwrap()
    assert [(line.model, line.calls) for line in result.bill.lines] == [
        ("anthropic:claude-haiku-4-5", 0),
        ("openai:gpt-5.4", 1),
    ]
