"""`--watchdog` and `--webhook` of `run`, `map` and `resume`: what they say, and how the command ends."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cli_support import Call, lines_of, write_rows

FLOW = """
from outlay import Agent, tool
from outlay.testing import Reply


@tool
def search(query: str) -> str:
    return "nothing"


def answer(request):
    asked = sum(message.role == "tool" for message in request.messages)
    return Reply("gave up") if asked == 7 else Reply("", tool_calls=[("search", {"query": "cards"})])


flow = Agent("scout", "anthropic:claude-haiku-4-5", tools=[search], max_turns=20, offline=answer)
"""
RUN = ("run", "stuck.py:flow", "--input", "hi", "--models", "offline")


@pytest.fixture(autouse=True)
def stuck(folder: Path) -> None:
    (folder / "stuck.py").write_text(FLOW)


@pytest.fixture
def hook() -> Iterator[tuple[str, list[Any]]]:
    """A server on this machine: its address, and what it was sent."""
    got: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", got
    server.shutdown()
    server.server_close()


def test_a_run_that_is_stuck_is_warned_of_and_goes_on(call: Call) -> None:
    said = call(*RUN, "--watchdog", "warn")
    assert said.code == 0
    assert "  watchdog: search: the same call 5 times, at scout/search\n" in said.err
    assert said.out.startswith("gave up\n")


def test_a_run_that_is_stopped_says_why_and_how_to_go_on(call: Call) -> None:
    said = call(*RUN, "--watchdog", "stop")
    assert said.code == 3
    assert "error: the watchdog stopped the run: search: the same call 5 times, at scout/search\n" in said.err
    assert "  next: outlay resume " in said.err
    assert "stopped by its watchdog after" in said.out
    assert "■ watchdog" in call("runs").out
    assert "! watchdog: stop: search: the same call 5 times" in call("trace", "last").out
    resumed = call("resume", "last")  # the store knows what was said of it
    assert resumed.code == 3
    assert "6 turns without" in resumed.err


def test_a_run_that_is_paused_waits_in_the_inbox(call: Call) -> None:
    paused = call(*RUN, "--watchdog", "pause", "--json")
    assert paused.code == 4
    (item,) = paused.json["pending"]
    assert (item["kind"], paused.json["stop_reason"]) == ("watchdog", "approval")
    assert "search: the same call 5 times" in call("approvals").out
    assert call("approve", item["id"], "--reason", "it is slow").code == 0
    again = call("resume", "last", "--json")
    assert again.code == 4  # a rule of its own: no progress
    (other,) = again.json["pending"]
    assert other["id"] != item["id"]
    denied = call("deny", other["id"], "--reason", "enough")
    assert denied.code == 0
    ended = call("resume", "last")
    assert ended.code == 3
    assert "watchdog stopped the run" in ended.err


def test_each_row_of_a_map_is_watched_and_a_row_that_was_stopped_has_its_answer(call: Call, folder: Path) -> None:
    write_rows(folder / "rows.jsonl", 2)
    args = ("map", "stuck.py:flow", "--input", "rows.jsonl", "--output", "out.jsonl", "--models", "offline")
    said = call(*args, "--watchdog", "stop")
    assert said.code == 0
    assert [line["stop_reason"] for line in lines_of(folder / "out.jsonl")] == ["watchdog", "watchdog"]
    assert "nothing to do" in call(*args, "--watchdog", "stop").out


def test_alerts_go_to_the_webhook_beside_the_terminal(call: Call, hook: tuple[str, list[Any]]) -> None:
    url, got = hook
    said = call(*RUN, "--watchdog", "stop", "--webhook", url)
    assert "watchdog: search" in said.err
    from outlay.runtime.webhook import _close_all  # pyright: ignore[reportPrivateUsage]  # as the process's end does

    _close_all()
    assert [(alert["kind"], alert["action"]) for alert in got] == [("watchdog_alert", "stop")]


def test_the_environment_may_name_the_webhook(program: Call, hook: tuple[str, list[Any]]) -> None:
    """A process that ends has sent its alerts before."""
    url, got = hook
    said = program(*RUN, "--watchdog", "stop", OUTLAY_WEBHOOK=url)
    assert said.code == 3
    assert len(got) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--watchdog", "bite"), "'bite' is not one of 'warn', 'pause', 'stop'"),
        (("--webhook", "ftp://host"), "the address is not an http(s) URL"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_run(options: tuple[str, str], words: str, call: Call) -> None:
    said = call(*RUN, *options)
    assert (said.code, words in said.err, "next:" in said.err) == (2, True, True)
    assert not Path(".outlay").exists()


def test_a_webhook_that_nobody_answers_is_said_and_changes_nothing(program: Call) -> None:
    said = program(*RUN, "--watchdog", "warn", "--webhook", "http://127.0.0.1:9/")
    assert said.code == 0
    assert "could not be posted to 127.0.0.1" in said.err
