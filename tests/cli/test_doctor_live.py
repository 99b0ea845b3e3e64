"""`outlay doctor --live`: one word of each provider, after its price was said and agreed to; against the emulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_support import Call

from outlay.emulator import EmulatedReply, Fault, Faults
from outlay.testing import Emulator

Serve = Callable[..., Emulator]


@pytest.fixture
def serve(call: Call, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    running: list[Emulator] = []

    def start(**options: Any) -> Emulator:
        emulator = Emulator(**options)
        emulator.__enter__()
        running.append(emulator)
        for name, value in emulator.env().items():
            monkeypatch.setenv(name, value)
        return emulator

    yield start
    for emulator in running:
        emulator.__exit__(None, None, None)


def live(found: Any) -> dict[str, tuple[str, str]]:
    return {one["name"]: (one["state"], one["text"]) for one in found if one["name"].startswith("live")}


def test_each_provider_with_a_key_is_asked_once_after_its_price_was_said(
    serve: Serve, call: Call, folder: Path
) -> None:
    emulator = serve()
    said = call("doctor", "--live", "--yes")
    assert said.code == 0
    assert "  anthropic:claude-haiku-4-5  at most $0.000" in said.err
    assert "  together                    at most $0.000" in said.err
    assert "✓ live anthropic:claude-haiku-4-5  answered in " in said.out
    assert "✓ live openai:gpt-5.4-nano         answered in " in said.out
    assert len(emulator.requests) == 2
    assert not (folder / ".outlay").exists()


def test_what_it_costs_is_no_more_than_was_said(serve: Serve, call: Call) -> None:
    serve(behaviour=lambda request: EmulatedReply("word " * 500))
    said = call("doctor", "--live", "--yes", "--model", "anthropic:claude-haiku-4-5")
    most = float(said.err.rpartition("at most $")[2])
    (line,) = [line for line in said.out.splitlines() if "✓ live" in line]
    assert 0 < float(line.partition("$")[2].split()[0]) <= most


def test_without_somebody_to_agree_nobody_is_asked(serve: Serve, call: Call) -> None:
    emulator = serve()
    for options in ((), ("--json",)):
        said = call("doctor", "--live", *options, stdin="")
        assert said.code == 2
        assert "anthropic:claude-haiku-4-5 at most $0.000" in said.err
        assert "next: add --yes to agree" in said.err
    assert emulator.requests == []


@pytest.mark.parametrize(("answer", "asked"), [("y\n", 2), ("n\n", 0), ("\n", 0)])
def test_at_a_terminal_it_asks(
    answer: str, asked: int, serve: Serve, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator = serve()
    monkeypatch.setattr("outlay.cli.live.is_terminal", lambda: True)
    said = call("doctor", "--live", stdin=answer)
    assert said.code == 0
    assert len(emulator.requests) == asked
    assert ("nobody was asked" in said.out) == (asked == 0)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.http(401, "invalid x-api-key"), "AuthFailed"),
        (Fault.http(529, "busy"), "Overloaded: "),
        (Fault.http(429, "slow down", retry_after=60), "RateLimited"),
        (Fault.html(), "ServerError"),
        (Fault.reset(billed=True), ""),
    ],
    ids=["401", "529", "429", "html", "reset"],
)
def test_a_provider_that_does_not_answer_is_broken_and_asked_no_second_time(
    fault: Fault, words: str, serve: Serve, call: Call
) -> None:
    emulator = serve(faults=Faults(at={1: fault}))
    said = call("doctor", "--live", "--yes", "--json", "--model", "anthropic:claude-haiku-4-5")
    assert said.code == 1
    state, text = live(said.json)["live anthropic:claude-haiku-4-5"]
    assert state == "broken"
    assert words in text
    assert next(one["next"] for one in said.json if one["name"].startswith("live"))
    assert len(emulator.requests) == 1
    assert "sk-" not in said.out + said.err


def test_a_model_that_does_not_exist_is_broken_and_the_others_are_asked(serve: Serve, call: Call) -> None:
    serve()
    said = call("doctor", "--live", "--yes", "--json", "--model", "foo:bar", "--model", "openai:gpt-5.4-nano")
    assert said.code == 1
    found = live(said.json)
    assert found["live foo:bar"] == ("broken", "there is no provider 'foo' (in 'foo:bar')")
    assert found["live openai:gpt-5.4-nano"][0] == "ok"


def test_a_model_of_unknown_price_is_said_to_be_one(serve: Serve, call: Call) -> None:
    serve()
    said = call("doctor", "--live", "--yes", "--model", "openai-chat:mine")
    assert "openai-chat:mine  at a price that is not known\n" in said.err
    assert "· unpriced" in said.out


def test_of_a_mistyped_model_it_asks_which_one_was_meant(serve: Serve, call: Call) -> None:
    serve()
    said = call("doctor", "--live", "--yes", "--model", "openai:gpt-5-minii")
    assert "at a price that is not known: did you mean openai:gpt-5-mini?" in said.err


def test_without_a_key_there_is_nobody_to_ask(call: Call) -> None:
    said = call("doctor", "--live")
    assert said.code == 0
    assert "no provider has a key: nobody was asked" in said.out


@pytest.mark.parametrize("option", [("--yes",), ("--model", "openai:gpt-5.4-nano")])
def test_options_of_live_need_live(option: tuple[str, ...], call: Call) -> None:
    said = call("doctor", *option)
    assert (said.code, "goes with --live" in said.err) == (2, True)
