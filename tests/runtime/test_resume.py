"""A run that broke off goes on where it was: what finished is given again, what was under way is in doubt."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from crash import RUN, crashed, go, journal
from flows import cents, dear

from outlay import Agent, Budget, RunContext, Usage, node, open_store, run, tool
from outlay.errors import InDoubt, JournalMismatch, RunTaken
from outlay.events import CallStarted, Decision
from outlay.events.records import CallFinished, Custom, EffectFailed, ToolFinished, ToolStarted
from outlay.patterns import FanOut, Pipeline, Refine, Router
from outlay.runtime.recorder import Recorder
from outlay.stores.memory import MemoryStore
from outlay.testing import Reply, ScriptedModel


class World:
    """What really happened outside: the calls that were paid, the mails that were sent."""

    def __init__(self, seed: int = 0) -> None:
        self.draw = random.Random(seed)
        self.calls: Counter[str] = Counter()
        self.mails: list[str] = []

    def model(self, name: str = "m") -> ScriptedModel:
        """Answers that nobody could guess, after a time that nobody could guess."""

        async def answer(request: Any) -> Any:
            import asyncio

            await asyncio.sleep(self.draw.random())
            self.calls[request.path] += 1
            return cents(1, f"{request.text[:20]}:{self.draw.randrange(10**6)}")

        return dear(answer, name=name)


# ── a finished run ────────────────────────────────────────────────────────────────────────────────────────


def test_a_finished_run_gives_its_result_again_for_nothing() -> None:
    """No call, no event, the same objects."""
    world, store = World(), MemoryStore()
    flow = Pipeline(Agent("a", world.model()), Agent("b", world.model()), lambda text: {"answer": text})
    first = go(flow, "x", store)
    events = journal(store)
    second = go(flow, "x", store)
    assert second.output == first.output
    assert second.bill.total == first.bill.total == Decimal("0.02")
    assert sum(world.calls.values()) == 2
    assert journal(store) == events
    assert second.transcript.head == first.transcript.head


def test_a_finished_run_whose_flow_has_changed_gives_what_it_gave() -> None:
    """Nothing is paid: the stored output is enough."""
    world, store = World(), MemoryStore()
    first = go(Agent("a", world.model()), "x", store)
    again = go(Agent("a", world.model(), instructions="Be brief."), "x", store)
    assert again.output == first.output
    assert sum(world.calls.values()) == 1


def test_another_input_is_another_run() -> None:
    """A run id stands for one input."""
    store = MemoryStore()
    go(Agent("a", World().model()), "x", store)
    with pytest.raises(JournalMismatch, match="begun with another input"):
        go(Agent("a", World().model()), "y", store)


# ── a crash at every point ────────────────────────────────────────────────────────────────────────────────


def nested(world: World) -> Any:
    """router → fan-out of pipelines → refine → a tool with a side effect"""

    @tool(side_effect=True)
    def send(to: str) -> str:
        """Send a mail."""
        world.mails.append(to)
        return f"sent {len(world.mails)}"

    def sender(request: Any) -> Any:
        world.calls[request.path] += 1
        return "done" if request.messages[-1].role == "tool" else Reply(tool_calls=[("send", {"to": "a@b"})])

    pipeline = Pipeline(Agent("draft", world.model()), Agent("polish", world.model()), name="line")
    checked: list[str] = []

    def critic(text: str) -> str | None:
        checked.append(text)
        return None if text.endswith(("0", "1", "2", "3", "4")) else "not yet"

    work = Pipeline(
        FanOut(pipeline, split=lambda text: [f"{text}{i}" for i in range(3)], merge=lambda found: "|".join(found)),
        Refine(Agent("write", world.model()), critic, max_rounds=2),
        Agent("send", dear(sender), tools=[send]),
    )

    def choose(text: str) -> str:
        return "work"

    def nothing(text: str) -> str:
        return ""

    return Router(choose, {"work": work}, default=nothing)


def outcomes(events: list[Any]) -> set[str]:
    return {e.key for e in events if isinstance(e, CallFinished) or (isinstance(e, ToolFinished) and not e.error)}


def test_a_crash_after_any_event_repeats_no_finished_effect_and_changes_no_answer() -> None:
    """Every prefix of the journal goes on to the undisturbed answer; only what was in flight is done again."""
    world = World()
    store = MemoryStore()
    whole = go(nested(world), "x", store)
    assert whole.stop_reason == "completed"
    events = journal(store)
    assert len(events) > 50
    for length in range(1, len(events)):
        after, left = World(length), crashed(store, length)
        done = outcomes(events[:length])
        begun = {e.key for e in events[:length] if isinstance(e, CallStarted | ToolStarted)}
        result = go(nested(after), "x", left, on_ask=lambda item: "again")
        assert result.stop_reason == "completed", (length, result.error)
        new = journal(left)[length:]
        started = [e.key for e in new if isinstance(e, CallStarted | ToolStarted)]
        assert not done & set(started), length
        again = {e.data["attempt"] for e in new if isinstance(e, Decision) and e.about == "sent_again"}
        in_flight = {e.key for e in events[:length] if isinstance(e, CallStarted)} - done
        assert len(again) <= len(in_flight), length
        assert (begun - done) <= set(started), length
        if length >= len(events) - 3:
            assert result.output == whole.output


def test_a_tool_that_may_have_happened_is_not_run_again_by_itself() -> None:
    """Its intent has no end: the run waits for a decision; given up, it ends with InDoubt."""
    world, store = World(), MemoryStore()
    go(nested(world), "x", store)
    assert world.mails == ["a@b"]
    events = journal(store)
    intent = next(i for i, e in enumerate(events) if isinstance(e, ToolStarted))
    after = World(1)
    waiting = go(nested(after), "x", crashed(store, intent + 1))
    assert waiting.stop_reason == "approval"
    assert [item.kind for item in waiting.pending] == ["in_doubt"]
    assert after.mails == []
    given_up = go(nested(after), "x", crashed(store, intent + 1), on_ask=lambda item: "give up")
    assert isinstance(given_up.error, InDoubt)
    again = go(nested(after), "x", crashed(store, intent + 1), on_ask=lambda item: "again")
    assert again.output == "done"
    assert after.mails == ["a@b"]


def test_an_idempotent_tool_is_run_again_under_its_key() -> None:
    """The service gets the same idempotency key, and can tell."""
    keys: list[str] = []

    @tool(side_effect=True, idempotent=True)
    async def order(ctx: RunContext, what: str) -> str:
        """Order."""
        keys.append(ctx.idempotency_key)
        return "ok"

    def flow() -> Any:
        model = ScriptedModel(
            lambda r: "done" if r.messages[-1].role == "tool" else Reply(tool_calls=[("order", {"what": "tea"})])
        )
        return Agent("a", model, tools=[order])

    store = MemoryStore()
    go(flow(), "x", store)
    intent = next(i for i, e in enumerate(journal(store)) if isinstance(e, ToolStarted))
    assert go(flow(), "x", crashed(store, intent + 1)).output == "done"
    assert len(keys) == 2
    assert keys[0] == keys[1]


# ── branches that race ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(10))
def test_racing_branches_with_one_prompt_and_random_answers_replay_to_their_own(seed: int) -> None:
    """10 branches × 6 calls of one name; each branch gets its own answers again (rivals: 7 to 21 of 60 wrong)."""

    def flow(world: World) -> Any:
        agent = Agent("step", world.model())

        @node(children=[agent])
        async def race(ctx: RunContext, _: str) -> list[list[str]]:
            async def branch(i: int) -> list[str]:
                said: list[str] = []
                for _ in range(6):
                    said.append(await ctx.run(agent, "the same prompt"))
                    await ctx.effect("fetch", lambda i=i: i)
                return said

            return await ctx.gather(*(branch(i) for i in range(10)))

        return race

    store, world = MemoryStore(), World(seed)
    go(flow(world), "x", store)
    events = journal(store)
    answered = [i for i, e in enumerate(events) if isinstance(e, CallFinished)]
    cut_at = random.Random(seed).randrange(answered[3], answered[-1])
    left = crashed(store, cut_at)
    done = outcomes(events[:cut_at])
    in_flight = {e.key for e in events[:cut_at] if isinstance(e, CallStarted)} - done
    after = World(seed + 1000)
    result = go(flow(after), "x", left)
    new = [e for e in journal(left)[cut_at:] if isinstance(e, CallStarted)]
    assert not {e.key for e in new} & done
    assert sum(after.calls.values()) == 60 - sum(isinstance(e, CallFinished) for e in events[:cut_at])
    said_before = {e.key: e.head for e in events[:cut_at] if isinstance(e, CallFinished)}
    said_after = {e.key: e.head for e in result.events if isinstance(e, CallFinished)}
    assert said_before.items() <= said_after.items()
    assert all(len(branch) == 6 for branch in result.output)
    assert len({e.key for e in new} & in_flight) == len(in_flight)


@pytest.mark.parametrize("seed", range(5))
def test_racing_branches_fetch_ask_depend_and_send_once(seed: int) -> None:
    """Each branch has a fetch of its own, one prompt with random answers, a step that depends on the answer, and a
    mail. Cut off anywhere: nothing finished is repeated, and no mail whose intent is there goes out by itself."""
    fetched: Counter[int] = Counter()
    mails: Counter[int] = Counter()

    def flow(world: World) -> Any:
        agent, second = Agent("ask", world.model()), Agent("depend", world.model())

        @node(children=[agent, second])
        async def race(ctx: RunContext, _: str) -> list[str]:
            async def branch(i: int) -> str:
                await ctx.sleep(world.draw.random())
                await ctx.effect("fetch", lambda: fetched.update([i]) or i)
                answer = await ctx.run(second, await ctx.run(agent, "the same prompt"))
                await ctx.effect("send", lambda: mails.update([i]) or i, side_effect=True)
                return answer

            return await ctx.gather(*(branch(i) for i in range(10)))

        return race

    store = MemoryStore()
    go(flow(World(seed)), "x", store)
    events = journal(store)
    for cut_at in random.Random(seed).sample(range(20, len(events) - 2), 8):
        left = crashed(store, cut_at)
        done = outcomes(events[:cut_at])
        sent = [e for e in events[:cut_at] if isinstance(e, ToolStarted) and e.tool == "send"]
        fetched.clear()
        mails.clear()
        result = go(flow(World(seed + cut_at)), "x", left, on_ask=lambda item: "happened")
        assert result.stop_reason == "completed"
        new = [e for e in journal(left)[cut_at:] if isinstance(e, CallStarted | ToolStarted)]
        assert not {e.key for e in new} & done
        assert mails.total() == 10 - len(sent)
        assert max(mails.values(), default=0) <= 1
        assert fetched.total() == 10 - len({e.key for e in events[:cut_at] if getattr(e, "tool", "") == "fetch"} & done)


def test_what_finished_is_not_paid_again_under_another_budget() -> None:
    """The clipped cap is no part of the identity (with it in the key, 3,890 of 4,000 calls were paid again)."""
    world, store = World(), MemoryStore()
    flow = FanOut(Agent("a", world.model(), max_output_tokens=400), name="many")
    first = go(flow, [str(i) for i in range(20)], store, budget=Budget(usd="0.11"))
    assert first.stop_reason == "budget"
    paid = sum(world.calls.values())
    assert 0 < paid < 20
    second = go(flow, [str(i) for i in range(20)], store, budget=Budget(usd="1"))
    assert second.stop_reason == "completed"
    assert sum(world.calls.values()) == 20
    assert second.bill.total == Decimal("0.20")
    assert [answer.partition(":")[0] for answer in second.output] == [str(i) for i in range(20)]


def test_money_spent_before_counts_against_the_budget() -> None:
    """A resumed run has what is left, not the whole budget once more."""
    world, store = World(), MemoryStore()
    flow = FanOut(Agent("a", world.model(), max_output_tokens=100), name="many")
    items = [str(i) for i in range(20)]
    go(flow, items, store, budget=Budget(usd="0.05"))
    again = go(flow, items, store, budget=Budget(usd="0.08"))
    assert again.stop_reason == "budget"
    assert again.bill.total == Decimal("0.08")
    assert sum(world.calls.values()) == 8


def test_an_answer_that_a_budget_cut_short_asks_for_summary_again_under_a_higher_one() -> None:
    """Found by simulation: the cut answer came back as if it were whole, and the raised run ended in an error."""

    def answer(request: Any) -> Any:
        fits = request.max_output_tokens >= 300
        used = Usage(output_tokens=min(300, request.max_output_tokens))
        return Reply("whole" if fits else "wh", usage=used, stop=None if fits else "length")

    agent, store = Agent("a", dear(answer), max_output_tokens=400, min_output_tokens=100), MemoryStore()
    first = go(agent, "x", store, budget=Budget(usd="0.02"))
    assert first.stop_reason == "budget"
    second = go(agent, "x", store, budget=Budget(usd="1"))
    assert (second.stop_reason, second.output) == ("completed", "whole")


# ── failures ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_failure_that_the_flow_handled_replays_and_the_one_that_ended_it_is_tried_again() -> None:
    """First run: `shaky` fails and is left out, `last` fails and ends the run. Second: only `last` is asked."""
    asked: list[str] = []
    broken = {"shaky", "last"}

    def flow() -> Any:
        def answer(request: Any) -> Any:
            asked.append(request.agent)
            if request.agent in broken:
                raise ValueError(f"{request.agent} is down")
            return request.agent

        agents = {name: Agent(name, ScriptedModel(answer)) for name in ("good", "shaky", "last")}
        return Pipeline(FanOut([agents["good"], agents["shaky"]]), agents["last"])

    store = MemoryStore()
    first = go(flow(), "x", store)
    assert first.stop_reason == "error"
    asked.clear()
    broken.clear()
    second = go(flow(), "x", store)
    assert second.output == "last"
    assert asked == ["last"]
    assert [part.path for part in second.skipped] == ["pipeline/fanout/shaky"]


def test_an_exception_of_your_own_comes_back_as_itself() -> None:
    """`except MyError` takes the same way on a replay; nothing is imported by name."""

    class MyError(Exception):
        pass

    tries: list[int] = []

    @node
    async def flow(ctx: RunContext, _: str) -> str:
        def fetch() -> str:
            tries.append(1)
            raise MyError("gone", 404)

        try:
            await ctx.effect("fetch", fetch)
        except MyError as error:
            found = f"{error.args}"
        await ctx.sleep(1)
        return found

    store = MemoryStore()
    first = go(flow, "x", store)
    events = journal(store)
    failed = next(i for i, e in enumerate(events) if isinstance(e, EffectFailed))
    second = go(flow, "x", crashed(store, failed + 1))
    assert second.output == first.output == "('gone', 404)"
    assert tries == [1]


# ── the moment ────────────────────────────────────────────────────────────────────────────────────────────


def test_time_chance_and_ids_are_those_of_the_first_run() -> None:
    """A resumed run sees the moment that it saw."""

    @node
    async def flow(ctx: RunContext, _: str) -> Any:
        before = (ctx.now(), ctx.random(), ctx.uuid(), ctx.budget.usd_left)
        await ctx.sleep(5)
        return before

    store = MemoryStore()
    first = go(flow, "x", store, budget=Budget(usd="1"))
    second = go(flow, "x", crashed(store, len(journal(store)) - 3), budget=Budget(usd="2"))
    assert second.output == first.output


def test_what_an_effect_gives_is_the_same_on_the_first_run_and_on_a_replay() -> None:
    """Both see the decoded value: a tuple is a list from the start."""
    seen: list[Any] = []

    @node
    async def flow(ctx: RunContext, _: str) -> None:
        seen.append(await ctx.effect("fetch", lambda: {"a": (1, 2)}))
        await ctx.sleep(1)

    store = MemoryStore()
    go(flow, "x", store)
    go(flow, "x", crashed(store, len(journal(store)) - 3))
    assert seen == [{"a": [1, 2]}] * 2


# ── changed code ──────────────────────────────────────────────────────────────────────────────────────────


def changing(world: World, instructions: str) -> Any:
    return Pipeline(
        Agent("a", world.model()), Agent("b", world.model(), instructions=instructions), Agent("c", world.model())
    )


def test_a_changed_prompt_runs_again_what_it_changes_and_what_depends_on_it() -> None:
    """`a` is given again; `b` has other instructions and `c` another input. The run says so."""
    world, store = World(), MemoryStore()
    go(changing(world, "old"), "x", store)
    left = crashed(store, len(journal(store)) - 2)
    after = World(1)
    result = go(changing(after, "new"), "x", left)
    assert set(after.calls) == {"pipeline/b", "pipeline/c"}
    changed = [(e.path, e.data["changed"]) for e in result.events if isinstance(e, Decision) and e.about == "changed"]
    assert changed == [("pipeline/b", "its instructions ('old' before, 'new' now)"), ("pipeline/c", "its messages")]


def test_strict_refuses_changed_code_before_it_pays() -> None:
    """The first difference is named."""
    world, store = World(), MemoryStore()
    go(changing(world, "old"), "x", store)
    left = crashed(store, len(journal(store)) - 2)
    after = World(1)
    result = go(changing(after, "new"), "x", left, strict=True)
    assert isinstance(result.error, JournalMismatch)
    assert "pipeline/b" in str(result.error)
    assert "its instructions ('old' before, 'new' now)" in str(result.error)
    assert not after.calls


# ── owners ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_run_goes_on_in_whichever_process_asks_next(tmp_path: Path) -> None:
    """Two stores on one file stand for two processes: each may take over what the other left, as often as it likes,
    and who was taken over can write no more."""
    world, path = World(), str(tmp_path / "s.db")
    agent = Agent("a", world.model(), max_output_tokens=100)
    items = [str(i) for i in range(6)]
    async with open_store(path) as one, open_store(path) as two:
        for calls, store in ((1, one), (2, two), (3, one), (4, two)):
            result = await run(FanOut(agent, name="many"), items, store=store, run_id=RUN, budget=Budget(calls=calls))
            assert result.stop_reason == "budget"
        late = Recorder(RUN, lambda: 0.0, one, (), False)
        late.emit(Custom, "many", name="late")
        with pytest.raises(RunTaken):
            await late.durable()
        result = await run(FanOut(agent, name="many"), items, store=one, run_id=RUN, budget=Budget(calls=9))
        assert result.stop_reason == "completed"
        assert sum(world.calls.values()) == 6


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model": ScriptedModel(["x"], name="other")}, "the model, m before and other now"),
        ({"tools": []}, "its tools: look is gone"),
        ({"output_type": int}, "its output type"),
        ({"max_output_tokens": 7}, "its settings or output cap"),
    ],
)
def test_what_has_changed_in_a_call_is_named(change: dict[str, Any], named: str) -> None:
    """The first part that differs, fit to be looked for."""

    @tool
    def look(what: str) -> str:
        """Look."""
        return what

    agent, store = Agent("a", ScriptedModel(["x"], name="m"), tools=[look]), MemoryStore()
    go(Pipeline(agent, lambda text: text), "x", store)
    left = crashed(store, len(journal(store)) - 2)
    changed = agent.replace(**{"model": ScriptedModel(["1"], name="m"), **change})
    result = go(Pipeline(changed, lambda text: text), "x", left, strict=True)
    assert isinstance(result.error, JournalMismatch)
    assert named in str(result.error)
