"""Blackboard: specialists that work on what stands on a common board."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from outlay import Agent, Budget, RunContext, node, run_sync
from outlay.errors import ConfigError, Conflict, OutputInvalid, Overloaded
from outlay.events import Decision
from outlay.patterns import Blackboard, Specialist
from outlay.patterns.agenda import Agenda
from outlay.patterns.board import Board
from outlay.patterns.entry_types import problems_of
from outlay.patterns.specialist import writes_of
from outlay.testing import ScriptedModel, virtual_time


@dataclass
class Draft:
    text: str


class Found(BaseModel):
    draft: str | None = None
    score: int = 0


def works(name, function, seconds=0.0):
    """A node of this name that takes so long."""

    async def work(ctx: RunContext, board: Mapping[str, Any]) -> Any:
        await ctx.sleep(seconds)
        return function(board)

    return node(name=name)(work)


def specialist(name, reads, writes, function, seconds=0.0):
    return Specialist(works(name, function, seconds), reads, writes)


def facts(result):
    return result.facts["blackboard"]


def upper():
    return specialist("upper", ["input"], {"text": str}, lambda b: b["input"].upper())


# ── who fires, and on what ────────────────────────────────────────────────────────────────────────────────


def test_specialists_fire_in_the_order_of_their_data():
    """Not of their declaration; the output is the final board, and nobody having anything to do ends it."""
    count = specialist("count", ["text"], {"length": int}, lambda b: len(b["text"]))
    result = run_sync(Blackboard([count, upper()]), "hello")
    assert result.unwrap() == {"input": "hello", "text": "HELLO", "length": 5}
    assert facts(result) == {
        "ended": "quiescence",
        "why": "",
        "steps": 2,
        "conflicts": 0,
        "versions": {"input": 1, "text": 1, "length": 1},
        "history": [["input", 1, "input"], ["text", 1, "upper"], ["length", 1, "count"]],
    }
    assert (result.stop_reason, result.degraded) == ("completed", False)


def test_a_specialist_sees_what_it_reads_and_nothing_else():
    """An agent reads it as JSON, in the order of its `reads`."""
    reader = Agent("reader", ScriptedModel(lambda r: r.text))
    board = {"secret": "s", "b": [1], "a": "x"}
    result = run_sync(Blackboard([Specialist(reader, ["a", "b"], {"seen": str})], board), "hello")
    assert result.unwrap()["seen"] == '{"a":"x","b":[1]}'


def test_a_specialist_waits_until_all_that_it_reads_is_there():
    """An entry that is declared by its type is empty."""
    seen = []
    both = specialist("both", ["text", "note"], {"end": str}, lambda b: seen.append(b) or "end")
    late = specialist("late", ["text"], ["note"], lambda b: "late")
    run_sync(Blackboard([both, upper(), late], {"note": str}), "x").unwrap()
    assert seen == [{"text": "X", "note": "late"}]


def test_those_that_are_ready_run_at_the_same_time_on_one_snapshot(on_virtual_time):
    """The step takes as long as its slowest; what one writes the others see in the next."""
    a = specialist("a", ["input", "n"], ["n"], lambda b: min(b["n"] + 1, 1), 3)
    b = specialist("b", ["n"], {"seen": int}, lambda b: b["n"], 5)
    result = run_sync(Blackboard([a, b], {"n": 0}), "x")
    assert facts(result)["history"][2:] == [["n", 2, "a"], ["seen", 1, "b"], ["seen", 2, "b"]]
    assert on_virtual_time.elapsed == 10


def test_a_write_of_an_equal_value_changes_nothing():
    """So a specialist that reads what it writes goes on up to a fixed point."""
    halve = specialist("halve", ["n"], ["n"], lambda b: b["n"] // 2)
    result = run_sync(Blackboard([halve], {"n": 10}), None)
    assert (result.unwrap()["n"], facts(result)["steps"], facts(result)["versions"]["n"]) == (0, 5, 5)


def test_nobody_changes_an_entry_but_by_a_write():
    """Values are copied in and out."""
    kept = []

    def spoil(board):
        board["items"].append("spoilt")
        kept.append(["new"])
        return kept[0]

    first = ["first"]
    flow = Blackboard(
        [specialist("spoil", ["items"], {"made": list[str]}, spoil), specialist("late", ["made"], {"z": str}, str)],
        {"items": first},
    )
    result = run_sync(flow, "x")
    kept[0].append("late")
    assert (result.output["items"], result.output["made"], first) == (["first"], ["new"], ["first"])


# ── what it may write ─────────────────────────────────────────────────────────────────────────────────────


def test_a_specialist_writes_by_mapping_by_object_or_the_value_of_its_one_entry():
    """A field that is None is no write, and None at all is none either."""
    flow = Blackboard(
        [
            specialist("mapping", ["input"], {"a": int, "b": str}, lambda b: {"b": "x"}),
            Specialist(
                Agent("agent", ScriptedModel([Found(score=3)]), output_type=Found), ["input"], ["draft", "score"]
            ),
            specialist("value", ["input"], {"typed": Draft}, lambda b: Draft("d")),
            specialist("nothing", ["input"], {"never": str}, lambda b: None),
        ],
        {"draft": str, "score": int},
    )
    result = run_sync(flow, "i")
    assert result.unwrap() == {"input": "i", "b": "x", "score": 3, "typed": Draft("d")}


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ({"other": 1}, "'other' is none of the entries it may write"),
        ({"input": "mine"}, "'input' is none of the entries it may write"),
        ({"n": "three"}, "n: Input should be a valid integer"),
        ({"n": 1, "other": 2}, "'other' is none of the entries it may write"),
        ("three", "n: Input should be a valid integer"),
        ({"n": None}, "n: Input should be a valid integer"),
    ],
)
def test_a_write_outside_its_schema_is_refused_and_never_applied(output, reason):
    """Not even the part of it that would do; the reason stands in `.skipped`, and the others go on."""
    bad = specialist("bad", ["input"], {"n": int}, lambda b: output)
    result = run_sync(Blackboard([bad, upper()], {"other": int}), "x")
    assert result.output == {"input": "x", "text": "X"}
    (skipped,) = result.skipped
    assert (skipped.path, type(skipped.error), result.degraded) == ("blackboard/bad", OutputInvalid, True)
    assert reason in skipped.reason


def test_an_output_that_does_not_say_what_is_what_is_refused():
    """Several entries need names."""
    bad = specialist("bad", ["input"], {"a": str, "b": str}, lambda b: "both")
    result = run_sync(Blackboard([bad, upper()]), "x")
    assert "does not say what is what" in result.skipped[0].reason


# ── conflicts ─────────────────────────────────────────────────────────────────────────────────────────────


def test_of_two_writes_in_a_step_the_first_declared_wins_and_the_other_is_fired_again():
    """On the new version, whichever was done first; the conflict is a decision on record, not a loss."""

    def add(name, seconds):
        return specialist(name, ["input", "items"], ["items"], lambda b: sorted({*b["items"], name}), seconds)

    flow = Blackboard([add("slow", 5), add("fast", 1)], {"items": ["0"]})
    result = run_sync(flow, "x")
    assert result.unwrap()["items"] == ["0", "fast", "slow"]
    assert facts(result)["history"][2:] == [["items", 2, "slow"], ["items", 3, "fast"]]
    assert (facts(result)["conflicts"], result.degraded) == (1, False)
    (conflict,) = [e.data for e in result.events if isinstance(e, Decision)]
    assert conflict["specialist"] == "fast"
    assert "fast wrote 'items' as of version 1, and slow has written version 2 since" in conflict["why"]


def test_the_loser_of_a_conflict_is_fired_again_even_if_it_does_not_read_the_entry():
    """Its whole write was dropped, the other entries of it too."""
    first = specialist("first", ["input"], {"a": str}, lambda b: "1")
    second = specialist("second", ["input"], {"a": str, "b": str}, lambda b: {"a": "2", "b": "2"})
    result = run_sync(Blackboard([first, second]), "x")
    assert (result.unwrap()["a"], result.unwrap()["b"], facts(result)["steps"]) == ("2", "2", 3)


# ── how it ends ───────────────────────────────────────────────────────────────────────────────────────────


def increment():
    return specialist("inc", ["n"], ["n"], lambda b: b["n"] + 1)


def test_until_ends_it():
    """It is asked before each step; true from the start, nothing runs."""
    result = run_sync(Blackboard([increment()], {"n": 0}, until=lambda board: board["n"] == 3), "x")
    assert (result.unwrap()["n"], facts(result)["ended"], facts(result)["steps"]) == (3, "until", 3)
    done = run_sync(Blackboard([increment()], {"n": 0}, lambda b: f"{b['n']} is enough"), "x")
    assert (facts(done)["why"], facts(done)["steps"]) == ("0 is enough", 0)


def test_until_may_ask_for_what_is_still_empty_and_not_for_what_is_no_entry():
    """Empty means not yet; a name that nobody knows is a slip."""
    assert run_sync(Blackboard([upper()], {}, lambda b: b["text"] == "X"), "x").unwrap()["text"] == "X"
    with pytest.raises(ConfigError, match="'txt', which is no entry"):
        run_sync(Blackboard([upper()], {}, lambda b: b["txt"] == "X"), "x")


def test_until_may_be_a_node():
    """It gets the board; an agent reads it."""
    judge = Agent("judge", ScriptedModel(lambda r: '"n":2' in r.text), output_type=bool)
    result = run_sync(Blackboard([increment()], {"n": 0}, judge), "x")
    assert (result.unwrap()["n"], len(judge.model.calls)) == (2, 3)


@pytest.mark.parametrize("most", [1, 2, 5])
def test_max_steps_counts_runs_and_degrades(most):
    """Of those that are ready together the first declared run."""
    other = specialist("other", ["n"], {"seen": int}, lambda b: b["n"])
    result = run_sync(Blackboard([increment(), other], {"n": 0}, None, most), "x")
    assert (facts(result)["ended"], facts(result)["steps"], result.degraded) == ("max_steps", most, True)
    assert (result.unwrap()["n"], result.stop_reason) == ((most + 1) // 2, "completed")
    assert result.skipped[0].reason == f"not done after {most} runs of specialists"


def test_a_board_that_is_done_at_the_very_cap_is_done():
    """Using up the steps is not running out of them."""
    result = run_sync(Blackboard([upper()], {}, None, 1), "x")
    assert (facts(result)["ended"], result.degraded) == ("quiescence", False)


# ── failures and stops ────────────────────────────────────────────────────────────────────────────────────


def busy(name="busy", **options):
    return Agent(name, ScriptedModel(lambda r: Overloaded("busy", retryable=False)), **options)


def test_a_failed_specialist_is_fired_again_when_what_it_reads_has_changed():
    """Not before: the same would fail again."""
    calls = []

    def picky(board):
        calls.append(board["n"])
        if board["n"] < 2:
            raise ValueError("too small")
        return "fine"

    step = specialist("step", ["n"], ["n"], lambda b: min(b["n"] + 1, 2))
    result = run_sync(Blackboard([step, specialist("picky", ["n"], {"text": str}, picky)], {"n": 0}), "x")
    assert (calls, result.output["text"], result.degraded) == ([0, 1, 2], "fine", True)
    assert [s.reason for s in result.skipped] == ["ValueError: too small"] * 2


def test_where_every_specialist_failed_the_first_error_is_raised():
    """A board that nobody wrote on is no answer."""
    result = run_sync(Blackboard([Specialist(busy(), ["input"], {"a": str})]), "x")
    assert (result.stop_reason, type(result.error), facts(result)["ended"]) == ("error", Overloaded, "failed")


def test_an_optional_specialist_that_is_skipped_writes_nothing():
    """What it was given is no write of its own."""
    flow = Blackboard([Specialist(busy(optional=True), ["input"], {"a": str}), upper()])
    assert run_sync(flow, "x").output == {"input": "x", "text": "X"}


def test_a_specialists_own_turn_limit_is_its_failure():
    """It says nothing of the others."""
    stuck = Agent("stuck", ScriptedModel(lambda r: ""), output_type=int, max_turns=1)
    result = run_sync(Blackboard([Specialist(stuck, ["input"], {"n": int}), upper()]), "x")
    assert result.output == {"input": "x", "text": "X"}


def test_at_the_budget_the_board_so_far_is_kept():
    """With what the others of the same step had written: it is paid for."""

    def agent(name):
        return Specialist(Agent(name, ScriptedModel(lambda r: name)), ["input"], {name: str})

    result = run_sync(Blackboard([agent("a"), agent("b"), agent("c")]), "x", budget=Budget(calls=2))
    assert (result.stop_reason, facts(result)["ended"]) == ("budget", "budget")
    assert result.output == {"input": "x", "a": "a", "b": "b"}


def test_at_the_deadline_the_board_so_far_is_kept():
    """What is under way is cut off."""
    slow = specialist("slow", ["text"], {"never": str}, lambda b: "x", 9)
    result = run_sync(Blackboard([upper(), slow], budget=Budget(seconds=5)), "x")
    assert (result.stop_reason, result.output) == ("deadline", {"input": "x", "text": "X"})


# ── construction ──────────────────────────────────────────────────────────────────────────────────────────


def test_what_it_runs_is_known_before():
    """The specialists' nodes, and the condition where it is one."""
    judge = Agent("judge", "openai:gpt-5.4", output_type=bool)
    one, two = upper(), increment()
    assert Blackboard([one, two], {"n": 0}, judge).children == (one.node, two.node, judge)


