"""Alerts while a run goes on: to functions, to stderr, and by HTTP to a real server that may be slow, rude or gone."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from crash import go
from flows import at_once, cents, dear, of_kind, worker

from outlay import Agent, Budget, Watchdog, Webhook, alert_to_stderr, run, run_many, run_sync
from outlay.errors import ConfigError
from outlay.events import BudgetAlert, CircuitChanged, EscalationAlert
from outlay.patterns import Cascade, FanOut
from outlay.runtime.alerts import alert_text
from outlay.stores.memory import MemoryStore
from outlay.testing import ScriptedModel

ALERT = BudgetAlert(
    run="r",
    seq=3,
    time=1.5,
    path="crew",
    scope="crew",
    resource="usd",
    percent=50,
    spent=Decimal("0.5"),
    limit=Decimal(1),
)


class Receiver:
    """A local server that keeps what it was sent. `answer` decides what it says, by the number of the request."""

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler, int], None] | None = None) -> None:
        self.bodies: list[Any] = []
        self.headers: list[dict[str, str]] = []
        received = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                received.bodies.append(json.loads(self.rfile.read(length)))
                received.headers.append(dict(self.headers))
                if answer is not None:
                    answer(self, len(received.bodies))
                else:
                    say(self, 204)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/hook?token=hunter2hunter2"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def say(handler: BaseHTTPRequestHandler, status: int, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


Serve = Callable[..., Receiver]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[Receiver] = []

    def start(answer: Callable[[BaseHTTPRequestHandler, int], None] | None = None) -> Receiver:
        servers.append(Receiver(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


# ── who is told ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_several_listeners_are_told_and_one_that_raises_keeps_none_from_it(capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[Any] = []

    def broken(alert: Any) -> None:
        raise RuntimeError("gone")

    listeners = [broken, heard.append, alert_to_stderr]
    at_once(run(FanOut(worker()), list("abcdefgh"), budget=Budget(usd="0.10"), on_alert=listeners))
    assert [alert.percent for alert in heard] == [50, 80]
    assert "outlay: budget of fanout at 80 % ($0.0800 of $0.10)" in capsys.readouterr().err


def test_a_cascade_that_sends_too_much_to_the_top_is_told_of_while_the_map_goes_on() -> None:
    """Seven of twenty rows came to the top tier: told once, in the run that brought it there."""
    cheap = Agent("cheap", dear(lambda request: cents(1, "hm" if int(request.text) % 20 < 7 else "fine")))
    strong = Agent("strong", dear(lambda request: cents(5, "fine")))
    flow = Cascade([cheap, strong], lambda output: None if output == "fine" else "unsure")
    heard: list[Any] = []

    async def main() -> list[Any]:
        rows = [(n, str(n)) for n in range(40)]
        return [r async for _, r in run_many(flow, rows, concurrency=1, on_alert=heard.append)]

    results = at_once(main())
    events = [event for result in results for event in of_kind(result, EscalationAlert)]
    assert [(e.path, e.turns, e.share, e.limit) for e in events] == [("cascade", 20, 0.35, 0.3)]
    assert heard == events


def test_a_top_tier_that_settles_too_little_is_told_of_by_itself() -> None:
    """Each row comes to the top: that is told at the 20th; every fourth is not settled there: told with it, once."""
    cheap = Agent("cheap", dear(lambda _: cents(1, "hm")))
    strong = Agent("strong", dear(lambda request: cents(5, "hm" if int(request.text) % 4 == 0 else "fine")))
    flow = Cascade([cheap, strong], lambda output: None if output == "fine" else "unsure")
    heard: list[Any] = []

    async def main() -> None:
        rows = [(n, str(n)) for n in range(60)]
        async for _ in run_many(flow, rows, concurrency=1, on_alert=heard.append):
            pass

    at_once(main())
    assert [(e.turns, e.failed, e.limit) for e in heard] == [(20, False, 0.3), (20, True, 0.2)]
    assert "25 % of 20 turns at the top tier were not settled, more than 20 %" in alert_text(heard[1])


def test_a_cascade_within_bounds_is_not_told_of() -> None:
    cheap = Agent("cheap", dear(lambda request: cents(1, "hm" if int(request.text) % 4 == 0 else "fine")))
    strong = Agent("strong", dear(lambda request: cents(5, "fine")))
    flow = FanOut(Cascade([cheap, strong], lambda output: None if output == "fine" else "unsure"))
    result = at_once(run(flow, [str(n) for n in range(40)], on_alert=lambda alert: None))
    assert of_kind(result, EscalationAlert) == []


def test_an_escalation_is_told_once_however_often_the_run_is_resumed() -> None:
    cheap = Agent("cheap", dear(lambda _: cents(1, "hm")))
    strong = Agent("strong", dear(lambda _: cents(1, "fine")))
    flow = FanOut(Cascade([cheap, strong], lambda output: None if output == "fine" else "unsure"))
    store, heard = MemoryStore(), list[Any]()
    items = [str(n) for n in range(30)]
    first = go(flow, items, store, budget=Budget(usd="0.50"), on_alert=heard.append)
    again = go(flow, items, store, budget=Budget(usd="2"), on_alert=heard.append)
    assert (first.stop_reason, again.stop_reason) == ("budget", "completed")
    assert len(of_kind(again, EscalationAlert)) == len([a for a in heard if isinstance(a, EscalationAlert)]) == 1


# ── by HTTP ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_webhook_posts_each_alert_as_json(serve: Serve) -> None:
    server = serve()
    hook = Webhook(server.url, headers={"Authorization": "Bearer secret-of-mine"})
    flow = FanOut(Agent("a", ScriptedModel(lambda _: cents(1), price=(0, 100)), max_output_tokens=100), max_parallel=1)
    run_sync(flow, list("abcdefgh"), budget=Budget(usd="0.10"), on_alert=hook)
    assert hook.close()
    assert [(body["kind"], body["percent"]) for body in server.bodies] == [("budget_alert", 50), ("budget_alert", 80)]
    assert server.bodies[0]["text"] == "outlay: budget of fanout at 50 % ($0.0500 of $0.10)"
    assert (server.bodies[0]["spent"], server.bodies[0]["scope"]) == ("0.05", "fanout")
    assert server.headers[0]["Content-Type"] == "application/json"
    assert server.headers[0]["Authorization"] == "Bearer secret-of-mine"


def test_it_works_for_runs_on_virtual_time_too(serve: Serve) -> None:
    server = serve()
    hook = Webhook(server.url)
    dog = Watchdog(usd="0.01", factor=1)
    at_once(run(worker(cost=2, latency=3600), "hi", watchdog=dog, on_alert=hook))
    assert hook.close()
    assert [(b["kind"], b["rule"], b["action"]) for b in server.bodies] == [("watchdog_alert", "forecast", "warn")]
    assert server.bodies[0]["text"].startswith("outlay: watchdog: $0.0200 spent")


def test_a_server_that_does_not_answer_holds_nothing_up(serve: Serve) -> None:
    gone = threading.Event()
    server = serve(lambda handler, n: (gone.wait(5), None)[1])
    hook = Webhook(server.url, timeout=0.2)
    started = time.monotonic()
    for _ in range(50):
        hook(ALERT)
    assert time.monotonic() - started < 0.1
    assert not hook.close(0.05)  # they are on their way, or given up one after the other
    gone.set()


def test_what_cannot_wait_is_dropped_and_the_next_says_how_many(serve: Serve) -> None:
    go_on = threading.Event()

    def slowly(handler: BaseHTTPRequestHandler, n: int) -> None:
        go_on.wait(5)
        say(handler, 204)

    server = serve(slowly)
    hook = Webhook(server.url, waiting=2)
    hook(ALERT)
    while not server.bodies:  # the first is on its way
        time.sleep(0.001)
    for _ in range(7):
        hook(ALERT)
    go_on.set()
    assert hook.close()
    hook(ALERT)
    assert hook.close()
    assert [body.get("dropped") for body in server.bodies] == [None, None, None, 5]


def test_a_server_that_drips_its_answer_has_no_more_time_than_the_others(serve: Serve) -> None:
    def drip(handler: BaseHTTPRequestHandler, n: int) -> None:
        if n > 1:
            say(handler, 204)
            return
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 400:
            try:
                handler.wfile.write(bytes([byte]))
            except OSError:
                return
            time.sleep(0.01)

    server = serve(drip)
    hook = Webhook(server.url, timeout=0.2)
    hook(ALERT)
    hook(ALERT)
    assert hook.close(2)
    assert len(server.bodies) == 2


@pytest.mark.parametrize("status", [400, 500, 301, 302, 303])
def test_a_refusal_is_a_warning_that_names_the_host_only(serve: Serve, status: int, caplog: Any) -> None:
    server = serve(lambda handler, n: say(handler, status, Location="/other"))
    hook = Webhook(server.url, headers={"X-Key": "secret-of-mine"})
    with caplog.at_level(logging.WARNING, "outlay"):
        hook(ALERT)
        assert hook.close()
    assert f"127.0.0.1 answered an alert with {status}" in caplog.text
    assert "hunter2" not in caplog.text
    assert "secret-of-mine" not in caplog.text + repr(hook)
    assert len(server.bodies) == 1


def test_a_redirect_within_the_host_is_followed_and_one_to_another_is_refused(serve: Serve, caplog: Any) -> None:
    other = serve()
    moved = serve(lambda handler, n: say(handler, 308, Location="/new") if n == 1 else say(handler, 204))
    stolen = serve(lambda handler, n: say(handler, 307, Location=other.url))
    with caplog.at_level(logging.WARNING, "outlay"):
        for server in (moved, stolen):
            hook = Webhook(server.url)
            hook(ALERT)
            assert hook.close()
    assert len(moved.bodies) == 2
    assert other.bodies == []
    assert "another place, which is refused" in caplog.text


def test_a_redirect_in_a_circle_ends(serve: Serve) -> None:
    server = serve(lambda handler, n: say(handler, 308, Location="/again"))
    hook = Webhook(server.url)
    hook(ALERT)
    assert hook.close()
    assert len(server.bodies) == 4


def test_nobody_at_the_other_end_is_a_warning(serve: Serve, caplog: Any) -> None:
    server = serve()
    server.close()
    hook = Webhook(server.url, timeout=0.5)
    with caplog.at_level(logging.WARNING, "outlay"):
        hook(ALERT)
        assert hook.close(2)
    assert "could not be posted to 127.0.0.1" in caplog.text
    assert "hunter2" not in caplog.text


def test_secrets_and_terminal_controls_do_not_leave_and_texts_are_cut(serve: Serve, monkeypatch: Any) -> None:
    monkeypatch.setenv("SOME_API_KEY", "zz-very-private-value")
    server = serve()
    hook = Webhook(server.url)
    reason = "AuthFailed: zz-very-private-value, sk-ant-abcdefgh12345678 \x1b[31m, Bearer abc.def" + "x" * 9_000
    hook(CircuitChanged(run="r", seq=1, time=0.0, target="m", state="open", reason=reason))
    assert hook.close()
    said = json.dumps(server.bodies)
    assert "private" not in said
    assert "abcdefgh" not in said
    assert "abc.def" not in said
    assert "\\u001b" not in said
    assert len(said) < 1_500


def test_its_thread_ends_when_there_is_nothing_to_send_and_comes_back(serve: Serve, monkeypatch: Any) -> None:
    monkeypatch.setattr("outlay.runtime.webhook._IDLE", 0.01)
    server = serve()
    hook = Webhook(server.url)
    before = set(threading.enumerate())
    for n in (1, 2):
        hook(ALERT)
        assert hook.close()
        assert len(server.bodies) == n
        until = time.monotonic() + 5
        while any(thread.name == "outlay-webhook" for thread in set(threading.enumerate()) - before):
            assert time.monotonic() < until
            time.sleep(0.005)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://host/x",
        "file:///etc/passwd",
        "https:///x",
        "http://host:99999/",
        "http://a b/",
        "http://h/\n",
        "host/x",
    ],
)
def test_an_address_that_is_none_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Webhook(url)
    assert not url or url not in str(refused.value)


@pytest.mark.parametrize(
    "wrong", [{"headers": {"X": "a\r\nY: b"}}, {"headers": {"X Y": "a"}}, {"timeout": 0}, {"waiting": 0}]
)
def test_headers_and_limits_that_cannot_be_are_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError):
        Webhook("https://host/x", **wrong)


@pytest.mark.parametrize("wrong", [3, "stderr", [print, None]], ids=["number", "text", "list"])
def test_what_cannot_be_told_is_refused_before_anything_is_spent(wrong: Any) -> None:
    """It would have failed at the first alert, in the middle of a call that is paid for."""
    model = ScriptedModel(["x"])
    with pytest.raises(ConfigError, match="on_alert="):
        at_once(run(Agent("a", model), "x", on_alert=wrong))
    assert model.calls == []
