"""The batch lane over sockets, at both providers: whole maps, every bad batch, and kill -9 at the worst moments."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from outlay import Agent, Batching, Budget, run_many
from outlay.analysis.bill import Bill
from outlay.emulator import EmulatedRequest, Fault, Faults
from outlay.events import BatchEnded, CallFailed, Event
from outlay.models.prices import GenaiPrices
from outlay.patterns import FanOut
from outlay.testing import Emulator

CHILD = Path(__file__).with_name("batch_child.py")
CLAUDE, GPT, CHAT = "anthropic:claude-haiku-4-5", "openai:gpt-5.4-mini", "openai-chat:gpt-4.1-mini"
#: Where a batch is made.
CREATE = {CLAUDE: "/v1/messages/batches", GPT: "/v1/batches", CHAT: "/v1/batches"}
FAST = Batching(quiet=5.0, poll=0.01, max_poll=0.05, settle=0.2)
both = pytest.mark.parametrize("model", [CLAUDE, GPT])


class Clock:
    """The time of day, and as much later as is asked for."""

    def __init__(self) -> None:
        self.later = 0.0

    def __call__(self) -> float:
        return time.time() + self.later


def said(request: EmulatedRequest) -> str:
    return request.text.upper()


@contextmanager
def emulated(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Iterator[Emulator]:
    with Emulator(**{"behaviour": said, **settings}) as emulator:
        for name, value in emulator.env().items():
            monkeypatch.setenv(name, value)
        yield emulator


def mapped(model: str, rows: int, batching: Batching = FAST, **options: Any) -> dict[int, Any]:
    agent = Agent("clerk", model, max_output_tokens=100)

    async def main() -> dict[int, Any]:
        inputs = [(i, f"row {i}") for i in range(rows)]
        return {id: result async for id, result in run_many(agent, inputs, lane=batching, **options)}

    return asyncio.run(main())


def made(emulator: Emulator, model: str) -> int:
    """How many batches the provider was asked to make."""
    return sum(record.method == "POST" and record.path == CREATE[model] for record in emulator.requests)


def events(results: dict[int, Any], kind: type[Event]) -> list[Any]:
    return [event for result in results.values() for event in result.events if isinstance(event, kind)]


def outputs(results: dict[int, Any]) -> dict[int, Any]:
    return {id: result.output for id, result in results.items()}


def upper(rows: int) -> dict[int, str]:
    return {i: f"ROW {i}" for i in range(rows)}


# ── what goes well ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("model", [CLAUDE, GPT, CHAT])
def test_a_map_is_one_batch_at_half_the_price(monkeypatch, model) -> None:
    """The bill is what the provider's own books come to at the batch price, to the last digit."""
    with emulated(monkeypatch, batch_seconds=0.1) as emulator:
        results = mapped(model, 20, budget=Budget(usd=1, allow_unpriced=model == CHAT))
        used = emulator.billed()[model.partition(":")[2]]
        assert outputs(results) == upper(20)
        assert made(emulator, model) == 1
    if model == CHAT:  # a server of one's own: nobody knows its prices
        return
    bill = Bill.merge(result.bill for result in results.values())
    price = GenaiPrices().find(*model.split(":"), "batch")
    assert price is not None
    assert bill.total == bill.saved_by_batch
    assert bill.total == (price.rates.input * used.input_tokens + price.rates.output * used.output_tokens) / 10**6
    assert bill.in_doubt == 0


def test_agents_of_several_models_share_a_batch_at_anthropic_and_not_at_openai(monkeypatch) -> None:
    """OpenAI takes one model a file."""
    names = {CLAUDE: ("claude-haiku-4-5", "claude-sonnet-4-6"), GPT: ("gpt-5.4", "gpt-5.4-mini")}
    for model, batches in ((CLAUDE, 1), (GPT, 2)):
        provider = model.partition(":")[0]
        first, second = (Agent(name.replace(".", "-"), f"{provider}:{name}") for name in names[model])

        async def main(first: Any = first, second: Any = second) -> list[Any]:
            flow = FanOut([first, second])
            return [result async for _, result in run_many(flow, [(i, f"row {i}") for i in range(3)], lane=FAST)]

        with emulated(monkeypatch) as emulator:
            results = asyncio.run(main())
            assert all(result.stop_reason == "completed" for result in results), results[0].error
            assert made(emulator, model) == batches


# ── what goes wrong ───────────────────────────────────────────────────────────────────────────────────────


def damaged(lines: list[bytes]) -> list[bytes]:
    """Two are missing, one is not JSON, one comes twice, one was never sent; only in the first results."""
    if len(lines) < 10:
        return lines
    stranger = json.dumps(json.loads(lines[3]) | {"custom_id": "somebody-else"}).encode()
    return [b'{"custom_id": "ol', *lines[2:], lines[4], stranger]


