"""Canaries before and after a compaction: over sessions made by a program, and over what a store recorded."""

from __future__ import annotations

from typing import Any

import pytest

from misshapen import misshapen
from outlay import Agent, Budget, Compaction, run
from outlay.agents.checkpoint import asks_for_summary, extract
from outlay.agents.survivors import Survivor
from outlay.errors import ConfigError
from outlay.evals.canaries import Canary, canaries_in, probe
from outlay.evals.coding_sessions import CodingSession
from outlay.evals.compactions import on_run, on_sessions, would_be
from outlay.stores.memory import MemoryStore
from outlay.testing import Reply, ScriptedModel
from outlay.values.content import Text, ToolCall, ToolResult
from outlay.values.message import Message, user

SAID = (
    user("Refund the order"),
    Message("assistant", (Text("Decision: pay by card"), ToolCall("1", "find", '{"path": "a/one.py"}'))),
    Message("tool", (ToolResult("1", "find", "ORD-17 is open " * 30),)),
    Message("assistant", (ToolCall("2", "pay", '{"path": "a/two.py"}'),)),
    Message("tool", (ToolResult("2", "pay", "Denied: limit reached\nat line 3", is_error=True),)),
    Message("assistant", (ToolCall("3", "find", '{"path": "a/three.py"}'),)),
    Message("tool", (ToolResult("3", "find", "nothing"),)),
)


def by_field(found: Any) -> dict[str, tuple[int, int]]:
    """Answers there before and after, by field."""
    fields = {one.canary.field for one in found}
    return {
        f: (
            sum(one.before for one in found if one.canary.field == f),
            sum(one.after for one in found if one.canary.field == f),
        )
        for f in fields
    }


# ── canaries ──────────────────────────────────────────────────────────────────────────────────────────────


def test_what_code_finds_becomes_a_question_with_its_answer() -> None:
    """The task, the third call, what failed, which files, which decision."""
    found = {canary.field: canary.expected for canary in canaries_in(SAID, Compaction().survivors)}
    assert found["task"] == "Refund the order"
    assert found["calls"] == 'find {"path": "a/three.py"}'
    assert found["errors"] == "Denied: limit reached"
    assert found["decisions"] == "pay by card"
    assert found["paths"] == "a/three.py"


def test_an_answer_that_is_gone_is_lost_only_if_it_had_to_survive() -> None:
    fields = Compaction(must_survive=["errors"]).survivors
    canaries = [Canary("", "Denied: limit reached", "errors"), Canary("", "pay by card", "decisions")]
    gone = probe(canaries, SAID, SAID[:1], fields)
    assert [(one.before, one.after, one.must, one.lost) for one in gone] == [
        (True, False, True, True),
        (True, False, False, False),
    ]
    assert not any(one.lost for one in probe(canaries, SAID, SAID, fields))


def test_what_was_never_there_is_not_lost() -> None:
    (one,) = probe([Canary("", "a unicorn", "errors")], SAID, (), Compaction().survivors)
    assert not one.lost


# ── sessions made by a program ────────────────────────────────────────────────────────────────────────────


async def test_every_declared_field_survives_sixty_turns() -> None:
    """And the third tool call does not, because nobody declared that it must."""
    (found,) = await on_sessions(Compaction(), [1], 60)
    assert found.lost == ()
    counted = by_field(found.probes)
    assert all(before == after > 0 for field, (before, after) in counted.items() if field != "calls")
    assert counted["calls"] == (1, 0)
    assert found.characters_after < found.characters_before / 5


async def test_declared_calls_survive_too() -> None:
    (found,) = await on_sessions(Compaction(must_survive=["calls"]), [1], 40)
    assert by_field(found.probes)["calls"] == (1, 1)


async def test_a_summary_that_keeps_nothing_is_found_out() -> None:
    """A field that code cannot find is the writer's, and this one writes nothing down."""
    forgetful = Compaction(
        clear=False,
        must_survive=[Survivor("decisions", "what was decided"), Survivor("paths", "files")],
        offline=lambda request: '{"summary": "we worked", "decisions": [], "paths": []}',
    )
    (found,) = await on_sessions(forgetful, [1], 40)
    assert {one.canary.field for one in found.lost} == {"decisions", "paths"}


async def test_a_model_that_writes_the_summaries_is_paid() -> None:
    writer = ScriptedModel(extract, name="writer", price=(1, 5))
    (found,) = await on_sessions(Compaction(clear=False), [1], 30, writer)
    assert found.cost
    assert writer.calls


def test_a_session_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    assert CodingSession.of(3, 20) == CodingSession.of(3, 20)
    assert CodingSession.of(3, 20).canaries != CodingSession.of(4, 20).canaries


# ── recorded runs ─────────────────────────────────────────────────────────────────────────────────────────


async def recorded(compaction: Compaction | None, summary: Any = extract) -> MemoryStore:
    """A run that fails once, decides once, and looks at thirty pages."""
    store, turns = MemoryStore(), iter(range(30))

    def look(path: str) -> str:
        """Look at a file."""
        if path.endswith("_3.py"):
            raise LookupError("torn out of ORD-17")
        return f"secret of {path} " + "line " * 400

    def answer(request: Any) -> Any:
        if asks_for_summary(request):
            return summary(request)
        turn = next(turns, None)
        if turn is None:
            return "done"
        return Reply("Decision: go on by bus" if turn == 2 else "", tool_calls=[("look", {"path": f"a/b_{turn}.py"})])

    agent = Agent("reader", ScriptedModel(answer, price=(3, 15)), tools=[look], max_turns=40, compaction=compaction)
    result = await run(agent, "Find it", store=store, run_id="r", budget=Budget(usd=50))
    assert result.output == "done"
    return store


async def test_each_compaction_of_a_recorded_run_is_looked_at() -> None:
    """What was sent before it and after it, out of the store."""
    both = Compaction(expected_turns=60)
    found = await on_run(await recorded(both), "r", both)
    assert {one.what for one in found} >= {"reader: clear"}
    assert all(one.probes and not one.lost and one.characters_after < one.characters_before for one in found)


async def test_a_recorded_run_that_lost_something_is_found_out() -> None:
    """Its summaries were allowed to forget what failed; the question is asked with today's fields."""
    loose = Compaction(clear=False, must_survive=["open_tasks"], expected_turns=60)
    found = await on_run(await recorded(loose), "r", Compaction())
    assert {one.canary.field for shortened in found for one in shortened.lost} >= {"errors", "paths"}


async def test_questions_of_ones_own_must_survive() -> None:
    store = await recorded(Compaction(clear=False, expected_turns=60))
    kept, gone = Canary("Which order?", "ORD-17"), Canary("What did the first page say?", "secret of a/b_0.py")
    found = await on_run(store, "r", Compaction(), [kept, gone])
    assert {one.canary for shortened in found for one in shortened.lost} == {gone}


async def test_a_run_without_compaction_is_shortened_as_it_would_be() -> None:
    (found,) = await on_run(await recorded(None), "r", Compaction())
    assert (found.what, found.times) == ("as it would be shortened", 1)
    assert found.lost == ()
    assert found.characters_after < found.characters_before / 3


async def test_a_run_without_calls_has_nothing_to_look_at() -> None:
    with pytest.raises(ConfigError, match="no conversation"):
        await on_run(MemoryStore(), "r", Compaction())


def test_what_would_be_sent_is_well_formed_and_never_longer() -> None:
    short = would_be(SAID, Compaction(keep_turns=1))
    assert misshapen(short) is None
    assert sum(len(m.canonical) for m in short) <= sum(len(m.canonical) for m in SAID)
