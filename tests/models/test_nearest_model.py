"""A mistyped model name: which one was meant is asked, never assumed."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from outlay import Agent, Budget, run_sync
from outlay.errors import UnpricedModel
from outlay.models.failures import failure
from outlay.models.prices import GenaiPrices, Overridden, PriceTable
from outlay.protocols.prices import did_you_mean, nearest
from outlay.values.price import Price, Rates
from outlay.values.request import ModelRequest

LIST = GenaiPrices()
PRICE = Price(Rates(*[Decimal(1)] * 5))


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("anthropic:claude-haiku-4-55", "anthropic:claude-haiku-4-5"),
        ("anthropic:claude-haiku-45", "anthropic:claude-haiku-4-5"),
        ("anthropic:claude-sonet-4-6", "anthropic:claude-sonnet-4-6"),
        ("openai:gpt-5-minii", "openai:gpt-5-mini"),
        ("openai:GPT5-mini", "openai:gpt-5-mini"),
        ("openai:gtp-5", "openai:gpt-5"),
        ("openai:gpt-5.44", "openai:gpt-5.4"),
    ],
)
def test_a_slip_of_the_finger_has_a_neighbour(given: str, meant: str) -> None:
    assert nearest(given, LIST) == meant


@pytest.mark.parametrize(
    "given",
    ["openai:gpt-97", "openai:gpt-5.97-mini", "anthropic:claude-opus-97", "anthropic:claude-sonnet-4-97"],
)
def test_a_version_that_the_list_does_not_know_yet_is_no_slip(given: str) -> None:
    assert nearest(given, LIST) == ""


@pytest.mark.parametrize(
    "given", ["openai:my-model", "openai-chat:gpt-5-minii", "nobody:gpt-5-minii", "scripted", "openai:gpt-5-mini", ""]
)
def test_what_is_listed_or_like_nothing_of_its_provider_has_no_neighbour(given: str) -> None:
    """A server of yours sells nothing of OpenAI's list."""
    assert nearest(given, LIST) == ""
    assert did_you_mean(LIST, given) == ""


def test_only_what_has_a_price_is_proposed() -> None:
    """`whisper-1` is sold by the minute."""
    assert LIST.find("openai", "whisper-1") is None
    assert nearest("openai:whisperr-1", LIST) == ""


def test_your_own_models_are_known_too() -> None:
    book = Overridden(PriceTable({"openai-chat:Our-Llama": PRICE, "openai-chat:cheap@batch": PRICE}), LIST)
    assert nearest("openai-chat:our-lama", book) == "openai-chat:Our-Llama"
    assert nearest("openai-chat:cheapp", book) == ""
    assert did_you_mean(book, "openai:gtp-5", "x", "openai-chat:our-lama") == (
        "did you mean openai:gpt-5, openai-chat:Our-Llama? "
    )


def test_a_money_budget_over_a_mistyped_model_asks_which_one_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with pytest.raises(UnpricedModel, match="the price of openai:gpt-5-minii is not known") as caught:
        run_sync(Agent("reply", "openai:gpt-5-minii"), "hello", budget=Budget(usd=1))
    assert caught.value.hint.startswith("did you mean openai:gpt-5-mini? give its price in outlay.toml: ")


def answer(request: ModelRequest) -> str:
    return "hi"


def test_the_bill_asks_and_the_name_is_used_as_it_was_given() -> None:
    agent = Agent("reply", "openai:gpt-5-minii", offline=answer)
    result = run_sync(agent, "hello", models="offline")
    assert [line.model for line in result.bill.lines] == ["openai:gpt-5-minii"]
    assert result.bill.total is None
    said = result.bill.render(LIST).splitlines()
    assert said[-1] == "no price is known for openai:gpt-5-minii: did you mean openai:gpt-5-mini?"
    assert "did you mean" not in run_sync(agent.replace(model="openai:new"), "", models="offline").bill.render(LIST)


@pytest.mark.parametrize(
    ("provider", "status", "error", "guess"),
    [
        (
            "anthropic",
            404,
            {"type": "not_found_error", "message": "model: claude-haiku-4-55"},
            "did you mean anthropic:claude-haiku-4-5? ",
        ),
        (
            "openai",
            404,
            {"code": "model_not_found", "message": "The model `gpt-5-minii` does not exist or you lack access."},
            "did you mean openai:gpt-5-mini? ",
        ),
        (
            "openai",
            400,
            {"code": "model_not_found", "message": "The requested model 'gpt-5-minii' does not exist."},
            "did you mean openai:gpt-5-mini? ",
        ),
        ("anthropic", 404, {"type": "not_found_error", "message": "model: claude-haiku-4-5"}, ""),
        ("anthropic", 404, {"type": "not_found_error", "message": "model: " + "x" * 9_000}, ""),
        ("anthropic", 404, {"type": "not_found_error", "message": "no such page"}, ""),
    ],
)
def test_a_provider_that_does_not_know_the_model(provider: str, status: int, error: dict[str, str], guess: str) -> None:
    """What a price list takes for another name of a model it knows is found out here."""
    found = failure(provider, status, {}, json.dumps({"error": error}).encode(), now=0.0)
    assert found.hint == f"{guess}check the model's name and the base URL"
