"""Supervisor: re-planning on what failed or contradicts, what the merge is given, and what is reported."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from outlay import Agent, RunContext, Tool, node, read_artifact, run_sync
from outlay.agents.content import as_text
from outlay.checkers import citations
from outlay.errors import Overloaded
from outlay.patterns import (
    Claim,
    Contradiction,
    Pipeline,
    Plan,
    Replan,
    Statement,
    Subtask,
    Supervisor,
    Synthesis,
    Task,
)
from outlay.stores.memory import MemoryStore
from outlay.testing import Reply, ScriptedModel


def plan(*subtasks, how="together"):
    """Subtasks as `(id, worker, *needs)`."""
    return Plan([Subtask(id, worker, f"do {id}", list(needs)) for id, worker, *needs in subtasks], how)


def planner(*plans):
    return Agent("planner", ScriptedModel(list(plans)), output_type=Plan)


def scout(name="scout", **claims):
    """An agent that answers each task with the claims given for it: `do a` with `a=[…]`."""
    asked = []

    def answer(request):
        id = json.loads(request.text)["task"].removeprefix("do ")
        asked.append(id)
        return claims[id]

    agent = Agent(name, ScriptedModel(answer), output_type=list[Claim])
    object.__setattr__(agent, "asked", asked)
    return agent


@node
async def everything(ctx: RunContext, synthesis: Synthesis) -> Synthesis:
    return synthesis


LOW, HIGH = Claim("capacity", "12 GW", 0.9, "report.pdf"), Claim("capacity", "15 GW", 0.4, "blog")


# ── contradictions ────────────────────────────────────────────────────────────────────────────────────────


def test_the_merge_lists_contradictions_with_worker_and_confidence():
    """Both values reach the synthesizer, and stand in the facts; nothing is averaged."""
    workers = [scout("reader", a=[LOW]), scout("searcher", b=[HIGH])]
    result = run_sync(Supervisor(planner(plan(("a", "reader"), ("b", "searcher"))), workers, everything), "goal")
    (found,) = result.unwrap().contradictions
    assert found.claims == [
        Statement("reader", "12 GW", 0.9, "report.pdf", "a", "supervisor/reader[a]"),
        Statement("searcher", "15 GW", 0.4, "blog", "b", "supervisor/searcher[b]"),
    ]
    assert "do not average" in result.output.instructions
    (reported,) = result.facts["supervisor"]["contradictions"]
    assert (reported["subject"], reported["found"]) == ("capacity", "comparison")
    assert [(c["worker"], c["confidence"]) for c in reported["claims"]] == [("reader", 0.9), ("searcher", 0.4)]


def test_where_all_agree_nothing_is_listed():
    """And the synthesizer's instructions are the planner's."""
    worker = scout(a=[LOW], b=[LOW])
    result = run_sync(Supervisor(planner(plan(("a", "scout"), ("b", "scout"))), [worker], everything), "goal")
    assert (result.output.contradictions, result.output.instructions) == ((), "together")
    assert result.facts["supervisor"]["contradictions"] == []


def test_an_agent_reads_the_contradictions_as_json():
    """Beside the results."""
    last = Agent("last", ScriptedModel(["12 or 15"]))
    worker = scout(a=[LOW], b=[HIGH])
    run_sync(Supervisor(planner(plan(("a", "scout"), ("b", "scout"))), [worker], last), "goal").unwrap()
    (found,) = json.loads(last.model.calls[0].text)["contradictions"]
    assert [(c["worker"], c["subtask"], c["value"]) for c in found["claims"]] == [
        ("scout", "a", "12 GW"),
        ("scout", "b", "15 GW"),
    ]


def test_what_contradicts_is_planned_again_and_nothing_is_paid_twice():
    """The planner is shown both sides, adds a third subtask that reads them, and the first two are not run again."""
    boss = planner(plan(("a", "scout"), ("b", "scout")), plan(("a", "scout"), ("b", "scout"), ("c", "scout", "a", "b")))
    worker = scout(a=[LOW], b=[HIGH], c=[LOW])
    result = run_sync(Supervisor(boss, [worker], everything, max_rounds=3), "goal")
    told = boss.model.calls[1].text
    assert "contradict" in told
    assert '"value":"15 GW"' in told
    assert worker.asked == ["a", "b", "c"]
    assert list(result.unwrap().results) == ["a", "b", "c"]
    (found,) = result.output.contradictions
    assert [s.value for s in found.claims] == ["12 GW", "15 GW", "12 GW"]
    assert result.facts["supervisor"]["rounds"] == 2
    assert len(boss.model.calls) == 2  # the planner has seen it: it is not asked about the same subject again


def test_a_planner_may_be_content_with_what_is_there():
    """A plan without subtasks ends the rounds once there are results."""
    boss = planner(plan(("a", "scout"), ("b", "scout")), Plan([], "Name both."))
    result = run_sync(Supervisor(boss, [scout(a=[LOW], b=[HIGH])], everything, max_rounds=5), "goal")
    assert result.output.instructions.startswith("Name both.")
    assert len(boss.model.calls) == 2
    assert (result.stop_reason, result.degraded) == ("completed", False)


def test_a_planner_that_is_a_function_gets_the_facts_typed():
    """What failed, what contradicts and what is done, beside the text and the plan that was run."""
    seen = []

    @node(name="boss")
    async def boss(ctx: RunContext, x: Any) -> Plan:
        seen.append(x)
        return plan(("a", "scout"), ("b", "scout"), ("bad", "broken")) if len(seen) == 1 else Plan([])

    def broken(task: Task) -> str:
        raise LookupError("lost")

    run_sync(Supervisor(boss, [scout(a=[LOW], b=[HIGH]), broken], everything, max_rounds=2), "goal").unwrap()
    again = seen[1]
    assert isinstance(again, Replan)
    assert (again.input, again.draft.subtasks[0].id, again.done) == ("goal", "a", ("a", "b"))
    assert again.failed == {"bad": "LookupError: lost"}
    assert again.contradictions[0].about == "capacity"


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_max_rounds_bounds_the_plans_whatever_fails(rounds):
    """New subjects in every round, and a failure in every round."""
    names = iter("abcdefgh")

    def next_plan(request):
        return plan((next(names), "scout"), (next(names), "scout"))

    boss = Agent("planner", ScriptedModel(next_plan), output_type=Plan)
    claims = {name: [Claim(f"subject {i // 2}", i)] for i, name in enumerate("abcdefgh")}
    result = run_sync(Supervisor(boss, [scout(**claims)], everything, max_rounds=rounds), "goal")
    assert len(boss.model.calls) == rounds
    assert len(result.output.contradictions) == rounds


@dataclass(frozen=True)
class Merged:
    text: str
    conflicts: list[Contradiction]


def test_what_only_the_synthesizer_calls_a_contradiction_is_its_opinion():
    """It is reported apart from what the comparison found."""
    said = Merged("?", [Contradiction("Capacity", []), Contradiction("tone", [Statement("scout", "gloomy", 0.3)])])
    last = Agent("last", ScriptedModel([said]), output_type=Merged)
    worker = scout(a=[LOW], b=[HIGH])
    result = run_sync(Supervisor(planner(plan(("a", "scout"), ("b", "scout"))), [worker], last), "goal")
    found = [(c["subject"], c["found"]) for c in result.facts["supervisor"]["contradictions"]]
    assert found == [("capacity", "comparison"), ("tone", "opinion")]
    assert all(c.found == "opinion" for c in result.output.conflicts)


# ── errors are no answers ─────────────────────────────────────────────────────────────────────────────────


def test_no_error_is_merged_as_an_answer():
    """Raised, handed over as a value, refused by the model, or wrong after all corrections: it stands in `failed`."""

    def handed(task: Task) -> Any:
        return LookupError("the page is gone")

    def raised(task: Task) -> str:
        raise LookupError("the page is gone")

    refuses = Agent("refuses", ScriptedModel(lambda r: Reply("I am sorry.", stop="refusal")))
    wrong = Agent("wrong", ScriptedModel(lambda r: "not a number"), output_type=int)
    busy = Agent("busy", ScriptedModel(lambda r: Overloaded("busy", retryable=False)))
    good = Agent("good", ScriptedModel(["fine"]))
    workers = [handed, raised, refuses, wrong, busy, good]
    names = ["handed", "raised", "refuses", "wrong", "busy", "good"]
    last = Agent("last", ScriptedModel(["done"]))
    flow = Supervisor(planner(plan(*((name, name) for name in names))), workers, last)
    result = run_sync(flow, "goal")
    given = json.loads(last.model.calls[0].text)
    assert given["results"] == {"good": "fine"}
    assert list(given["failed"]) == names[:-1]
    assert len(result.skipped) == 5


# ── sizes ─────────────────────────────────────────────────────────────────────────────────────────────────


def big(n=100_000):
    return "".join(f"{i:06} " for i in range(n // 7))


def test_a_long_result_is_shown_by_its_beginning():
    """To the synthesizer and to workers that depend on it; the whole is an artifact, and functions can take it."""
    last = Agent("last", ScriptedModel(["done"]))
    seen = []

    def long(task: Task) -> str:
        return big()

    def after(task: Task) -> str:
        seen.append(task.results)
        return "short"

    boss = planner(plan(("a", "long"), ("b", "after", "a")))
    result = run_sync(Supervisor(boss, [long, after], last), "goal")
    shown = json.loads(last.model.calls[0].text)["results"]
    assert shown["a"].startswith("000000 000001 ")
    assert "the whole is artifact" in shown["a"]
    assert len(shown["a"]) < 2_200
    assert shown["b"] == "short"
    assert seen[0]["a"] == shown["a"]
    assert seen[0].whole["a"] == big()
    assert result.facts["supervisor"]["tokens_by_worker"] == {"long": -(-len(shown["a"]) // 4), "after": 2}


def test_tokens_by_worker_add_up_what_was_handed_over():
    """At four characters a token, structured results as the JSON that is read."""
    worker = scout(a=[LOW], b=[LOW, HIGH])
    result = run_sync(Supervisor(planner(plan(("a", "scout"), ("b", "scout"))), [worker], everything), "goal")
    sizes = [len(as_text(found)) for found in result.output.results.values()]
    assert result.facts["supervisor"]["tokens_by_worker"] == {"scout": sum(-(-size // 4) for size in sizes)}


@pytest.mark.parametrize("stored", [False, True])
def test_the_synthesizer_can_read_on(stored):
    """`tools=[read_artifact]`: piece by piece, by the name in the preview, with a store and without."""
    import re

    pieces = []

    def read(request):
        results = request.messages[-1].tool_results
        if not results:
            name = re.search(r"artifact ([^\]]+)\]", json.loads(request.text)["results"]["a"])[1]
            return Reply(tool_calls=[("read_artifact", {"name": name})])
        head, _, page = results[0].content.partition("\n")
        pieces.append(page)
        more = re.search(r"go on with offset=(\d+)", head)
        call = request.messages[-2].tool_calls[0]
        name = json.loads(call.arguments)["name"]
        return Reply(tool_calls=[("read_artifact", {"name": name, "offset": int(more[1])})]) if more else "done"

    last = Agent("last", ScriptedModel(read), tools=[read_artifact])
    flow = Supervisor(planner(plan(("a", "long"))), [node(name="long")(lambda task: big(50_000))], last)
    run_sync(flow, "goal", store=MemoryStore() if stored else None).unwrap()
    assert len(pieces) == 4
    assert "".join(pieces) == big(50_000)


def test_only_what_this_run_kept_can_be_read():
    """A name that a model made up, or that is another run's, is an error for it to read."""
    agent = Agent(
        "a", ScriptedModel([Reply(tool_calls=[("read_artifact", {"name": "00" * 16})]), "done"]), tools=[read_artifact]
    )
    run_sync(agent, "x").unwrap()
    (given,) = agent.model.calls[1].messages[-1].tool_results
    assert given.is_error
    assert "no artifact" in given.content