@both
def test_every_kind_of_bad_line_is_listed_and_every_row_is_answered(monkeypatch, model) -> None:
    with emulated(monkeypatch, batch_results=damaged) as emulator:
        results = mapped(model, 12)
        assert outputs(results) == upper(12)
        assert made(emulator, model) == 2
    first, second = events(results, BatchEnded)
    assert (first.requests, first.answered, first.missing) == (12, 10, 2)
    assert (first.duplicate, first.unknown, first.unreadable) == (1, 1, 1)
    assert (second.requests, second.answered) == (2, 2)
    assert "never asked somebody-else" in first.listed


@both
def test_an_answer_never_goes_to_another_row(monkeypatch, model) -> None:
    """Whatever order the lines come in."""
    with emulated(monkeypatch, batch_results=lambda lines: lines[::-1]):
        assert outputs(mapped(model, 30)) == upper(30)


@both
def test_entries_fail_one_by_one(monkeypatch, model) -> None:
    """A request that the provider refuses fails for good; one that meets a fault is tried again."""
    tries: list[str] = []

    def behave(request: EmulatedRequest) -> str | Fault:
        if request.text == "row 1":
            return Fault.http(400, "you asked for the impossible")
        if request.text == "row 2" and not tries:
            tries.append(request.text)
            return Fault.http(500)
        return said(request)

    with emulated(monkeypatch, behaviour=behave) as emulator:
        results = mapped(model, 4, budget=Budget(usd=1))
        assert made(emulator, model) == 2
    assert outputs(results) == {**upper(4), 1: None}
    assert "you asked for the impossible" in str(results[1].error)
    assert [end.failed for end in events(results, BatchEnded)] == [2, 0]
    assert Bill.merge(result.bill for result in results.values()).in_doubt == 0


@both
def test_what_expires_half_way_is_asked_at_once_where_that_is_the_policy(monkeypatch, model) -> None:
    """A batch that takes twice its day is half done when it expires; what is done is kept, at half the price."""
    clock = Clock()

    with emulated(monkeypatch, clock=clock, batch_seconds=2 * 86_400) as emulator:
        batching = Batching(quiet=5.0, poll=0.01, max_poll=0.05, on_failure="live")

        async def main() -> dict[int, Any]:
            rows = [(i, f"row {i}") for i in range(10)]
            agent = Agent("clerk", model, max_output_tokens=100)
            found: dict[int, Any] = {}

            async def later() -> None:
                while not made(emulator, model):  # noqa: ASYNC110 - the server's state has no event
                    await asyncio.sleep(0.01)
                clock.later = 86_401

            waiting = asyncio.create_task(later())
            async for id, result in run_many(agent, rows, lane=batching):
                found[id] = result
            await waiting
            return found

        results = asyncio.run(main())
    assert outputs(results) == upper(10)
    (end,) = events(results, BatchEnded)
    assert (end.answered, end.expired) == (5, 5)
    bill = Bill.merge(result.bill for result in results.values())
    assert (bill.batched, bill.in_doubt) == (5, 0)
    assert len(events(results, CallFailed)) == 5


@both
def test_a_batch_that_somebody_cancels_is_said_and_its_rest_goes_into_another(monkeypatch, model) -> None:
    with emulated(monkeypatch, batch_seconds=0.5) as emulator:

        async def main() -> dict[int, Any]:
            agent = Agent("clerk", model, max_output_tokens=100)
            rows = [(i, f"row {i}") for i in range(6)]

            async def cancel() -> None:
                path = CREATE[model]
                while not (polls := [r for r in emulator.requests if r.method == "GET"]):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                headers = {"x-api-key": "k", "authorization": "Bearer k", "anthropic-version": "2023-06-01"}
                batch = polls[0].path.rpartition("/")[2]
                url = f"{emulator.url}{path}/{batch}/cancel"
                async with aiohttp.ClientSession() as http, http.post(url, headers=headers) as answer:
                    assert answer.status == 200

            found: dict[int, Any] = {}
            cancelling = asyncio.create_task(cancel())
            async for id, result in run_many(agent, rows, lane=FAST):
                found[id] = result
            await cancelling
            return found

        results = asyncio.run(main())
        assert made(emulator, model) == 2
    assert outputs(results) == upper(6)
    assert events(results, BatchEnded)[0].cancelled > 0


@both
@pytest.mark.parametrize("fault", [Fault.http(529), Fault.http(429, retry_after=0.01)])
def test_a_provider_that_does_not_take_the_batch_is_asked_again(monkeypatch, model, fault) -> None:
    faults = Faults(at={1: fault}, paths={CREATE[model]})
    with emulated(monkeypatch, faults=faults):
        results = mapped(model, 5, budget=Budget(usd=1))
    assert outputs(results) == upper(5)
    assert Bill.merge(result.bill for result in results.values()).in_doubt == 0


