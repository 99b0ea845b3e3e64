"""The whole path of a call over real sockets: every adapter, the transport, retries, budgets and streams.

The provider is the emulator; what it billed by its own books is what our bill must say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest

from outlay import Agent, Budget, ModelSettings, Tool, run, run_sync, stream
from outlay.emulator import EmulatedReply, EmulatedRequest, Fault, Faults, ToolCall
from outlay.errors import ContextTooLong, OutputTruncated, Overloaded, RateLimited, Refused
from outlay.events import CallFailed, CallFinished, Retracted, TextDelta
from outlay.patterns import FanOut
from outlay.runtime.directory import default_prices
from outlay.testing import Emulator

MODELS = ["anthropic:claude-haiku-4-5", "openai:gpt-5.4", "openai-chat:gpt-4o"]
every_provider = pytest.mark.parametrize("model", MODELS, ids=["anthropic", "responses", "chat"])


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Start an emulator and point all providers at it. A compatible server has the price that we say it has."""
    prices = tmp_path / "prices.toml"
    prices.write_text('[prices."openai-chat:gpt-4o"]\ninput = "2.50"\noutput = "10.00"\n')
    monkeypatch.setenv("OUTLAY_PRICES", str(prices))
    default_prices.cache_clear()
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
    default_prices.cache_clear()


def asker(model: str, **options: Any) -> Agent[Any]:
    return Agent("asker", model, instructions="Be brief.", max_output_tokens=options.pop("cap", 200), **options)


@every_provider
def test_text_tools_and_typed_output_in_one_conversation(serve: Any, model: str) -> None:
    """Two tools are called in one turn, their results go back, and the answer is a value of the output type."""
    asked: list[str] = []

    def weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return f"sunny in {city}"

    def says(request: EmulatedRequest) -> Any:
        if request.tool_results:
            return {"value": "sunny"} if all("sunny" in text for text in request.tool_results) else {"value": "rain"}
        calls = (ToolCall("weather", {"city": "Oslo"}), ToolCall("weather", {"city": "Rome"}))
        return EmulatedReply(tool_calls=calls)

    emulator = serve(behaviour=says)
    kind = Literal["sunny", "rain"]
    result = run_sync(asker(model, tools=[weather], output_type=kind), "How is it?", budget=Budget(usd="1"))
    assert result.unwrap() == "sunny"
    assert sorted(asked) == ["Oslo", "Rome"]
    assert [record.status for record in emulator.requests] == [200, 200]


@every_provider
def test_the_bill_says_what_the_provider_billed(serve: Any, model: str) -> None:
    """Token for token, and the cost is exact: no bucket is counted twice or lost."""
    emulator = serve()
    result = run_sync(asker(model), "Hello there", budget=Budget(usd="1"))
    (billed,) = emulator.billed().values()
    (line,) = result.bill.lines
    assert (line.input_tokens, line.output_tokens) == (billed.input_tokens, billed.output_tokens)
    assert result.bill.total is not None
    assert result.bill.total > 0


@every_provider
@pytest.mark.parametrize("status", [429, 500, 502, 503, 529])
def test_a_passing_fault_is_retried_and_counted(serve: Any, model: str, status: int) -> None:
    """One layer retries; the bill shows one call with one retry, and only what was answered is paid."""
    serve(faults=Faults(at={1: Fault.http(status, retry_after=0)}))
    result = run_sync(asker(model), "Hello", budget=Budget(usd="1"))
    (line,) = result.bill.lines
    assert (result.stop_reason, line.calls, line.retries) == ("completed", 1, 1)
    assert result.bill.in_doubt == 0


@every_provider
@pytest.mark.parametrize(
    ("fault", "error"),
    [(Fault.http(429, retry_after=0), RateLimited), (529, Overloaded), (Fault.http(413), ContextTooLong)],
    ids=["429", "529", "413"],
)
def test_a_lasting_fault_ends_as_its_typed_error(serve: Any, model: str, fault: Any, error: type[Exception]) -> None:
    """After three attempts, or at once where another cannot help, the result holds the typed error, for nothing."""
    serve(faults=Faults(at=dict.fromkeys(range(1, 9), fault)))
    result = run_sync(asker(model), "Hello", budget=Budget(usd="1"))
    assert isinstance(result.error, error)
    assert result.bill.total == 0


@every_provider
@pytest.mark.parametrize("fault", [Fault.not_json(), Fault.truncated(), Fault.html(200)], ids=["text", "cut", "html"])
def test_a_broken_body_is_in_doubt_and_tried_again(serve: Any, model: str, fault: Fault) -> None:
    """A 200 that cannot be read was probably billed: its reservation stays held, outside the total."""
    serve(faults=Faults(at={1: fault}))
    result = run_sync(asker(model), "Hello", budget=Budget(usd="1"))
    assert result.stop_reason == "completed"
    assert result.bill.in_doubt > 0
    assert [type(e) for e in result.events if isinstance(e, CallFailed | CallFinished)] == [CallFailed, CallFinished]