def test_claims_in_a_long_result_count_all_the_same():
    """They are compared as values, not as the text that is shown."""
    many = [Claim(f"s{i}", i, source="x" * 50) for i in range(800)]
    boss = planner(plan(("a", "scout"), ("b", "scout")))
    worker = scout(a=[*many, LOW], b=[HIGH]).replace(max_output_tokens=100_000)
    result = run_sync(Supervisor(boss, [worker], everything), "goal")
    assert isinstance(result.unwrap().results["a"], str)
    assert len(result.output.results.whole["a"]) == 801
    assert [c.about for c in result.output.contradictions] == ["capacity"]


# ── provenance ────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Answer:
    text: str
    claims: list[Claim]


def test_who_said_it_and_by_which_source_travels_to_the_final_answer():
    """A crew whose scouts cite what their tool found, a synthesizer and an editor after it: each claim of the final
    answer names the agent that said it first and the passage it rests on; what the editor adds is the editor's.
    """
    passages = {"cost": "[p1] Cells cost 90 dollars.", "life": "[p7] They last 4000 cycles."}

    def search(topic: str) -> str:
        return passages[topic]

    found = {"cost": Claim("cost", 90, 0.8, "p1"), "life": Claim("life", 4000, 0.7, "p7")}

    def look(request):
        topic = json.loads(request.messages[0].text)["task"].removeprefix("do ")
        if request.messages[-1].role != "tool":
            return Reply(tool_calls=[("search", {"topic": topic})])
        return [found[topic]]

    cites = citations(cited=lambda claim: [claim.source])
    scouts = Agent(
        "scout", ScriptedModel(look), tools=[Tool("search", search)], output_type=list[Claim], verify=[cites]
    )
    merged = Answer("Cheap and durable.", [Claim("cost", 90, 0.8, "p1"), Claim("life", 4000)])
    edited = Answer("Cheap.", [Claim("Cost", "90"), Claim("life", 4000, 0.7, "p7"), Claim("verdict", "ready", 0.5)])
    last = Agent("last", ScriptedModel([merged]), output_type=Answer)
    editor = Agent("editor", ScriptedModel([edited]), output_type=Answer)
    crew = Supervisor(planner(plan(("cost", "scout"), ("life", "scout"))), [scouts], last, name="crew")
    answer = run_sync(Pipeline(crew, editor), "Is it ready?").unwrap()
    assert [(claim.subject, claim.by, claim.source) for claim in answer.claims] == [
        ("Cost", "pipeline/crew/scout[cost]", "p1"),
        ("life", "pipeline/crew/scout[life]", "p7"),
        ("verdict", "pipeline/editor", ""),
    ]