@both
@pytest.mark.parametrize("fault", [Fault.reset(billed=True), Fault.truncated(), Fault.html(200)])
def test_a_submission_whose_answer_is_lost_is_found_and_not_made_again(monkeypatch, model, fault) -> None:
    """The batch is there, and its client never heard of it: the provider's list shows it."""
    faults = Faults(at={1: fault}, paths={CREATE[model]})
    with emulated(monkeypatch, faults=faults, batch_seconds=0.3) as emulator:
        results = mapped(model, 5, budget=Budget(usd=1))
        asked = made(emulator, model)
    assert outputs(results) == upper(5)
    # a web page instead of an answer says nothing of the batch: here the request had never arrived
    assert asked == (2 if fault.kind == "html" else 1)
    bill = Bill.merge(result.bill for result in results.values())
    assert bill.in_doubt == 0


@both
def test_a_key_that_is_refused_ends_the_rows_and_nothing_is_spent(monkeypatch, model) -> None:
    with emulated(monkeypatch, api_keys=["right"]):
        monkeypatch.setenv("ANTHROPIC_API_KEY", "wrong")
        monkeypatch.setenv("OPENAI_API_KEY", "wrong")
        results = mapped(model, 3, budget=Budget(usd=1))
    assert {type(result.error).__name__ for result in results.values()} == {"AuthFailed"}
    bill = Bill.merge(result.bill for result in results.values())
    assert (bill.total, bill.in_doubt) == (0, 0)


# ── kill -9 ───────────────────────────────────────────────────────────────────────────────────────────────


class Child:
    """A process of ours that maps by batch."""

    def __init__(self, store: Path, model: str, rows: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(CHILD), str(store), model, str(rows)],
            stdout=subprocess.PIPE,
            text=True,
        )

    def until(self, happened: Callable[[], object]) -> None:
        """Wait for a state of the server."""
        limit = time.monotonic() + 60
        while not happened():
            assert self.process.poll() is None, "it ended too early"
            assert time.monotonic() < limit
            time.sleep(0.01)

    def line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def result(self) -> dict[str, Any]:
        out, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0
        return json.loads(out.splitlines()[-1])


@pytest.fixture
def asked() -> list[str]:
    """What the provider has answered: each row once."""
    return []


def counting(asked: list[str]) -> Callable[[EmulatedRequest], str]:
    def answer(request: EmulatedRequest) -> str:
        asked.append(said(request))
        return said(request)

    return answer


def whole(result: dict[str, Any], rows: int) -> None:
    """Every row has its answer, was called once, and nothing is in doubt."""
    assert result["outputs"] == {str(i): f"ROW {i}" for i in range(rows)}
    assert (result["calls"], result["retries"], result["doubtful"], result["in_doubt"]) == (rows, 0, 0, "0")


@both
def test_killed_between_submission_and_result_it_goes_on_without_a_second_submission(
    monkeypatch, tmp_path, model, asked
) -> None:
    clock = Clock()
    with emulated(monkeypatch, clock=clock, batch_seconds=3_600, behaviour=counting(asked)) as emulator:
        child = Child(tmp_path / "s.db", model, 8)
        assert child.line()["batch"]["requests"] == 8
        child.kill()
        again = Child(tmp_path / "s.db", model, 8)
        again.line()  # it has found what was sent
        clock.later = 3_600
        whole(again.result(), 8)
        assert made(emulator, model) == 1
        assert sorted(asked) == sorted(upper(8).values())


@both
def test_killed_before_the_provider_has_said_the_batchs_id_it_is_looked_for(monkeypatch, tmp_path, model) -> None:
    """The batch is there, and no process knows its id."""
    clock = Clock()
    faults = Faults(at={1: Fault.slow(3_600)}, paths={CREATE[model]})
    with emulated(monkeypatch, clock=clock, batch_seconds=3_600, faults=faults) as emulator:
        child = Child(tmp_path / "s.db", model, 8)
        child.until(lambda: made(emulator, model))
        child.kill()
        again = Child(tmp_path / "s.db", model, 8)
        again.until(lambda: any(r.method == "GET" and r.path == CREATE[model] for r in emulator.requests))
        clock.later = 3_600
        whole(again.result(), 8)
        assert made(emulator, model) == 1


@both
def test_killed_while_the_batch_had_not_arrived_it_is_sent_once(monkeypatch, tmp_path, model, asked) -> None:
    """The intent was written and the provider never had it: after a look it is sent, under the same ids."""
    faults = Faults(at={1: Fault.timeout()}, paths={CREATE[model]})
    with emulated(monkeypatch, faults=faults, behaviour=counting(asked)) as emulator:
        child = Child(tmp_path / "s.db", model, 8)
        child.until(lambda: made(emulator, model))
        child.kill()
        whole(Child(tmp_path / "s.db", model, 8).result(), 8)
        assert made(emulator, model) == 2  # the first never was a batch
        assert sorted(asked) == sorted(upper(8).values())
