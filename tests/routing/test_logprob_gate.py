"""The gate that goes by log-probabilities: what it accepts, what it asks for, and where it is refused."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest

from outlay import Agent, ModelSettings, run, run_sync
from outlay.errors import ConfigError
from outlay.events import Decision
from outlay.models import Anthropic, OpenAI, OpenAIChat
from outlay.patterns import Cascade
from outlay.routing import calibrate, likelihood, logprob
from outlay.stores.memory import MemoryStore
from outlay.testing import Reply, ScriptedModel


@dataclass
class Sorted:
    label: str
    why: str


def said(chance: float, label: str = "refund") -> Reply:
    """An answer whose label was so likely, and whose reason was a guess."""
    pieces = [('{"label": "', 0.0), (f'{label}"', math.log(chance)), (', "why": "', 0.0), ('so"}', math.log(0.1))]
    return Reply("".join(piece for piece, _ in pieces), logprobs=pieces)


def model(name: str, *replies: Any) -> ScriptedModel:
    return ScriptedModel(list(replies), name=name, price=(100, 100))


def clerk(gate: Any, *cheap: Any, strong: Any = None, **options: Any) -> Agent[Sorted]:
    top = strong or model("strong", Sorted("paid", "sure"))
    return Agent("clerk", Cascade([model("cheap", *cheap), top], gate), output_type=Sorted, **options)


def test_a_field_that_is_likely_enough_is_accepted_however_unlikely_the_rest() -> None:
    result = run_sync(clerk(logprob("label", at_least=0.9), said(0.95)), "go")
    assert result.unwrap().label == "refund"
    assert [line.purpose for line in result.bill.lines] == ["tier:0"]
    (fact,) = [e.data for e in result.events if isinstance(e, Decision) and e.about == "logprob"]
    assert fact == {"fields": ["label"], "chance": 0.95}


def test_one_that_is_not_goes_to_the_next_tier_which_is_asked_for_nothing() -> None:
    """Nothing is known of the strong one's log-probabilities, and nothing is asked."""
    strong = model("strong", Sorted("paid", "sure"))
    result = run_sync(clerk(logprob("label", at_least=0.9), said(0.6), strong=strong), "go")
    assert (result.unwrap().label, result.degraded) == ("paid", False)
    assert not strong.calls[0].logprobs
    problems = [e.data["problem"] for e in result.events if isinstance(e, Decision) and e.about == "cascade"]
    assert problems == ["label: 60.0 % likely, below 90.0 %", ""]


def test_without_fields_the_whole_answer_counts() -> None:
    assert run_sync(clerk(logprob(at_least=0.5), said(1.0)), "go").unwrap().label == "paid"
    assert run_sync(clerk(logprob(at_least=0.09), said(1.0)), "go").unwrap().label == "refund"


def test_an_answer_without_them_or_without_the_field_does_not_pass() -> None:
    for reply, why in ((Sorted("refund", "so"), "gave no log-probabilities"), (said(1.0), "has no amount")):
        result = run_sync(clerk(logprob("amount", at_least=0.1), reply), "go")
        assert result.unwrap().label == "paid"
        assert any(why in str(e.data.get("problem")) for e in result.events if isinstance(e, Decision))


def test_a_calibrated_threshold_is_one_with_a_promise() -> None:
    scores = [i / 100 for i in range(1, 101)]
    calibration = calibrate(scores, [float(score > 0.6) for score in scores])
    gate = logprob("label", calibration=calibration)
    assert run_sync(clerk(gate, said(0.8)), "go").unwrap().label == "refund"
    assert run_sync(clerk(gate, said(0.4)), "go").unwrap().label == "paid"


def test_a_calibration_is_void_on_another_version() -> None:
    scores = [i / 100 for i in range(1, 101)]
    gate = logprob("label", calibration=calibrate(scores, [1.0] * 100), versions={"cheap": "cheap-2026-01"})
    result = run_sync(clerk(gate, said(1.0)), "go")
    assert result.unwrap().label == "paid"
    assert any(e.about == "calibration_void" for e in result.events if isinstance(e, Decision))


def test_the_score_can_be_read_of_an_answer_to_calibrate_with() -> None:
    result = run_sync(clerk(logprob("label", at_least=0.01), said(0.7)), "go")
    assert result.transcript is not None
    assert likelihood(result.transcript.messages[-1], "label") == pytest.approx(0.7, abs=1e-4)
    assert likelihood(result.transcript.messages[0]) is None


async def test_a_stored_answer_keeps_them() -> None:
    """The second run asks nobody, and its gate says the same."""
    store = MemoryStore()
    agent = clerk(logprob("label", at_least=0.9), said(0.95), cache_answers=60)
    for _ in range(2):
        result = await run(agent, "go", store=store)
        assert result.unwrap().label == "refund"
    assert result.bill.savings.answers == 1


@pytest.mark.parametrize(
    ("cheap", "settings", "why"),
    [
        (Anthropic("claude-haiku-4-5", api_key="k"), ModelSettings(), "gives no log-probabilities, and a gate"),
        (OpenAI("gpt-5.5", api_key="k"), ModelSettings(), 'set effort="none"'),
        (OpenAI("gpt-5.4", api_key="k"), ModelSettings(effort="low"), "while it reasons"),
        (OpenAIChat("o4-mini", api_key="k"), ModelSettings(), "use another model"),
    ],
)
def test_a_model_that_gives_none_is_refused_before_anything_is_spent(cheap: Any, settings: Any, why: str) -> None:
    agent = Agent("clerk", Cascade([cheap, model("strong")], logprob("label", at_least=0.9)), settings=settings)
    with pytest.raises(ConfigError) as raised:
        run_sync(agent, "go")
    assert why in str(raised.value)


def test_a_stand_in_is_refused_where_its_model_would_be() -> None:
    agent = Agent(
        "clerk",
        Cascade(["anthropic:claude-haiku-4-5", "openai:gpt-5.4"], logprob(at_least=0.9)),
        offline=lambda request: "hello",
    )
    with pytest.raises(ConfigError, match="gives no log-probabilities"):
        run_sync(agent, "go", models="offline")


def test_a_cascade_of_nodes_has_none() -> None:
    with pytest.raises(ConfigError, match="a node's output has no log-probabilities"):
        Cascade([Agent("a", model("a")), Agent("b", model("b"))], logprob(at_least=0.5))


@pytest.mark.parametrize("given", [{}, {"at_least": 0}, {"at_least": 1.1}, {"at_least": float("nan")}])
def test_a_threshold_that_says_nothing_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="logprob"):
        logprob("label", **given)  # pyright: ignore[reportArgumentType]
