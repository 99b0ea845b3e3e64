"""An agent with compaction: what its model is sent, what that costs, and what is said of it."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import BaseModel

from misshapen import misshapen
from outlay import Agent, Budget, Compaction, run, run_sync, stream, tool
from outlay.agents.checkpoint import asks_for_summary, extract, found_in
from outlay.errors import ConfigError, ContextTooLong, Overloaded
from outlay.events import Decision
from outlay.models.scripted import estimate_input
from outlay.testing import Reply, ScriptedModel, virtual_time
from outlay.values.label import Integrity

PAGE = "line of a page. " * 100  # 400 tokens


@tool
def look(page: int) -> str:
    """Read a page."""
    if page % 7 == 0:
        raise LookupError(f"page {page} is torn out")
    return f"page {page}: {PAGE}"


def reading(turns: int, summary: Any = extract) -> tuple[Any, list[int]]:
    """Looks at so many pages and then answers; the pages it looked at."""
    looked: list[int] = []

    def answer(request: Any) -> Any:
        if asks_for_summary(request):
            return summary(request)
        if len(looked) == turns:
            return "done"
        looked.append(len(looked) + 1)
        return Reply("Decision: go on" if len(looked) == 2 else "", tool_calls=[("look", {"page": looked[-1]})])

    return answer, looked


def reader(turns: int, summary: Any = extract, **options: Any) -> tuple[ScriptedModel, list[int]]:
    answer, looked = reading(turns, summary)
    return ScriptedModel(answer, **({"price": (3, 15)} | options)), looked


def agent(model: Any, compaction: Compaction | None, **options: Any) -> Agent[Any]:
    return Agent("reader", model, tools=[look], max_turns=80, compaction=compaction, **options)


def go(model: Any, compaction: Compaction | None, **options: Any) -> Any:
    return run_sync(agent(model, compaction, **options), "Find the treasure", budget=Budget(usd=100))


def said(result: Any) -> list[dict[str, Any]]:
    return [e.data for e in result.events if isinstance(e, Decision) and e.about == "compaction"]


def turns_of(model: ScriptedModel) -> list[Any]:
    return [request for request in model.calls if not asks_for_summary(request)]


SUMMARISE = Compaction(clear=False, expected_turns=80)


# ── clearing ──────────────────────────────────────────────────────────────────────────────────────────────


def test_results_that_were_read_are_cleared_and_their_calls_stay() -> None:
    """The model still sees what it asked, in order; the last three turns and what failed are whole."""
    model, _ = reader(12)
    result = go(model, Compaction(summarise=False))
    seen = turns_of(model)[-1].messages
    assert [json.loads(call.arguments)["page"] for m in seen for call in m.tool_calls] == list(range(1, 13))
    results = [one for m in seen for one in m.tool_results]
    assert [one.content.startswith("[cleared: 1,6") for one in results] == [True] * 6 + [False] + [True] * 2 + [
        False
    ] * 3
    assert results[6].content == "LookupError: page 7 is torn out"
    assert {d["outcome"] for d in said(result)} == {"done"}


def test_clearing_saves_money_and_changes_no_answer() -> None:
    whole, short = reader(20)[0], reader(20)[0]
    before, after = go(whole, None), go(short, Compaction(summarise=False))
    assert after.output == before.output == "done"
    assert after.bill.total < before.bill.total / 2


def test_tools_whose_results_must_stay_are_left_alone() -> None:
    model, _ = reader(12)
    result = go(model, Compaction(summarise=False, keep_tools=["look"]))
    assert said(result) == []
    assert model.calls[-1].messages[2].tool_results[0].content.endswith(PAGE)


# ── a summary ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_checkpoint_takes_the_place_of_the_earlier_turns() -> None:
    """The task word for word, the notes, and the last three turns with their calls and results."""
    model, looked = reader(30)
    result = go(model, SUMMARISE)
    opening, *tail = turns_of(model)[-1].messages
    assert opening.parts[0].text == "Find the treasure"
    notes = found_in([opening])
    assert notes is not None
    assert notes.fields["decisions"] == ("go on",)
    assert 'look {"page": 7}: LookupError: page 7 is torn out' in notes.fields["errors"]
    assert len(looked) == 30
    assert len(tail) < 40
    assert result.output == "done"


def test_a_summary_is_paid_and_stands_on_the_bill_by_its_purpose() -> None:
    """It is part of the total, and of what the budget counts."""
    model, _ = reader(30)
    result = go(model, SUMMARISE)
    lines = result.bill.by("purpose")
    assert lines["compaction"].calls == sum(map(asks_for_summary, model.calls)) > 0
    assert lines["compaction"].cost + lines["work"].cost == result.bill.total


def test_the_price_decides_when() -> None:
    """Nothing where a summary would cost more than it saves: every decision that was taken was expected to save."""
    model, _ = reader(6)
    assert said(go(model, Compaction(clear=False))) == []
    model, _ = reader(40)
    assert all(Decimal(data["expected"]) > 0 for data in said(go(model, Compaction())))


def test_the_request_for_a_summary_has_the_prefix_of_the_agent_s_own() -> None:
    """So the provider reads it from its cache: the same instructions, tools and messages, and one more."""
    model, _ = reader(30)
    go(model, SUMMARISE, instructions="Be brief.")
    at = next(i for i, request in enumerate(model.calls) if asks_for_summary(request))
    asking, before = model.calls[at], model.calls[at - 1]
    assert asking.prelude is before.prelude
    assert asking.messages[: len(before.messages)] == before.messages


def test_another_model_may_write_it_at_its_own_price() -> None:
    model, _ = reader(30)
    writer = ScriptedModel(extract, name="writer", price=(1, 5))
    result = go(model, Compaction(clear=False, model=writer, expected_turns=80))
    assert result.bill.by("model")["writer"].calls == len(writer.calls) > 0
    assert not any(map(asks_for_summary, model.calls))


def test_an_agent_with_typed_output_is_summarised_as_text() -> None:
    """Its schema would not let the model write notes."""

    class Found(BaseModel):
        where: str

    looked: list[int] = []

    def answer(request: Any) -> Any:
        if asks_for_summary(request):
            assert request.prelude.output is None
            return extract(request)
        looked.append(1)
        return Found(where="here") if len(looked) > 30 else Reply(tool_calls=[("look", {"page": len(looked)})])

    result = go(ScriptedModel(answer, price=(3, 15)), SUMMARISE, output_type=Found)
    assert result.output == Found(where="here")
    assert "done" in {data["outcome"] for data in said(result)}


def test_a_checkpoint_is_as_untrusted_as_the_tools_it_covers() -> None:
    model, _ = reader(30)
    result = go(model, SUMMARISE)
    opening = result.transcript.messages[0]
    assert found_in([opening]) is not None
    assert opening.label.integrity is Integrity.UNTRUSTED
    assert "look" in opening.label.sources


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("summary", "why"),
    [
        (lambda r: json.dumps(json.loads(extract(r)) | {"summary": "and so on " * 9_000}), "longer than what"),
        (lambda r: json.dumps({k: v for k, v in json.loads(extract(r)).items() if k != "errors"}), "it lost errors"),
        (lambda r: "We looked at some pages.", "not JSON"),
        (lambda r: Reply(tool_calls=[("look", {"page": 1})]), "it called a tool"),
        (lambda r: Reply(extract(r), stop="length"), "it ended with length"),
    ],
    ids=["longer", "lost field", "prose", "tool call", "cut off"],
)
def test_a_summary_that_will_not_do_is_refused(summary: Any, why: str) -> None:
    """It is paid, the conversation stays as it was, the event says so, and it is not asked for at every turn."""
    model, _ = reader(30, summary)
    result = go(model, SUMMARISE, max_output_tokens=50_000)
    refused = said(result)
    assert {data["outcome"] for data in refused} == {"refused"}
    assert all(why in data["why"] and data["before"] == data["after"] for data in refused)
    assert 0 < len(refused) <= 8
    assert len(result.transcript) == 62
    assert result.bill.by("purpose")["compaction"].calls == len(refused)


def test_a_summary_that_fails_does_not_fail_the_agent() -> None:
    """The provider is overloaded for the summary only."""
    model, _ = reader(20, lambda r: Overloaded("busy"))
    with virtual_time():
        result = go(model, SUMMARISE)
    assert result.output == "done"
    assert all((d["outcome"], d["why"]) == ("failed", "Overloaded: busy") for d in said(result))
    assert said(result)


def test_a_summary_is_not_begun_where_the_budget_might_not_hold_it() -> None:
    """It would stop a run that could have come to its end."""
    model, _ = reader(30)
    cost = go(model, None).bill.total
    model, _ = reader(30)
    capped = agent(model, Compaction(clear=False, model=ScriptedModel(extract, price=(900, 900)), window=8_000))
    result = run_sync(capped, "Find the treasure", budget=Budget(usd=cost + Decimal("0.05")))
    assert (result.stop_reason, result.output) == ("completed", "done")
    assert {data["outcome"] for data in said(result)} == {"skipped"}


# ── the window ────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_price_only_the_window_counts_and_that_is_said_once() -> None:
    model, _ = reader(30, price=None)
    result = run_sync(agent(model, Compaction(window=6_000)), "Find the treasure")
    first, *rest = said(result)
    assert (first["outcome"], first["why"]) == (
        "price unknown",
        "the price of scripted is unknown, only the context window counts",
    )
    assert {data["outcome"] for data in rest} == {"done"}
    assert all("tokens of at most" in data["why"] for data in rest)


def test_an_unknown_price_and_window_leave_nothing_to_go_by() -> None:
    model, _ = reader(30, price=None)
    result = run_sync(agent(model, Compaction()), "Find the treasure")
    assert [data["why"] for data in said(result)] == ["the price of scripted is unknown, and so is its context window"]


@pytest.mark.parametrize("price", [None, (0, 0)], ids=["unpriced", "free"])
@pytest.mark.parametrize("clear", [True, False])
def test_no_request_is_longer_than_the_window(price: Any, clear: bool) -> None:
    """Sixty turns through a window that holds ten: where tokens cost nothing, too."""
    model, looked = reader(60, price=price)
    window = 6_000
    result = run_sync(agent(model, Compaction(clear=clear, window=window)), "Find the treasure")
    assert (result.output, len(looked)) == ("done", 60)
    assert max(model.estimate(request) for request in model.calls) + 1024 <= window


def refusing(turns: int, most: int) -> ScriptedModel:
    """A model with a window that nobody knows of, and that refuses what does not fit."""
    fitting, _ = reading(turns)
    return ScriptedModel(lambda r: ContextTooLong("too long") if estimate_input(r) > most else fitting(r))


def test_what_the_provider_refuses_for_its_length_is_shortened_and_sent_again() -> None:
    """Neither price nor window is known: the refusal is what there is to go by, and it costs nothing."""
    result = run_sync(agent(refusing(30, 4_000), Compaction()), "Find the treasure")
    assert result.output == "done"
    assert {data["way"] for data in said(result) if data["outcome"] == "done"} == {"clear"}


def test_what_is_too_long_and_cannot_be_shortened_is_the_error_that_it_was() -> None:
    result = run_sync(agent(refusing(30, 4_000), Compaction(keep_tools=["look"])), "Find the treasure")
    assert isinstance(result.error, ContextTooLong)


def test_the_agent_s_own_input_limit_is_a_window_too() -> None:
    model, _ = reader(60, price=None)
    result = run_sync(agent(model, Compaction(), max_input_tokens=5_000), "Find the treasure")
    assert result.output == "done"


# ── a side-quest ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_noisy_side_quest_leaves_only_its_answer() -> None:
    """An agent among the tools: its pages stand in its own conversation, and its cost under its own name."""
    scouting, looked = reader(10)
    scout = Agent("scout", scouting, tools=[look], max_turns=20, description="Looks through the pages.")
    lead = ScriptedModel([Reply(tool_calls=[("scout", {"input": "Where is it?"})]), "It is here."], price=(3, 15))
    result = run_sync(Agent("lead", lead, tools=[scout]), "Find the treasure", budget=Budget(usd=1))
    assert len(looked) == 10
    assert [one.content for m in lead.calls[-1].messages for one in m.tool_results] == ["done"]
    costs = {name: line.cost for name, line in result.bill.by("agent").items()}
    assert costs["scout"] > 10 * costs["lead"]


# ── laws ──────────────────────────────────────────────────────────────────────────────────────────────────


@hypothesis_settings(max_examples=30)
@given(st.data())
def test_every_request_is_well_formed(data: st.DataObject) -> None:
    """Whatever the settings and the conversation: calls have their results, and the task is in every request."""
    turns = data.draw(st.lists(st.integers(0, 3), max_size=14))
    left = iter(turns)

    def answer(request: Any) -> Any:
        if asks_for_summary(request):
            return data.draw(st.sampled_from([extract(request), "no", Reply(tool_calls=[("look", {"page": 1})])]))
        calls = next(left, None)
        if calls is None:
            return "done"
        return Reply("so", tool_calls=[("look", {"page": i + 1}) for i in range(calls)]) if calls else "wrong"

    model = ScriptedModel(answer, price=(3, 15))
    compaction = Compaction(
        *data.draw(st.sampled_from([(True, True), (True, False), (False, True)])),
        keep_turns=data.draw(st.integers(1, 4)),
        expected_turns=data.draw(st.sampled_from([None, 500])),
        window=data.draw(st.sampled_from([None, 3_000])),
        max_summary_tokens=100,
    )
    short = agent(
        model,
        compaction,
        output_retries=20,
        max_output_tokens=500,
        verify=lambda text: None if text == "done" else "no",
    )
    assert run_sync(short, "Find the treasure").output == "done"
    for request in model.calls:
        assert misshapen(request.messages) is None
        assert any("Find the treasure" in message.text for message in request.messages)


# ── without it ────────────────────────────────────────────────────────────────────────────────────────────


def test_an_agent_without_it_leaves_no_trace_of_it() -> None:
    """The same events and the same identities as ever."""
    model, _ = reader(10)
    result = go(model, None)
    assert not any(isinstance(e, Decision) for e in result.events)
    assert all(request.whole is None for request in model.calls)


async def test_a_summary_is_not_streamed_as_an_answer() -> None:
    """Who listens hears the agent, not its notes."""
    model, _ = reader(30)
    async with stream(agent(model, SUMMARISE), "Find the treasure", budget=Budget(usd=100)) as running:
        heard = "".join([text async for text in running.text()])
    assert "checkpoint" not in heard
    assert '"summary"' not in heard
    assert heard.endswith("done")
    assert any(data["outcome"] == "done" for data in said(running.result))


def test_offline_the_summary_has_a_stand_in_of_its_own() -> None:
    """The agent's stand-in need not know how to write one; it costs what the real model would."""
    looked: list[int] = []

    def stand_in(request: Any) -> Any:
        assert not asks_for_summary(request)
        looked.append(1)
        return Reply(tool_calls=[("look", {"page": len(looked)})]) if len(looked) < 40 else "done"

    real = Agent(
        "reader",
        "anthropic:claude-sonnet-4-6",
        tools=[look],
        max_turns=80,
        compaction=SUMMARISE,
        offline=stand_in,
    )
    result = asyncio.run(run(real, "Find the treasure", models="offline"))
    assert result.bill.by("purpose")["compaction"].cost


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Compaction(clear=False, summarise=False), "would do nothing"),
        (lambda: Compaction(keep_turns=0), "keep_turns must be at least 1"),
        (lambda: Compaction(window=-1), "window must be at least 1"),
        (lambda: Compaction(native=True, keep_tools=["look"]), "native=True and keep_tools exclude each other"),
        (lambda: Compaction(must_survive=["everything"]), "no must-survive field 'everything'"),
        (lambda: Agent("a", "anthropic:claude-haiku-4-5", compaction=True), "is no Compaction"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_work_is_refused_before_anything_runs(make: Any, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        make()