def declares(reads, writes, board=None, **options):
    return lambda: Blackboard([Specialist(works("s", str), reads, writes)], board or {}, **options)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Blackboard([]), "at least one Specialist"),
        (lambda: Blackboard([works("s", str)]), "not a Specialist"),  # type: ignore[list-item]
        (lambda: Blackboard([upper(), upper()]), "two specialists are named 'upper'"),
        (declares([], ["a"], {"a": 1}), "reads nothing, and would never fire"),
        (declares(["a"], [], {"a": 1}), "writes nothing"),
        (declares("a", ["a"], {"a": 1}), "is not a list of entries"),
        (declares(["a"], [3], {"a": 1}), "names entries by text"),
        (declares(["b"], ["a"], {"a": 1}), "s reads 'b', which nobody writes"),
        (declares(["b"], ["a"], {"a": 1, "b": int}), "s reads 'b', which nobody writes"),
        (declares(["a"], ["c"], {"a": 1}), "the entry 'c' has no type"),
        (declares(["a"], {"c": 3}, {"a": 1}), "not a type"),
        (declares(["a"], {"a": str}, {"a": 1}), "a first value has the wrong type: a: Input should be a valid string"),
        (declares({"a": int}, {"a": str}, {"a": int}), "s declares 'a' as"),
        (declares(["a"], ["input"], {"a": 1}), "'input' holds the input"),
        (declares(["a"], ["a"], {"a": 1, "input": 2}), "'input' holds the input"),
        (declares(["a"], ["a"], {"a": 1}, max_steps=0), "max_steps must be at least 1"),
        (declares(["a"], ["a"], {"a": 1}, until="done"), "until= is a function or a node"),
        (declares(["a"], ["a"], {"a": 1}, until=Agent("j", "openai:gpt-5.4")), "asks yes or no"),
        (lambda: Blackboard([upper()], ["text"]), "maps names to values or types"),  # type: ignore[arg-type]
        (lambda: Specialist(3, ["a"], ["b"]), "not a node: 3"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_work_is_refused_at_construction(make, text):
    with pytest.raises(ConfigError, match=text):
        make()


def test_an_input_of_the_wrong_type_is_refused_before_anything_runs():
    """Where a specialist declares what it reads."""
    with pytest.raises(ConfigError, match="the input has the wrong type"):
        run_sync(Blackboard([specialist("s", {"input": int}, {"a": str}, str)]), "x")


# ── the decisions by themselves ───────────────────────────────────────────────────────────────────────────


def test_a_write_names_the_versions_that_it_saw():
    """All of it or none; a stale one has both values."""
    empty = Board()
    old = empty.write("a", {"x": 1, "y": 1}, empty)
    new = old.write("b", {"x": 2}, old)
    with pytest.raises(Conflict) as caught:
        new.write("c", {"y": 3, "x": 3}, old)
    assert (caught.value.mine, caught.value.theirs) == (3, 2)
    assert new.write("c", {"y": 3, "x": 2}, old).read() == {"x": 2, "y": 3}  # an equal value is no write
    assert (old.read(), old.versions(["x", "z"])) == ({"x": 1, "y": 1}, {"x": 1, "z": 0})
    assert new.history == (("x", 1, "a"), ("y", 1, "a"), ("x", 2, "b"))


class Loose:
    """No schema expresses it."""


@pytest.mark.parametrize(
    ("value", "kind", "fits"),
    [
        (1, int, True),
        (True, int, False),
        (1, float, True),
        ("1", int, False),
        (Draft("x"), Draft, True),
        ({"text": "x"}, Draft, False),
        ([Draft("x")], list[Draft], True),
        (["x"], list[Draft], False),
        ("yes", Literal["yes", "no"], True),
        ("maybe", Literal["yes", "no"], False),
        (None, str | None, True),
        (object(), Any, True),
    ],
)
def test_nothing_is_converted_to_make_it_fit(value, kind, fits):
    assert (problems_of({"e": value}, {"e": kind}) == []) == fits


def test_an_instance_of_any_class_may_be_an_entry():
    """It is copied where that can be done, and shared where not."""
    assert problems_of({"e": Loose()}, {"e": Loose}) == []
    assert problems_of({"e": 3}, {"e": Loose}) != []
    lock = threading.Lock()
    assert Board().write("a", {"lock": lock}, Board()).read()["lock"] is lock


def test_what_an_output_writes():
    """A mapping is always read as entries, also for one entry that is a mapping itself."""
    one = Specialist(works("s", str), ["a"], {"counts": dict[str, int]})
    assert writes_of(one, {"counts": {"x": 1}}, {"counts": dict[str, int]}) == {"counts": {"x": 1}}
    with pytest.raises(OutputInvalid, match="'x' is none of the entries"):
        writes_of(one, {"x": 1}, {"counts": dict[str, int]})


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_at_quiescence_everybody_has_seen_the_last_of_what_it_reads(data):
    """For random dependencies: each ran on the versions that stand there now, in parallel or not, and the history
    counts up by one for each entry.
    """
    names = [f"e{i}" for i in range(data.draw(st.integers(1, 5)))]
    seen: dict[str, dict[str, int]] = {}

    def make(i):
        reads = data.draw(st.lists(st.sampled_from(["input", *names]), min_size=1, max_size=3, unique=True))
        writes = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))

        def work(board):
            seen[f"s{i}"] = board
            return {name: min(sum(board.values()) + i, 6) for name in writes}

        return specialist(f"s{i}", reads, dict.fromkeys(writes, int), work, data.draw(st.integers(0, 3)))

    specialists = [make(i) for i in range(data.draw(st.integers(1, 4)))]
    first = data.draw(st.dictionaries(st.sampled_from(names), st.integers(0, 3)))
    board = {**dict.fromkeys(names, int), **first}
    readable = {"input", *first, *(name for one in specialists for name in one.writes)}
    specialists = [one for one in specialists if set(one.reads) <= readable]
    written = {"input", *first, *(name for one in specialists for name in one.writes)}
    if not specialists or any(not set(one.reads) <= written for one in specialists):
        return
    with virtual_time():
        result = run_sync(Blackboard(specialists, board, max_steps=60), 1)
    versions: dict[str, int] = {}
    for name, version, _ in facts(result)["history"]:
        assert version == versions.get(name, 0) + 1
        versions[name] = version
    assert versions == facts(result)["versions"]
    assert facts(result)["steps"] <= 60
    if facts(result)["ended"] == "quiescence":
        for one in specialists:
            if set(one.reads) <= result.output.keys():
                assert seen[one.name] == {name: result.output[name] for name in one.reads}


def test_the_agenda_fires_each_once_a_version_in_the_order_of_declaration():
    """And once more where it is asked to."""
    a, b = Specialist(works("a", str), ["x"], ["y"]), Specialist(works("b", str), ["x", "y"], ["x"])
    agenda, empty = Agenda((a, b), max_steps=3), Board()
    board = empty.write("me", {"x": 1}, empty)
    assert agenda.ready(empty) == []
    assert agenda.fire(agenda.ready(board), board) == [a]
    assert agenda.ready(board) == []
    board = board.write("me", {"x": 2, "y": 1}, board)
    assert agenda.ready(board) == [a, b]
    assert agenda.fire([a, b], board) == [a, b]
    agenda.again(b)
    assert (agenda.ready(board), agenda.fire([b], board)) == ([b], [])