# ── in a run that is resumed ──────────────────────────────────────────────────────────────────────────────


def test_a_crew_that_broke_off_goes_on_with_what_it_paid_for():
    """Two rounds over a contradiction, and an editor that fails: resumed, only the editor is asked again, and it is
    shown the same.
    """
    store, shown, asked = MemoryStore(), [], []

    def crew(editor):
        boss = planner(plan(("a", "scout"), ("b", "scout")), plan(("c", "scout")))
        worker = scout(a=[LOW], b=[HIGH], c=[LOW])
        last = Agent("last", ScriptedModel(lambda r: (shown.append(r.text), editor)[1]))
        asked.append((boss.model, worker.model))
        return Supervisor(boss, [worker], last, max_rounds=2)

    first = run_sync(crew(Overloaded("busy", retryable=False)), "goal", store=store, run_id="r")
    assert isinstance(first.error, Overloaded)
    again = run_sync(crew("both sides"), "goal", store=store, run_id="r")
    assert again.unwrap() == "both sides"
    assert [len(model.calls) for model in asked[1]] == [0, 0]
    assert shown[0] == shown[-1]
    assert again.facts["supervisor"]["rounds"] == 2
    assert again.facts["supervisor"]["contradictions"] == first.facts["supervisor"]["contradictions"]