@every_provider
async def test_a_half_stream_is_retracted_and_told_again(serve: Any, model: str) -> None:
    """What was streamed before the break does not count, listeners hear so, and the whole answer follows."""
    some_text = 3 if "chat" in model else 5  # events: enough for a piece of text, too few for the end
    serve(behaviour="one two three four five six", faults=Faults(at={1: Fault.half_stream(after=some_text)}))
    heard: list[str] = []
    retracted = 0
    async with stream(asker(model), "Count", budget=Budget(usd="1")) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                heard.append(event.text)
            elif isinstance(event, Retracted):
                heard.clear()
                retracted += 1
    assert retracted == 1
    assert events.result.output == "one two three four five six" == "".join(heard)
    assert events.result.bill.in_doubt > 0


async def test_cancelling_a_run_closes_its_sockets(serve: Any) -> None:
    """Nothing is left behind: no task, no request under way, and what may have been billed is in doubt."""
    emulator = serve(faults=Faults(at={i: Fault.timeout(billed=True) for i in range(1, 9)}))
    before = asyncio.all_tasks()
    events: list[Any] = []
    flow = FanOut([asker(m).replace(name=f"a{i}") for i, m in enumerate(MODELS)])
    task = asyncio.create_task(run(flow, "Hello", budget=Budget(usd="1"), on_event=events.append))
    while emulator.in_flight < len(MODELS):  # noqa: ASYNC110 - the other side is another thread
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    while emulator.in_flight:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    assert asyncio.all_tasks() == before
    failed = [event for event in events if isinstance(event, CallFailed)]
    assert len(failed) == len(MODELS)
    assert all(event.in_doubt for event in failed)


@every_provider
async def test_the_slower_of_two_hedged_calls_is_hung_up_on(serve: Any, model: str) -> None:
    """The provider sees its client go, and what it may bill for that is held in doubt."""
    emulator = serve(faults=Faults(at={1: Fault.timeout(billed=True)}))
    result = await run(asker(model, hedge=0.1), "Hello", budget=Budget(usd="1"))
    assert result.stop_reason == "completed", result.error
    assert result.seconds < 5
    assert len(emulator.requests) == 2
    assert result.bill.in_doubt > 0
    async with asyncio.timeout(5):
        while emulator.in_flight:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@every_provider
async def test_a_deadline_reaches_the_socket(serve: Any, model: str) -> None:
    """A provider that never answers does not hold a run past its time: it ends as `deadline`, the call in doubt, and
    the provider sees its client go while the loop lives on."""
    emulator = serve(faults=Faults(at={1: Fault.timeout(billed=True)}))
    result = await run(asker(model), "Hello", budget=Budget(usd="1", seconds=0.2))
    assert result.stop_reason == "deadline"
    assert result.seconds < 5
    assert result.bill.in_doubt > 0
    async with asyncio.timeout(5):
        while emulator.in_flight:  # noqa: ASYNC110 - the other side is another thread
            await asyncio.sleep(0.005)


@every_provider
def test_refusal_and_length_are_not_success(serve: Any, model: str) -> None:
    """Both are billed, and neither passes for an answer."""
    serve(behaviour=EmulatedReplyFor(refusal="I will not."))
    refused = run_sync(asker(model), "Do harm", budget=Budget(usd="1"))
    assert isinstance(refused.error, Refused)
    assert refused.bill.total is not None
    assert refused.bill.total > 0
    serve(behaviour="word " * 400)
    cut = run_sync(asker(model, cap=50), "Write a lot", budget=Budget(usd="1"))
    assert type(cut.error).__name__ == "OutputTruncated"


@every_provider
@pytest.mark.parametrize("behaviour", ["word " * 400, "refusal"], ids=["length", "refusal"])
async def test_what_was_shown_of_no_answer_is_taken_back(serve: Any, model: str, behaviour: str) -> None:
    """Billed all the same; a Retracted after the last piece of it says that it does not count."""
    serve(behaviour=EmulatedReplyFor(refusal="I will not do it.") if behaviour == "refusal" else behaviour)
    async with stream(asker(model, cap=50), "Write a lot", budget=Budget(usd="1")) as running:
        kinds = [type(event) async for event in running if isinstance(event, TextDelta | Retracted)]
    assert kinds == [TextDelta] * (len(kinds) - 1) + [Retracted]
    assert len(kinds) > 1
    assert isinstance(running.result.error, Refused | OutputTruncated)
    assert running.result.bill.total > 0


def EmulatedReplyFor(**fields: Any) -> Any:
    return lambda request: EmulatedReply(**fields)


def test_thinking_is_kept_and_sent_back_as_it_was_signed(serve: Any) -> None:
    """The provider refuses altered thinking, so a conversation with tools that goes on is proof."""

    def lookup(word: str) -> str:
        """Look a word up."""
        return "found"

    def says(request: EmulatedRequest) -> Any:
        if request.tool_results:
            return EmulatedReply("done", thinking="so it is")
        return EmulatedReply(tool_calls=(ToolCall("lookup", {"word": "x"}),), thinking="let me look")

    serve(behaviour=says)
    agent = asker("anthropic:claude-sonnet-4-6", cap=4_000, tools=[lookup], settings=ModelSettings(thinking=2_000))
    assert run_sync(agent, "What is x?", budget=Budget(usd="5")).unwrap() == "done"


def test_the_exact_count_asks_for_summary_where_the_bound_is_too_coarse(serve: Any) -> None:
    """One token a byte would not fit this budget, the provider's own count does: the call is made."""
    emulator = serve(behaviour="ok")
    agent = asker("anthropic:claude-haiku-4-5", cap=10)
    text = "word " * 2_000
    result = run_sync(agent, text, budget=Budget(usd="0.006"))
    assert result.stop_reason == "completed"
    assert [record.path for record in emulator.requests] == ["/v1/messages/count_tokens", "/v1/messages"]


def test_forty_agents_share_one_budget_over_real_sockets(serve: Any) -> None:
    """The provider's own books never exceed the limit, however the calls race."""
    emulator = serve(behaviour="a few words of answer")
    agent = asker("anthropic:claude-haiku-4-5", cap=300)
    result = run_sync(FanOut(agent), [f"question {i}" for i in range(40)], budget=Budget(usd="0.004"))
    billed = emulator.billed()["claude-haiku-4-5"]
    spent = (billed.input_tokens + 5 * billed.output_tokens) / Decimal(1_000_000)
    assert spent == result.bill.total
    assert spent <= Decimal("0.004")
    assert len(result.output or []) == len([e for e in result.events if isinstance(e, CallFinished)])


def test_a_thousand_agents_at_once_lose_nothing(serve: Any) -> None:
    """One fan-out over a thousand items: a thousand answers, in order, on kept connections."""
    serve(behaviour=lambda request: request.text.upper())
    result = run_sync(FanOut(asker("anthropic:claude-haiku-4-5")), [f"q{i}" for i in range(1000)])
    assert result.output == [f"Q{i}" for i in range(1000)]


def test_a_side_effect_is_not_repeated_by_a_retry(serve: Any) -> None:
    """The retry of a model call does not run the tool again."""
    sent: list[str] = []

    def send(to: str) -> str:
        """Send a mail."""
        sent.append(to)
        return "sent"

    def says(request: EmulatedRequest) -> Any:
        return "done" if request.tool_results else EmulatedReply(tool_calls=(ToolCall("send", {"to": "a@b"}),))

    serve(behaviour=says, faults=Faults(at={2: 500, 3: 529}))
    result = run_sync(asker(MODELS[0], tools=[Tool("send", send, side_effect=True)]), "Send it", budget=Budget(usd="1"))
    assert (result.output, sent) == ("done", ["a@b"])


@every_provider
def test_a_rate_limit_is_waited_for(serve: Any, model: str) -> None:
    """The provider's retry-after is obeyed: the answer comes, and not before the time it asked for."""
    emulator = serve(faults=Faults(at={1: Fault.http(429, retry_after=0.2)}))
    result = run_sync(asker(model), "Hi", budget=Budget(usd="1"))
    assert result.stop_reason == "completed"
    assert result.seconds >= 0.2
    assert [record.status for record in emulator.requests] == [429, 200]


@every_provider
def test_a_lost_connection_after_sending_is_in_doubt(serve: Any, model: str) -> None:
    """Whether a reset call was billed is unknown: it is held, tried again, and both are said."""
    emulator = serve(faults=Faults(at={1: Fault.reset(billed=True)}))
    result = run_sync(asker(model), "Hello", budget=Budget(usd="1"))
    assert result.stop_reason == "completed"
    assert result.bill.in_doubt > 0
    assert sum(record.status == 200 for record in emulator.requests) >= 1


@every_provider
def test_errors_name_what_to_do(serve: Any, model: str) -> None:
    """An error of a provider says who, where and what next; a key is never part of it."""
    emulator = serve(faults=Faults(at={1: 401, 2: 403}))
    result = run_sync(asker(model), "Hello", budget=Budget(usd="1"))
    text = str(result.error)
    assert "next:" in text
    assert "asker" in text
    assert emulator.env()["OPENAI_API_KEY"] not in text
